package endpoint_test

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

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/delivery/endpoint"
	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

const rootKey = "root-key-of-the-tests"

// loop is a registry whose topics are a list: what was written is applied at
// the next barrier, not before.
type loop struct {
	t        testing.TB
	registry *endpoint.Registry
	server   *httptest.Server
	topology schemas.Topology

	mu      sync.Mutex
	records []schemas.Record
	applied int
	events  []schemas.Event
	notices []schemas.Notice
	fail    error // of the next write

	logMu sync.Mutex // its own: the registry logs while a record is applied
	log   bytes.Buffer
}

// Write is the log's writer.
func (l *loop) Write(p []byte) (int, error) {
	l.logMu.Lock()
	defer l.logMu.Unlock()
	return l.log.Write(p)
}

func (l *loop) config(profiles *profile.Set) endpoint.Config {
	ring, err := endpoint.ParseKeyring(endpoint.NewMasterKey())
	if err != nil {
		l.t.Fatal(err)
	}
	return endpoint.Config{
		Topology: l.topology, Profiles: profiles, Keyring: ring,
		CheckURL: func(raw string) error {
			if strings.Contains(raw, "forbidden") {
				return errors.New("url: leads to an address that is not allowed")
			}
			return nil
		},
		Write: func(_ context.Context, rec schemas.Record) error {
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.fail != nil {
				return l.fail
			}
			rec.Offset = int64(len(l.records))
			l.records = append(l.records, rec)
			return nil
		},
		Barrier: func(context.Context) error { l.catchUp(); return nil },
		Publish: func(_ context.Context, ev schemas.Event) error {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.events = append(l.events, ev)
			return nil
		},
		Notice: func(_ context.Context, n schemas.Notice) error {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.notices = append(l.notices, n)
			return nil
		},
		Log: slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

// catchUp applies what was written to the registry's topics.
func (l *loop) catchUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for ; l.applied < len(l.records); l.applied++ {
		rec := l.records[l.applied]
		if rec.Topic == l.topology.EndpointsTopic() || rec.Topic == l.topology.TenantsTopic() {
			l.registry.Apply(&rec)
		}
	}
}

func builtin(t testing.TB) *profile.Set {
	t.Helper()
	set, err := profile.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func newLoop(t testing.TB, change func(*endpoint.Config)) *loop {
	t.Helper()
	l := &loop{t: t, topology: schemas.DevTopology()}
	cfg := l.config(builtin(t))
	if change != nil {
		change(&cfg)
	}
	var err error
	if l.registry, err = endpoint.NewRegistry(cfg); err != nil {
		t.Fatal(err)
	}
	edge := api.DefaultConfig()
	edge.Routes, edge.RootKey, edge.Authenticate, edge.Log = l.registry.Routes(), rootKey, l.registry.Authenticate, cfg.Log
	edge.Rate = 10_000
	m, err := api.NewMux(edge)
	if err != nil {
		t.Fatal(err)
	}
	l.server = httptest.NewServer(m)
	t.Cleanup(l.server.Close)
	return l
}

// object is a decoded JSON answer.
type object = map[string]any

type reply struct {
	t      testing.TB
	status int
	header http.Header
	text   string
	body   object
}

// call sends a request with a key, and headers as name, value, …
func (l *loop) call(key, method, path, body string, headers ...string) reply {
	l.t.Helper()
	req, err := http.NewRequest(method, l.server.URL+path, strings.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		l.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	r := reply{t: l.t, status: resp.StatusCode, header: resp.Header, text: string(b)}
	if len(b) > 0 {
		if err := json.Unmarshal(b, &r.body); err != nil {
			l.t.Fatalf("%s %s: %v: %s", method, path, err, b)
		}
	}
	return r
}

// is fails the test unless the status is as wanted.
func (r reply) is(status int) reply {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("status %d, want %d: %s", r.status, status, r.text)
	}
	return r
}

// problem fails the test unless the answer is a problem with this field.
func (r reply) problem(status int, field string) reply {
	r.t.Helper()
	r.is(status)
	if got, _ := r.body["field"].(string); got != field || r.body["code"] == "" {
		r.t.Fatalf("field %q, want %q: %s", got, field, r.text)
	}
	return r
}

func (r reply) str(field string) string {
	r.t.Helper()
	s, _ := r.body[field].(string)
	return s
}

// tenantKey makes a tenant with a key.
func (l *loop) tenantKey(id, profileName string) (key, secret string) {
	l.t.Helper()
	l.call(rootKey, "POST", "/v1/tenants", `{"id":"`+id+`","profile":"`+profileName+`"}`).is(201)
	made := l.call(rootKey, "POST", "/v1/tenants/"+id+"/keys", `{"name":"first"}`).is(201)
	return made.str("key"), made.str("secret")
}
