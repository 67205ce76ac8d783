package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestKill kills everything three times under load, with SIGKILL, on the same
// data folder. Every event that was accepted has to arrive, and ClickHouse has
// to have one terminal row for each.
func TestKill(t *testing.T) {
	s := start(t)
	r := newSink(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
		if rand.IntN(20) == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	const endpoints = 10
	for i := range endpoints {
		s.webhook(map[string]any{"url": fmt.Sprintf("%s/e%d", r.URL, i), "events": []string{fmt.Sprintf("type%d.made", i)}, "profile": "standard",
			"retry": []float64{1, 1, 1, 1, 1, 1, 1, 1, 1, 1}})
	}
	accepted := map[string]bool{}
	n := 0
	load := func(stop <-chan struct{}) {
		for {
			select {
			case <-stop:
				return
			default:
			}
			var lines []string
			for range 50 {
				lines = append(lines, fmt.Sprintf(`{"id":"load-%d","type":"type%d.made","data":{"n":%d}}`, n, n%endpoints, n))
				n++
			}
			status, body := s.try(http.MethodPost, "/v1/events/batch", strings.Join(lines, "\n"))
			if status != http.StatusAccepted {
				t.Logf("batch ending at %d: %d %.200s", n, status, body)
				time.Sleep(50 * time.Millisecond)
				continue
			}
			for i := n - 50; i < n; i++ {
				accepted[fmt.Sprintf("load-%d", i)] = true
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	for round := range 3 {
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() { load(stop); close(stopped) }()
		time.Sleep(time.Duration(1000+rand.IntN(1500)) * time.Millisecond)
		s.kill()
		close(stop)
		<-stopped
		t.Logf("kill %d after %d accepted events", round+1, len(accepted))
		s.up()
	}
	missing := func() int {
		seen := map[string]bool{}
		r.mu.Lock()
		for _, q := range r.got {
			seen[q.header.Get("webhook-id")] = true
		}
		r.mu.Unlock()
		m := 0
		for id := range accepted {
			if !seen[id] {
				m++
			}
		}
		return m
	}
	eventually(t, "every accepted event arrives", func() error {
		if m := missing(); m > 0 {
			return fmt.Errorf("%d of %d are missing", m, len(accepted))
		}
		return nil
	})
	r.mu.Lock()
	t.Logf("%d accepted, 0 missing, %d requests", len(accepted), len(r.got))
	r.mu.Unlock()
	eventually(t, "ClickHouse has every delivery as delivered", func() error {
		got, err := s.sql("SELECT count(), countIf(state != 'success') FROM hookstream.deliveries")
		if err != nil {
			return err
		}
		var rows, open int
		if _, err := fmt.Sscanf(got, "%d\t%d", &rows, &open); err != nil {
			return err
		}
		if rows < len(accepted) || open != 0 {
			return fmt.Errorf("%d rows of %d accepted, %d of them not delivered", rows, len(accepted), open)
		}
		return nil
	})
	s.wantSQL("SELECT count() - uniqExact(kafka_topic, kafka_partition, kafka_offset) FROM hookstream.attempts", "0")
	s.wantSQL("SELECT made = terminal, pending, difference FROM hookstream.conservation", "1\t0\t0")
	s.stop()
}

// TestNeighbours: endpoints that never answer hold up nobody else.
func TestNeighbours(t *testing.T) {
	s := start(t)
	release := make(chan struct{})
	r := newSink(t, func(_ http.ResponseWriter, r *http.Request, _ int) {
		if strings.HasPrefix(r.URL.Path, "/hangs") {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
	})
	defer close(release)
	for i := range 20 {
		name := fmt.Sprintf("/fine%d", i)
		if i%10 == 0 {
			name = fmt.Sprintf("/hangs%d", i)
		}
		s.webhook(map[string]any{"url": r.URL + name, "events": []string{"tick"}})
	}
	const events = 100
	var lines []string
	for i := range events {
		lines = append(lines, fmt.Sprintf(`{"type":"tick","data":{"n":%d}}`, i))
	}
	produce(t, s, s.prefix+"events", lines...)
	eventually(t, "the healthy endpoints get everything while the others hang", func() error {
		for i := range 20 {
			if i%10 == 0 {
				continue
			}
			if n := len(r.requests(fmt.Sprintf("/fine%d", i))); n < events {
				return fmt.Errorf("endpoint %d has %d of %d", i, n, events)
			}
		}
		return nil
	})
}
