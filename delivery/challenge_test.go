package delivery

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hookstream/hookstream/delivery/endpoint"
	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

// challenged is a harness whose endpoint's profile has a challenge and waits
// for it.
func challenged(t *testing.T, url string) *harness {
	set, err := profile.Load("testdata")
	if err != nil {
		t.Fatal(err)
	}
	h := newHarness(t, url, func(c *Config) { c.Profiles = set })
	h.target.Profile, h.target.Standing, h.target.Version = "challenged", endpoint.Unverified, 7
	return h
}

func TestChallenge(t *testing.T) {
	type request struct {
		Type string
		Data struct{ Challenge string }
	}
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter, challenge string)
		reason string // empty: verified
	}{
		"repeats it":    {func(w http.ResponseWriter, v string) { _, _ = io.WriteString(w, `{"challenge":"`+v+`"}`) }, ""},
		"another value": {func(w http.ResponseWriter, v string) { _, _ = io.WriteString(w, `{"challenge":"x`+v[1:]+`"}`) }, "does not repeat"},
		"only says OK":  {func(w http.ResponseWriter, _ string) { _, _ = io.WriteString(w, `{"status":"success"}`) }, "does not repeat"},
		"no JSON":       {func(w http.ResponseWriter, v string) { _, _ = io.WriteString(w, v) }, "does not repeat"},
		"another status": {func(w http.ResponseWriter, v string) {
			w.WriteHeader(201)
			_, _ = io.WriteString(w, `{"challenge":"`+v+`"}`)
		}, "HTTP 201"},
		"refuses":         {func(w http.ResponseWriter, _ string) { w.WriteHeader(401) }, "HTTP 401"},
		"never an answer": {func(w http.ResponseWriter, _ string) { time.Sleep(400 * time.Millisecond) }, "timeout"},
	} {
		values := map[string]bool{}
		var signed bool
		r := receiver(t, nil)
		r.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			body, err := io.ReadAll(req.Body)
			var got request
			if err != nil || json.Unmarshal(body, &got) != nil || got.Type != "webhook.verification" {
				t.Errorf("%s: body %s, %v", name, body, err)
			}
			r.mu.Lock()
			mac := hmac.New(sha256.New, []byte(testSecret))
			mac.Write(body)
			signed = req.Header.Get("X-Sig") == hex.EncodeToString(mac.Sum(nil)) && req.Header.Get("X-Event") == got.Type
			values[got.Data.Challenge] = true
			r.mu.Unlock()
			c.answer(w, got.Data.Challenge)
		})
		h := challenged(t, r.URL)
		h.target.Timeout = 200 * time.Millisecond
		if c.reason != "timeout" {
			h.target.Timeout = 0
		}
		for range 2 {
			v := h.Challenge(context.Background(), "wh_1")
			if v.Verified != (c.reason == "") || !strings.Contains(v.Reason, c.reason) || v.Version != 7 || v.Canceled {
				t.Errorf("%s: %+v", name, v)
			}
			if v.Row.No != 1 || v.Row.Kind != schemas.KindChallenge || (v.Row.State == schemas.StateSuccess) != v.Verified || v.Row.State == schemas.StatePending {
				t.Errorf("%s: row %+v", name, v.Row)
			}
		}
		r.Close() // waits for the handlers
		if len(values) != 2 || !signed {
			t.Errorf("%s: values %v, signed %v", name, values, signed)
		}
		for v := range values {
			if len(v) < 32 {
				t.Errorf("%s: %q has less than 128 bits", name, v)
			}
		}
	}
}

func TestChallengeWithoutARequest(t *testing.T) {
	r := receiver(t, status(200))
	h := challenged(t, r.URL)
	h.target.Profile = "standard"
	if v := h.Challenge(context.Background(), "wh_1"); !v.Verified {
		t.Errorf("a profile without one: %+v", v)
	}
	h.target.Profile = "challenged"
	h.Restore("wh_1", schemas.BreakerState{Open: true, OpenUntil: time.Now().Add(time.Hour), Cooldowns: 1})
	if v := h.Challenge(context.Background(), "wh_1"); v.Verified || !strings.Contains(v.Reason, "takes no requests before") {
		t.Errorf("an open breaker: %+v", v)
	}
	h.Forget("wh_1")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if v := h.Challenge(ctx, "wh_1"); v.Verified || !v.Canceled {
		t.Errorf("canceled: %+v", v)
	}
	h.target.Standing = endpoint.Disabled
	if v := h.Challenge(context.Background(), "wh_1"); v.Verified || v.Reason == "" {
		t.Errorf("disabled: %+v", v)
	}
	h.found = false
	if v := h.Challenge(context.Background(), "wh_1"); v.Verified || v.Reason == "" {
		t.Errorf("deleted: %+v", v)
	}
	if r.count() != 0 {
		t.Errorf("%d requests", r.count())
	}
}
