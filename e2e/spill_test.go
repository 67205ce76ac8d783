package e2e

import (
	"fmt"
	"net/http"
	"testing"
)

// TestSpill: behind one endpoint that hangs, thousands of deliveries wait on
// disk; nine healthy ones get theirs meanwhile. It survives a kill -9, and
// when the endpoint is back, it gets all of its own.
func TestSpill(t *testing.T) {
	t.Parallel()
	s := start(t)
	release := make(chan struct{})
	r := newSink(t, func(_ http.ResponseWriter, r *http.Request, _ int) {
		if r.URL.Path == "/hangs" {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
	})
	released := false
	t.Cleanup(func() {
		if !released {
			close(release)
		}
	})
	hanging, _ := s.webhook(map[string]any{"url": r.URL + "/hangs", "timeout_ms": 120_000})
	const healthy = 9
	events := 5000
	if raced {
		events = 500
	}
	for i := range healthy {
		s.webhook(map[string]any{"url": fmt.Sprintf("%s/%d", r.URL, i)})
	}
	var lines []string
	for i := range events {
		lines = append(lines, fmt.Sprintf(`{"type":"a.b","data":%d}`, i))
	}
	s.publish(lines...)
	everybody := func(n int) {
		t.Helper()
		eventually(t, "the healthy endpoints have everything while one hangs", func() error {
			for i := range healthy {
				if got := r.count(fmt.Sprintf("/%d", i)); got < n {
					return fmt.Errorf("endpoint %d has %d of %d", i, got, n)
				}
			}
			return nil
		})
	}
	everybody(events)
	if n := r.count("/hangs"); n > 8 {
		t.Errorf("%d requests hang, more than the endpoint's concurrency", n)
	}
	eventually(t, "what waits is parked", func() error {
		if n := len(records(t, s, s.prefix+"park")); n < events-8 {
			return fmt.Errorf("%d of %d", n, events)
		}
		return nil
	})

	s.kill()
	t.Log("killed with everything of the hanging endpoint parked")
	s.up()
	s.publish(`{"type":"a.b","data":"after the kill"}`)
	for i := range healthy {
		eventually(t, "the healthy endpoints go on after the kill", func() error {
			if got := r.distinct(fmt.Sprintf("/%d", i)); got < events+1 {
				return fmt.Errorf("endpoint %d has %d of %d", i, got, events+1)
			}
			return nil
		})
	}
	close(release)
	released = true
	r.arrived(t, "/hangs", events+1)
	eventually(t, "the endpoint that hung has everything", func() error {
		if n := r.distinct("/hangs"); n < events+1 {
			return fmt.Errorf("%d of %d", n, events+1)
		}
		return nil
	})
	s.wantSQL("SELECT count(), countIf(state = 'success'), max(attempts) FROM hookstream.deliveries WHERE endpoint_id = '"+hanging+"'", fmt.Sprintf("%d\t%d\t1", events+1, events+1))
	s.wantSQL("SELECT made, terminal, difference FROM hookstream.conservation", fmt.Sprintf("%d\t%d\t0", (healthy+1)*(events+1), (healthy+1)*(events+1)))
	s.stop()
}
