package api

// The mux: every request's way from the socket to its route's handler.

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// Config of the HTTP edge.
type Config struct {
	Routes       []Route
	RootKey      string                             // the root key; empty: nobody is root
	Authenticate func(key string) (Principal, bool) // whose key this is; nil: only root has one
	Sessions     *SessionConfig                     // nil: no sessions, keys only
	Shapes       []Shape                            // how problems look under other products' paths
	Log          *slog.Logger
	Rate         float64       // requests per minute of a key without a rate of its own, whose bursts are twice that
	Burst        int           // requests that such a key may send at once
	MaxBody      int64         // bytes, of routes that name none
	BodyTimeout  time.Duration // how long a client may take to send a body
	Title        string        // of the OpenAPI document
	Version      string        // of the OpenAPI document
}

// DefaultConfig allows 100 requests a minute and key with bursts of 200, and
// bodies of 1 MiB.
func DefaultConfig() Config {
	return Config{Rate: 100, Burst: 200, MaxBody: 1 << 20, BodyTimeout: time.Minute, Title: "hookstream", Version: "1"}
}

// Validate names the field that is wrong and the cure.
func (c Config) Validate() error {
	switch {
	case c.Log == nil:
		return errors.New("api: Log is nil; pass a logger")
	case c.Rate <= 0 || c.Rate > MaxRate:
		return fmt.Errorf("api: Rate is %v; give 1 to %d requests per minute", c.Rate, MaxRate)
	case c.Burst < 1:
		return fmt.Errorf("api: Burst is %d; give at least 1", c.Burst)
	case c.MaxBody <= 0:
		return fmt.Errorf("api: MaxBody is %d; give bytes", c.MaxBody)
	case c.BodyTimeout <= 0:
		return fmt.Errorf("api: BodyTimeout is %v; give a time", c.BodyTimeout)
	}
	for _, s := range c.Shapes {
		if err := s.Validate(); err != nil {
			return err
		}
	}
	if c.Sessions != nil {
		return c.Sessions.Validate()
	}
	return nil
}

// Mux serves the routes: request id, security headers, body limit, key, rate
// limit, handler, problem answers, one log line a request.
type Mux struct {
	cfg      Config
	mux      *http.ServeMux
	keys     *keys
	sessions *sessions // nil: off
	limits   *limits
}

// NewMux builds the mux and adds GET /openapi.json and the routes of sessions.
// Two routes of one method and pattern are an error.
func NewMux(cfg Config) (m *Mux, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	m = &Mux{cfg: cfg, mux: http.NewServeMux(), keys: newKeys(cfg.RootKey, cfg.Authenticate), limits: newLimits(cfg.Rate, cfg.Burst)}
	routes := cfg.Routes[:len(cfg.Routes):len(cfg.Routes)]
	if cfg.Sessions != nil {
		m.sessions = newSessions(*cfg.Sessions, m.keys)
		routes = append(routes, m.sessions.routes()...)
	}
	document, err := OpenAPI(cfg.Title, cfg.Version, routes)
	if err != nil {
		return nil, err
	}
	routes = append(routes, Route{
		Method: http.MethodGet, Pattern: "/openapi.json", Auth: Public,
		Handle: func(w http.ResponseWriter, _ *http.Request) error {
			return writeBytes(w, http.StatusOK, "application/json", document)
		},
	})
	for _, route := range routes {
		if err := m.add(route); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *Mux) add(route Route) (err error) {
	pattern := route.Method + " " + route.Pattern
	if route.Handle == nil {
		return fmt.Errorf("route %s: Handle is nil", pattern)
	}
	if route.MaxBody == 0 {
		route.MaxBody = m.cfg.MaxBody
	}
	// The standard mux reports a bad or doubled pattern by panicking.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("route %s: %v", pattern, p)
		}
	}()
	m.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		x := w.(*exchange)
		if err := m.run(x, r, route); err != nil {
			m.fail(x, r, err)
		}
	})
	return nil
}

// ServeHTTP serves one request.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{ResponseWriter: w, id: newRequestID(), start: time.Now(), shape: m.shapeOf(r.URL.Path)}
	h := w.Header()
	h.Set("X-Request-Id", x.id)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	defer func() {
		m.rescue(x, r, recover())
	}()
	if _, pattern := m.mux.Handler(r); pattern == "" {
		m.fail(x, r, m.unrouted(r))
		return
	}
	m.mux.ServeHTTP(x, r)
}

// rescue ends a request: it answers a panic, writes the access line, and cuts
// the connection when an answer was already under way, so that the client does
// not take half of it for the whole.
func (m *Mux) rescue(x *exchange, r *http.Request, panicked any) {
	cut := false
	if panicked != nil {
		if err, ok := panicked.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			cut = true
		} else {
			cut = x.status != 0
			m.logPanic(x, r, panicked)
			if !cut {
				m.write(x, Fail(http.StatusInternalServerError, "internal", "", "something went wrong here; the id is in our log"))
			}
		}
	}
	m.access(x, r)
	if cut {
		panic(http.ErrAbortHandler)
	}
}

// unrouted is the problem of a request that no route takes: 405 when the path
// is known under other methods, else 404.
func (m *Mux) unrouted(r *http.Request) error {
	var allow []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions} {
		if method == r.Method {
			continue
		}
		probe := *r
		probe.Method = method
		if _, pattern := m.mux.Handler(&probe); pattern != "" {
			allow = append(allow, method)
		}
	}
	if len(allow) == 0 {
		return Fail(http.StatusNotFound, "not_found", "", "there is no %s; see /openapi.json for the paths", r.URL.Path)
	}
	return &methodProblem{allow: strings.Join(allow, ", ")}
}

type methodProblem struct{ allow string }

func (e *methodProblem) Error() string { return "method not allowed; use " + e.allow }

// run takes a routed request through key, limits and body to its handler.
func (m *Mux) run(x *exchange, r *http.Request, route Route) error {
	x.route = route.Method + " " + route.Pattern
	if route.Auth != Public {
		p, err := m.principal(x, r)
		if err != nil {
			return err
		}
		x.principal = p
		if !p.Root {
			if wait := m.limits.take(p.KeyID, p.Rate, time.Now()); wait > 0 {
				problem := Fail(http.StatusTooManyRequests, "rate_limited", "", "this key made too many requests; wait %d s, or contact support, the operator of this service, for a higher limit", seconds(wait))
				problem.RetryAfter = seconds(wait)
				return problem
			}
			if route.Auth == Root {
				return Fail(http.StatusForbidden, "root_only", "", "this needs the root key")
			}
		}
		r = r.WithContext(WithPrincipal(r.Context(), p))
	}
	if r.ContentLength > route.MaxBody {
		return Fail(http.StatusRequestEntityTooLarge, "too_large", "", "the body has %d bytes; send at most %d", r.ContentLength, route.MaxBody)
	}
	if r.Body != nil && r.Body != http.NoBody {
		m.boundBody(x, r, route.MaxBody)
	}
	return route.Handle(x, r)
}

// principal is who sent a request: a key stands over a cookie, and needs no
// proof that the request comes from this site.
func (m *Mux) principal(x *exchange, r *http.Request) (Principal, error) {
	if m.sessions != nil && RequestKey(r) == "" {
		p, until, ok, err := m.sessions.principal(r)
		if ok || err != nil {
			x.until = until
			return p, err
		}
	}
	return m.keys.principal(r)
}

const requestAlphabet = "0123456789abcdefghjkmnpqrstvwxyz"

func newRequestID() string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return "req_" + base32.NewEncoding(requestAlphabet).WithPadding(base32.NoPadding).EncodeToString(b[:])
}
