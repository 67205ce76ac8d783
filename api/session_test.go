package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookstream/hookstream/api"
)

// keyring is what a registry would know: keys by id, changed while it serves.
type keyring struct {
	mu     sync.Mutex
	prints map[string]string // of key ids of alice
}

func (k *keyring) known(tenant, keyID string) (api.Principal, string, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	print, ok := k.prints[keyID]
	if tenant != "alice" || !ok {
		return api.Principal{}, "", false
	}
	return api.Principal{Tenant: tenant, KeyID: keyID, Root: true}, print, true // Root must not come through
}

func (k *keyring) set(keyID, print string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.prints[keyID] = print; print == "" {
		delete(k.prints, keyID)
	}
}

func newKeyring() *keyring { return &keyring{prints: map[string]string{"key_alice": "first"}} }

func withSessions(k *keyring, secrets ...string) func(*api.Config) {
	return func(c *api.Config) {
		c.Sessions = &api.SessionConfig{Known: k.known}
		for _, s := range secrets {
			c.Sessions.Secrets = append(c.Sessions.Secrets, []byte(strings.Repeat(s, 32)))
		}
		c.Shapes = []api.Shape{{Prefix: "/v1/shaped", Write: func(p api.Problem) (int, any) {
			return p.Status, map[string]string{"oops": p.Code}
		}}}
		c.Routes = append(c.Routes, api.Route{Method: "POST", Pattern: "/v1/shaped/{id}", Auth: api.Key, MaxBody: 8,
			Handle: func(w http.ResponseWriter, r *http.Request) error {
				if _, err := api.ReadBody(r); err != nil {
					return err
				}
				return api.NotFound("thing", r.PathValue("id"))
			}})
	}
}

// signIn gives the Cookie header of a new session.
func signIn(t *testing.T, url, key string) (cookie string, set *http.Cookie) {
	t.Helper()
	resp, body := do(t, "POST", url+"/v1/session", nil, `{"key":"`+key+`"}`)
	if resp.StatusCode != 200 || len(resp.Cookies()) != 1 {
		t.Fatalf("signing in: %d %s %v", resp.StatusCode, body, resp.Header)
	}
	set = resp.Cookies()[0]
	return set.Name + "=" + set.Value, set
}

func whoami(t *testing.T, url string, headers map[string]string) (int, api.Session) {
	t.Helper()
	resp, body := do(t, "GET", url+"/v1/session", headers, "")
	var s api.Session
	if resp.StatusCode == 200 {
		if err := json.Unmarshal([]byte(body), &s); err != nil {
			t.Fatal(err)
		}
	}
	return resp.StatusCode, s
}

func TestSessionCookie(t *testing.T) {
	s, log := start(t, withSessions(newKeyring(), "s"))
	cookie, set := signIn(t, s.URL, aliceK)
	if set.Name != "hookstream_session" || !set.HttpOnly || set.SameSite != http.SameSiteStrictMode || set.Secure || set.Path != "/" || set.MaxAge != 12*3600 {
		t.Errorf("cookie %+v", set)
	}
	if strings.Contains(set.Value, aliceK) || strings.Contains(log.String(), set.Value) {
		t.Error("the key is in the cookie, or the cookie in the log")
	}
	if status, who := whoami(t, s.URL, map[string]string{"Cookie": cookie}); status != 200 || who.Tenant != "alice" || who.KeyID != "key_alice" || who.Root || who.ExpiresAt == nil {
		t.Errorf("%d %+v", status, who)
	}
	if resp, body := do(t, "GET", s.URL+"/v1/notes/1", map[string]string{"Cookie": cookie}, ""); resp.StatusCode != 200 || !strings.Contains(body, `"tenant":"alice"`) {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if resp, _ := do(t, "DELETE", s.URL+"/v1/notes/1", map[string]string{"Cookie": cookie}, ""); resp.StatusCode != 403 {
		t.Errorf("a tenant's session on a route for root: %d", resp.StatusCode)
	}
	root, _ := signIn(t, s.URL, rootKey)
	if resp, _ := do(t, "DELETE", s.URL+"/v1/notes/1", map[string]string{"Cookie": root}, ""); resp.StatusCode != 204 {
		t.Errorf("root's session on a route for root: %d", resp.StatusCode)
	}
	// A key says who it is too, and stands over the cookie, right or wrong.
	if status, who := whoami(t, s.URL, map[string]string{"Cookie": cookie, "X-API-Key": rootKey}); status != 200 || !who.Root || who.ExpiresAt != nil {
		t.Errorf("%d %+v", status, who)
	}
	if status, _ := whoami(t, s.URL, map[string]string{"Cookie": cookie, "Authorization": "Bearer wrong"}); status != 401 {
		t.Errorf("a wrong key beside a cookie: %d", status)
	}
	for _, h := range []map[string]string{nil, {"Cookie": "hookstream_session="}, {"Cookie": "hookstream_session=x.y"}, {"Cookie": cookie[:len(cookie)-2] + "AA"}, {"Cookie": "hookstream_session=" + strings.SplitN(root, "=", 2)[1][:40] + "." + strings.SplitN(cookie, ".", 2)[1]}} {
		if status, _ := whoami(t, s.URL, h); status != 401 {
			t.Errorf("%v: %d", h, status)
		}
	}
	// A cookie of that name that another domain planted hides nothing.
	if status, _ := whoami(t, s.URL, map[string]string{"Cookie": "hookstream_session=planted; " + cookie}); status != 200 {
		t.Errorf("beside a planted cookie: %d", status)
	}
	// Signing out works without a session, and with one that is over.
	for _, h := range []map[string]string{nil, {"Cookie": cookie}, {"Cookie": "hookstream_session=old"}} {
		resp, _ := do(t, "DELETE", s.URL+"/v1/session", h, "")
		if resp.StatusCode != 204 || len(resp.Cookies()) != 1 || resp.Cookies()[0].MaxAge >= 0 {
			t.Errorf("signing out: %d %v", resp.StatusCode, resp.Header)
		}
	}
	for body, want := range map[string]int{`{"key":"wrong"}`: 401, `{"key":""}`: 422, `{}`: 422, `nonsense`: 400, `{"key":1}`: 422} {
		if resp, text := do(t, "POST", s.URL+"/v1/session", nil, body); resp.StatusCode != want || len(resp.Cookies()) != 0 {
			t.Errorf("%s: %d %s", body, resp.StatusCode, text)
		}
	}
}

func TestSessionsAreInTheDocument(t *testing.T) {
	for _, c := range []struct {
		change func(*api.Config)
		want   bool
	}{{nil, false}, {withSessions(newKeyring(), "s"), true}} {
		s, _ := start(t, c.change)
		_, body := do(t, "GET", s.URL+"/openapi.json", nil, "")
		var doc struct {
			Paths map[string]map[string]json.RawMessage
		}
		if err := json.Unmarshal([]byte(body), &doc); err != nil {
			t.Fatal(err)
		}
		if got := len(doc.Paths["/v1/session"]) == 3; got != c.want {
			t.Errorf("routes of sessions in the document: %v, want %v", got, c.want)
		}
	}
}

func TestSessionCookieIsSecureOverTLS(t *testing.T) {
	s, _ := start(t, withSessions(newKeyring(), "s"))
	resp, _ := do(t, "POST", s.URL+"/v1/session", map[string]string{"X-Forwarded-Proto": "https"}, `{"key":"`+aliceK+`"}`)
	if c := resp.Cookies(); len(c) != 1 || !c[0].Secure {
		t.Errorf("behind a proxy with TLS: %v", c)
	}
	s, _ = start(t, func(c *api.Config) { withSessions(newKeyring(), "s")(c); c.Sessions.Secure = true })
	if _, set := signIn(t, s.URL, aliceK); !set.Secure {
		t.Errorf("by setting: %v", set)
	}
}

// TestSessionEndsWithItsKey: the cookie is all there is of a session, yet it is
// refused as soon as its key is deleted or another key has its id.
func TestSessionEndsWithItsKey(t *testing.T) {
	k := newKeyring()
	s, _ := start(t, withSessions(k, "s"))
	cookie, _ := signIn(t, s.URL, aliceK)
	as := map[string]string{"Cookie": cookie}
	for _, c := range []struct {
		print string
		want  int
	}{{"first", 200}, {"second", 401}, {"first", 200}, {"", 401}} {
		k.set("key_alice", c.print)
		if status, _ := whoami(t, s.URL, as); status != c.want {
			t.Errorf("fingerprint %q: %d, want %d", c.print, status, c.want)
		}
	}
	if resp, body := do(t, "POST", s.URL+"/v1/session", nil, `{"key":"`+aliceK+`"}`); resp.StatusCode != 401 {
		t.Errorf("signing in with a key that goes just now: %d %s", resp.StatusCode, body)
	}
	root, _ := signIn(t, s.URL, rootKey)
	other, _ := start(t, func(c *api.Config) { withSessions(k, "s")(c); c.RootKey = "another-root-key" })
	if status, _ := whoami(t, other.URL, map[string]string{"Cookie": root}); status != 401 {
		t.Errorf("root's session under another root key: %d", status)
	}
}

// TestSessionSecretsChange: a new secret in front ends no session, a secret
// taken away ends those it made.
func TestSessionSecretsChange(t *testing.T) {
	k := newKeyring()
	before, _ := start(t, withSessions(k, "a"))
	both, _ := start(t, withSessions(k, "b", "a"))
	after, _ := start(t, withSessions(k, "b"))
	old, _ := signIn(t, before.URL, aliceK)
	made, _ := signIn(t, both.URL, aliceK)
	for _, c := range []struct {
		name, url, cookie string
		want              int
	}{
		{"old under both", both.URL, old, 200}, {"old after", after.URL, old, 401},
		{"new after", after.URL, made, 200}, {"new before", before.URL, made, 401},
	} {
		if status, _ := whoami(t, c.url, map[string]string{"Cookie": c.cookie}); status != c.want {
			t.Errorf("%s: %d, want %d", c.name, status, c.want)
		}
	}
}

// TestSessionsOfOtherSitesAreRefused: a browser that another site sends here
// brings the cookie along, but no change is made with it.
func TestSessionsOfOtherSitesAreRefused(t *testing.T) {
	s, _ := start(t, withSessions(newKeyring(), "s"))
	cookie, _ := signIn(t, s.URL, aliceK)
	host := strings.TrimPrefix(s.URL, "http://")
	for _, c := range []struct {
		name    string
		headers map[string]string
		want    int
	}{
		{"no browser", nil, 200},
		{"this site", map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": s.URL}, 200},
		{"this site, old browser", map[string]string{"Origin": "http://" + host}, 200},
		{"another site", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 403},
		{"another port", map[string]string{"Sec-Fetch-Site": "same-site"}, 403},
		{"another site, old browser", map[string]string{"Origin": "https://evil.example"}, 403},
		{"a sandboxed frame", map[string]string{"Origin": "null"}, 403},
	} {
		h := map[string]string{"Cookie": cookie}
		for k, v := range c.headers {
			h[k] = v
		}
		if resp, body := do(t, "POST", s.URL+"/v1/notes", h, `{"text":"a"}`); resp.StatusCode != c.want {
			t.Errorf("%s: %d %s", c.name, resp.StatusCode, body)
		}
		if resp, _ := do(t, "GET", s.URL+"/v1/notes/1", h, ""); resp.StatusCode != 200 {
			t.Errorf("%s: reading: %d", c.name, resp.StatusCode)
		}
		// A key is proof enough.
		h["X-API-Key"] = aliceK
		if resp, body := do(t, "POST", s.URL+"/v1/notes", h, `{"text":"a"}`); resp.StatusCode != 200 {
			t.Errorf("%s, with a key: %d %s", c.name, resp.StatusCode, body)
		}
		delete(h, "X-API-Key")
		for method, want := range map[string]int{"POST": 200, "DELETE": 204} {
			if c.want == 403 {
				want = 403
			}
			if resp, _ := do(t, method, s.URL+"/v1/session", h, `{"key":"`+aliceK+`"}`); resp.StatusCode != want {
				t.Errorf("%s: %s /v1/session: %d, want %d", c.name, method, resp.StatusCode, want)
			}
		}
	}
}

// serve is a request without a network, so that time may be virtual.
func serve(t *testing.T, h http.Handler, method, path, remote string, headers map[string]string, body string) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, path, bytes.NewReader([]byte(body)))
	req.RemoteAddr = remote
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}

func mux(t *testing.T, change func(*api.Config)) *api.Mux {
	t.Helper()
	var m *api.Mux
	s, _ := start(t, change)
	m, _ = s.Config.Handler.(*api.Mux)
	return m
}

func TestSessionIsOverAfterItsLife(t *testing.T) {
	m := mux(t, withSessions(newKeyring(), "s"))
	synctest.Test(t, func(t *testing.T) {
		w := serve(t, m, "POST", "/v1/session", "192.0.2.1:1", nil, `{"key":"`+aliceK+`"}`)
		cookie := strings.SplitN(w.Header().Get("Set-Cookie"), ";", 2)[0]
		for _, c := range []struct {
			after time.Duration
			want  int
		}{{0, 200}, {11*time.Hour + 59*time.Minute, 200}, {time.Minute, 401}} {
			time.Sleep(c.after)
			if got := serve(t, m, "GET", "/v1/session", "192.0.2.1:1", map[string]string{"Cookie": cookie}, ""); got.Code != c.want {
				t.Errorf("%v later: %d, want %d", c.after, got.Code, c.want)
			}
		}
	})
}

// TestWrongKeysAreLimitedPerAddress: guessing is stopped, for one network and
// not for others, and who knows the key is never stopped by signing in often.
func TestWrongKeysAreLimitedPerAddress(t *testing.T) {
	m := mux(t, withSessions(newKeyring(), "s"))
	synctest.Test(t, func(t *testing.T) {
		guess := func(remote, key string) *httptest.ResponseRecorder {
			return serve(t, m, "POST", "/v1/session", remote, nil, `{"key":"`+key+`"}`)
		}
		for i := range 50 {
			if w := guess("192.0.2.1:1000", aliceK); w.Code != 200 {
				t.Fatalf("right key, time %d: %d", i, w.Code)
			}
		}
		for _, network := range []string{"192.0.2.1:%d", "[2001:db8:0:1::%x]:5"} {
			for i := range 10 {
				if w := guess(fmt.Sprintf(network, i+1), "wrong"); w.Code != 401 {
					t.Fatalf("wrong key %d: %d", i, w.Code)
				}
			}
			for _, key := range []string{"wrong", aliceK} {
				if w := guess(fmt.Sprintf(network, 77), key); w.Code != 429 || w.Header().Get("Retry-After") == "" || len(w.Result().Cookies()) != 0 {
					t.Errorf("%s after ten wrong ones: %d %v", key, w.Code, w.Header())
				}
			}
		}
		for _, other := range []string{"192.0.2.2:1", "[2001:db8:0:2::1]:1"} {
			if w := guess(other, aliceK); w.Code != 200 {
				t.Errorf("another address: %d", w.Code)
			}
		}
		if w := serve(t, m, "GET", "/v1/session", "192.0.2.1:1", map[string]string{"X-API-Key": aliceK}, ""); w.Code != 200 {
			t.Errorf("a key in a header from that address: %d", w.Code)
		}
		time.Sleep(time.Minute)
		if w := guess("192.0.2.1:1", aliceK); w.Code != 200 {
			t.Errorf("a minute later: %d", w.Code)
		}
	})
}

// TestShapes: under another product's path every problem has that product's
// form, those of the mux included; elsewhere none has.
func TestShapes(t *testing.T) {
	s, _ := start(t, func(c *api.Config) { withSessions(newKeyring(), "s")(c); c.Rate, c.Burst = 1, 4 })
	as := map[string]string{"X-API-Key": aliceK}
	for _, c := range []struct {
		name, method, path, body string
		headers                  map[string]string
		status                   int
		code                     string
	}{
		{"no key", "POST", "/v1/shaped/1", "", nil, 401, "no_key"},
		{"wrong key", "POST", "/v1/shaped/1", "", map[string]string{"X-API-Key": "x"}, 401, "bad_key"},
		{"a session that is over", "POST", "/v1/shaped/1", "", map[string]string{"Cookie": "hookstream_session=x"}, 401, "no_session"},
		{"unknown path", "POST", "/v1/shaped/1/2", "", as, 404, "not_found"},
		{"wrong method", "PUT", "/v1/shaped/1", "", as, 405, "method_not_allowed"},
		{"handler", "POST", "/v1/shaped/1", "", as, 404, "not_found"},
		{"too large", "POST", "/v1/shaped/1", "0123456789", as, 413, "too_large"},
	} {
		resp, body := do(t, c.method, s.URL+c.path, c.headers, c.body)
		if resp.StatusCode != c.status || body != `{"oops":"`+c.code+`"}`+"\n" || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s %s", c.name, resp.StatusCode, resp.Header.Get("Content-Type"), body)
		}
	}
	_, _ = do(t, "POST", s.URL+"/v1/shaped/1", as, "")
	_, _ = do(t, "POST", s.URL+"/v1/shaped/1", as, "")
	if resp, body := do(t, "POST", s.URL+"/v1/shaped/1", as, ""); resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" || !strings.Contains(body, `{"oops":"rate_limited"}`) {
		t.Errorf("over the limit: %d %s", resp.StatusCode, body)
	}
	if resp, body := do(t, "GET", s.URL+"/v1/shapedelsewhere", nil, ""); resp.StatusCode != 404 || resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("another path that begins alike: %d %s", resp.StatusCode, body)
	}
}

func TestSessionConfigIsChecked(t *testing.T) {
	good := api.SessionConfig{Secrets: [][]byte{make([]byte, 32)}, Known: newKeyring().known}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for field, change := range map[string]func(*api.SessionConfig){
		"Secrets": func(c *api.SessionConfig) { c.Secrets = nil },
		"31":      func(c *api.SessionConfig) { c.Secrets = [][]byte{make([]byte, 31)} },
		"Known":   func(c *api.SessionConfig) { c.Known = nil },
		"Life":    func(c *api.SessionConfig) { c.Life = -1 },
	} {
		c := good
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	write := func(api.Problem) (int, any) { return 0, nil }
	for _, s := range []api.Shape{{}, {Prefix: "api", Write: write}, {Prefix: "/api/", Write: write}, {Prefix: "/api"}} {
		if s.Validate() == nil {
			t.Errorf("%q is taken", s.Prefix)
		}
	}
}
