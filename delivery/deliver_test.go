package delivery

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hookstream/hookstream/delivery/endpoint"
	"github.com/hookstream/hookstream/schemas"
)

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		code    int
		verdict schemas.Verdict
		state   schemas.State
		kind    string
		failed  bool
	}{
		{200, schemas.Delivered, schemas.StateSuccess, "", false},
		{204, schemas.Delivered, schemas.StateSuccess, "", false},
		{203, schemas.Retry, schemas.StatePending, "http_other", true},
		{302, schemas.Retry, schemas.StatePending, "http_3xx", true},
		{304, schemas.Retry, schemas.StatePending, "http_3xx", true},
		{400, schemas.Retry, schemas.StatePending, "http_4xx", true},
		{410, schemas.Gone, schemas.StateError, "http_4xx", true},
		{429, schemas.Retry, schemas.StatePending, "http_4xx", true},
		{500, schemas.Retry, schemas.StatePending, "http_5xx", true},
		{599, schemas.Retry, schemas.StatePending, "http_5xx", true},
	} {
		r := receiver(t, status(c.code))
		h := newHarness(t, r.URL)
		before := time.Now()
		out := h.send(t, sample("dlv_1"))
		if out.Verdict != c.verdict || out.Row.State != c.state || out.Row.ErrorKind != c.kind || out.Failed != c.failed || out.Row.ResponseCode != c.code || r.count() != 1 {
			t.Errorf("%d: %d requests, %+v", c.code, r.count(), out)
		}
		if (out.Row.Error == "") != (c.kind == "") {
			t.Errorf("%d: error %q", c.code, out.Row.Error)
		}
		if c.verdict == schemas.Retry && (out.RetryAt.Before(before.Add(time.Second)) || out.Row.NextRetryAt != out.RetryAt.UnixMilli() || out.RetryAt.Truncate(time.Millisecond) != out.RetryAt) {
			t.Errorf("%d: retry at %s, row %d", c.code, out.RetryAt, out.Row.NextRetryAt)
		}
		if r := out.Row; r.No != 1 || r.URL == "" || r.Profile != "smartcv" || r.AttemptedAt == 0 || r.DeliveryID != "dlv_1" {
			t.Errorf("%d: %+v", c.code, r)
		}
	}
}

func TestSchedule(t *testing.T) {
	r := receiver(t, status(503))
	h := newHarness(t, r.URL)
	for attempts, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 0} {
		d := sample(fmt.Sprint("dlv_", attempts))
		d.Attempts = attempts
		before := time.Now()
		out := h.send(t, d)
		if want == 0 {
			if out.Verdict != schemas.Exhausted || out.Row.State != schemas.StateError || out.Row.NextRetryAt != 0 || out.Row.No != 4 {
				t.Errorf("after the last: %+v", out)
			}
		} else if wait := out.RetryAt.Sub(before); out.Verdict != schemas.Retry || wait < want || out.Row.No != attempts+1 {
			t.Errorf("attempt %d: %+v, want a wait of %s", attempts+1, out, want)
		}
	}
	body, signature := r.bodies[0], r.requests[0].Header.Get("X-SmartCV-Signature")
	for i := range r.bodies {
		if r.bodies[i] != body || !strings.HasPrefix(signature, "sha256=") {
			t.Errorf("attempt %d has another body", i+1)
		}
	}

	h.target.Retry = []time.Duration{}
	if out := h.send(t, sample("dlv_none")); out.Verdict != schemas.Exhausted {
		t.Errorf("an endpoint without retries: %+v", out)
	}
	h.target.Retry = []time.Duration{time.Hour}
	if out := h.send(t, sample("dlv_own")); out.Verdict != schemas.Retry || time.Until(out.RetryAt) < 59*time.Minute {
		t.Errorf("the endpoint's own schedule: %+v", out)
	}
	h.target.Standing = endpoint.Inactive
	test := sample("dlv_test")
	test.Kind = schemas.KindTest
	if out := h.send(t, test); out.Verdict != schemas.Exhausted || out.Row.Kind != schemas.KindTest {
		t.Errorf("a test is tried once, also on an inactive endpoint: %+v", out)
	}
}

func TestJitterOnlyAdds(t *testing.T) {
	tiers := map[time.Duration]bool{0: true}
	for _, tier := range schemas.Tiers() {
		tiers[tier.Delay] = true
	}
	for range 2000 {
		for _, d := range []time.Duration{time.Millisecond, 5 * time.Second, 5 * time.Minute, 10 * time.Hour} {
			j := jitter(d, 0.1)
			if j < 0 || j > d/10 {
				t.Fatalf("%s: jitter of %s", d, j)
			}
			if rest := j.Truncate(time.Second); !tiers[rest] && !tiers[rest-time.Second] {
				t.Fatalf("%s: jitter of %s is no tier and a fraction", d, j)
			}
		}
	}
	if jitter(time.Hour, 0) != 0 {
		t.Error("jitter where the contract fixes the delays")
	}
}

func TestRetryAfter(t *testing.T) {
	for _, c := range []struct {
		code  int
		value string
		least time.Duration // 0: none
		most  time.Duration
	}{
		{429, "30", 29 * time.Second, 30 * time.Second},
		{503, "30", 29 * time.Second, 30 * time.Second},
		{500, "30", 0, 0},
		{429, "0", 0, 0},
		{429, "-5", 0, 0},
		{429, "soon", 0, 0},
		{429, "86400", 59 * time.Minute, time.Hour},
		{429, "99999999999999999999999", 59 * time.Minute, time.Hour},
		{503, "Thu, 01 Jan 1970 00:00:00 GMT", 0, 0},
		{503, time.Now().Add(2 * time.Minute).UTC().Format(http.TimeFormat), 100 * time.Second, 2 * time.Minute},
		{503, "Fri, 31 Dec 2399 23:59:59 GMT", 59 * time.Minute, time.Hour},
	} {
		r := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", c.value)
			w.WriteHeader(c.code)
		})
		h := newHarness(t, r.URL)
		out := h.send(t, sample("dlv_1"))
		if c.least == 0 {
			if !out.HoldUntil.IsZero() {
				t.Errorf("%d %q: held until %s", c.code, c.value, out.HoldUntil)
			}
			continue
		}
		wait := time.Until(out.HoldUntil)
		if wait < c.least-10*time.Second || wait > c.most+time.Millisecond || out.RetryAt.Before(out.HoldUntil) {
			t.Errorf("%d %q: held for %s, retry at %s", c.code, c.value, wait, out.RetryAt)
		}
		if a := h.Admit("wh_1", schemas.KindEvent, time.Now()); a.Kind != schemas.NotBefore || !a.Until.Equal(out.HoldUntil) {
			t.Errorf("%d %q: the endpoint is not left alone: %+v", c.code, c.value, a)
		}
		if a := h.Admit("wh_1", schemas.KindEvent, out.HoldUntil); a.Kind != schemas.Go {
			t.Errorf("%d %q: not admitted when the time has come: %+v", c.code, c.value, a)
		}
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	elsewhere := receiver(t, status(200))
	for _, code := range []int{301, 302, 303, 307, 308} {
		r := receiver(t, func(w http.ResponseWriter, req *http.Request) { http.Redirect(w, req, elsewhere.URL, code) })
		out := newHarness(t, r.URL).send(t, sample("dlv_1"))
		if out.Verdict != schemas.Retry || out.Row.ErrorKind != schemas.ErrHTTP3xx || elsewhere.count() != 0 {
			t.Errorf("%d: %+v, %d requests elsewhere", code, out, elsewhere.count())
		}
	}
}

func TestStanding(t *testing.T) {
	r := receiver(t, status(200))
	for _, c := range []struct {
		standing endpoint.Standing
		kind     string
		reason   string // empty: sent
		verdict  schemas.Verdict
	}{
		{endpoint.Active, schemas.KindEvent, "", schemas.Delivered},
		{endpoint.Inactive, schemas.KindEvent, schemas.SkipInactive, schemas.Skipped},
		{endpoint.Inactive, schemas.KindTest, "", schemas.Delivered},
		{endpoint.Unverified, schemas.KindEvent, schemas.SkipUnverified, schemas.Skipped},
		{endpoint.Unverified, schemas.KindTest, "", schemas.Delivered},
		{endpoint.Unverified, schemas.KindChallenge, "", schemas.Delivered},
		{endpoint.Disabled, schemas.KindEvent, schemas.ReasonDisabled, schemas.Exhausted},
		{endpoint.Deleted, schemas.KindTest, schemas.SkipDeleted, schemas.Skipped},
	} {
		h := newHarness(t, r.URL)
		d := sample("dlv_1")
		d.Kind = c.kind
		before := r.count()
		early := h.Admit("wh_1", c.kind, time.Now()) // active still: it changes between admission and attempt
		h.target.Standing = c.standing
		late := h.Admit("wh_1", c.kind, time.Now())
		out := h.Deliver(context.Background(), early.Token, d)
		if (late.Kind == schemas.Inactive) != (c.reason != "") || late.Reason != c.reason || out.Verdict != c.verdict {
			t.Errorf("%s %s: admission %+v, outcome %+v", c.standing, c.kind, late, out)
		}
		sent := r.count() - before
		if (sent == 1) != (c.reason == "") || (out.Row.No == 1) != (c.reason == "") || c.reason != "" && out.Row.ErrorKind != c.reason {
			t.Errorf("%s %s: %d requests, %+v", c.standing, c.kind, sent, out.Row)
		}
	}
	h := newHarness(t, r.URL)
	h.found = false
	if a := h.Admit("wh_1", schemas.KindEvent, time.Now()); a.Kind != schemas.Inactive || a.Reason != schemas.SkipDeleted {
		t.Errorf("an unknown endpoint: %+v", a)
	}
}

func TestRejected(t *testing.T) {
	r := receiver(t, status(200))
	for name, change := range map[string]func(*harness, *schemas.Delivery){
		"data is no object":   func(_ *harness, d *schemas.Delivery) { d.Data = []byte(`[1]`) },
		"foreign type":        func(_ *harness, d *schemas.Delivery) { d.EventType = "invoice.paid" },
		"unknown profile":     func(_ *harness, d *schemas.Delivery) { d.Profile = "nobody" },
		"too large":           func(_ *harness, d *schemas.Delivery) { d.Data = []byte(`{"a":"` + strings.Repeat("x", 102400) + `"}`) },
		"too large for it":    func(h *harness, _ *schemas.Delivery) { h.target.MaxBody = 10 },
		"no secret":           func(h *harness, _ *schemas.Delivery) { h.target.Secrets = nil },
		"URL that was let in": func(h *harness, _ *schemas.Delivery) { h.target.URL = "ftp://127.0.0.1/" },
	} {
		h, d := newHarness(t, r.URL), sample("dlv_1")
		change(h, d)
		out := h.send(t, d)
		if out.Verdict != schemas.Rejected || out.Row.State != schemas.StateError || out.Row.ErrorKind != schemas.ErrRejected || out.Row.Error == "" || out.Row.No != 0 || out.Failed || r.count() != 0 {
			t.Errorf("%s: %d requests, %+v", name, r.count(), out)
		}
	}
	// The endpoint may raise the profile's limit.
	h, d := newHarness(t, r.URL), sample("dlv_1")
	h.target.MaxBody, d.Data = 200_000, []byte(`{"a":"`+strings.Repeat("x", 102400)+`"}`)
	if out := h.send(t, d); out.Verdict != schemas.Delivered {
		t.Errorf("a raised limit: %+v", out)
	}
}

func TestCancelIsNoFailure(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	r := receiver(t, func(w http.ResponseWriter, _ *http.Request) { arrived <- struct{}{}; <-release })
	h := newHarness(t, r.URL)
	ctx, cancel := context.WithCancel(context.Background())
	a := h.Admit("wh_1", schemas.KindEvent, time.Now())
	got := make(chan schemas.Outcome)
	go func() { got <- h.Deliver(ctx, a.Token, sample("dlv_1")) }()
	<-arrived
	cancel()
	out := <-got
	close(release)
	if out.Verdict != schemas.Canceled || out.Failed || h.Breaker("wh_1") != (schemas.BreakerState{}) {
		t.Errorf("%+v", out)
	}
}

// TestNothingSecret: neither log nor metric nor outcome holds the secret, a
// custom header's value or the URL's path.
func TestNothingSecret(t *testing.T) {
	registry := prometheus.NewRegistry()
	r := receiver(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500); _, _ = io.WriteString(w, "oops") })
	h := newHarness(t, r.URL+"/hook/tok_123?key=tok_456", func(c *Config) { c.Registerer = registry })
	h.target.Headers = []schemas.Header{{Key: "X-Api-KEY", Value: []byte("tok_789")}}
	out := h.send(t, sample("dlv_1"))
	for _, secret := range []string{testSecret, "tok_123", "tok_456", "tok_789"} {
		if strings.Contains(h.log.String(), secret) {
			t.Errorf("the log holds %s: %s", secret, h.log)
		}
	}
	if strings.Contains(fmt.Sprintf("%+v", out), testSecret) || strings.Contains(fmt.Sprintf("%+v", out), "tok_789") {
		t.Error("the outcome holds a secret")
	}
	if strings.Count(h.log.String(), `"msg":"attempt"`) != 1 {
		t.Errorf("not one line per attempt: %s", h.log)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprint(families)
	for _, want := range []string{"hookstream_attempts_total", "hookstream_attempt_duration_seconds", "hookstream_breakers_open", "hookstream_slow_deliveries_total", "http_5xx"} {
		if !strings.Contains(all, want) {
			t.Errorf("the metrics lack %s: %s", want, all)
		}
	}
	if strings.Contains(all, "wh_1") || strings.Contains(all, "acme") {
		t.Errorf("a metric names an endpoint: %s", all)
	}
}

func TestConfigIsChecked(t *testing.T) {
	good := newHarness(t, "http://127.0.0.1:1").cfg
	for name, change := range map[string]func(*Config){
		"Target":        func(c *Config) { c.Target = nil },
		"Profiles":      func(c *Config) { c.Profiles = nil },
		"Log":           func(c *Config) { c.Log = nil },
		"UserAgent":     func(c *Config) { c.UserAgent = "" },
		"IdlePerHost":   func(c *Config) { c.IdlePerHost = 0 },
		"IdleTotal":     func(c *Config) { c.IdleTotal = -1 },
		"IdleTimeout":   func(c *Config) { c.IdleTimeout = 0 },
		"RetryAfterCap": func(c *Config) { c.RetryAfterCap = -1 },
		"port 0":        func(c *Config) { c.Egress.Ports = []uint16{0} },
		"Window":        func(c *Config) { c.Breaker.Window = 0 },
		"MinAttempts":   func(c *Config) { c.Breaker.MinAttempts = 0 },
		"FailureRatio":  func(c *Config) { c.Breaker.FailureRatio = 1.5 },
		"Consecutive":   func(c *Config) { c.Breaker.Consecutive = 0 },
		"MinDeliveries": func(c *Config) { c.Breaker.MinDeliveries = 0 },
		"MaxCooldown":   func(c *Config) { c.Breaker.MaxCooldown = 1 },
		"Jitter":        func(c *Config) { c.Breaker.Jitter = -1 },
		"Probes":        func(c *Config) { c.Breaker.Probes = 0 },
	} {
		bad := good
		change(&bad)
		if _, err := New(bad); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
