package analytics

// Which partitions the sink owns, where each of them begins, and how one is
// handed over.

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/hookstream/hookstream/schemas"
)

// onFetched keeps the commit metadata for onAdjust, which follows it.
func (s *Sink) onFetched(_ context.Context, _ *kgo.Client, resp *kmsg.OffsetFetchResponse) error {
	<-s.connected
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.meta)
	for _, g := range resp.Groups {
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				if p.Metadata != nil {
					s.meta[topicPartition{t.Topic, p.Partition}] = *p.Metadata
				}
			}
		}
	}
	return nil
}

// start is where one partition begins.
type start struct {
	from     source
	next     int64 // -1: wherever the log begins
	resume   *intent
	doubtful int64
}

// onAdjust compares the committed offsets of new partitions with what
// ClickHouse has, and starts their streams. While ClickHouse does not answer it
// waits: fetching of these partitions begins after it, so nothing piles up.
func (s *Sink) onAdjust(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	var starts []start
	for topic, partitions := range offsets {
		spec, ok := s.topics[topic]
		if !ok {
			continue
		}
		wait := newBackoff()
		var id [16]byte
		var stored map[int32]int64
		for {
			var err error
			if id, err = s.topicID(ctx, topic); err == nil {
				stored, err = s.engine.latest(ctx, spec.tables, source{topic: topic, id: id}.column())
			}
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			s.log.Warn("partitions wait for ClickHouse", "topic", topic, "partitions", len(partitions), "error", err)
			if !wait.sleep(ctx, nil, err) {
				return nil, ctx.Err()
			}
		}
		for partition, offset := range partitions {
			st := s.begin(source{topic: topic, id: id, partition: partition}, offset, stored)
			starts = append(starts, st)
			if st.next < 0 {
				partitions[partition] = kgo.NewOffset().AtStart()
			} else if st.next != offset.EpochOffset().Offset {
				partitions[partition] = kgo.NewOffset().At(st.next)
			}
		}
	}
	s.clock.forget()
	for _, st := range starts {
		s.open(st)
	}
	return offsets, nil
}

// begin decides from three facts: the committed offset, the intent beside it,
// and the highest offset that ClickHouse has.
func (s *Sink) begin(from source, offset kgo.Offset, stored map[int32]int64) start {
	tp := topicPartition{from.topic, from.partition}
	s.mu.Lock()
	meta := s.meta[tp]
	s.mu.Unlock()
	committed := offset.EpochOffset().Offset
	if committed < 0 {
		committed = -1
	}
	highest, ok := stored[from.partition]
	if !ok {
		highest = -1
	}
	in, doubtful := parseMeta(meta)
	st := start{from: from, next: committed, doubtful: max(highest, doubtful)}
	if in != nil && committed >= 0 && in.last >= committed {
		st.resume = in
		s.log.Info("settling what the previous owner announced", "topic", from.topic, "partition", from.partition, "first", committed, "last", in.last)
		return st
	}
	if committed > 0 && highest < committed-1 {
		// Rows are gone (a restore from a backup, a dropped table), or the tail
		// made none. Reading it again settles both. The tokens of what is gone may
		// still be known, so nothing there is certain.
		st.next, st.doubtful = highest+1, max(st.doubtful, committed-1)
		if highest < 0 {
			st.next = -1
		}
		s.metrics.rewinds.WithLabelValues(from.topic).Inc()
		s.log.Warn("ClickHouse has less than was committed; reading again", "topic", from.topic, "partition", from.partition, "committed", committed, "highest", highest)
	}
	return st
}

func (s *Sink) topicID(ctx context.Context, topic string) ([16]byte, error) {
	details, err := s.admin.ListTopics(ctx, topic)
	if err != nil {
		return [16]byte{}, fmt.Errorf("finding the id of %s: %w", topic, err)
	}
	d, ok := details[topic]
	if !ok {
		return [16]byte{}, fmt.Errorf("finding the id of %s: no such topic", topic)
	}
	if d.Err != nil {
		return [16]byte{}, fmt.Errorf("finding the id of %s: %w", topic, d.Err)
	}
	return d.ID, nil
}

// open starts the stream of one partition.
func (s *Sink) open(st start) {
	tp := topicPartition{st.from.topic, st.from.partition}
	s.release(map[string][]int32{tp.topic: {tp.partition}}, 0) // one that an interrupted assignment left
	ctx, cancel := context.WithCancel(s.run)
	r := &running{cancel: cancel, stream: &stream{
		from: st.from, engine: s.engine, decoder: s.topics[tp.topic].open(),
		feed:     newFeed(limits{rows: s.cfg.FlushRows, bytes: s.cfg.FlushBytes, interval: s.pace.interval}, st.next, st.resume),
		commit:   func(ctx context.Context, offset int64, meta string) error { return s.commit(ctx, tp, offset, meta) },
		slots:    s.slots,
		doubtful: st.doubtful, metrics: s.metrics, pace: s.pace, log: s.log, freed: s.throttle,
		quit: make(chan struct{}), done: make(chan struct{}), committed: st.next,
	}}
	if s.cfg.Append != nil {
		r.reject = s.reject
	}
	s.mu.Lock()
	s.streams[tp] = r
	s.mu.Unlock()
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		r.stream.run(ctx)
	}()
}

// release ends the streams of these partitions: what is under way may finish
// within the grace; after it they are cut off, and the intent in the commit
// metadata is the hand-over. When release returns they commit nothing more.
func (s *Sink) release(partitions map[string][]int32, grace time.Duration) {
	<-s.connected
	var ending []*running
	s.mu.Lock()
	for topic, ps := range partitions {
		for _, p := range ps {
			tp := topicPartition{topic, p}
			delete(s.paused, tp)
			if r := s.streams[tp]; r != nil {
				delete(s.streams, tp)
				ending = append(ending, r)
			}
		}
	}
	s.mu.Unlock()
	// A pause outlives the assignment: forgotten, it would stop the partition
	// for ever when it comes back.
	s.client.ResumeFetchPartitions(partitions)
	deadline := time.NewTimer(grace)
	defer deadline.Stop()
	for _, r := range ending {
		r.stop(false)
	}
	for _, r := range ending {
		if grace <= 0 {
			r.cancel()
		}
		select {
		case <-r.done:
		case <-deadline.C:
			for _, r := range ending {
				r.cancel()
			}
			<-r.done
		}
		r.cancel()
	}
}

// commit writes one partition's offset and metadata, as a member of the current
// generation; Kafka refuses it from anybody else.
func (s *Sink) commit(ctx context.Context, tp topicPartition, offset int64, meta string) error {
	ctx = kgo.PreCommitFnContext(ctx, func(req *kmsg.OffsetCommitRequest) error {
		for i := range req.Topics {
			for j := range req.Topics[i].Partitions {
				req.Topics[i].Partitions[j].Metadata = kmsg.StringPtr(meta)
			}
		}
		return nil
	})
	var failed error
	s.client.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{tp.topic: {tp.partition: {Epoch: -1, Offset: offset}}},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
			if err != nil {
				failed = err
				return
			}
			answered := false
			for _, t := range resp.Topics {
				for _, p := range t.Partitions {
					answered = true
					if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
						failed = err
					}
				}
			}
			if !answered && failed == nil {
				failed = fmt.Errorf("the broker's answer leaves the partition out")
			}
		})
	if failed != nil {
		return fmt.Errorf("committing %s/%d at %d: %w", tp.topic, tp.partition, offset, failed)
	}
	return nil
}

// rejectExcerpt bounds what is kept of a record that is none of ours.
const rejectExcerpt = 64 << 10

// reject keeps a record in events.invalid and waits until it is stored there.
func (s *Sink) reject(ctx context.Context, rec *kgo.Record, reason error) error {
	at := schemas.Position{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset}
	out := schemas.Record{Topic: s.cfg.Topology.EventsInvalidTopic(), Partition: -1, Key: rec.Key,
		Value: rec.Value[:min(len(rec.Value), rejectExcerpt)],
		Headers: []schemas.Header{
			{Key: schemas.HdrReason, Value: []byte(reason.Error())},
			{Key: schemas.HdrSource, Value: []byte(at.String())},
		}}
	kept := make(chan error, 1)
	s.cfg.Append(ctx, out, func(_ int64, err error) { kept <- err })
	select {
	case err := <-kept:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// throttle pauses the partitions that have enough to do while too much is
// buffered, and resumes them when it has drained. A partition that waits for
// the rest of a resumed range is never paused: without it nothing would drain.
func (s *Sink) throttle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	total := 0
	type load struct {
		bytes int
		ready bool
	}
	loads := make(map[topicPartition]load, len(s.streams))
	for tp, r := range s.streams {
		bytes, ready := r.feed.load()
		loads[tp] = load{bytes, ready}
		total += bytes
	}
	pause, resume := map[string][]int32{}, map[string][]int32{}
	for tp, l := range loads {
		over := l.bytes >= 2*s.cfg.FlushBytes || total >= s.cfg.BufferBytes
		under := l.bytes < s.cfg.FlushBytes && total < s.cfg.BufferBytes*3/4
		switch {
		case over && l.ready && !s.paused[tp]:
			s.paused[tp] = true
			pause[tp.topic] = append(pause[tp.topic], tp.partition)
		case under && s.paused[tp]:
			delete(s.paused, tp)
			resume[tp.topic] = append(resume[tp.topic], tp.partition)
		}
	}
	if len(pause) > 0 {
		s.client.PauseFetchPartitions(pause)
	}
	if len(resume) > 0 {
		s.client.ResumeFetchPartitions(resume)
	}
}
