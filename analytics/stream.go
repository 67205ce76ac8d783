package analytics

// One partition's way into its tables. For each range: announce it in the
// commit metadata, insert it under a token made of it, commit its end. What is
// in doubt is read back, never guessed.

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/schemas"
)

// stream stores one partition for as long as this member owns it.
type stream struct {
	from    source
	feed    *feed
	decoder *decoder
	engine  engine
	// commit writes the group's offset with metadata; an error leaves open
	// whether it was written. Kafka refuses it from a member that lost the
	// partition.
	commit func(ctx context.Context, offset int64, meta string) error
	// reject keeps a record that is none of ours; nil only counts it.
	reject   func(ctx context.Context, rec *kgo.Record, reason error) error
	slots    chan struct{} // bounds inserts at the same time over all streams
	doubtful int64         // offsets up to here may be stored although nothing announced them; -1: none
	metrics  *sinkMetrics
	pace     *pace
	log      *slog.Logger
	freed    func() // called when a range left the feed or was stored

	quit chan struct{} // closed: finish what is under way, try nothing again
	once sync.Once
	done chan struct{} // closed when run has ended

	mu        sync.Mutex
	inFlight  time.Time // broker's time of the oldest record of the range under way; zero: none
	committed int64
}

// run works until the feed is stopped and empty, or ctx ends.
func (s *stream) run(ctx context.Context) {
	defer close(s.done)
	announced := false
	c, ok := s.take(ctx)
	for ok {
		s.setInFlight(c)
		next, stored := s.flush(ctx, c, announced || c.resumed)
		s.freed()
		if !stored {
			return
		}
		s.setInFlight(next)
		if c, announced = next, next != nil; c == nil {
			c, ok = s.take(ctx)
		}
	}
}

// stop asks the stream to end: after the range under way, or, with drain, after
// everything that has been fetched. It does not wait. Whatever fails from now
// on is not tried again.
func (s *stream) stop(drain bool) {
	s.feed.stop(drain)
	s.once.Do(func() { close(s.quit) })
}

// take waits for the next range; ok is false when there will be none.
func (s *stream) take(ctx context.Context) (c *cut, ok bool) {
	for {
		c, wait, done := s.feed.tryTake(time.Now())
		if c != nil {
			s.freed()
			return c, true
		}
		if done {
			return nil, false
		}
		var due <-chan time.Time
		var timer *time.Timer
		if wait > 0 {
			timer = time.NewTimer(wait)
			due = timer.C
		}
		select {
		case <-s.feed.wake:
		case <-due:
		case <-ctx.Done():
			return nil, false
		}
		if timer != nil {
			timer.Stop()
		}
	}
}

// flush stores a range and commits its end. The commit announces the following
// range if that is due already: one commit for each range under load. stored is
// false when the stream has to end with the range announced but unsettled;
// whoever gets the partition next settles it.
func (s *stream) flush(ctx context.Context, c *cut, announced bool) (next *cut, stored bool) {
	if !s.decode(ctx, c) {
		return nil, false
	}
	if !announced {
		if !s.persist(ctx, c.first, &intent{last: c.last, rows: len(c.records)}) {
			return nil, false
		}
	}
	for _, b := range s.decoder.blocks {
		if b.rows() > 0 && !s.land(ctx, c, b) {
			return nil, false
		}
	}
	var following *intent
	if next, _, _ = s.feed.tryTake(time.Now()); next != nil {
		following = &intent{last: next.last, rows: len(next.records)}
		s.freed()
	}
	if !s.persist(ctx, c.last+1, following) {
		return nil, false
	}
	return next, true
}

// decode turns the range's records into rows.
func (s *stream) decode(ctx context.Context, c *cut) bool {
	s.decoder.reset()
	for _, r := range c.records {
		rec := schemas.Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value, Time: r.Timestamp}
		at := place{topic: s.from.column(), partition: r.Partition, offset: r.Offset, time: r.Timestamp.UnixMilli()}
		err := s.decoder.add(&rec, at)
		if err == nil {
			continue
		}
		s.metrics.invalid.WithLabelValues(s.from.topic).Inc()
		s.log.Error("record is none of ours; it makes no row", "topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "error", err)
		if s.reject == nil {
			continue
		}
		wait := newBackoff()
		for {
			kept := s.reject(ctx, r, err)
			if kept == nil {
				break
			}
			s.log.Error("record that is none of ours could not be kept; trying again", "topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "error", kept)
			if !wait.sleep(ctx, s.quit, kept) {
				return false
			}
		}
	}
	return true
}

// persist writes the commit, for as long as this member may. A commit whose
// outcome is unknown is simply repeated: it says the same.
func (s *stream) persist(ctx context.Context, offset int64, in *intent) bool {
	wait := newBackoff()
	for {
		err := s.commit(ctx, offset, commitMeta(offset, in, s.doubtful))
		if err == nil {
			s.mu.Lock()
			s.committed = offset
			s.mu.Unlock()
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		s.log.Warn("offset commit failed; trying again", "topic", s.from.topic, "partition", s.from.partition, "offset", offset, "error", err)
		if !wait.sleep(ctx, s.quit, err) {
			return false
		}
	}
}

func (s *stream) setInFlight(c *cut) {
	var t time.Time
	if c != nil && len(c.records) > 0 {
		t = c.records[0].Timestamp
	}
	s.mu.Lock()
	s.inFlight = t
	s.mu.Unlock()
}

// complete is the time up to which every record is stored: the broker's time of
// the oldest one outstanding, and seen when there is none.
func (s *stream) complete(seen time.Time) time.Time {
	oldest, next, high := s.feed.horizon()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.inFlight.IsZero():
		return s.inFlight
	case !oldest.IsZero():
		return oldest
	case next >= 0 && next < high:
		return time.Time{}
	}
	return seen
}

// oldest is the broker's time of the oldest record that was fetched and is not
// stored; zero when there is none.
func (s *stream) oldest() time.Time {
	oldest, _, _ := s.feed.horizon()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.inFlight.IsZero() {
		return s.inFlight
	}
	return oldest
}

// lag is the number of records that are in Kafka and not yet committed.
func (s *stream) lag() int64 {
	_, _, high := s.feed.horizon()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.committed < 0 || high < s.committed {
		return 0
	}
	return high - s.committed
}
