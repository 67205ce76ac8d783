package consumer

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// firsts checks that first successes come in the order of the deliveries.
func firsts(t *testing.T, rows []schemas.Attempt, endpoint string) {
	t.Helper()
	last := ""
	seen := map[string]bool{}
	for _, r := range rows {
		if r.EndpointID != endpoint || !r.State.Terminal() || seen[r.DeliveryID] {
			continue
		}
		seen[r.DeliveryID] = true
		if r.DeliveryID < last {
			t.Errorf("%s ended after %s", r.DeliveryID, last)
		}
		last = r.DeliveryID
	}
}

// An ordered endpoint keeps its order over retries, long holds, spills and
// kills.
func TestDispatcherOrderedOverKills(t *testing.T) {
	kills := 10
	if testing.Short() {
		kills = 3
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	w := newWorld(t)
	rnd := rand.New(rand.NewPCG(3, seed))
	var mu sync.Mutex
	chance := func() float64 { mu.Lock(); defer mu.Unlock(); return rnd.Float64() }
	const each = 120
	ids := []string{"wh_a", "wh_b", "wh_c"}
	for _, id := range ids {
		w.endpoint(id, Lane{Ordered: true}, func(ctx context.Context, d *schemas.Delivery, _ int) schemas.Outcome {
			select {
			case <-time.After(time.Duration(chance() * float64(8*time.Millisecond))):
			case <-ctx.Done():
				return schemas.Outcome{Verdict: schemas.Canceled}
			}
			switch x := chance(); {
			case d.Attempts < 3 && x < 0.08:
				return retryIn(time.Duration(chance() * float64(600*time.Millisecond)))
			case x < 0.1:
				return verdict(schemas.Exhausted)
			}
			return ok(d)
		})
	}
	limits := func(c *DispatcherConfig) { c.Limits.SpillAfter, c.Limits.SlotBytes = 100*time.Millisecond, 30<<10 }
	p := w.start(limits)
	for k := range kills {
		for _, id := range ids {
			w.send(id, k*each/kills, (k+1)*each/kills)
		}
		time.Sleep(time.Duration(200+chance()*500) * time.Millisecond)
		p.kill()
		p = w.start(limits)
	}
	w.until("every delivery has ended", func() bool { return len(w.terminal("")) == len(ids)*each })
	p.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		firsts(t, w.rows, id)
		if e := w.targets[id]; e.peak > 1 {
			t.Logf("%s: %d requests at once (a killed one among them)", id, e.peak)
		}
	}
	if n := len(w.records[w.c.Topology.TierTopic(schemas.Tiers()[0])]); n > 0 {
		t.Errorf("%d records of ordered endpoints in a tier", n)
	}
	t.Logf("%d rows for %d deliveries, %d parked", len(w.rows), len(ids)*each, len(w.records[w.c.Topology.ParkTopic()]))
}

func TestDispatcherOrderedHalts(t *testing.T) {
	w := newWorld(t)
	e := w.endpoint("wh_a", Lane{Ordered: true, Halt: true}, func(_ context.Context, d *schemas.Delivery, n int) schemas.Outcome {
		if n == 3 {
			return verdict(schemas.Exhausted)
		}
		return ok(d)
	})
	w.send("wh_a", 0, 10)
	limits := func(c *DispatcherConfig) { c.Limits.SpillAfter = 50 * time.Millisecond }
	p := w.start(limits)
	w.until("the dead letter and the rest in park", func() bool {
		return len(w.records[w.c.Topology.DeadTopic()]) == 1 && len(w.records[w.c.Topology.ParkTopic()]) == 7
	})
	p.stop()
	p = w.start(limits) // it stays halted
	w.send("wh_a", 10, 12)
	w.until("the new ones in park", func() bool { return len(w.records[w.c.Topology.ParkTopic()]) == 9 })
	if len(e.calls) != 3 {
		t.Fatalf("%d requests", len(e.calls))
	}
	c := schemas.Control{Action: schemas.ControlEnable, EndpointID: "wh_a"}
	rec, err := c.Record(w.c.Topology)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.writer.AppendAll(w.ctx, rec); err != nil {
		t.Fatal(err)
	}
	w.until("the rest", func() bool { return len(w.terminal("")) == 12 })
	p.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	firsts(t, w.rows, "wh_a")
}

// A retry hours away outlives the tail that the done-set is seeded from.
func TestDispatcherOrderedHeadSurvivesRestart(t *testing.T) {
	w := newWorld(t)
	e := w.endpoint("wh_a", Lane{Ordered: true}, func(_ context.Context, d *schemas.Delivery, n int) schemas.Outcome {
		if d.Attempts < 2 {
			return retryIn([]time.Duration{0, 2 * time.Second}[d.Attempts])
		}
		return ok(d)
	})
	w.send("wh_a", 0, 1)
	limits := func(c *DispatcherConfig) {
		c.Limits.SpillAfter, c.Limits.SeedAge = 50*time.Millisecond, time.Nanosecond
	}
	p := w.start(limits)
	w.until("two rows, the row of the lane", func() bool {
		return len(w.rows) == 2 && len(w.records[w.c.Topology.ParkTopic()]) == 1 && len(w.records[w.c.Topology.LanesTopic()]) > 2
	})
	p.stop()
	p = w.start(limits)
	w.until("the success", func() bool { return len(w.terminal("")) == 1 })
	p.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(e.calls) != 3 || e.calls[2].attempt != 3 {
		t.Errorf("calls %+v", e.calls)
	}
	if gap := e.calls[2].at.Sub(e.calls[1].at); gap < 2*time.Second {
		t.Errorf("the third attempt came after %s", gap)
	}
}
