package consumer

// The end of a topic as barriers see it: listings shared between callers, and
// the offsets behind which no record will come.

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// listing is one answer, shared by everybody who asked before it began.
type listing struct {
	done chan struct{}
	ends map[int32]int64
	err  error
}

// asks gathers callers: those who come while a listing is under way wait for
// the next one, because the one under way may miss what they wrote before.
type asks struct {
	state *askState
	wake  chan struct{}
}

type askState struct {
	mu    sync.Mutex
	next  *listing
	ended error
}

func newAsks() asks { return asks{state: &askState{}, wake: make(chan struct{}, 1)} }

// ends waits for a listing that began after the call.
func (a asks) ends(ctx context.Context) (map[int32]int64, error) {
	a.state.mu.Lock()
	if a.state.ended != nil {
		defer a.state.mu.Unlock()
		return nil, a.state.ended
	}
	if a.state.next == nil {
		a.state.next = &listing{done: make(chan struct{})}
	}
	l := a.state.next
	a.state.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
	select {
	case <-l.done:
		return l.ends, l.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// serve answers until ctx ends. A listing that fails is tried again: barriers
// wait for a broker that restarts.
func (a asks) serve(ctx context.Context, list func(context.Context) (map[int32]int64, error)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.wake:
		}
		a.state.mu.Lock()
		l := a.state.next
		a.state.next = nil
		a.state.mu.Unlock()
		if l == nil {
			continue
		}
		for {
			if l.ends, l.err = list(ctx); l.err == nil || ctx.Err() != nil {
				break
			}
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
		close(l.done)
	}
}

// end fails everybody who still waits or comes later.
func (a asks) end(err error) {
	a.state.mu.Lock()
	defer a.state.mu.Unlock()
	a.state.ended = err
	if l := a.state.next; l != nil {
		l.err = err
		close(l.done)
		a.state.next = nil
	}
}

// gapInterval is how often a partition that stands still below its end is
// looked at.
const gapInterval = 250 * time.Millisecond

// fillGaps finds out, for partitions that stand still below their end, whether
// any record is left to come: control records, compacted-away tails and deleted
// prefixes occupy offsets but are never polled, and a barrier must not wait for
// them.
func (t *Tail) fillGaps(ctx context.Context, client *kgo.Client) {
	tick := time.NewTicker(gapInterval)
	defer tick.Stop()
	before := map[int32]int64{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		t.mu.Lock()
		ends := maps.Clone(t.goal)
		behind := t.behind(ends)
		t.mu.Unlock()
		still := map[int32]int64{}
		for _, at := range behind {
			if was, ok := before[at.Partition]; !ok || was != at.Offset {
				still[at.Partition] = at.Offset
				continue
			}
			to, err := emptyUpTo(ctx, client, t.cfg.Topic, at.Partition, at.Offset, ends[at.Partition])
			if err != nil {
				t.cfg.Log.Debug("looking for a gap, trying again", "topic", t.cfg.Topic, "partition", at.Partition, "err", err)
			}
			t.advance(map[int32]int64{at.Partition: to})
			if to == at.Offset {
				still[at.Partition] = to
			}
		}
		before = still
	}
}

// emptyUpTo reads the partition by hand from offset and says up to where, at
// most end, there is no record. Advancing over such offsets is safe while the
// poll loop runs: it has nothing to bring from there.
func emptyUpTo(ctx context.Context, client *kgo.Client, topic string, partition int32, offset, end int64) (int64, error) {
	adm := kadm.NewClient(client)
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return offset, fmt.Errorf("listing start offsets: %w", err)
	}
	if o, ok := starts.Lookup(topic, partition); ok && o.Err == nil && o.Offset > offset {
		offset = min(o.Offset, end) // deleted before we came
	}
	meta, err := adm.ListTopics(ctx, topic)
	if err != nil {
		return offset, fmt.Errorf("finding the leader: %w", err)
	}
	leader, ok := meta[topic].Partitions[partition]
	if !ok || leader.Err != nil || leader.Leader < 0 {
		return offset, fmt.Errorf("finding the leader: partition %d has none now", partition)
	}
	for offset < end {
		req := kmsg.NewPtrFetchRequest()
		req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = 0, 0, 1<<20, -1
		rt := kmsg.NewFetchRequestTopic()
		rt.Topic, rt.TopicID = topic, meta[topic].ID
		rp := kmsg.NewFetchRequestTopicPartition()
		rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes, rp.CurrentLeaderEpoch = partition, offset, 1<<20, -1
		rt.Partitions = append(rt.Partitions, rp)
		req.Topics = append(req.Topics, rt)
		kresp, err := client.Broker(int(leader.Leader)).Request(ctx, req)
		if err != nil {
			return offset, fmt.Errorf("reading by hand: %w", err)
		}
		resp := kresp.(*kmsg.FetchResponse)
		if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
			return offset, fmt.Errorf("reading by hand: %w", err)
		}
		if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
			return offset, nil
		}
		part := &resp.Topics[0].Partitions[0]
		if err := kerr.ErrorForCode(part.ErrorCode); err != nil {
			return offset, fmt.Errorf("reading by hand: %w", err)
		}
		read, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Topic: topic, Partition: partition, Offset: offset},
			part, kgo.DefaultDecompressor(), nil)
		switch {
		case read.Err != nil:
			return offset, fmt.Errorf("reading by hand: %w", read.Err)
		case len(read.Records) > 0: // these will be polled; up to the first there is nothing
			return min(max(offset, read.Records[0].Offset), end), nil
		case next > offset:
			offset = next
		case len(part.RecordBatches) == 0 && part.HighWatermark >= end:
			return end, nil // the log goes on behind the end, or stops at it
		default:
			return offset, nil
		}
	}
	return end, nil
}
