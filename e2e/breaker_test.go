package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// coolDown is the first pause of an open breaker in these tests.
const coolDown = 2 * time.Second

func startBreaking(t *testing.T) *stack {
	return start(t, "--breaker-consecutive", "5", "--breaker-deliveries", "3", "--breaker-cooldown", coolDown.String(), "--breaker-max-cooldown", "4s")
}

// breakerNotices are the changes of an endpoint's breaker so far, in order.
func breakerNotices(t *testing.T, s *stack, id string) (states []string) {
	t.Helper()
	for _, r := range records(t, s, s.prefix+"notices") {
		var n struct{ Kind, Endpoint, State string }
		if json.Unmarshal(r.Value, &n) == nil && n.Kind == "breaker" && n.Endpoint == id {
			states = append(states, n.State)
		}
	}
	return states
}

// TestBreaker: an endpoint that always fails is left alone but for one probe a
// cool-down, across a kill -9 too; its neighbours notice nothing; when it is
// back, everything that waited arrives once.
func TestBreaker(t *testing.T) {
	t.Parallel()
	s := startBreaking(t)
	var well atomic.Bool
	r := newSink(t, func(w http.ResponseWriter, r *http.Request, _ int) {
		if r.URL.Path == "/failing" && !well.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	failing, _ := s.webhook(map[string]any{"url": r.URL + "/failing", "retry": []float64{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, "concurrency": 1})
	s.webhook(map[string]any{"url": r.URL + "/fine"})
	const events = 300
	publish := func(from, to int) {
		var lines []string
		for i := from; i < to; i++ {
			lines = append(lines, fmt.Sprintf(`{"id":"b-%d","type":"a.b","data":%d}`, i, i))
		}
		s.publish(lines...)
	}
	publish(0, events/2)
	s.wantSQL("SELECT state FROM hookstream.breaker_now WHERE endpoint_id = '"+failing+"'", "open")
	eventually(t, "the healthy neighbour has everything", func() error {
		if n := r.distinct("/fine"); n < events/2 {
			return fmt.Errorf("%d of %d", n, events/2)
		}
		return nil
	})
	publish(events/2, events)

	// From the first opening on: one request a cool-down.
	start := r.count("/failing")
	r.arrived(t, "/failing", start+2)
	s.kill()
	atKill := time.Now()
	before := r.count("/failing")
	s.up()
	r.arrived(t, "/failing", before+2) // the restored breaker probes on
	all := r.requests("/failing")
	t.Logf("%d requests before the breaker was open, %d when killed, %d now", start, before, len(all))
	for i := start; i < len(all); i++ {
		gap := all[i].at.Sub(all[i-1].at)
		// A probe that the kill cut off may be repeated at once.
		if gap < coolDown-100*time.Millisecond && !(all[i-1].at.Before(atKill.Add(time.Second)) && all[i].at.After(atKill) && i <= before+1) {
			t.Errorf("request %d came %v after the one before; the cool-down is %v", i, gap, coolDown)
		}
	}
	after := 0
	for _, q := range all {
		if q.at.After(atKill) {
			after++
		}
	}
	if after > 3 {
		t.Errorf("%d requests after the restart, want the probes only", after)
	}

	well.Store(true)
	eventually(t, "everything that waited arrives", func() error {
		if n := r.distinct("/failing"); n < events {
			return fmt.Errorf("%d of %d", n, events)
		}
		return nil
	})
	s.wantSQL("SELECT count(), countIf(state = 'success') FROM hookstream.deliveries WHERE endpoint_id = '"+failing+"'", fmt.Sprintf("%d\t%d", events, events))
	s.wantSQL("SELECT state FROM hookstream.breaker_now WHERE endpoint_id = '"+failing+"'", "closed")
	s.wantSQL("SELECT countIf(state = 'open') >= 2, countIf(state = 'half_open') >= 2, countIf(state = 'closed') FROM hookstream.breaker_events WHERE endpoint_id = '"+failing+"'", "1\t1\t1")
	s.wantSQL("SELECT made, terminal, difference FROM hookstream.conservation", fmt.Sprintf("%d\t%d\t0", 2*events, 2*events))
	s.wantSQL("SELECT count() - uniqExact(delivery_id) FROM hookstream.attempts WHERE state = 'success' AND endpoint_id = '"+failing+"'", "0")
	if notices := breakerNotices(t, s, failing); len(notices) < 5 || notices[0] != "open" || notices[len(notices)-1] != "closed" {
		t.Errorf("notices: %q", notices)
	}
}
