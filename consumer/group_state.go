package consumer

// What a Group tells about itself, and pausing.

import "slices"

// Pause stops fetching a partition, without giving it up. One batch that was
// already fetched may still be handed out. The pause ends with Resume, or when
// the partition is revoked or lost.
func (g *Group) Pause(topic string, partition int32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.client != nil && g.shares[topicPartition{topic, partition}] != nil {
		g.client.PauseFetchPartitions(map[string][]int32{topic: {partition}})
	}
}

// Resume fetches a paused partition again.
func (g *Group) Resume(topic string, partition int32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.client != nil {
		g.client.ResumeFetchPartitions(map[string][]int32{topic: {partition}})
	}
}

// Assignment lists the partitions that are held now, sorted.
func (g *Group) Assignment() map[string][]int32 {
	out := map[string][]int32{}
	for _, s := range g.all() {
		out[s.topic] = append(out[s.topic], s.partition)
	}
	for _, ps := range out {
		slices.Sort(ps)
	}
	return out
}

// Committed is the offset that this member committed last for a partition it
// holds; ok is false when it holds none or has committed nothing.
func (g *Group) Committed(topic string, partition int32) (offset int64, ok bool) {
	s := g.share(topic, partition)
	if s == nil {
		return 0, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.committed, s.committed >= 0
}

// Low is the lowest offset of a held partition that is not done: what the next
// commit will say. ok is false before the first record.
func (g *Group) Low(topic string, partition int32) (offset int64, ok bool) {
	s := g.share(topic, partition)
	if s == nil {
		return 0, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ledger == nil {
		return 0, false
	}
	return commitOffset(s.ledger), true
}

// Pending is how many records, over all held partitions, are handed out and
// not done.
func (g *Group) Pending() int {
	n := 0
	for _, s := range g.all() {
		n += s.pending()
	}
	return n
}

func (g *Group) share(topic string, partition int32) *share {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shares[topicPartition{topic, partition}]
}
