package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"
)

// TestOrdered: an ordered webhook gets its events in order, one at a time,
// though some are refused at first and the process is killed twice.
func TestOrdered(t *testing.T) {
	t.Parallel()
	s := start(t)
	var mu sync.Mutex
	var order []string // of first successes
	done := map[string]bool{}
	flying := map[string]bool{}
	r := newSink(t, func(w http.ResponseWriter, r *http.Request, _ int) {
		id := r.Header.Get("webhook-id")
		mu.Lock()
		for other := range flying {
			if other != id { // the same one twice is a repeat after a kill
				t.Errorf("%s came while %s was under way", id, other)
			}
		}
		flying[id] = true
		mu.Unlock()
		time.Sleep(4 * time.Millisecond)
		mu.Lock()
		defer mu.Unlock()
		delete(flying, id)
		if rand.IntN(12) == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if !done[id] {
			done[id] = true
			order = append(order, id)
		}
	})
	retry := make([]float64, 20)
	for i := range retry {
		retry[i] = 0.1
	}
	s.webhook(map[string]any{"url": r.URL + "/", "ordered": true, "retry": retry})
	const events = 500
	var lines []string
	for i := range events {
		lines = append(lines, fmt.Sprintf(`{"id":"n-%d","key":"one","type":"a.b","data":%d}`, i, i))
	}
	s.publish(lines...)
	delivered := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(order)
	}
	for _, at := range []int{events / 5, events / 2} {
		eventually(t, fmt.Sprintf("%d are delivered", at), func() error {
			if n := delivered(); n < at {
				return fmt.Errorf("%d are", n)
			}
			return nil
		})
		s.kill()
		t.Logf("killed after %d", delivered())
		mu.Lock()
		clear(flying) // cut off by the kill
		mu.Unlock()
		s.up()
	}
	eventually(t, "all are delivered", func() error {
		if n := delivered(); n < events {
			return fmt.Errorf("%d of %d", n, events)
		}
		return nil
	})
	for i, id := range order {
		if want := fmt.Sprintf("n-%d", i); id != want {
			t.Fatalf("delivery %d was %s", i, id)
		}
	}
	t.Logf("%d requests for %d deliveries", r.count("/"), events)
	s.wantSQL("SELECT count(), countIf(state = 'success') FROM hookstream.deliveries", fmt.Sprintf("%d\t%d", events, events))
	s.wantSQL("SELECT difference, pending FROM hookstream.conservation", "0\t0")
}
