package consumer

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// Slots move between live members: nothing is lost, nothing is repeated, and
// ordered endpoints keep their order, parked backlogs included.
func TestDispatcherSlotsMove(t *testing.T) {
	w := newWorld(t)
	const endpoints, rounds, each = 8, 6, 40
	for i := range endpoints {
		w.endpoint(fmt.Sprintf("wh_%d", i), Lane{Ordered: i%2 == 0, Concurrency: 2}, func(ctx context.Context, d *schemas.Delivery, n int) schemas.Outcome {
			pause := time.Millisecond
			if n%50 == 0 {
				pause = 150 * time.Millisecond // spills
			}
			select {
			case <-time.After(pause):
				return ok(d)
			case <-ctx.Done():
				return schemas.Outcome{Verdict: schemas.Canceled}
			}
		})
	}
	member := func(name string) *process {
		return w.start(func(c *DispatcherConfig) {
			c.Instance = name
			c.Limits.SpillAfter, c.Limits.SlotBytes = 50*time.Millisecond, 40<<10
		})
	}
	slots := func(p *process) int { return len(p.d.Assignment()[w.c.Topology.DeliveriesTopic()]) }
	members := []*process{member("a")}
	for r := range rounds {
		for i := range endpoints {
			w.send(fmt.Sprintf("wh_%d", i), r*each, (r+1)*each)
		}
		switch r {
		case 1:
			members = append(members, member("b"))
			w.until("two slots each", func() bool { return slots(members[0]) == 2 && slots(members[1]) == 2 })
		case 3:
			members[0].stop() // a static member: its slots wait for it
			members[0] = member("a")
		}
	}
	w.until("every delivery has ended", func() bool { return len(w.terminal("")) == endpoints*rounds*each })
	for _, p := range members {
		p.stop()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.rows) != endpoints*rounds*each {
		t.Errorf("%d rows for %d deliveries", len(w.rows), endpoints*rounds*each)
	}
	for id, e := range w.targets {
		if e.lane.Ordered {
			firsts(t, w.rows, id)
			if e.peak > 1 {
				t.Errorf("%s: %d requests at once", id, e.peak)
			}
		}
	}
	t.Logf("%d parked", len(w.records[w.c.Topology.ParkTopic()]))
}
