package smartcv_test

// A registry whose topics are a list, behind the API's own mux.

import (
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

	"github.com/hookstream/hookstream/analytics"
	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/delivery/endpoint"
	"github.com/hookstream/hookstream/products/smartcv"
	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

const rootKey = "root-key-of-the-tests"

type bench struct {
	t        *testing.T
	registry *endpoint.Registry
	server   *httptest.Server

	mu      sync.Mutex
	records []schemas.Record
	applied int
	events  []schemas.Event
	queries []analytics.LogQuery
	rows    []analytics.LogRow // newest first, what the log has
	trouble error              // of reading the log
}

func newBench(t *testing.T, change func(*smartcv.Config)) *bench {
	t.Helper()
	b := &bench{t: t}
	profiles, err := profile.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	ring, err := endpoint.ParseKeyring(endpoint.NewMasterKey())
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	b.registry, err = endpoint.NewRegistry(endpoint.Config{
		Topology: schemas.DevTopology(), Profiles: profiles, Keyring: ring, Log: log,
		CheckURL: func(raw string) error {
			if strings.Contains(raw, "forbidden") {
				return errors.New("url: leads to an address that is not allowed")
			}
			return nil
		},
		Write:   b.write,
		Barrier: func(context.Context) error { b.catchUp(); return nil },
		Publish: func(_ context.Context, ev schemas.Event) error { b.events = append(b.events, ev); return nil },
		Notice:  func(context.Context, schemas.Notice) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	p, _ := profiles.Get(smartcv.ProfileName)
	c := smartcv.Config{Registry: b.registry, Profile: p, Log: log, Logs: b.logs,
		AsOf: func(context.Context) (time.Time, error) { return time.Date(2025, 3, 4, 5, 6, 7, 0, time.UTC), nil }}
	if change != nil {
		change(&c)
	}
	cv, err := smartcv.New(c)
	if err != nil {
		t.Fatal(err)
	}
	cfg := api.DefaultConfig()
	cfg.Routes, cfg.RootKey, cfg.Authenticate, cfg.Log = append(cv.Routes(), b.registry.Routes()...), rootKey, b.registry.Authenticate, log
	cfg.Shapes = []api.Shape{smartcv.Shape()}
	mux, err := api.NewMux(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b.server = httptest.NewServer(mux)
	t.Cleanup(b.server.Close)
	return b
}

func (b *bench) write(_ context.Context, rec schemas.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	rec.Offset = int64(len(b.records))
	b.records = append(b.records, rec)
	return nil
}

func (b *bench) catchUp() {
	b.mu.Lock()
	todo := b.records[b.applied:]
	b.applied = len(b.records)
	b.mu.Unlock()
	for i := range todo {
		b.registry.Apply(&todo[i])
	}
}

// logs pages through rows as the store does.
func (b *bench) logs(_ context.Context, q analytics.LogQuery) (analytics.LogPage, error) {
	b.queries = append(b.queries, q)
	if b.trouble != nil {
		return analytics.LogPage{}, b.trouble
	}
	from := 0
	if q.After != nil {
		for from = range b.rows {
			if b.rows[from].ID == q.After.Delivery {
				break
			}
		}
		from++
	}
	page := analytics.LogPage{Rows: b.rows[from:min(from+q.Limit, len(b.rows))]}
	if from+q.Limit < len(b.rows) {
		page.Next = &analytics.Cursor{Delivery: page.Rows[len(page.Rows)-1].ID}
	}
	return page, nil
}

// tenant makes a tenant and gives a key of it.
func (b *bench) tenant(id, profileName string) string {
	b.t.Helper()
	b.call(rootKey, "POST", "/v1/tenants", `{"id":"`+id+`","profile":"`+profileName+`"}`).is(201)
	return b.call(rootKey, "POST", "/v1/tenants/"+id+"/keys", "").is(201).body["key"].(string)
}

type reply struct {
	t      *testing.T
	what   string
	status int
	header http.Header
	text   string
	body   map[string]any
}

func (b *bench) call(key, method, path, body string) reply {
	b.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, b.server.URL+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	r := reply{t: b.t, what: method + " " + path + " " + body, status: resp.StatusCode, header: resp.Header, text: string(text)}
	_ = json.Unmarshal(text, &r.body)
	return r
}

func (r reply) is(status int) reply {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("%s: %d, want %d: %s", r.what, r.status, status, r.text)
	}
	return r
}

// data is the data of a success.
func (r reply) data() map[string]any {
	r.t.Helper()
	data, ok := r.body["data"].(map[string]any)
	if !ok || r.body["success"] != true || len(r.body) != 2 || r.header.Get("Content-Type") != "application/json" {
		r.t.Fatalf("%s: %s", r.what, r.text)
	}
	return data
}

// list is the data of a success that lists.
func (r reply) list() []map[string]any {
	r.t.Helper()
	data, ok := r.body["data"].([]any)
	if !ok || r.body["success"] != true || len(r.body) != 2 {
		r.t.Fatalf("%s: %s", r.what, r.text)
	}
	out := []map[string]any{}
	for _, x := range data {
		out = append(out, x.(map[string]any))
	}
	return out
}

// refused checks the product's error: its status, its two fields, a word of
// its message.
func (r reply) refused(status int, word string) {
	r.t.Helper()
	fault, _ := r.body["error"].(map[string]any)
	code, _ := fault["code"].(string)
	message, _ := fault["message"].(string)
	if r.status != status || r.body["success"] != false || len(r.body) != 2 || len(fault) != 2 || code == "" || !strings.Contains(message, word) {
		r.t.Errorf("%s: %d %s, want %d and %q", r.what, r.status, r.text, status, word)
	}
	if r.header.Get("Content-Type") != "application/json" || r.header.Get("X-Request-Id") == "" {
		r.t.Errorf("%s: headers %v", r.what, r.header)
	}
}
