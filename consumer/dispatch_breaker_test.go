package consumer

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// fuse is a breaker: five failures in a row open it, one probe a cool-down.
type fuse struct {
	mu       sync.Mutex
	cooldown time.Duration
	failures int
	state    schemas.BreakerState
	probing  bool
}

func (f *fuse) admit(now time.Time) schemas.Admission {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case !f.state.Open:
		return schemas.Admission{Kind: schemas.Go}
	case now.Before(f.state.OpenUntil):
		return schemas.Admission{Kind: schemas.Open, Until: f.state.OpenUntil}
	case f.probing:
		return schemas.Admission{Kind: schemas.Open, Until: now.Add(time.Second)}
	}
	f.probing = true
	return schemas.Admission{Kind: schemas.Go, Probe: true}
}

func (f *fuse) report(failed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	wasProbe := f.probing
	f.probing = false
	if !failed {
		f.failures, f.state = 0, schemas.BreakerState{}
		return
	}
	if f.failures++; wasProbe || f.failures >= 5 && !f.state.Open {
		f.state = schemas.BreakerState{Open: true, OpenUntil: time.Now().Add(f.cooldown), Cooldowns: f.state.Cooldowns + 1, Failures: f.failures}
	}
}

// forget is what a new process knows.
func (f *fuse) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failures, f.state, f.probing = 0, schemas.BreakerState{}, false
}

func TestDispatcherOpenBreaker(t *testing.T) {
	w := newWorld(t)
	ids := sameSlot(w.c.Topology, 2)
	sick, healthy := ids[0], ids[1]
	const cooldown = 400 * time.Millisecond
	f := &fuse{cooldown: cooldown}
	var healed atomic.Bool
	e := w.endpoint(sick, Lane{}, func(_ context.Context, d *schemas.Delivery, _ int) schemas.Outcome {
		failed := !healed.Load()
		defer f.report(failed)
		if failed {
			return retryIn(time.Second)
		}
		return ok(d)
	})
	e.admit = f.admit
	w.endpoint(healthy, Lane{}, nil)
	seams := func(c *DispatcherConfig) {
		c.Breaker = func(id string) schemas.BreakerState {
			if id != sick {
				return schemas.BreakerState{}
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.state
		}
		c.Restore = func(id string, s schemas.BreakerState) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.state = s
		}
		c.Forget = func(id string) {
			if id == sick {
				f.forget()
			}
		}
	}
	w.send(sick, 0, 60)
	p := w.start(seams)
	w.send(healthy, 0, 30)
	w.until("healthy ones, three probes", func() bool { return len(w.terminal(healthy)) == 30 && len(e.calls) >= 8+3 })
	for _, end := range []func(*process){(*process).stop, (*process).kill} {
		// A kill between a probe and its row costs one probe more.
		w.until("the row of the last probe", func() bool {
			recs := w.records[w.c.Topology.LanesTopic()]
			for i := len(recs) - 1; i >= 0; i-- {
				if string(recs[i].Key) == sick && len(recs[i].Value) > 0 {
					row, err := schemas.ParseLane(&recs[i])
					return err == nil && row.Breaker.OpenUntil.After(e.calls[len(e.calls)-1].at)
				}
			}
			return false
		})
		end(p)
		f.forget()
		w.mu.Lock()
		before := len(e.calls)
		w.mu.Unlock()
		p = w.start(seams)
		w.until("probes after a restart", func() bool { return len(e.calls) >= before+2 })
	}
	w.mu.Lock()
	opened := 8 // the lane's width: they were in flight when it opened
	for i := opened + 1; i < len(e.calls); i++ {
		if gap := e.calls[i].at.Sub(e.calls[i-1].at); gap < cooldown-time.Millisecond {
			t.Errorf("request %d came %s after the one before it; the cool-down is %s", i, gap, cooldown)
		}
	}
	healed.Store(true)
	w.mu.Unlock()
	w.until("everything", func() bool { return len(w.terminal(sick)) == 60 })
	p.stop()
	for _, r := range w.rows {
		if r.EndpointID == sick && r.State == schemas.StatePending && r.NextRetryAt == 0 {
			t.Errorf("row %+v", r)
		}
	}
	w.until("the lane's row to be gone", func() bool {
		last := map[string]int{}
		for _, r := range w.records[w.c.Topology.LanesTopic()] {
			last[string(r.Key)] = len(r.Value)
		}
		return last[sick] == 0
	})
}

func TestDispatcherProbesOnOrder(t *testing.T) {
	w := newWorld(t)
	f := &fuse{cooldown: time.Hour}
	e := w.endpoint("wh_a", Lane{Concurrency: 1}, func(_ context.Context, d *schemas.Delivery, n int) schemas.Outcome {
		defer f.report(n <= 5)
		if n <= 5 {
			return verdict(schemas.Exhausted)
		}
		return ok(d)
	})
	e.admit = f.admit
	w.send("wh_a", 0, 20)
	verified := make(chan string, 1)
	p := w.start(func(c *DispatcherConfig) {
		c.Breaker = func(string) schemas.BreakerState { f.mu.Lock(); defer f.mu.Unlock(); return f.state }
		c.Probe = func(string) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.state.OpenUntil = time.Now()
		}
		c.Verify = func(_ context.Context, id string) { verified <- id }
	})
	w.until("the lane to open", func() bool { return len(w.terminal("")) == 5 && len(w.records[w.c.Topology.ParkTopic()]) >= 15 })
	for _, action := range []string{"no such order", schemas.ControlVerify, schemas.ControlProbe} {
		c := schemas.Control{Action: action, EndpointID: "wh_a"}
		rec, err := c.Record(w.c.Topology)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.writer.AppendAll(w.ctx, rec); err != nil {
			t.Fatal(err)
		}
	}
	if id := <-verified; id != "wh_a" {
		t.Errorf("verified %q", id)
	}
	w.until("everything", func() bool { return len(w.terminal("")) == 20 })
	w.until("the orders to be done", func() bool {
		at, ok := p.d.group.Committed(w.c.Topology.ControlTopic(), w.c.Topology.Slot("wh_a"))
		return ok && at == 3
	})
	p.stop()
}
