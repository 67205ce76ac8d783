package delivery

import (
	"errors"
	"net/http"
	"testing"

	"github.com/hookstream/hookstream/schemas"
)

// TestEventTypeIsCheckedBeforeTheFirstAttempt: what the tenant's event types
// refuse is rejected with the reason and never sent, nor counted against the
// endpoint; a delivery that was tried goes on, whatever is asked by then.
func TestEventTypeIsCheckedBeforeTheFirstAttempt(t *testing.T) {
	r := receiver(t, status(http.StatusOK))
	asked := 0
	h := newHarness(t, r.URL, func(c *Config) {
		c.CheckType = func(d *schemas.Delivery) error {
			asked++
			return errors.New(`event type "` + d.EventType + `" is not for us`)
		}
	})
	out := h.send(t, sample("dlv_1"))
	if out.Verdict != schemas.Rejected || out.Failed || out.Row.State != schemas.StateError || out.Row.ErrorKind != schemas.ErrRejected ||
		out.Row.Error != `event type "resume.created" is not for us` || out.Row.No != 0 || r.count() != 0 {
		t.Errorf("%+v, %d requests", out, r.count())
	}
	again := sample("dlv_2")
	again.Attempts = 1
	if out := h.send(t, again); out.Verdict != schemas.Delivered || asked != 1 || r.count() != 1 {
		t.Errorf("%+v, asked %d times", out, asked)
	}
}

// TestCustomHeadersOnEveryRequest: names and values as configured, on the first
// attempt, on retries and on tests.
func TestCustomHeadersOnEveryRequest(t *testing.T) {
	r := receiver(t, status(http.StatusServiceUnavailable))
	h := newHarness(t, r.URL)
	h.target.Profile = "smartkyc"
	h.target.Headers = []schemas.Header{{Key: "X-API-Key", Value: []byte("a key; with = signs")}, {Key: "Authorization", Value: []byte("Bearer abc")}}
	for attempts, kind := range []string{schemas.KindEvent, schemas.KindEvent, schemas.KindTest, schemas.KindReplay} {
		d := sample("dlv_1")
		d.EventType, d.Profile, d.Kind, d.Attempts = "submission.completed", "smartkyc", kind, attempts
		d.Data = []byte(`{"submissionId":"sub_1"}`)
		h.send(t, d)
		if r.count() != attempts+1 {
			t.Fatalf("%d requests after %d attempts", r.count(), attempts+1)
		}
		got := r.requests[attempts].Header
		if got.Get("X-API-Key") != "a key; with = signs" || got.Get("Authorization") != "Bearer abc" || len(got.Values("X-SmartKYC-Signature")) != 1 {
			t.Errorf("attempt %d of a %s: %v", attempts+1, kind, got)
		}
	}
}
