package receiver

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"context"
)

func start(t *testing.T, change func(*Config)) *Receiver {
	t.Helper()
	c := DefaultConfig()
	change(&c)
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func post(t *testing.T, h http.Handler, path, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}

// signed takes requests whose header X-Sig repeats the body.
func signed(path string, header func(string) string, body []byte, _ time.Time) error {
	if path == "/hooks" && header("x-sig") == string(body) {
		return nil
	}
	return errors.New("does not match")
}

func TestVerdicts(t *testing.T) {
	r := start(t, func(c *Config) { c.Verify = signed; c.Status = 202 })
	if w := post(t, r, "/hooks?x=1", "a", "X-Sig", "a"); w.Code != 202 {
		t.Errorf("right signature: %d", w.Code)
	}
	if w := post(t, r, "/hooks", "a", "X-Sig", "b"); w.Code != 401 || !strings.Contains(w.Body.String(), "does not match") {
		t.Errorf("wrong signature: %d %s", w.Code, w.Body)
	}
	got := r.Deliveries()
	if len(got) != 2 || got[0].Verdict != Refused || got[0].Reason != "does not match" || got[0].Status != 401 ||
		got[1].Verdict != Verified || got[1].Path != "/hooks?x=1" || got[1].Number != 1 || got[1].Status != 202 {
		t.Errorf("%+v", got)
	}
	if w := post(t, start(t, func(*Config) {}), "/", ""); w.Code != 200 {
		t.Errorf("nothing to check: %d", w.Code)
	}
}

func TestFailRate(t *testing.T) {
	numbers := []float64{0.05, 0.1, 0.5, 0.099}
	r := start(t, func(c *Config) {
		c.FailRate = 0.1
		c.Rand = func() float64 { n := numbers[0]; numbers = numbers[1:]; return n }
	})
	for i, want := range []int{503, 200, 200, 503} {
		if w := post(t, r, "/", "x"); w.Code != want {
			t.Errorf("request %d: %d, want %d", i, w.Code, want)
		}
	}
	always := start(t, func(c *Config) { c.FailRate = 1 })
	if w := post(t, always, "/", "x"); w.Code != 503 {
		t.Errorf("fail rate 1: %d", w.Code)
	}
}

func TestRespond(t *testing.T) {
	r := start(t, func(c *Config) {
		c.Accept = func(path string, header func(string) string, body []byte) (Answer, bool) {
			switch path {
			case "/challenge":
				return Answer{Body: append([]byte(`{"challenge":`), append(body, '}')...)}, true
			case "/own":
				return Answer{Status: 202, ContentType: "text/x", Body: []byte(header("x-a")), Note: "known"}, true
			}
			return Answer{}, false
		}
	})
	if w := post(t, r, "/challenge", `"c"`); w.Body.String() != `{"challenge":"c"}` || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%v %s", w.Header(), w.Body)
	}
	if w := post(t, r, "/other", `"c"`); w.Body.String() != "OK\n" {
		t.Errorf("%s", w.Body)
	}
	if w := post(t, r, "/own", "", "X-A", "1"); w.Code != 202 || w.Body.String() != "1" || w.Header().Get("Content-Type") != "text/x" || r.Deliveries()[0].Reason != "known" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	strict := start(t, func(c *Config) {
		c.Verify = signed
		c.Refuse = func(path string, err error) (Answer, bool) {
			return Answer{Status: 400, Body: []byte(`{"error":"Invalid signature"}`)}, path == "/hooks"
		}
	})
	if w := post(t, strict, "/hooks", "x"); w.Code != 400 || w.Body.String() != `{"error":"Invalid signature"}` || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	if w := post(t, strict, "/elsewhere", "x"); w.Code != 401 {
		t.Errorf("%d", w.Code)
	}
	empty := start(t, func(c *Config) { c.Status = http.StatusNoContent })
	if w := post(t, empty, "/", "x"); w.Code != 204 || w.Body.Len() != 0 {
		t.Errorf("204 with %q", w.Body)
	}
}

func TestListing(t *testing.T) {
	r := start(t, func(c *Config) { c.Keep = 2; c.Verify = signed })
	post(t, r, "/hooks", "first", "X-Sig", "first")
	post(t, r, "/hooks", "<&\u2028>", "X-Sig", "no")
	post(t, r, "/hooks", "\xff", "X-Sig", "\xff")
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/deliveries", nil))
	var got struct {
		Received int64
		Data     []map[string]any
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Received != 3 || len(got.Data) != 2 {
		t.Fatalf("%+v", got)
	}
	if d := got.Data[0]; d["number"] != 3.0 || d["body_base64"] != "/w==" || d["verdict"] != "verified" {
		t.Errorf("newest: %v", d)
	}
	if d := got.Data[1]; d["body"] != "<&\u2028>" || d["reason"] != "does not match" || d["headers"].(map[string]any)["X-Sig"] == nil {
		t.Errorf("second: %v", d)
	}
	r.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodDelete, "/deliveries", nil))
	if len(r.Deliveries()) != 0 || r.Received() != 3 {
		t.Error("not forgotten, or the count is")
	}
}

func TestLogIsBoundedInBytes(t *testing.T) {
	l := log{keep: 100, budget: 10}
	for range 5 {
		l.add(Delivery{Body: []byte("1234")})
	}
	if got := l.list(); len(got) != 2 || got[0].Number != 5 {
		t.Errorf("%d kept, newest %d", len(got), got[0].Number)
	}
	l.add(Delivery{Body: make([]byte, 100)})
	if got := l.list(); len(got) != 1 || got[0].Number != 6 {
		t.Errorf("a large one: %d kept", len(got))
	}
}

func TestTooLarge(t *testing.T) {
	r := start(t, func(c *Config) { c.MaxBody = 3 })
	if w := post(t, r, "/", "1234"); w.Code != 413 || len(r.Deliveries()) != 0 {
		t.Errorf("%d, %d kept", w.Code, len(r.Deliveries()))
	}
}

// In virtual time the answer comes exactly after the latency, and a sender
// that hangs up ends the wait.
func TestLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, func(c *Config) { c.Latency = 50 * time.Millisecond })
		began := time.Now()
		post(t, r, "/", "x")
		if took := time.Since(began); took != 50*time.Millisecond {
			t.Errorf("answered after %v", took)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		r.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodPost, "/", nil))
		if took := time.Since(began); took != 51*time.Millisecond {
			t.Errorf("the wait ended after %v in all", took)
		}
	})
}

func TestConcurrentSenders(t *testing.T) {
	var mu sync.Mutex
	seen := map[int64]bool{}
	r := start(t, func(c *Config) {
		c.Keep = 10
		c.Notify = func(d Delivery) { mu.Lock(); seen[d.Number] = true; mu.Unlock() }
	})
	srv := httptest.NewServer(r)
	defer srv.Close()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 25 {
				resp, err := srv.Client().Post(srv.URL, "application/json", strings.NewReader("{}"))
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := io.Copy(io.Discard, resp.Body); err != nil {
					t.Error(err)
				}
				if err := resp.Body.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if len(seen) != 200 || r.Received() != 200 || len(r.Deliveries()) != 10 {
		t.Errorf("%d seen, %d received, %d kept", len(seen), r.Received(), len(r.Deliveries()))
	}
}

func TestPrint(t *testing.T) {
	var b strings.Builder
	d := Delivery{Number: 7, Method: "POST", Path: "/x\x1b[2J", Header: http.Header{"X-A": {"1"}, "Content-Length": {"3"}},
		Body: []byte("{\"a\":\"\u00e9\u2028\"}"), Verdict: Refused, Reason: "late", Status: 401}
	if err := Print(&b, d); err != nil {
		t.Fatal(err)
	}
	want := "#7 00:00:00.000 POST /x\\u001b[2J · refused (late) → 401\n  X-A: 1\n  {\n    \"a\": \"\u00e9\\u2028\"\n  }\n\n"
	if b.String() != want {
		t.Errorf("got\n%q\nwant\n%q", b.String(), want)
	}
	b.Reset()
	if err := Print(&b, Delivery{Body: append([]byte("\xfe"), make([]byte, 5000)...)}); err != nil {
		t.Fatal(err)
	}
	if s := b.String(); !strings.Contains(s, `  \xfe\u0000`) || !strings.HasSuffix(s, "… 5001 bytes in all\n\n") {
		t.Errorf("%.80q", s)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"status":   func(c *Config) { c.Status = 100 },
		"fail":     func(c *Config) { c.FailRate = 1.1 },
		"latency":  func(c *Config) { c.Latency = -1 },
		"keep":     func(c *Config) { c.Keep = 0 },
		"max body": func(c *Config) { c.MaxBody = 0 },
		"rand":     func(c *Config) { c.Rand = nil },
		"logger":   func(c *Config) { c.Logger = nil },
	} {
		c := DefaultConfig()
		change(&c)
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
