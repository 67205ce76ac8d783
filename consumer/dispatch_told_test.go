package consumer

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// notWritten loses every write to a topic, as a process does that dies.
func notWritten(topic func(schemas.Topology) string) func(*DispatcherConfig) {
	return func(c *DispatcherConfig) {
		write, lost := c.Append, topic(c.Topology)
		c.Append = func(ctx context.Context, rec schemas.Record, done func(int64, error)) {
			if rec.Topic != lost {
				write(ctx, rec, done)
			}
		}
	}
}

// lanesWritten counts the rows of an endpoint; the lock is held.
func (w *world) lanesWritten(id string) (n int) {
	for _, rec := range w.records[w.c.Topology.LanesTopic()] {
		if string(rec.Key) == id {
			n++
		}
	}
	return n
}

// TestWhatWasNotToldIsToldByTheNextOwner: a process dies when its lane rows are
// written and its events are not, at the opening and at the recovery.
func TestWhatWasNotToldIsToldByTheNextOwner(t *testing.T) {
	w := newWorld(t)
	f := &fuse{cooldown: 100 * time.Millisecond}
	var healed atomic.Bool
	e := w.endpoint("wh_a", Lane{}, func(_ context.Context, d *schemas.Delivery, _ int) schemas.Outcome {
		failed := !healed.Load()
		defer f.report(failed)
		if failed {
			return retryIn(50 * time.Millisecond)
		}
		return ok(d)
	})
	e.admit = f.admit
	seams := func(lose bool) func(*DispatcherConfig) {
		return func(c *DispatcherConfig) {
			fused("wh_a", f)(c)
			c.Wants, c.Announce = everything, nil
			if lose {
				notWritten(schemas.Topology.EventsTopic)(c)
			}
		}
	}
	w.send("wh_a", 0, 20)
	p := w.start(seams(true))
	w.until("rows while the event waits", func() bool { return w.lanesWritten("wh_a") >= 2 })
	p.kill()
	<-p.ended
	f.forget()
	p = w.start(seams(false))
	w.until("the opening", func() bool { return len(w.news()) == 1 })
	p.stop()
	f.forget()
	healed.Store(true)
	p = w.start(seams(true))
	w.mu.Lock()
	rows := w.lanesWritten("wh_a")
	w.mu.Unlock()
	w.until("rows while the recovery waits", func() bool { return w.lanesWritten("wh_a") > rows && len(w.terminal("")) == 19 })
	p.kill()
	<-p.ended
	f.forget()
	p = w.start(seams(false))
	w.until("the end", func() bool { return len(w.terminal("")) == 20 && len(w.news()) >= 2 })
	p.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	if got, want := types(w.news()), []string{schemas.EventBreakerOpened, schemas.EventEndpointRecovered}; !slices.Equal(got, want) {
		t.Errorf("told %v; want %v", got, want)
	}
}

// TestAnOpenBreakerOutlivesItsOwnerThoughNothingWaits: what is left of an
// endpoint is on its way through the tiers, and the next owner still knows.
func TestAnOpenBreakerOutlivesItsOwnerThoughNothingWaits(t *testing.T) {
	w := newWorld(t)
	f := &fuse{cooldown: time.Hour}
	e := w.endpoint("wh_a", Lane{}, func(_ context.Context, d *schemas.Delivery, _ int) schemas.Outcome {
		defer f.report(true)
		return verdict(schemas.Exhausted)
	})
	e.admit = f.admit
	w.send("wh_a", 0, 5)
	p := w.start(fused("wh_a", f))
	w.until("five ends", func() bool { return len(w.terminal("")) == 5 })
	p.stop()
	f.forget()
	restored := make(chan schemas.BreakerState, 1)
	p = w.start(func(c *DispatcherConfig) {
		fused("wh_a", f)(c)
		c.Restore = func(_ string, s schemas.BreakerState) { restored <- s }
	})
	select {
	case s := <-restored:
		if !s.Open || s.Failures != 5 {
			t.Errorf("restored %+v", s)
		}
	case <-time.After(20 * time.Second):
		t.Error("the next owner was not told that the breaker is open")
	}
	// Once the endpoint is gone, nothing of it is kept.
	w.mu.Lock()
	e.gone = true
	w.mu.Unlock()
	p.stop()
	p = w.start(func(c *DispatcherConfig) {
		fused("wh_a", f)(c)
		c.Limits.LaneIdle = 10 * time.Millisecond
	})
	w.until("the row's end", func() bool {
		recs := w.records[w.c.Topology.LanesTopic()]
		for i := len(recs) - 1; i >= 0; i-- {
			if string(recs[i].Key) == "wh_a" {
				return len(recs[i].Value) == 0
			}
		}
		return false
	})
	p.stop()
}

// TestEnablingEndsTheBreakerInTheRecord: whoever reads the notices sees that
// the breaker is closed.
func TestEnablingEndsTheBreakerInTheRecord(t *testing.T) {
	w := newWorld(t)
	f := &fuse{cooldown: time.Hour}
	e := w.endpoint("wh_a", Lane{}, func(_ context.Context, d *schemas.Delivery, _ int) schemas.Outcome {
		defer f.report(true)
		return verdict(schemas.Exhausted)
	})
	e.admit = f.admit
	w.endpoint("wh_b", Lane{}, nil)
	w.send("wh_a", 0, 5)
	var mu sync.Mutex
	var told []schemas.Notice
	p := w.start(func(c *DispatcherConfig) {
		fused("wh_a", f)(c)
		c.Notice = func(n schemas.Notice) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, n)
		}
	})
	w.until("five ends", func() bool { return len(w.terminal("")) == 5 })
	for _, id := range []string{"wh_b", "wh_a"} {
		c := schemas.Control{EndpointID: id, Action: schemas.ControlEnable, At: 1700000000000}
		rec, err := c.Record(w.c.Topology)
		if err == nil {
			err = w.writer.AppendAll(w.ctx, rec)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	w.until("the order to be carried out", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return !f.state.Open
	})
	p.stop()
	mu.Lock()
	defer mu.Unlock()
	if len(told) != 1 || told[0].Kind != schemas.NoticeBreaker || told[0].State != "closed" || told[0].EndpointID != "wh_a" || told[0].Tenant != "default" || told[0].At == 0 {
		t.Errorf("noticed %+v", told)
	}
}

// TestTwoGoneAnswersDisableOnce: requests in flight together that are both
// answered 410 make one event, one row of the audit log and two dead letters.
func TestTwoGoneAnswersDisableOnce(t *testing.T) {
	w := newWorld(t)
	both := make(chan struct{})
	var here atomic.Int32
	w.endpoint("wh_a", Lane{Concurrency: 2}, func(ctx context.Context, _ *schemas.Delivery, _ int) schemas.Outcome {
		if here.Add(1) == 2 {
			close(both)
		}
		select {
		case <-both:
		case <-ctx.Done():
		}
		return verdict(schemas.Gone)
	})
	w.send("wh_a", 0, 2)
	var notices atomic.Int32
	p := w.start(func(c *DispatcherConfig) {
		c.Wants = func(_, eventType string) bool { return eventType == schemas.EventEndpointDisabled }
		c.Notice = func(schemas.Notice) { notices.Add(1) }
	})
	w.until("two ends", func() bool { return len(w.terminal("")) == 2 && len(w.records[w.c.Topology.DeadTopic()]) == 2 })
	p.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	if news := w.news(); len(news) != 1 || len(w.status) != 1 || notices.Load() != 1 {
		t.Errorf("%d events, %d status rows, %d notices", len(news), len(w.status), notices.Load())
	}
}

// TestATestHaltsNothing: an owner who tries out an ordered webhook that fails
// does not keep its events waiting.
func TestATestHaltsNothing(t *testing.T) {
	w := newWorld(t)
	w.endpoint("wh_a", Lane{Ordered: true, Halt: true}, func(_ context.Context, d *schemas.Delivery, _ int) schemas.Outcome {
		if d.Kind == schemas.KindTest {
			return verdict(schemas.Exhausted)
		}
		return ok(d)
	})
	p := w.start(nil)
	w.sendAs("wh_a", schemas.KindTest, "a.b", "test")
	w.sendAs("wh_a", schemas.KindEvent, "a.b", "event")
	w.until("both", func() bool { return len(w.terminal("wh_a")) == 2 })
	p.stop()
}
