package consumer

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/internal/kafkatest"
	"github.com/hookstream/hookstream/schemas"
)

// liveRig is a live view behind the API's mux: key "acme" and key "other" are
// tenants, "root-key-of-test" is root.
type liveRig struct {
	t       *testing.T
	cluster kafkatest.Cluster
	live    *Live
	server  *httptest.Server
	client  *http.Client
	kafka   *kgo.Client
	stop    context.CancelFunc
	done    chan error
	ended   bool
}

func newLiveRig(t *testing.T, change func(*LiveConfig)) *liveRig {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaks) }) // after the cluster's own goroutines
	r := &liveRig{t: t, cluster: kafkatest.Start(t), done: make(chan error, 1)}
	c := DefaultLiveConfig()
	c.Options, c.Topology = r.cluster.Options(), r.cluster.Topology
	c.Owner = func(id string) (string, bool) {
		tenant, ok := map[string]string{"wh_a": "acme", "wh_b": "acme", "wh_o": "other"}[id]
		return tenant, ok
	}
	c.WebhookID = func(_ api.Principal, _, id string) (string, error) {
		if id == "uid:b" {
			return "wh_b", nil
		}
		return id, nil
	}
	if change != nil {
		change(&c)
	}
	var err error
	if r.live, err = NewLive(c); err != nil {
		t.Fatal(err)
	}
	a := api.DefaultConfig()
	a.Routes, a.RootKey, a.Log = r.live.Routes(), "root-key-of-test", slog.New(slog.DiscardHandler)
	a.Authenticate = func(key string) (api.Principal, bool) {
		return api.Principal{Tenant: key, KeyID: key}, key == "acme" || key == "other"
	}
	mux, err := api.NewMux(a)
	if err != nil {
		t.Fatal(err)
	}
	r.server = httptest.NewServer(mux)
	r.client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	if r.kafka, err = kgo.NewClient(r.cluster.Options(kgo.RecordPartitioner(kgo.ManualPartitioner()))...); err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, r.stop = context.WithCancel(context.Background())
	go func() { r.done <- r.live.Run(ctx) }()
	t.Cleanup(func() {
		r.drain()
		r.server.Close()
		r.kafka.Close()
	})
	return r
}

// drain ends the live view as a process does.
func (r *liveRig) drain() {
	if r.ended {
		return
	}
	r.ended = true
	r.stop()
	if err := <-r.done; err != nil {
		r.t.Errorf("Run: %v", err)
	}
}

func (r *liveRig) attempt(tenant, endpoint, delivery, eventType string, state schemas.State, body string) {
	r.t.Helper()
	a := schemas.Attempt{Tenant: tenant, EndpointID: endpoint, DeliveryID: delivery, No: 1, EventID: "e-" + delivery, EventType: eventType, State: state,
		CreatedAt: 1741064767000, AttemptedAt: 1741064768000, DurationMS: 12, ResponseCode: 200, ResponseBody: body}
	rec, err := a.Record(r.cluster.Topology)
	if err != nil {
		r.t.Fatal(err)
	}
	k := &kgo.Record{Topic: rec.Topic, Partition: rec.Partition, Key: rec.Key, Value: rec.Value}
	if err := r.kafka.ProduceSync(context.Background(), k).FirstErr(); err != nil {
		r.t.Fatal(err)
	}
}

// sse is a client of the stream.
type sse struct {
	t     *testing.T
	resp  *http.Response
	lines *bufio.Scanner
}

func (r *liveRig) get(key, query string) *http.Response {
	r.t.Helper()
	req, err := http.NewRequest(http.MethodGet, r.server.URL+"/v1/tail"+query, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	resp, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// watch attaches and waits until nothing later is missed.
func (r *liveRig) watch(key, query string) *sse {
	r.t.Helper()
	s := &sse{t: r.t, resp: r.get(key, query)}
	if s.resp.StatusCode != 200 || s.resp.Header.Get("Content-Type") != "text/event-stream" {
		r.t.Fatalf("%d %v", s.resp.StatusCode, s.resp.Header)
	}
	s.lines = bufio.NewScanner(s.resp.Body)
	s.lines.Buffer(nil, 1<<20)
	if name, _ := s.next(); name != "listening" {
		r.t.Fatalf("the first event is %q", name)
	}
	return s
}

// next is the next event; comments are passed over.
func (s *sse) next() (name, data string) {
	s.t.Helper()
	for s.lines.Scan() {
		line := s.lines.Text()
		switch {
		case strings.HasPrefix(line, "event: "):
			name = line[len("event: "):]
		case strings.HasPrefix(line, "data: "):
			data = line[len("data: "):]
		case line == "" && name != "":
			return name, data
		}
	}
	s.t.Fatalf("the stream ended (%v)", s.lines.Err())
	return "", ""
}

// row is the next attempt.
func (s *sse) row() LiveRow {
	s.t.Helper()
	name, data := s.next()
	var r LiveRow
	if err := json.Unmarshal([]byte(data), &r); name != "attempt" || err != nil {
		s.t.Fatalf("%s %s: %v", name, data, err)
	}
	return r
}

func TestLiveShowsNewAttemptsToWhomTheyConcern(t *testing.T) {
	r := newLiveRig(t, nil)
	r.attempt("acme", "wh_a", "before", "a.b", schemas.StateSuccess, "")
	all := r.watch("root-key-of-test", "")
	acme := r.watch("acme", "")
	other := r.watch("other", "?tenant=other")
	one := r.watch("acme", "?webhook_id=uid:b&event_type=task.*")
	failed := r.watch("acme", "?status=error")
	r.attempt("acme", "wh_a", "1", "a.b", schemas.StateSuccess, "<é&>\u2028")
	r.attempt("other", "wh_o", "2", "a.b", schemas.StateSuccess, "")
	r.attempt("acme", "wh_b", "3", "task.made", schemas.StatePending, "")
	r.attempt("acme", "wh_b", "4", "note.made", schemas.StateError, "")
	r.attempt("other", "wh_o", "5", "a.b", schemas.StateSuccess, "")

	got := map[string]LiveRow{}
	for range 5 { // partitions have no order among each other
		row := all.row()
		got[row.ID] = row
	}
	if row := got["1"]; len(got) != 5 || row.ResponseBody != "<é&>\u2028" || row.WebhookID != "wh_a" || *row.ResponseCode != 200 || row.NextRetryAt != nil ||
		!row.CreatedAt.Equal(time.UnixMilli(1741064767000)) || row.Status != schemas.StateSuccess || row.EventID != "e-1" {
		t.Errorf("%+v", got)
	}
	ids := map[string]bool{}
	for range 3 {
		ids[acme.row().ID] = true
	}
	if !ids["1"] || !ids["3"] || !ids["4"] {
		t.Errorf("acme sees %v", ids)
	}
	for _, want := range []string{"2", "5"} {
		if row := other.row(); row.ID != want || row.Tenant != "other" {
			t.Errorf("other sees %+v", row)
		}
	}
	if row := one.row(); row.ID != "3" {
		t.Errorf("the filtered one sees %+v", row)
	}
	if row := failed.row(); row.ID != "4" {
		t.Errorf("the one for errors sees %+v", row)
	}

	// A drain says goodbye to everybody and takes nobody new.
	r.drain()
	if name, data := acme.next(); name != "end" || data != `{"reason":"draining"}` {
		t.Errorf("%s %s", name, data)
	}
	if rest, err := io.ReadAll(acme.resp.Body); err != nil || len(rest) != 0 {
		t.Errorf("after the end: %q %v", rest, err)
	}
	if resp := r.get("acme", ""); resp.StatusCode != 503 {
		t.Errorf("after the end: %d", resp.StatusCode)
	}
}

func TestLiveRefuses(t *testing.T) {
	r := newLiveRig(t, func(c *LiveConfig) { c.Watchers = 1 })
	for _, c := range []struct {
		key, query string
		status     int
	}{
		{"nobody", "", 401},
		{"acme", "?tenant=other", 403},
		{"acme", "?webhook_id=wh_o", 404},
		{"acme", "?webhook_id=wh_none", 404},
		{"acme", "?status=failed", 400},
		{"acme", "?statuss=error", 400},
	} {
		if resp := r.get(c.key, c.query); resp.StatusCode != c.status || resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d, want %d", c.query, resp.StatusCode, c.status)
		}
	}
	r.watch("acme", "")
	if resp := r.get("acme", ""); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("one too many: %d", resp.StatusCode)
	}
}

// TestLiveReadsOnlyWhileSomebodyWatches: the last watcher ends the reading, the
// next one begins at the end again.
func TestLiveReadsOnlyWhileSomebodyWatches(t *testing.T) {
	r := newLiveRig(t, nil)
	for round := range 3 {
		s := r.watch("acme", "")
		r.attempt("acme", "wh_a", fmt.Sprint("seen-", round), "a.b", schemas.StateSuccess, "")
		if row := s.row(); row.ID != fmt.Sprint("seen-", round) {
			t.Errorf("round %d: %+v", round, row)
		}
		s.resp.Body.Close()
		r.await("nobody reads", func(f *feed) bool { return f.stop == nil && len(f.watchers) == 0 })
		r.attempt("acme", "wh_a", "unseen", "a.b", schemas.StateSuccess, "")
	}
}

// await waits until the feed is so.
func (r *liveRig) await(what string, so func(*feed) bool) {
	r.t.Helper()
	f := r.live.feed
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(2 * time.Millisecond) {
		f.mu.Lock()
		ok := so(f)
		f.mu.Unlock()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("never: %s", what)
		}
	}
}

// TestLiveSlowWatcherLosesRowsAndOthersNone: one that does not read is told how
// many it lost; one that does gets every row.
func TestLiveSlowWatcherLosesRowsAndOthersNone(t *testing.T) {
	f := newFeed(4, 8)
	slow, err := f.attach(liveFilter{})
	if err != nil {
		t.Fatal(err)
	}
	quick, err := f.attach(liveFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		f.publish(&schemas.Attempt{DeliveryID: fmt.Sprint(i), No: 1})
		if row := <-quick.rows; !strings.Contains(string(row), fmt.Sprintf(`"id":"%d"`, i)) {
			t.Fatalf("row %d is %s", i, row)
		}
	}
	w := httptest.NewRecorder()
	s := &stream{w: w, control: http.NewResponseController(w), patience: time.Minute}
	if err := s.rows(slow, <-slow.rows); err != nil {
		t.Fatal(err)
	}
	out := w.Body.String()
	if !strings.HasPrefix(out, "event: lost\ndata: {\"rows\":92}\n\nevent: attempt\n") || strings.Count(out, "event: attempt\n") != 8 {
		t.Errorf("%s", out)
	}
}

func TestLiveHeartbeat(t *testing.T) {
	r := newLiveRig(t, func(c *LiveConfig) { c.Heartbeat = 5 * time.Millisecond })
	s := r.watch("acme", "")
	for s.lines.Scan() {
		if s.lines.Text() == ": heartbeat" {
			return
		}
	}
	t.Error("no heartbeat")
}

func TestLiveConfigIsChecked(t *testing.T) {
	for name, change := range map[string]func(*LiveConfig){
		"Owner": func(c *LiveConfig) { c.Owner = nil }, "Watchers": func(c *LiveConfig) { c.Watchers = 0 },
		"Buffer": func(c *LiveConfig) { c.Buffer = 0 }, "Heartbeat": func(c *LiveConfig) { c.Heartbeat = 0 },
	} {
		c := DefaultLiveConfig()
		c.Owner, c.Topology = func(string) (string, bool) { return "", false }, schemas.DevTopology()
		change(&c)
		if _, err := NewLive(c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLiveEndsWithItsKey: a key that is deleted sees nothing more, though rows
// keep the stream busy; others watch on.
func TestLiveEndsWithItsKey(t *testing.T) {
	var deleted atomic.Bool
	r := newLiveRig(t, func(c *LiveConfig) {
		c.Heartbeat = 50 * time.Millisecond
		c.Known = func(by api.Principal) bool { return by.KeyID != "acme" || !deleted.Load() }
	})
	acme, root := r.watch("acme", ""), r.watch("root-key-of-test", "")
	r.attempt("acme", "wh_a", "d1", "a.b", schemas.StateSuccess, "")
	acme.row()
	root.row()
	deleted.Store(true)
	if name, data := acme.next(); name != "end" || data != `{"reason":"key"}` {
		t.Errorf("%s %s", name, data)
	}
	r.attempt("acme", "wh_a", "d2", "a.b", schemas.StateSuccess, "")
	if row := root.row(); row.ID != "d2" {
		t.Errorf("%+v", row)
	}
}
