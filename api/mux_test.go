package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookstream/hookstream/api"
)

// buffer is a log that handlers may write to at the same time.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

type note struct {
	Text string   `json:"text" doc:"what it says"`
	Tags []string `json:"tags,omitempty"`
	Next *note    `json:"next,omitempty"`
}

const (
	rootKey = "root-key-for-tests"
	aliceK  = "alice-key"
)

func routes() []api.Route {
	echo := func(w http.ResponseWriter, r *http.Request) error {
		var n note
		if err := api.ReadJSON(r, &n); err != nil {
			return err
		}
		return api.WriteJSON(w, http.StatusOK, n)
	}
	return []api.Route{
		{Method: "GET", Pattern: "/open", Auth: api.Public, Handle: func(w http.ResponseWriter, r *http.Request) error {
			return api.WriteJSON(w, 200, map[string]string{"id": api.RequestID(w), "who": api.PrincipalOf(r.Context()).KeyID})
		}, Doc: api.Doc{Summary: "open"}},
		{Method: "POST", Pattern: "/v1/notes", Auth: api.Key, Handle: echo, MaxBody: 64,
			Doc: api.Doc{Summary: "make", Tag: "notes", Request: note{}, Response: api.Page[note]{}, Status: 201, Query: []api.Param{{Name: "limit", Type: "integer"}}}},
		{Method: "GET", Pattern: "/v1/notes/{id}", Auth: api.Key, Handle: func(w http.ResponseWriter, r *http.Request) error {
			p := api.PrincipalOf(r.Context())
			return api.WriteJSON(w, 200, map[string]any{"tenant": p.Tenant, "root": p.Root, "id": r.PathValue("id")})
		}, Doc: api.Doc{Response: note{}}},
		{Method: "DELETE", Pattern: "/v1/notes/{id}", Auth: api.Root, Handle: func(w http.ResponseWriter, _ *http.Request) error {
			w.WriteHeader(204)
			return nil
		}, Doc: api.Doc{Status: 204}},
		{Method: "GET", Pattern: "/panic", Auth: api.Public, Handle: func(http.ResponseWriter, *http.Request) error { panic("boom") }},
		{Method: "GET", Pattern: "/half", Auth: api.Public, Handle: func(w http.ResponseWriter, _ *http.Request) error {
			_, _ = io.WriteString(w, strings.Repeat("x", 10_000))
			panic("too late")
		}},
		{Method: "GET", Pattern: "/broken", Auth: api.Public, Handle: func(http.ResponseWriter, *http.Request) error {
			return errors.New("the cause with a detail")
		}},
	}
}

func start(t *testing.T, change func(*api.Config)) (*httptest.Server, *buffer) {
	t.Helper()
	log := &buffer{}
	cfg := api.DefaultConfig()
	cfg.Routes, cfg.RootKey, cfg.Log = routes(), rootKey, slog.New(slog.NewJSONHandler(log, nil))
	cfg.Authenticate = func(key string) (api.Principal, bool) {
		if key == aliceK {
			return api.Principal{Tenant: "alice", KeyID: "key_alice", Root: true}, true // Root must not come through
		}
		return api.Principal{}, false
	}
	if change != nil {
		change(&cfg)
	}
	m, err := api.NewMux(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(m)
	s.Config = api.NewServer(m, cfg.Log)
	s.Start()
	t.Cleanup(s.Close)
	return s, log
}

func do(t *testing.T, method, url string, headers map[string]string, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func TestAnswers(t *testing.T) {
	s, log := start(t, nil)
	bearer := map[string]string{"Authorization": "Bearer " + aliceK}
	root := map[string]string{"Authorization": "bearer " + rootKey}
	for _, c := range []struct {
		name, method, path string
		headers            map[string]string
		body               string
		status             int
		code, field        string
	}{
		{"public", "GET", "/open", nil, "", 200, "", ""},
		{"no key", "GET", "/v1/notes/1", nil, "", 401, "no_key", ""},
		{"wrong key", "GET", "/v1/notes/1", map[string]string{"X-API-Key": "nope"}, "", 401, "bad_key", ""},
		{"bearer", "GET", "/v1/notes/1", bearer, "", 200, "", ""},
		{"header", "GET", "/v1/notes/1", map[string]string{"X-API-Key": aliceK}, "", 200, "", ""},
		{"query", "GET", "/v1/notes/1?api_key=" + aliceK, nil, "", 200, "", ""},
		{"root route, tenant's key", "DELETE", "/v1/notes/1", bearer, "", 403, "root_only", ""},
		{"root route, root", "DELETE", "/v1/notes/1", root, "", 204, "", ""},
		{"unknown path", "GET", "/v1/nothing", nil, "", 404, "not_found", ""},
		{"wrong method", "PUT", "/v1/notes/1", nil, "", 405, "method_not_allowed", ""},
		{"good body", "POST", "/v1/notes", bearer, `{"text":"<a&b>"}`, 200, "", ""},
		{"empty body", "POST", "/v1/notes", bearer, "", 400, "bad_json", ""},
		{"no JSON", "POST", "/v1/notes", bearer, `{"text":`, 400, "bad_json", ""},
		{"two values", "POST", "/v1/notes", bearer, `{"text":"a"} {}`, 400, "bad_json", ""},
		{"no object", "POST", "/v1/notes", bearer, `[1]`, 400, "bad_json", ""},
		{"unknown field", "POST", "/v1/notes", bearer, `{"text":"a","txet":1}`, 422, "unknown_field", "txet"},
		{"other case", "POST", "/v1/notes", bearer, `{"Text":"a"}`, 422, "unknown_field", "Text"},
		{"wrong type", "POST", "/v1/notes", bearer, `{"text":25}`, 422, "invalid_field", "text"},
		{"wrong type inside", "POST", "/v1/notes", bearer, `{"next":{"text":{}}}`, 422, "invalid_field", "next.text"},
		{"too large", "POST", "/v1/notes", bearer, `{"text":"` + strings.Repeat("a", 100) + `"}`, 413, "too_large", ""},
		{"panic", "GET", "/panic", nil, "", 500, "internal", ""},
		{"error", "GET", "/broken", nil, "", 500, "internal", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, body := do(t, c.method, s.URL+c.path, c.headers, c.body)
			if resp.StatusCode != c.status {
				t.Fatalf("status %d, want %d: %s", resp.StatusCode, c.status, body)
			}
			id := resp.Header.Get("X-Request-Id")
			if id == "" || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("headers %v", resp.Header)
			}
			if !strings.Contains(log.String(), id) {
				t.Errorf("request id %s is not in the log", id)
			}
			if c.code == "" {
				return
			}
			if got := resp.Header.Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("content type %q", got)
			}
			var p api.Problem
			if err := json.Unmarshal([]byte(body), &p); err != nil {
				t.Fatal(err)
			}
			if p.Code != c.code || p.Field != c.field || p.ID != id || p.Status != c.status || p.Title == "" || p.Detail == "" {
				t.Errorf("problem %s", body)
			}
			if c.status == 405 && resp.Header.Get("Allow") != "GET, HEAD, DELETE" {
				t.Errorf("Allow %q", resp.Header.Get("Allow"))
			}
			if c.status == 401 && resp.Header.Get("WWW-Authenticate") == "" {
				t.Error("no WWW-Authenticate")
			}
		})
	}
	text := log.String()
	for _, secret := range []string{aliceK, rootKey} {
		if strings.Contains(text, secret) {
			t.Errorf("the log has a key")
		}
	}
	for _, want := range []string{"boom", "the cause with a detail", `"key":"key_alice"`} {
		if !strings.Contains(text, want) {
			t.Errorf("the log lacks %q", want)
		}
	}
}

func TestEveryRouteNeedsItsKey(t *testing.T) {
	s, _ := start(t, nil)
	for _, r := range routes() {
		path := strings.ReplaceAll(r.Pattern, "{id}", "x")
		for _, headers := range []map[string]string{nil, {"Authorization": "Bearer foreign"}, {"Authorization": "Basic " + rootKey}, {"X-API-Key": rootKey + "x"}} {
			if r.Auth == api.Public {
				continue
			}
			if resp, body := do(t, r.Method, s.URL+path, headers, "{}"); resp.StatusCode != 401 {
				t.Errorf("%s %s with %v: %d %s", r.Method, path, headers, resp.StatusCode, body)
			}
		}
	}
}

func TestNoRootKeyNoRoot(t *testing.T) {
	s, _ := start(t, func(c *api.Config) { c.RootKey = "" })
	for _, h := range []map[string]string{{"Authorization": "Bearer "}, {"X-API-Key": ""}, {"Authorization": "Bearer"}} {
		if resp, _ := do(t, "DELETE", s.URL+"/v1/notes/1", h, ""); resp.StatusCode != 401 {
			t.Errorf("%v: %d", h, resp.StatusCode)
		}
	}
}

func TestPrincipalOfATenantIsNeverRoot(t *testing.T) {
	s, _ := start(t, nil)
	_, body := do(t, "GET", s.URL+"/v1/notes/7", map[string]string{"X-API-Key": aliceK}, "")
	if !strings.Contains(body, `"root":false`) || !strings.Contains(body, `"tenant":"alice"`) {
		t.Error(body)
	}
}

func TestHalfAnAnswerIsCutOff(t *testing.T) {
	s, log := start(t, nil)
	resp, err := http.Get(s.URL + "/half")
	if err == nil {
		_, err = io.ReadAll(resp.Body)
		resp.Body.Close()
	}
	if err == nil {
		t.Error("the client took half an answer for the whole")
	}
	if !strings.Contains(log.String(), "too late") {
		t.Error("the panic is not in the log")
	}
}

func TestChunkedBodyOverTheLimit(t *testing.T) {
	s, _ := start(t, nil)
	req, _ := http.NewRequest("POST", s.URL+"/v1/notes", io.MultiReader(strings.NewReader(`{"text":"`), strings.NewReader(strings.Repeat("a", 500)+`"}`)))
	req.Header.Set("X-API-Key", aliceK)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 413 {
		t.Errorf("status %d", resp.StatusCode)
	}
}

// TestSlowBody: a body that does not come ends the request; a handler that
// works on after its body came is left alone.
func TestSlowBody(t *testing.T) {
	release := make(chan struct{})
	s, _ := start(t, func(c *api.Config) {
		c.BodyTimeout = 100 * time.Millisecond
		c.Routes = append(c.Routes, api.Route{Method: "POST", Pattern: "/long", Auth: api.Public, Handle: func(w http.ResponseWriter, r *http.Request) error {
			if _, err := api.ReadBody(r); err != nil {
				return err
			}
			select {
			case <-release:
				return api.WriteJSON(w, 200, "done")
			case <-r.Context().Done():
				return r.Context().Err()
			}
		}})
	})
	body, sender := io.Pipe()
	defer sender.Close()
	go func() { _, _ = io.WriteString(sender, `{"te`) }()
	req, _ := http.NewRequest("POST", s.URL+"/v1/notes", body)
	req.Header.Set("X-API-Key", aliceK)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 408 {
		t.Errorf("status %d, want 408", resp.StatusCode)
	}
	time.AfterFunc(400*time.Millisecond, func() { close(release) })
	if resp, text := do(t, "POST", s.URL+"/long", nil, "{}"); resp.StatusCode != 200 {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
}

func TestRateLimitAnswer(t *testing.T) {
	s, _ := start(t, func(c *api.Config) { c.Rate, c.Burst = 1, 2 })
	h := map[string]string{"X-API-Key": aliceK}
	for i := range 2 {
		if resp, _ := do(t, "GET", s.URL+"/v1/notes/1", h, ""); resp.StatusCode != 200 {
			t.Fatalf("request %d: %d", i, resp.StatusCode)
		}
	}
	resp, body := do(t, "GET", s.URL+"/v1/notes/1", h, "")
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" || !strings.Contains(body, "rate_limited") {
		t.Errorf("%d %q %s", resp.StatusCode, resp.Header.Get("Retry-After"), body)
	}
	for range 5 {
		if resp, _ := do(t, "GET", s.URL+"/v1/notes/1", map[string]string{"X-API-Key": rootKey}, ""); resp.StatusCode != 200 {
			t.Fatalf("root: %d", resp.StatusCode)
		}
	}
}

func TestBadRoutesAreErrors(t *testing.T) {
	cfg := api.DefaultConfig()
	cfg.Log = slog.New(slog.DiscardHandler)
	ok := func(http.ResponseWriter, *http.Request) error { return nil }
	for name, list := range map[string][]api.Route{
		"twice":      {{Method: "GET", Pattern: "/a", Handle: ok}, {Method: "GET", Pattern: "/a", Handle: ok}},
		"conflict":   {{Method: "GET", Pattern: "/a/{x}", Handle: ok}, {Method: "GET", Pattern: "/a/{y}", Handle: ok}},
		"no handler": {{Method: "GET", Pattern: "/a"}},
	} {
		cfg.Routes = list
		if _, err := api.NewMux(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for name, bad := range map[string]api.Config{"zero": {}, "rate": {Log: cfg.Log, Rate: -1}, "body": {Log: cfg.Log, Rate: 1}} {
		if _, err := api.NewMux(bad); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
