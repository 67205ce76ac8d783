package consumer

import (
	"bytes"
	"context"
	"errors"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// stacks counts the goroutines that have a function on their stack. The
// cluster's and the world's own come and go meanwhile.
func stacks(function string) int {
	var b bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&b, 2)
	n := 0
	for g := range strings.SplitSeq(b.String(), "\n\n") {
		if strings.Contains(g, function) {
			n++
		}
	}
	return n
}

// Run leaves nothing behind, whether it drains or fails, with requests in
// flight, records held back, and a lane that reads from park.
func TestDispatcherLeavesNoGoroutine(t *testing.T) {
	for _, how := range []string{"drain", "append fails", "append waits", "status fails"} {
		t.Run(how, func(t *testing.T) {
			w := newWorld(t)
			ids := sameSlot(w.c.Topology, 3)
			w.endpoint(ids[0], Lane{Concurrency: 2}, func(ctx context.Context, d *schemas.Delivery, _ int) schemas.Outcome {
				<-ctx.Done()
				return schemas.Outcome{Verdict: schemas.Canceled}
			})
			held := w.endpoint(ids[1], Lane{}, nil)
			held.admit = func(now time.Time) schemas.Admission {
				return schemas.Admission{Kind: schemas.NotBefore, Until: now.Add(time.Hour)}
			}
			w.endpoint(ids[2], Lane{}, func(context.Context, *schemas.Delivery, int) schemas.Outcome { return verdict(schemas.Gone) })
			for _, id := range ids[:2] {
				w.send(id, 0, 30)
			}
			clients := stacks("updateMetadataLoop(")
			broken := errors.New("broken on purpose")
			failing := make(chan struct{})
			p := w.start(func(c *DispatcherConfig) {
				c.Limits.SpillAfter, c.Limits.Drain = 50*time.Millisecond, 300*time.Millisecond
				appends := c.Append
				c.Append = func(ctx context.Context, r schemas.Record, done func(int64, error)) {
					select {
					case <-failing:
						if how == "append fails" {
							done(-1, broken)
							return
						}
						if how == "append waits" {
							<-ctx.Done()
							done(-1, ctx.Err())
							return
						}
					default:
					}
					appends(ctx, r, done)
				}
				if how == "status fails" {
					c.Status = func(context.Context, *schemas.EndpointStatus) error { return broken }
				}
			})
			w.until("both to spill", func() bool { return len(w.records[w.c.Topology.ParkTopic()]) == 60 })
			if how == "drain" {
				p.stop()
			} else if close(failing); how == "append waits" {
				w.send(ids[2], 0, 5)
				w.until("the request whose outcome cannot be written", func() bool { return len(w.targets[ids[2]].calls) > 0 })
				p.stop()
			} else {
				w.send(ids[2], 0, 1)
				<-p.ended
				if !errors.Is(p.err, broken) || !strings.Contains(p.err.Error(), "dispatcher: ") {
					t.Errorf("Run: %v", p.err)
				}
			}
			closing, done := context.WithTimeout(context.Background(), 10*time.Second)
			defer done()
			_ = p.own.Close(closing)
			w.until("our goroutines to be gone", func() bool {
				left := stacks("updateMetadataLoop(") - clients
				for _, ours := range []string{"consumer.(*slot)", "consumer.(*Dispatcher)", "consumer.(*Group)", "consumer.(*gate)", "consumer.readPark", "consumer.readStretches"} {
					left += stacks(ours)
				}
				return left <= 0
			})
			p.d.budget.mu.Lock()
			defer p.d.budget.mu.Unlock()
			if p.d.budget.bytes != 0 || p.d.budget.inFlight != 0 {
				t.Errorf("%d bytes and %d requests are still counted", p.d.budget.bytes, p.d.budget.inFlight)
			}
		})
	}
}

// Orders and healthy endpoints go on while the process holds as much as it
// may, and everything is sent in the end.
func TestDispatcherPausesAtItsBounds(t *testing.T) {
	w := newWorld(t)
	for _, id := range []string{"wh_0", "wh_1", "wh_2"} {
		w.endpoint(id, Lane{}, func(_ context.Context, d *schemas.Delivery, _ int) schemas.Outcome {
			time.Sleep(time.Millisecond)
			return ok(d)
		})
		w.send(id, 0, 300)
	}
	p := w.start(func(c *DispatcherConfig) { c.Limits.Bytes, c.Limits.InFlight = 40<<10, 3 })
	for i := range 5 {
		for _, id := range []string{"wh_0", "wh_1", "wh_2"} {
			w.send(id, 300+20*i, 320+20*i)
		}
	}
	w.until("all of it", func() bool { return len(w.terminal("")) == 1200 })
	p.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	peak := 0
	for _, e := range w.targets {
		peak = max(peak, e.peak)
		if len(e.calls) != 400 {
			t.Errorf("%d requests for 400 deliveries", len(e.calls))
		}
	}
	if peak > 3 {
		t.Errorf("%d requests at once", peak)
	}
}

func TestDispatcherConfigSaysWhatIsWrong(t *testing.T) {
	good := func() DispatcherConfig {
		w := DefaultDispatcherConfig()
		w.Barrier = func(context.Context) error { return nil }
		return w
	}
	cases := map[string]func(*DispatcherConfig){
		"Group":      func(c *DispatcherConfig) { c.Group = "" },
		"Append":     func(c *DispatcherConfig) {},
		"SpillAfter": func(c *DispatcherConfig) { c.Limits.SpillAfter = 0 },
		"slots":      func(c *DispatcherConfig) { c.Topology.Slots = 0 },
	}
	for field, change := range cases {
		c := good()
		change(&c)
		if _, err := NewDispatcher(c); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
