package consumer

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/schemas"
)

// onFetched calls itself for every record that a client has fetched.
type onFetched func(*kgo.Record)

func (f onFetched) OnFetchRecordBuffered(r *kgo.Record) { f(r) }

// A recovery that is cut short must not write a checkpoint: it would hide the
// records of park that it did not get to.
func TestDispatcherCutShortInRecovery(t *testing.T) {
	w := newWorld(t)
	id := sameSlot(w.c.Topology, 1)[0]
	var healthy atomic.Bool
	w.endpoint(id, Lane{Concurrency: 2}, func(ctx context.Context, d *schemas.Delivery, _ int) schemas.Outcome {
		if healthy.Load() {
			return ok(d)
		}
		<-ctx.Done()
		return schemas.Outcome{Verdict: schemas.Canceled}
	})
	w.send(id, 0, 20)
	p := w.start(func(c *DispatcherConfig) {
		c.Limits.SpillAfter, c.Limits.Rows = 50*time.Millisecond, 51*time.Millisecond
		ap := c.Append
		c.Append = func(ctx context.Context, r schemas.Record, done func(int64, error)) {
			if r.Topic == w.c.Topology.LanesTopic() {
				return
			}
			ap(ctx, r, done)
		}
	})
	w.until("all in park and committed", func() bool {
		at, ok := p.d.group.Committed(w.c.Topology.DeliveriesTopic(), w.c.Topology.Slot(id))
		return len(w.records[w.c.Topology.ParkTopic()]) == 20 && ok && at == 20
	})
	p.kill()
	<-p.ended
	var cfg DispatcherConfig
	ctx, cut := context.WithCancel(w.ctx)
	defer cut()
	w.start(func(c *DispatcherConfig) {
		c.Group, c.Instance, cfg = c.Group+"-other", "", *c
		cfg.Append = w.writer.Append
		cfg.Options = w.c.Options(kgo.WithHooks(onFetched(func(r *kgo.Record) {
			if r.Topic == w.c.Topology.ParkTopic() {
				cut()
			}
		})))
	}).kill()
	d, err := NewDispatcher(cfg)
	if err != nil {
		t.Fatal(err)
	}
	d.life, d.failWith = w.ctx, func(error) {}
	if err := d.assigned(ctx, map[string][]int32{w.c.Topology.DeliveriesTopic(): {w.c.Topology.Slot(id)}}); !errors.Is(err, context.Canceled) {
		t.Fatalf("assigned: %v", err)
	}
	d.drain(w.ctx)
	healthy.Store(true)
	p = w.start(nil)
	w.until("all of it", func() bool { return len(w.terminal("")) == 20 })
	p.stop()
}

// A lane that was left out of a pass is read again though the pass waits for
// another lane, whose endpoint hangs.
func TestDispatcherReadsForALaneThatWasLeftOut(t *testing.T) {
	w := newWorld(t)
	ids := sameSlot(w.c.Topology, 2)
	hanging, slow := ids[0], ids[1]
	release := make(chan struct{})
	w.endpoint(hanging, Lane{Concurrency: 2}, func(ctx context.Context, d *schemas.Delivery, _ int) schemas.Outcome {
		select {
		case <-release:
			return ok(d)
		case <-ctx.Done():
			return schemas.Outcome{Verdict: schemas.Canceled}
		}
	})
	var parked atomic.Bool
	e := w.endpoint(slow, Lane{}, nil)
	e.admit = func(now time.Time) schemas.Admission {
		if !parked.Load() {
			return schemas.Admission{Kind: schemas.NotBefore, Until: now.Add(3 * time.Second)}
		}
		return schemas.Admission{Kind: schemas.Go}
	}
	p := w.start(func(c *DispatcherConfig) { c.Limits.SpillAfter = 50 * time.Millisecond })
	w.send(slow, 0, 40)
	w.send(hanging, 0, 40)
	w.until("all in park", func() bool { return len(w.records[w.c.Topology.ParkTopic()]) == 80 })
	parked.Store(true)
	w.until("the slow one", func() bool { return len(w.terminal(slow)) == 40 })
	close(release)
	w.until("all of it", func() bool { return len(w.terminal("")) == 80 })
	p.stop()
}

// What was done before a long outage is not done again after it.
func TestDispatcherSeedsAfterAnOutage(t *testing.T) {
	w := newWorld(t)
	e := w.endpoint("wh_a", Lane{}, nil)
	w.send("wh_a", 0, 10)
	for i := range 10 {
		row := schemas.Attempt{DeliveryID: fmt.Sprintf("wh_a/%05d", i), EndpointID: "wh_a", Tenant: "default", No: 1, State: schemas.StateSuccess, CreatedAt: 1700000000000}
		rec, err := row.Record(w.c.Topology)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.writer.AppendAll(w.ctx, rec); err != nil {
			t.Fatal(err)
		}
	}
	p := w.start(func(c *DispatcherConfig) { c.Limits.SeedAge = time.Nanosecond }) // all of it was long ago
	w.until("the commit", func() bool {
		at, ok := p.d.group.Committed(w.c.Topology.DeliveriesTopic(), w.c.Topology.Slot("wh_a"))
		return ok && at == 10
	})
	p.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(e.calls) != 0 {
		t.Errorf("%d requests for deliveries that have ended", len(e.calls))
	}
}

// An ordered delivery that was attempted keeps its number while its lane is
// closed to it, however much goes on meanwhile.
func TestDispatcherCountsAttemptsBehindAnOpenBreaker(t *testing.T) {
	w := newWorld(t)
	ids := sameSlot(w.c.Topology, 2)
	id, busy := ids[0], ids[1]
	var phase atomic.Int32 // 0: not before the lane is in park, 1: go, 2: open, 3: go
	e := w.endpoint(id, Lane{Ordered: true}, func(_ context.Context, d *schemas.Delivery, n int) schemas.Outcome {
		if n == 1 {
			phase.Store(2)
			return retryIn(100 * time.Millisecond)
		}
		return ok(d)
	})
	asked := make(chan struct{}, 1)
	e.admit = func(now time.Time) schemas.Admission {
		switch phase.Load() {
		case 0:
			return schemas.Admission{Kind: schemas.NotBefore, Until: now.Add(100 * time.Millisecond)}
		case 2:
			select {
			case asked <- struct{}{}:
			default:
			}
			return schemas.Admission{Kind: schemas.Open, Until: now.Add(100 * time.Millisecond)}
		}
		return schemas.Admission{Kind: schemas.Go}
	}
	w.endpoint(busy, Lane{}, nil)
	w.send(id, 0, 3)
	p := w.start(func(c *DispatcherConfig) { c.Limits.SpillAfter, c.Limits.DoneCount = 50*time.Millisecond, 2 })
	w.until("all in park", func() bool { return len(w.records[w.c.Topology.ParkTopic()]) == 3 })
	phase.Store(1)
	<-asked
	w.send(busy, 0, 20)
	w.until("the busy one", func() bool { return len(w.terminal(busy)) == 20 })
	phase.Store(3)
	w.until("all of it", func() bool { return len(w.terminal(id)) == 3 })
	p.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := e.calls; len(c) != 4 || c[1].id != c[0].id || c[1].attempt != 2 {
		t.Errorf("requests %+v", c)
	}
}

// A row that no request stands for has no attempt's number.
func TestDispatcherNumbersRowsWithoutAttempts(t *testing.T) {
	for name, c := range map[string]struct {
		then schemas.Admission
		gone bool
	}{
		"deleted":  {gone: true},
		"inactive": {then: schemas.Admission{Kind: schemas.Inactive, Reason: schemas.SkipInactive}},
		"disabled": {then: schemas.Admission{Kind: schemas.Inactive, Reason: schemas.ReasonDisabled}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var after atomic.Bool
			e := w.endpoint("wh_a", Lane{}, nil)
			e.deliver = func(_ context.Context, d *schemas.Delivery, _ int) schemas.Outcome {
				w.mu.Lock()
				e.gone = c.gone
				w.mu.Unlock()
				after.Store(true)
				return retryIn(300 * time.Millisecond)
			}
			e.admit = func(time.Time) schemas.Admission {
				if after.Load() {
					return c.then
				}
				return schemas.Admission{Kind: schemas.Go}
			}
			w.send("wh_a", 0, 1)
			p := w.start(nil)
			w.until("the end", func() bool { return len(w.terminal("")) == 1 })
			p.stop()
			w.mu.Lock()
			defer w.mu.Unlock()
			if len(w.rows) != 2 || w.rows[0].No != 1 || w.rows[1].No != 0 {
				t.Errorf("rows %+v", w.rows)
			}
			for _, rec := range w.records[w.c.Topology.DeadTopic()] {
				if d, _, _, err := schemas.ParseDead(&rec); err != nil || d.Attempts != 1 {
					t.Errorf("dead letter %+v, %v", d, err)
				}
			}
		})
	}
}

// A record that is no delivery and too large for a dead letter ends nothing.
func TestDispatcherKeepsAnExcerptOfALargeMalformedRecord(t *testing.T) {
	w := newWorld(t)
	w.endpoint("wh_a", Lane{}, nil)
	topo := w.c.Topology
	limit := 0
	for _, topic := range topo.Topics() {
		if topic.Name == topo.DeliveriesTopic() {
			limit = topic.MaxMessage
		}
	}
	rec := schemas.Record{Topic: topo.DeliveriesTopic(), Partition: topo.Slot("wh_a"), Key: []byte("wh_a"), Value: make([]byte, limit-120)}
	if err := w.writer.AppendAll(w.ctx, rec); err != nil {
		t.Fatal(err)
	}
	w.send("wh_a", 0, 5)
	p := w.start(nil)
	w.until("all of it", func() bool { return len(w.terminal("")) == 5 && len(w.records[topo.DeadTopic()]) == 1 })
	w.until("the commit", func() bool {
		at, ok := p.d.group.Committed(topo.DeliveriesTopic(), topo.Slot("wh_a"))
		return ok && at == 6
	})
	p.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	dead := w.records[topo.DeadTopic()][0]
	if src, _ := dead.Header(schemas.HdrSource); src != (schemas.Position{Topic: topo.DeliveriesTopic(), Partition: topo.Slot("wh_a")}).String() {
		t.Errorf("its source is %q", src)
	}
}

// An order is done when a crash cannot undo it any more.
func TestDispatcherEnablesForGood(t *testing.T) {
	w := newWorld(t)
	w.endpoint("wh_a", Lane{Ordered: true, Halt: true}, func(_ context.Context, d *schemas.Delivery, n int) schemas.Outcome {
		if n == 1 {
			return verdict(schemas.Exhausted)
		}
		return ok(d)
	})
	w.send("wh_a", 0, 3)
	topo := w.c.Topology
	var hold atomic.Bool
	held := make(chan func(), 100)
	p := w.start(func(c *DispatcherConfig) {
		appends := c.Append
		c.Append = func(ctx context.Context, r schemas.Record, done func(int64, error)) {
			if r.Topic == topo.LanesTopic() && hold.Load() {
				held <- func() { appends(ctx, r, done) }
				return
			}
			appends(ctx, r, done)
		}
	})
	w.until("it halts", func() bool {
		for _, r := range w.records[topo.LanesTopic()] {
			if row, err := schemas.ParseLane(&r); string(r.Key) == "wh_a" && len(r.Value) > 0 && err == nil && row.Halted {
				return true
			}
		}
		return false
	})
	hold.Store(true)
	c := schemas.Control{Action: schemas.ControlEnable, EndpointID: "wh_a"}
	rec, err := c.Record(topo)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.writer.AppendAll(w.ctx, rec); err != nil {
		t.Fatal(err)
	}
	w.until("it goes on", func() bool { return len(w.terminal("")) == 3 })
	if at, ok := p.d.group.Low(topo.ControlTopic(), topo.Slot("wh_a")); !ok || at != 0 {
		t.Errorf("the order is done up to %d before its row is written", at)
	}
	first := <-held
	hold.Store(false)
	first()
	for len(held) > 0 {
		(<-held)()
	}
	w.until("the order to be done", func() bool {
		at, ok := p.d.group.Committed(topo.ControlTopic(), topo.Slot("wh_a"))
		return ok && at == 1
	})
	p.stop()
}

// Nothing is kept of an endpoint that is gone, not even that it failed.
func TestDispatcherForgetsGoneEndpoints(t *testing.T) {
	w := newWorld(t)
	e := w.endpoint("wh_a", Lane{}, func(context.Context, *schemas.Delivery, int) schemas.Outcome { return verdict(schemas.Exhausted) })
	w.send("wh_a", 0, 1)
	forgotten := make(chan string, 10)
	p := w.start(func(c *DispatcherConfig) {
		c.Limits.LaneIdle = 10 * time.Millisecond
		c.Forget = func(id string) { forgotten <- id }
	})
	w.until("it failed", func() bool { return len(w.terminal("")) == 1 })
	w.mu.Lock()
	e.gone = true
	w.mu.Unlock()
	select {
	case id := <-forgotten:
		if id != "wh_a" {
			t.Errorf("forgot %q", id)
		}
	case <-time.After(20 * time.Second):
		t.Error("it is remembered")
	}
	p.stop()
}

// What an endpoint asked for with Retry-After outlives its breaker's cool-down
// in the lane's row.
func TestDispatcherKeepsALongHold(t *testing.T) {
	w := newWorld(t)
	f := &fuse{cooldown: 200 * time.Millisecond}
	until := time.Now().Add(time.Hour)
	e := w.endpoint("wh_a", Lane{Concurrency: 1}, func(_ context.Context, d *schemas.Delivery, n int) schemas.Outcome {
		f.report(true)
		out := verdict(schemas.Exhausted)
		if n == 6 { // the probe
			out.HoldUntil = until
		}
		return out
	})
	e.admit = f.admit
	w.send("wh_a", 0, 20)
	p := w.start(func(c *DispatcherConfig) {
		c.Breaker = func(string) schemas.BreakerState { f.mu.Lock(); defer f.mu.Unlock(); return f.state }
		c.Limits.SpillAfter = 50 * time.Millisecond
	})
	w.until("its row", func() bool {
		var row schemas.LaneRow
		for _, r := range w.records[w.c.Topology.LanesTopic()] {
			if string(r.Key) == "wh_a" && len(r.Value) > 0 {
				row, _ = schemas.ParseLane(&r)
			}
		}
		return row.HoldUntil == until.UnixMilli()
	})
	p.stop()
}

// An earlier owner's late tombstone does not take a row away.
func TestLaneLogLateTombstone(t *testing.T) {
	topo := schemas.DevTopology()
	g := newLaneLog()
	row := schemas.LaneRow{EndpointID: "wh_a", Owner: 5, State: schemas.LaneSpilled, Lo: 3, Hi: 9}
	rec, err := row.Record(topo)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []schemas.Record{rec, laneTombstone(topo, "wh_a", 4)} {
		if err := g.apply(&r); err != nil {
			t.Fatal(err)
		}
	}
	if len(g.rows) != 1 {
		t.Error("the row is gone")
	}
	end := laneTombstone(topo, "wh_a", 5)
	if err := g.apply(&end); err != nil || len(g.rows) != 0 {
		t.Errorf("%d rows, %v", len(g.rows), err)
	}
}
