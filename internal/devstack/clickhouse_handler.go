package devstack

// The HTTP side of the ClickHouse server: who may ask, and what is asked.

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// handler serves the ClickHouse HTTP interface on one engine.
type handler struct {
	cfg      ClickHouseConfig
	engine   *engine
	logger   *slog.Logger
	version  string // of the engine
	timezone string
	queries  chan struct{} // a place for each running statement
	inserts  chan struct{} // and for each running insert

	mu      sync.Mutex
	running map[string]struct{} // ids of statements in the engine
}

func newHandler(cfg ClickHouseConfig, eng *engine) (*handler, error) {
	h := &handler{
		cfg: cfg, engine: eng, logger: cfg.Logger,
		queries: make(chan struct{}, cfg.Queries), inserts: make(chan struct{}, cfg.Inserts),
		running: map[string]struct{}{},
	}
	s, err := eng.connect()
	if err != nil {
		return nil, err
	}
	defer s.close()
	r := s.query("SELECT version(), timezone()", "TabSeparated", nil)
	defer r.free()
	if err := r.err(); err != nil {
		return nil, fmt.Errorf("asking the engine for its version: %w", err)
	}
	h.version, h.timezone, _ = strings.Cut(strings.TrimSpace(string(r.bytes())), "\t")
	return h, nil
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/ping", "/replicas_status":
		w.Header().Set(pidHeader, strconv.Itoa(os.Getpid()))
		_, _ = w.Write([]byte("Ok.\n"))
		return
	case "/", "":
	default:
		http.Error(w, "there is no "+r.URL.Path+"; statements go to /", http.StatusNotFound)
		return
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		h.fail(w, newEngineError(codeBadArguments, "the URL's parameters cannot be read: %v", err))
		return
	}
	if r.Method == http.MethodGet && r.URL.RawQuery == "" {
		_, _ = w.Write([]byte("Ok.\n"))
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		w.Header().Set("Allow", "GET, POST")
		http.Error(w, "give statements with GET or POST", http.StatusMethodNotAllowed)
		return
	}
	if fromElsewhere(r) {
		http.Error(w, "requests of web pages are refused", http.StatusForbidden)
		return
	}
	if !h.known(r, values) {
		w.Header().Set("WWW-Authenticate", `Basic realm="ClickHouse server HTTP API"`)
		h.failWith(w, http.StatusForbidden, newEngineError(codeAuthentication,
			"%s: Authentication failed: password is incorrect, or there is no user with such name. (AUTHENTICATION_FAILED)", requestUser(r, values)))
		return
	}
	h.statement(w, r, values)
}

// fromElsewhere tells requests that a browser makes for some web page: a page
// on the internet can reach this machine's loopback through its reader's browser.
func fromElsewhere(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "none" && site != "same-origin" {
		return true
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		u, err := url.Parse(origin)
		if err != nil || u.Host != r.Host {
			return true
		}
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	// A name that points here (DNS rebinding) is somebody else's page as well.
	return host != "localhost" && net.ParseIP(strings.Trim(host, "[]")) == nil
}

func requestUser(r *http.Request, values url.Values) string {
	user, _, basic := r.BasicAuth()
	switch {
	case basic:
	case r.Header.Get("X-ClickHouse-User") != "":
		user = r.Header.Get("X-ClickHouse-User")
	default:
		user = values.Get("user")
	}
	if user == "" {
		return "default"
	}
	return user
}

// known checks user and password, wherever the request carries them.
func (h *handler) known(r *http.Request, values url.Values) bool {
	_, password, _ := r.BasicAuth()
	for _, other := range []string{r.Header.Get("X-ClickHouse-Key"), values.Get("password")} {
		if password == "" {
			password = other
		}
	}
	user := subtle.ConstantTimeCompare([]byte(requestUser(r, values)), []byte(h.cfg.User)) == 1
	return user && (h.cfg.Password == "" || subtle.ConstantTimeCompare([]byte(password), []byte(h.cfg.Password)) == 1)
}

// fail answers an error in ClickHouse's way, before anything was sent.
func (h *handler) fail(w http.ResponseWriter, err error) {
	h.failWith(w, http.StatusInternalServerError, err)
}

func (h *handler) failWith(w http.ResponseWriter, status int, err error) {
	var e *engineError
	if !errors.As(err, &e) {
		e = newEngineError(codeUnknown, "%v", err)
	}
	head := w.Header()
	head.Set("Content-Type", "text/plain; charset=UTF-8")
	head.Set("X-ClickHouse-Exception-Code", fmt.Sprint(e.Code))
	head.Del("Content-Encoding")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(strings.TrimRight(e.Message, "\n") + "\n"))
}

// enter takes a place among the statements that may run, or gives up with the request.
func enter(ctx context.Context, places chan struct{}) (leave func(), err error) {
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	case <-ctx.Done():
		return nil, newEngineError(codeTooMany, "the request ended while it waited for its turn")
	}
}

// begin notes a statement as running until the returned function is called.
func (h *handler) begin(id string) (end func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.running[id] = struct{}{}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.running, id)
	}
}

// kill stops a statement by the comment that its session carries. ASYNC: a
// stopped statement stays listed until its session closes, so waiting for it
// from here could wait for ever.
func (h *handler) kill(comment string) {
	s, err := h.engine.connect()
	if err == nil {
		defer s.close()
		err = s.exec("KILL QUERY WHERE Settings['log_comment'] = " + quoteSQL(comment) + " ASYNC")
	}
	if err != nil {
		h.logger.Warn("stopping a statement whose client left", "error", err)
	}
}

func (h *handler) killAll() {
	h.mu.Lock()
	ids := make([]string, 0, len(h.running))
	for id := range h.running {
		ids = append(ids, id)
	}
	h.mu.Unlock()
	for _, id := range ids {
		h.kill(id)
	}
}

// idle waits until no statement runs, for at most wait.
func (h *handler) idle(wait time.Duration) bool {
	for deadline := time.Now().Add(wait); ; time.Sleep(10 * time.Millisecond) {
		h.mu.Lock()
		n := len(h.running)
		h.mu.Unlock()
		if n == 0 || time.Now().After(deadline) {
			return n == 0
		}
	}
}

// newTag is a random name of 16 characters.
func newTag() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
