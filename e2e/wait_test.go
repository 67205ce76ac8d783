package e2e

// What tests wait for and publish: deliveries at a receiver, events by HTTP.

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// publish sends events by HTTP in one batch, all of which have to be accepted.
func (s *stack) publish(lines ...string) {
	s.t.Helper()
	for len(lines) > 0 {
		n := min(len(lines), 2000)
		s.call(http.MethodPost, "/v1/events/batch", strings.Join(lines[:n], "\n"), http.StatusAccepted, nil)
		lines = lines[n:]
	}
}

// arrived waits until a path got at least n requests, and gives them.
func (s *sink) arrived(t *testing.T, path string, n int) []request {
	t.Helper()
	eventually(t, fmt.Sprintf("%d requests to %s", n, path), func() error {
		if got := s.count(path); got < n {
			return fmt.Errorf("%d of %d", got, n)
		}
		return nil
	})
	return s.requests(path)
}

// count is how many requests a path got.
func (s *sink) count(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.paths[path]
}

// distinct is how many different events a path got, by webhook-id.
func (s *sink) distinct(path string) int {
	ids := map[string]bool{}
	for _, q := range s.requests(path) {
		ids[q.header.Get("webhook-id")] = true
	}
	return len(ids)
}

// logRow is a row of the lists of deliveries.
type logRow struct {
	ID           string
	EventID      string `json:"event_id"`
	EventType    string `json:"event_type"`
	WebhookID    string `json:"webhook_id"`
	Status       string
	Attempts     int
	ResponseCode *int   `json:"response_code"`
	ErrorKind    string `json:"error_kind"`
	Error        string
	ResponseBody string `json:"response_body"`
	DurationMS   int64  `json:"duration_ms"`
}

// page is one page of a list of deliveries.
type page struct {
	Data       []logRow
	NextCursor *string `json:"next_cursor"`
	AsOf       string  `json:"as_of"`
}

// problem is an answer that refuses.
type problem struct{ Code, Field, Detail, Title string }

// refused checks that an answer is a problem of this status and field.
func refused(t *testing.T, what string, a answer, status int, field string) problem {
	t.Helper()
	var p problem
	if err := json.Unmarshal(a.body, &p); err != nil || a.status != status || p.Field != field || p.Code == "" {
		t.Errorf("%s: %d %s, want %d with the field %q and a code", what, a.status, a.body, status, field)
	}
	return p
}
