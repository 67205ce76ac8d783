package consumer

// The group's rebalance callbacks. The client never runs two of them at once.

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

// assigned runs before the partitions are fetched, and at the start of every
// session, also when nothing came.
func (g *Group) assigned(_ context.Context, client *kgo.Client, a map[string][]int32) {
	g.mu.Lock()
	ctx, fail := g.ctx, g.fail
	g.mu.Unlock()
	if g.replaced(client) {
		g.giveUp()
	}
	if ctx.Err() != nil {
		return
	}
	if len(a) == 0 {
		g.joined.Store(true)
		return
	}
	if g.cfg.Assigned != nil {
		if err := g.cfg.Assigned(ctx, a); err != nil {
			// Without a share nothing of these partitions is handed out.
			fail(fmt.Errorf("recovering the state of assigned partitions: %w", err))
			return
		}
	}
	g.mu.Lock()
	for topic, partitions := range a {
		for _, p := range partitions {
			g.shares[topicPartition{topic, p}] = newShare(ctx, topic, p)
		}
	}
	g.mu.Unlock()
	g.joined.Store(true)
	g.metrics.rebalances.WithLabelValues("assigned").Inc()
	g.log.Info("partitions assigned", "partitions", a)
}

// revoked hands partitions over. The client calls it at the end of every
// session, also when nothing goes.
func (g *Group) revoked(ctx context.Context, client *kgo.Client, a map[string][]int32) {
	if g.replaced(client) {
		g.giveUp()
	}
	if g.gone.Load() {
		g.lost(ctx, client, a)
		return
	}
	shares := g.release(a)
	if len(shares) == 0 {
		return
	}
	if g.cfg.Revoked != nil {
		g.cfg.Revoked(ctx, a)
	}
	if !g.failed() { // after a failure, what is open may never be done
		settle, cancel := context.WithTimeout(ctx, g.cfg.Settle)
		for _, s := range shares {
			s.settle(settle)
		}
		cancel()
	}
	g.commit(ctx, shares)
	g.forget(a, shares)
	g.metrics.rebalances.WithLabelValues("revoked").Inc()
	g.log.Info("partitions revoked", "partitions", a)
}

// lost says that other members may own the partitions already. A commit now
// could only rewind theirs.
func (g *Group) lost(_ context.Context, _ *kgo.Client, a map[string][]int32) {
	g.memberID = "" // the client joins as a new member
	g.joined.Store(false)
	shares := g.release(a)
	if len(shares) == 0 {
		return
	}
	for _, s := range shares {
		s.close()
	}
	if g.cfg.Lost != nil {
		g.cfg.Lost(a)
	}
	g.forget(a, shares)
	g.metrics.rebalances.WithLabelValues("lost").Inc()
	g.log.Warn("partitions lost", "partitions", a)
}

// replaced reports whether the member has a new id while it still holds
// partitions of the old one: its session had expired, and the client joined
// again without a word.
func (g *Group) replaced(client *kgo.Client) bool {
	id, _ := client.GroupMetadata()
	if id == "" || id == g.memberID {
		return false
	}
	before := g.memberID
	g.memberID = id
	return before != "" && len(g.all()) > 0
}

// giveUp ends this membership, without any further commit.
func (g *Group) giveUp() {
	g.gone.Store(true)
	g.mu.Lock()
	fail := g.fail
	g.mu.Unlock()
	fail(errSessionGone)
}

// release stops handing out: when it returns, no Handle runs for the
// partitions and none will. They stay in the map, so that acks still commit.
func (g *Group) release(a map[string][]int32) []*share {
	var out []*share
	g.mu.Lock()
	for topic, partitions := range a {
		for _, p := range partitions {
			if s := g.shares[topicPartition{topic, p}]; s != nil {
				out = append(out, s)
			}
		}
	}
	g.mu.Unlock()
	for _, s := range out {
		s.release()
	}
	for _, s := range out {
		s.handing.Lock()
		//lint:ignore SA2001 taking it waits for a Handle that runs now
		s.handing.Unlock()
	}
	return out
}

// forget ends the shares. A pause outlives a revoke in the client: without the
// resume, a partition that comes back would stay silent for ever.
func (g *Group) forget(a map[string][]int32, shares []*share) {
	for _, s := range shares {
		s.close()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range shares {
		delete(g.shares, s.topicPartition)
	}
	if g.client != nil {
		g.client.ResumeFetchPartitions(a)
	}
}
