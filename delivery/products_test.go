package delivery

// What the products' profiles do in an exchange: bytes on the wire, verdicts,
// retries, challenge and notices.

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hookstream/hookstream/delivery/endpoint"
	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

// productSample is a first attempt of a profile's first sample.
func productSample(t testing.TB, name string) (*schemas.Delivery, *profile.Profile) {
	t.Helper()
	set, err := profile.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	p, ok := set.Get(name)
	if !ok {
		t.Fatalf("there is no profile %s", name)
	}
	e := p.Events()[0]
	d := sample("dlv_1")
	d.Profile, d.ProfileVersion, d.EventType, d.Data = name, p.Version(), e.Type, []byte(e.Sample)
	return d, p
}

func testMAC(text string) string {
	mac := hmac.New(sha256.New, []byte(testSecret))
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

// TestProductHeadersOnTheWire: over HTTP/1.1 each product's headers arrive in
// the casing of its contract, signed over the body as it is, with the time of
// the attempt.
func TestProductHeadersOnTheWire(t *testing.T) {
	for name, want := range map[string]func(ts, body string) []string{
		"kidsmart": func(ts, body string) []string {
			return []string{"Content-Type: application/json", "X-KidSmart-Signature: " + testMAC(ts+"."+body), "X-KidSmart-Timestamp: " + ts}
		},
		"aiinterview": func(_, body string) []string {
			return []string{"Content-Type: application/json", "X-Webhook-Signature: " + testMAC(body)}
		},
		"smartcv": func(ts, body string) []string {
			return []string{"Content-Type: application/json", "X-SmartCV-Signature: sha256=" + testMAC(ts+"."+body), "X-SmartCV-Timestamp: " + ts}
		},
		"smartkyc": func(_, body string) []string {
			return []string{"Content-Type: application/json", "X-SmartKYC-Signature: " + testMAC(body)}
		},
		"ihateppt": func(ts, body string) []string {
			return []string{"Content-Type: application/json", "X-Webhook-Signature: sha256=" + testMAC(ts+"."+body), "X-Webhook-Timestamp: " + ts, "X-Webhook-Event: ppt.generation.started"}
		},
		"stripe": func(ts, body string) []string {
			return []string{"Content-Type: application/json; charset=utf-8", "Stripe-Signature: t=" + ts + ",v1=" + testMAC(ts+"."+body)}
		},
		"github": func(_, body string) []string {
			return []string{"Content-Type: application/json", "X-Hub-Signature-256: sha256=" + testMAC(body), "X-GitHub-Event: ping", "X-GitHub-Delivery: dlv_1", "X-GitHub-Hook-ID: wh_1"}
		},
	} {
		type request struct {
			lines []string
			body  string
		}
		got := make(chan request, 1)
		url := raw(t, func(c net.Conn) {
			lines, body := head(c)
			got <- request{lines, body}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		})
		h := newHarness(t, url+"/hook")
		d, p := productSample(t, name)
		before := time.Now().Unix()
		out := h.send(t, d)
		after := time.Now().Unix()
		r := <-got
		body, err := p.Body(d)
		if out.Verdict != schemas.Delivered || err != nil || r.body != string(body) || r.lines[0] != "POST /hook HTTP/1.1" {
			t.Fatalf("%s: %+v %v %q", name, out, err, r)
		}
		matched := false
		for ts := before; ts <= after && !matched; ts++ {
			matched = true
			for _, line := range append(want(fmt.Sprint(ts), r.body), fmt.Sprintf("Content-Length: %d", len(body))) {
				matched = matched && strings.Count("\n"+strings.Join(r.lines, "\n")+"\n", "\n"+line+"\n") == 1
			}
		}
		if !matched {
			t.Errorf("%s: sent %q", name, r.lines)
		}
	}
}

// TestProductVerdicts: what each contract takes as success, and when it tries
// again.
func TestProductVerdicts(t *testing.T) {
	for name, c := range map[string]struct {
		ok, failures []int
		delays       []time.Duration
	}{
		"kidsmart":    {[]int{200, 201, 204, 206, 299}, []int{302, 400, 401, 413, 500, 503}, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}},
		"aiinterview": {[]int{200, 201, 204, 206, 299}, []int{302, 401, 405, 500}, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}},
		"smartcv":     {[]int{200, 201, 202, 204}, []int{203, 205, 206, 208, 226, 301, 302, 304, 307, 308, 400, 401, 404, 500, 503}, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}},
		"smartkyc":    {[]int{200, 201, 202, 204, 206, 299}, []int{301, 302, 400, 401, 404, 422, 429, 500, 503}, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}},
		"ihateppt":    {[]int{200}, []int{201, 202, 204, 206, 301, 307, 400, 500}, []time.Duration{time.Second, 5 * time.Second, 30 * time.Second}},
	} {
		answer, says := 0, ""
		r := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(answer)
			_, _ = io.WriteString(w, says)
		})
		h := newHarness(t, r.URL, func(c *Config) { c.Breaker.MinAttempts, c.Breaker.Consecutive = 1000, 1000 })
		d, _ := productSample(t, name)
		words := []string{"", "OK", "Already processed", `{"message":"OK"}`, `{"message":"Already processed"}`, `{"error":"x"}`} // only the code counts
		for _, answer = range c.ok {
			for _, says = range words {
				if out := h.send(t, d); out.Verdict != schemas.Delivered {
					t.Errorf("%s %d %s: %+v", name, answer, says, out)
				}
			}
		}
		for _, answer = range c.failures {
			for attempts, delay := range append(c.delays, 0) {
				d.Attempts = attempts
				out := h.send(t, d)
				if last := attempts == len(c.delays); last && out.Verdict != schemas.Exhausted || !last && out.Verdict != schemas.Retry {
					t.Errorf("%s %d, attempt %d: %+v", name, answer, attempts+1, out)
				}
				if waits := out.RetryAt.Sub(time.UnixMilli(out.Row.AttemptedAt + out.Row.DurationMS)); delay > 0 && waits.Round(100*time.Millisecond) != delay {
					t.Errorf("%s: retry %d after %s", name, attempts+1, waits)
				}
			}
			d.Attempts = 0
		}
		if n := r.count(); n != len(words)*len(c.ok)+4*len(c.failures) {
			t.Errorf("%s: %d requests; a redirect was followed?", name, n)
		}
		first := r.bodies[0]
		for _, body := range r.bodies {
			if body != first {
				t.Errorf("%s: attempts differ: %s", name, body)
			}
		}
	}
}

// TestIHatePPTChallenge: an endpoint is verified by repeating the value in an
// answer of 200, and told what is missing otherwise.
func TestIHatePPTChallenge(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter, challenge string)
		reason string // empty: verified
	}{
		"repeats it":            {func(w http.ResponseWriter, v string) { _, _ = io.WriteString(w, `{"challenge":"`+v+`"}`) }, ""},
		"the page's own sample": {func(w http.ResponseWriter, _ string) { _, _ = io.WriteString(w, `{"status":"success"}`) }, `no field "challenge"`},
		"another value":         {func(w http.ResponseWriter, v string) { _, _ = io.WriteString(w, `{"challenge":"0`+v+`"}`) }, "another value"},
		"no JSON":               {func(w http.ResponseWriter, v string) { _, _ = io.WriteString(w, v) }, "no JSON object"},
		"500":                   {func(w http.ResponseWriter, _ string) { w.WriteHeader(500) }, "HTTP 500"},
		"201": {func(w http.ResponseWriter, v string) {
			w.WriteHeader(201)
			_, _ = io.WriteString(w, `{"challenge":"`+v+`"}`)
		}, "HTTP 201"},
		"no answer in time": {func(w http.ResponseWriter, _ string) { time.Sleep(300 * time.Millisecond) }, "timeout"},
	} {
		values := map[string]bool{}
		r := receiver(t, nil)
		r.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			body, err := io.ReadAll(req.Body)
			var got struct {
				Type string
				Data struct{ Challenge string }
			}
			if err != nil || json.Unmarshal(body, &got) != nil || string(body) != `{"type":"webhook.verification","data":{"challenge":"`+got.Data.Challenge+`"}}` {
				t.Errorf("%s: body %s, %v", name, body, err)
			}
			ts := req.Header.Get("X-Webhook-Timestamp")
			if req.Header.Get("Content-Type") != "application/json" || req.Header.Get("X-Webhook-Event") != "webhook.verification" ||
				ts == "" || req.Header.Get("X-Webhook-Signature") != "sha256="+testMAC(ts+"."+string(body)) {
				t.Errorf("%s: headers %v", name, req.Header)
			}
			r.mu.Lock()
			values[got.Data.Challenge] = true
			r.mu.Unlock()
			c.answer(w, got.Data.Challenge)
		})
		h := newHarness(t, r.URL)
		h.target.Profile, h.target.Standing, h.target.Version = "ihateppt", endpoint.Unverified, 3
		if c.reason == "timeout" {
			h.target.Timeout = 100 * time.Millisecond
		}
		for range 2 {
			v := h.Challenge(t.Context(), "wh_1")
			if v.Verified != (c.reason == "") || !strings.Contains(v.Reason, c.reason) || (v.Row.State == schemas.StateSuccess) != v.Verified || v.Row.Error != v.Reason {
				t.Errorf("%s: %+v", name, v)
			}
		}
		r.Close() // waits for the handlers
		for v := range values {
			if len(values) != 2 || len(v) < 32 { // hexadecimal digits: 128 bits
				t.Errorf("%s: values %v", name, values)
			}
		}
	}
}

// TestRetryNoticeOfAnOutcome: a failure with a retry to come is announced under
// the profile that asks for it, and the notice itself is tried once.
func TestRetryNoticeOfAnOutcome(t *testing.T) {
	r := receiver(t, status(500))
	h := newHarness(t, r.URL, func(c *Config) { c.Breaker.MinAttempts, c.Breaker.Consecutive = 1000, 1000 })
	h.target.Profile = "ihateppt"
	d, p := productSample(t, "ihateppt")
	for attempts := range 4 {
		d.Attempts = attempts
		out := h.send(t, d)
		ev, ok := h.RetryNotice(d, &out)
		if ok != (attempts < 3) {
			t.Fatalf("attempt %d: announced %v", attempts+1, ok)
		}
		if !ok {
			continue
		}
		var data struct {
			Original string `json:"original_event_id"`
			Count    int    `json:"retry_count"`
			Next     string `json:"next_retry_at"`
		}
		if err := json.Unmarshal(ev.Data, &data); err != nil {
			t.Fatal(err)
		}
		next, err := time.Parse("2006-01-02T15:04:05Z", data.Next)
		if gap := next.Sub(ev.Time.Truncate(time.Second)); err != nil || data.Original != "evt_x" || data.Count != attempts || gap != p.Schedule()[attempts] {
			t.Errorf("attempt %d: %s, %v after %s", attempts+1, ev.Data, err, gap)
		}
		notice := &schemas.Delivery{ID: "dlv_n", EventID: ev.ID, EventType: ev.Type, Tenant: ev.Tenant, EndpointID: "wh_1", Kind: ev.Kind, EventTime: ev.Time, CreatedAt: ev.Time,
			Profile: "ihateppt", ProfileVersion: 1, Data: ev.Data}
		noticed := h.send(t, notice)
		if noticed.Verdict != schemas.Exhausted {
			t.Errorf("a notice is tried once: %+v", noticed)
		}
		if _, again := h.RetryNotice(notice, &noticed); again {
			t.Error("a notice was announced")
		}
	}
	d, _ = productSample(t, "kidsmart")
	out := h.send(t, d)
	if _, ok := h.RetryNotice(d, &out); ok || out.Verdict != schemas.Retry {
		t.Errorf("kidsmart has no notices: %+v", out)
	}
}

// TestUnlistedTypesAreOnRecord: another kind of assessment is delivered, and
// the log and a metric say that no catalogue has it.
func TestUnlistedTypesAreOnRecord(t *testing.T) {
	registry := prometheus.NewRegistry()
	r := receiver(t, func(w http.ResponseWriter, _ *http.Request) {})
	h := newHarness(t, r.URL, func(c *Config) { c.Registerer = registry })
	h.target.Profile = "kidsmart"
	for _, eventType := range []string{"vocabulary", "fluency"} {
		d, _ := productSample(t, "kidsmart")
		d.EventType, d.Data = eventType, []byte(`{"assessment_id":"as_1"}`)
		if out := h.send(t, d); out.Verdict != schemas.Delivered {
			t.Errorf("%s: %+v", eventType, out)
		}
		if want := fmt.Sprintf(`"type":%q,"listed":%v`, eventType, eventType == "fluency"); !strings.Contains(h.log.String(), want) {
			t.Errorf("the log lacks %s: %s", want, h.log)
		}
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "hookstream_unlisted_deliveries_total" {
			if m := f.GetMetric(); len(m) != 1 || m[0].GetCounter().GetValue() != 1 || m[0].GetLabel()[0].GetValue() != "kidsmart" {
				t.Errorf("counted as unlisted: %v", m)
			}
			return
		}
	}
	t.Error("nothing is counted as unlisted")
}
