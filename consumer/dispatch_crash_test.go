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

// Whatever instant the process dies at, every delivery ends, and only what was
// in flight or not yet written down is repeated.
func TestDispatcherSurvivesKills(t *testing.T) {
	kills := 6
	if testing.Short() {
		kills = 2
	}
	w := newWorld(t)
	rnd := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	var mu sync.Mutex
	chance := func() float64 { mu.Lock(); defer mu.Unlock(); return rnd.Float64() }
	const endpoints, each = 6, 900
	for i := range endpoints {
		id := fmt.Sprintf("wh_%d", i)
		w.endpoint(id, Lane{}, func(ctx context.Context, d *schemas.Delivery, _ int) schemas.Outcome {
			select {
			case <-time.After(time.Duration(chance() * float64(20*time.Millisecond))):
			case <-ctx.Done():
				return schemas.Outcome{Verdict: schemas.Canceled}
			}
			switch x := chance(); {
			case d.Attempts >= 3:
				return verdict(schemas.Exhausted)
			case x < 0.1:
				return retryIn(50 * time.Millisecond)
			case x < 0.2:
				return retryIn(time.Second)
			}
			return ok(d)
		})
	}
	p := w.start(nil)
	for k := range kills {
		for i := range endpoints {
			w.send(fmt.Sprintf("wh_%d", i), k*each/kills, (k+1)*each/kills)
		}
		time.Sleep(time.Duration(20+chance()*400) * time.Millisecond)
		p.kill()
		p = w.start(nil)
	}
	w.until("every delivery has ended", func() bool { return len(w.terminal("")) == endpoints*each })
	p.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := map[string]int{}
	requests := 0
	for _, e := range w.targets {
		for _, c := range e.calls {
			seen[fmt.Sprint(c.id, c.attempt)]++
			requests++
		}
	}
	repeats := requests - len(seen)
	rows := map[string]int{}
	for _, r := range w.rows {
		rows[fmt.Sprint(r.DeliveryID, " ", r.No)]++
	}
	t.Logf("%d kills, %d requests, %d repeats", kills, requests, repeats)
	// A request is repeated only if its row was not written: what is written
	// down is in the next process's done-set. A row that reached the broker with
	// the last bytes of a cut connection may have been too late for it.
	twice := len(w.rows) - len(rows)
	if limit := kills * endpoints; twice > limit {
		t.Errorf("%d attempts have two rows", twice)
	}
}
