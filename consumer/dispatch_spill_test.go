package consumer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// sameSlot gives ids of endpoints that share a slot.
func sameSlot(topo schemas.Topology, n int) []string {
	var ids []string
	for i := 0; len(ids) < n; i++ {
		if id := fmt.Sprintf("wh_%d", i); topo.Slot(id) == 1 {
			ids = append(ids, id)
		}
	}
	return ids
}

func TestDispatcherSpillsAHangingEndpoint(t *testing.T) {
	w := newWorld(t)
	ids := sameSlot(w.c.Topology, 2)
	hanging, healthy := ids[0], ids[1]
	release := make(chan struct{})
	e := w.endpoint(hanging, Lane{Concurrency: 4}, func(ctx context.Context, d *schemas.Delivery, _ int) schemas.Outcome {
		select {
		case <-release:
			return ok(d)
		case <-ctx.Done():
			return schemas.Outcome{Verdict: schemas.Canceled}
		}
	})
	w.endpoint(healthy, Lane{}, nil)
	p := w.start(func(c *DispatcherConfig) { c.Limits.SpillAfter = 100 * time.Millisecond })
	w.send(hanging, 0, 50)
	w.send(healthy, 0, 50)
	w.until("the healthy ones", func() bool { return len(w.terminal(healthy)) == 50 })
	topic := w.c.Topology.DeliveriesTopic()
	w.until("the partition to be committed behind the hanging ones", func() bool {
		at, ok := p.d.group.Committed(topic, 1)
		return ok && at == 100
	})
	w.send(hanging, 50, 100) // straight to park
	w.send(healthy, 50, 100)
	w.until("more healthy ones and the commit", func() bool {
		at, ok := p.d.group.Committed(topic, 1)
		return len(w.terminal(healthy)) == 100 && ok && at == 200
	})
	if n := len(w.records[w.c.Topology.ParkTopic()]); n != 100 {
		t.Errorf("%d records in park", n)
	}
	close(release)
	w.until("all of it", func() bool { return len(w.terminal("")) == 200 })
	w.send(hanging, 100, 120) // live again, sooner or later
	w.until("all of it", func() bool { return len(w.terminal("")) == 220 })
	p.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(e.calls) != 120 || e.peak > 4 {
		t.Errorf("%d requests for 120 deliveries, %d at once", len(e.calls), e.peak)
	}
}

func TestDispatcherSpillsByBytes(t *testing.T) {
	w := newWorld(t)
	id := sameSlot(w.c.Topology, 1)[0]
	e := w.endpoint(id, Lane{Concurrency: 2}, func(_ context.Context, d *schemas.Delivery, _ int) schemas.Outcome {
		time.Sleep(2 * time.Millisecond)
		return ok(d)
	})
	w.send(id, 0, 300)
	p := w.start(func(c *DispatcherConfig) { c.Limits.SlotBytes = 20 << 10 })
	w.until("all of it", func() bool { return len(w.terminal("")) == 300 })
	p.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(e.calls) != 300 {
		t.Errorf("%d requests for 300 deliveries", len(e.calls))
	}
	if len(w.records[w.c.Topology.ParkTopic()]) == 0 {
		t.Error("nothing was parked")
	}
}

// A spilled backlog survives any number of restarts, clean or not.
func TestDispatcherRecoversParked(t *testing.T) {
	for _, clean := range []bool{true, false} {
		t.Run(fmt.Sprintf("clean=%v", clean), func(t *testing.T) {
			w := newWorld(t)
			id := sameSlot(w.c.Topology, 1)[0]
			var mu sync.Mutex
			hang := true
			e := w.endpoint(id, Lane{Concurrency: 2}, func(ctx context.Context, d *schemas.Delivery, _ int) schemas.Outcome {
				mu.Lock()
				h := hang
				mu.Unlock()
				if h {
					<-ctx.Done()
					return schemas.Outcome{Verdict: schemas.Canceled}
				}
				return ok(d)
			})
			w.send(id, 0, 40)
			limits := func(c *DispatcherConfig) {
				c.Limits.SpillAfter, c.Limits.Drain = 50*time.Millisecond, 100*time.Millisecond
			}
			for round := range 3 {
				p := w.start(limits)
				committed := int64(40 + 10*round)
				w.until("the commit", func() bool {
					at, ok := p.d.group.Committed(w.c.Topology.DeliveriesTopic(), 1)
					return ok && at == committed || round > 0
				})
				w.send(id, 40+10*round, 50+10*round)
				w.until("the park", func() bool { return len(w.records[w.c.Topology.ParkTopic()]) >= 50+10*round })
				if clean {
					p.stop()
				} else {
					p.kill()
				}
			}
			mu.Lock()
			hang = false
			mu.Unlock()
			p := w.start(limits)
			w.until("all of it", func() bool { return len(w.terminal("")) == 70 })
			p.stop()
			w.mu.Lock()
			defer w.mu.Unlock()
			done := map[string]int{}
			for _, r := range w.rows {
				done[r.DeliveryID]++
			}
			for id, n := range done {
				if n != 1 {
					t.Errorf("%s has %d rows", id, n)
				}
			}
			t.Logf("%d requests, %d parked", len(e.calls), len(w.records[w.c.Topology.ParkTopic()]))
		})
	}
}

// Kills at random instants while endpoints hang, fail and recover: everything
// ends.
func TestDispatcherSurvivesKillsWhileSpilling(t *testing.T) {
	kills := 8
	if testing.Short() {
		kills = 2
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	w := newWorld(t)
	rnd := rand.New(rand.NewPCG(2, seed))
	var mu sync.Mutex
	chance := func() float64 { mu.Lock(); defer mu.Unlock(); return rnd.Float64() }
	const endpoints, each = 6, 200
	for i := range endpoints {
		id := fmt.Sprintf("wh_%d", i)
		w.endpoint(id, Lane{Concurrency: 3, Ordered: i == 5}, func(ctx context.Context, d *schemas.Delivery, _ int) schemas.Outcome {
			pause := time.Duration(chance() * float64(10*time.Millisecond))
			if i%2 == 0 && chance() < 0.05 {
				pause = 400 * time.Millisecond
			}
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return schemas.Outcome{Verdict: schemas.Canceled}
			}
			if x := chance(); d.Attempts < 2 && x < 0.1 {
				return retryIn(time.Duration(20+chance()*1500) * time.Millisecond)
			}
			return ok(d)
		})
	}
	limits := func(c *DispatcherConfig) { c.Limits.SpillAfter, c.Limits.SlotBytes = 80*time.Millisecond, 64<<10 }
	p := w.start(limits)
	for k := range kills {
		for i := range endpoints {
			w.send(fmt.Sprintf("wh_%d", i), k*each/kills, (k+1)*each/kills)
		}
		time.Sleep(time.Duration(200+chance()*600) * time.Millisecond)
		p.kill()
		p = w.start(limits)
	}
	w.until("every delivery has ended", func() bool { return len(w.terminal("")) == endpoints*each })
	p.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	requests, seen := 0, map[string]bool{}
	for _, e := range w.targets {
		for _, c := range e.calls {
			requests++
			seen[fmt.Sprint(c.id, c.attempt)] = true
		}
	}
	t.Logf("%d kills, %d requests, %d repeats, %d parked", kills, requests, requests-len(seen), len(w.records[w.c.Topology.ParkTopic()]))
}
