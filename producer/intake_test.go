package producer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/internal/kafkatest"
	"github.com/hookstream/hookstream/producer"
	"github.com/hookstream/hookstream/schemas"
)

// desk is an intake behind the real mux, with a root key and one of tenant t1.
type desk struct {
	t       testing.TB
	server  *httptest.Server
	mu      sync.Mutex
	events  []schemas.Event // published
	fail    error           // what publishing says
	publish func(context.Context, []schemas.Event) []producer.Result
}

func openDesk(t testing.TB, set func(*producer.IntakeConfig)) *desk {
	t.Helper()
	d := &desk{t: t}
	cfg := producer.DefaultIntakeConfig()
	cfg.DataLimit = 4000
	cfg.Publish = d.take
	if set != nil {
		set(&cfg)
	}
	in, err := producer.NewIntake(cfg)
	if err != nil {
		t.Fatal(err)
	}
	m := api.DefaultConfig()
	m.RootKey, m.Routes, m.Log, m.Rate = "root", in.Routes(), slog.New(slog.DiscardHandler), api.MaxRate
	m.Authenticate = func(key string) (api.Principal, bool) {
		return api.Principal{Tenant: "t1", KeyID: "k1"}, key == "key-of-t1"
	}
	mux, err := api.NewMux(m)
	if err != nil {
		t.Fatal(err)
	}
	d.server = httptest.NewServer(mux)
	t.Cleanup(d.server.Close)
	return d
}

// take stands for the publisher.
func (d *desk) take(ctx context.Context, events []schemas.Event) []producer.Result {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.publish != nil {
		return d.publish(ctx, events)
	}
	out := make([]producer.Result, len(events))
	for i, ev := range events {
		out[i].ID = ev.ID
		if ev.ID == "" {
			out[i].ID = fmt.Sprint("made_", len(d.events))
		}
		if out[i].Err = d.fail; d.fail == nil {
			d.events = append(d.events, ev)
		}
	}
	return out
}

type reply struct {
	Status    int
	ID        string `json:"id"`
	Duplicate bool   `json:"duplicate"`
	Code      string `json:"code"`
	Field     string `json:"field"`
	Detail    string `json:"detail"`
	Retry     string
	Type      string

	Accepted, Rejected int
	Results            []producer.LineResult `json:"results"`
}

func (d *desk) post(path, key, body string, headers ...string) reply {
	d.t.Helper()
	req, err := http.NewRequest(http.MethodPost, d.server.URL+path, io.MultiReader(strings.NewReader(body))) // of no known length
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	var r reply
	if err := json.Unmarshal(b, &r); err != nil {
		d.t.Fatalf("answer %d is no JSON: %s", res.StatusCode, b)
	}
	r.Status, r.Retry, r.Type = res.StatusCode, res.Header.Get("Retry-After"), res.Header.Get("Content-Type")
	if res.StatusCode >= 400 && path == "/v1/events" && r.Type != "application/problem+json" {
		d.t.Errorf("an error of type %s", r.Type)
	}
	return r
}

func TestIntakeTakesEveryForm(t *testing.T) {
	data := `{ "b":1,"a":"<&>" }`
	want := schemas.Event{ID: "e1", Type: "resume.created", Tenant: "t1", Data: []byte(data), Kind: schemas.KindEvent,
		Time: time.Date(2025, 3, 4, 5, 6, 7, 0, time.UTC)}
	for name, tc := range map[string]struct {
		body    string
		headers []string
	}{
		"envelope":     {`{"id":"e1","type":"resume.created","time":"2025-03-04T05:06:07Z","data":` + data + `}`, []string{"Content-Type", "application/json"}},
		"idempotency":  {`{"type":"resume.created","time":"2025-03-04T05:06:07Z","data":` + data + `}`, []string{"Idempotency-Key", "e1"}},
		"structured":   {`{"specversion":"1.0","id":"e1","source":"/s","type":"resume.created","time":"2025-03-04T05:06:07Z","data":` + data + `}`, []string{"Content-Type", "application/cloudevents+json; charset=utf-8"}},
		"binary":       {data, []string{"Content-Type", "application/json", "ce-specversion", "1.0", "ce-id", "e1", "ce-source", "/s", "ce-type", "resume.created", "ce-time", "2025-03-04T05:06:07Z"}},
		"percent":      {data, []string{"ce-specversion", "1.0", "ce-id", "e%31", "ce-type", "resume%2Ecreated", "ce-time", "2025-03-04T05:06:07Z"}},
		"own tenant":   {`{"id":"e1","tenant":"t1","type":"resume.created","time":"2025-03-04T05:06:07Z","data":` + data + `}`, nil},
		"with a trace": {`{"id":"e1","type":"resume.created","time":"2025-03-04T05:06:07Z","data":` + data + `}`, []string{"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := openDesk(t, nil)
			r := d.post("/v1/events", "key-of-t1", tc.body, tc.headers...)
			if r.Status != http.StatusAccepted || r.ID != "e1" {
				t.Fatalf("got %+v", r)
			}
			got := d.events[0]
			if (got.Trace != "") != (name == "with a trace") {
				t.Errorf("trace %q", got.Trace)
			}
			got.Trace = ""
			if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
				t.Errorf("published %+v, want %+v", got, want)
			}
		})
	}
}

func TestIntakeRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		key, body string
		headers   []string
		status    int
		field     string
		in        string // in the detail
	}{
		"no key":           {"", `{}`, nil, 401, "", ""},
		"no json":          {"root", `{"type":`, nil, 400, "", "JSON"},
		"empty":            {"root", ``, nil, 400, "", "empty"},
		"no type":          {"root", `{"data":1}`, nil, 422, "type", "missing"},
		"no data":          {"root", `{"type":"a"}`, nil, 422, "data", "missing"},
		"wrong type":       {"root", `{"type":1,"data":1}`, nil, 422, "type", "string"},
		"wrong time":       {"root", `{"type":"a","time":"yesterday","data":1}`, nil, 422, "time", "RFC 3339"},
		"large data":       {"root", `{"type":"a","data":"` + strings.Repeat("x", 4000) + `"}`, nil, 413, "data", "4000"},
		"large body":       {"root", `{"type":"a","key":"` + strings.Repeat("x", 100_000) + `","data":1}`, nil, 413, "", ""},
		"foreign tenant":   {"key-of-t1", `{"type":"a","tenant":"t2","data":1}`, nil, 403, "tenant", "own tenant"},
		"default tenant":   {"key-of-t1", `{"type":"a","tenant":"default","data":1}`, nil, 403, "tenant", ""},
		"two ids":          {"root", `{"id":"a","type":"a","data":1}`, []string{"Idempotency-Key", "b"}, 422, "id", "Idempotency-Key"},
		"bad id header":    {"root", `{"type":"a","data":1}`, []string{"Idempotency-Key", "a b"}, 422, "Idempotency-Key", "visible"},
		"cloud batch":      {"root", `[]`, []string{"Content-Type", "application/cloudevents-batch+json"}, 415, "", "batch"},
		"old cloud events": {"root", `{"specversion":"0.3","id":"1","source":"s","type":"a"}`, []string{"Content-Type", "application/cloudevents+json"}, 422, "specversion", "1.0"},
		"bad percent":      {"root", `1`, []string{"ce-specversion", "1.0", "ce-type", "a%zz"}, 422, "ce-type", "percent"},
	} {
		t.Run(name, func(t *testing.T) {
			d := openDesk(t, nil)
			r := d.post("/v1/events", tc.key, tc.body, tc.headers...)
			if r.Status != tc.status || r.Field != tc.field || !strings.Contains(r.Detail, tc.in) || r.Code == "" {
				t.Errorf("got %d %s %q %q, want %d %q", r.Status, r.Code, r.Field, r.Detail, tc.status, tc.field)
			}
			if len(d.events) != 0 {
				t.Errorf("and published %+v", d.events)
			}
		})
	}
}

func TestIntakeRootPublishesForAnybody(t *testing.T) {
	d := openDesk(t, nil)
	for _, tenant := range []string{"", `"tenant":"t2",`} {
		if r := d.post("/v1/events", "root", `{`+tenant+`"type":"a","data":1}`); r.Status != 202 {
			t.Fatalf("got %+v", r)
		}
	}
	if d.events[0].Tenant != schemas.DefaultTenant || d.events[1].Tenant != "t2" {
		t.Errorf("tenants %s, %s", d.events[0].Tenant, d.events[1].Tenant)
	}
}

func TestIntakeKnowsIdsAgain(t *testing.T) {
	d := openDesk(t, func(c *producer.IntakeConfig) { c.Remember = 10 })
	post := func(id, data string) reply {
		return d.post("/v1/events", "root", `{"type":"a","data":`+data+`}`, "Idempotency-Key", id)
	}
	for range 2 {
		if r := post("one", "1"); r.Status != 202 || r.ID != "one" {
			t.Fatalf("got %+v", r)
		}
	}
	if len(d.events) != 1 {
		t.Errorf("a repeat was published again")
	}
	if r := post("one", "2"); r.Status != 409 || r.Field != "id" {
		t.Errorf("another body: %+v", r)
	}
	// The same id of another tenant is another event.
	if r := d.post("/v1/events", "key-of-t1", `{"id":"one","type":"a","data":2}`); r.Status != 202 {
		t.Errorf("another tenant: %+v", r)
	}
	// A publish that failed is tried again, with the same body only.
	d.fail = fmt.Errorf("cut off: %w", producer.ErrOutcomeUnknown)
	if r := post("two", "1"); r.Status != 503 {
		t.Errorf("failing: %+v", r)
	}
	d.fail = nil
	if r := post("two", "2"); r.Status != 409 {
		t.Errorf("another body while the outcome is unknown: %+v", r)
	}
	if r := post("two", "1"); r.Status != 202 || string(d.events[len(d.events)-1].Data) != "1" {
		t.Errorf("again: %+v", r)
	}
	// The window is bounded: the oldest is forgotten.
	for i := range 10 {
		post(fmt.Sprint("more", i), "1")
	}
	if r := post("one", "2"); r.Status != 202 {
		t.Errorf("after %d more ids: %+v", 10, r)
	}
}

func TestIntakeNeverAcceptsWhatKafkaDidNot(t *testing.T) {
	for name, tc := range map[string]struct {
		fail   error
		status int
		in     string
	}{
		"unknown":  {fmt.Errorf("x: %w: %w", producer.ErrOutcomeUnknown, context.DeadlineExceeded), 503, "Idempotency-Key: e1"},
		"not sent": {fmt.Errorf("x: %w: %w", producer.ErrNotSent, context.DeadlineExceeded), 503, "not accepted"},
		"refused":  {errors.New("topic authorization failed"), 503, ""},
		"large":    {&producer.TooLargeError{Topic: "t", Size: 9, Limit: 8}, 413, "9 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			d := openDesk(t, nil)
			d.fail = tc.fail
			r := d.post("/v1/events", "root", `{"id":"e1","type":"a","data":1}`)
			if r.Status != tc.status || !strings.Contains(r.Detail, tc.in) || (r.Status == 503) != (r.Retry != "") {
				t.Errorf("got %+v", r)
			}
			b := d.post("/v1/events/batch", "root", `{"id":"e1","type":"a","data":1}`)
			if b.Status != tc.status || b.Accepted != 0 || b.Rejected != 1 || b.Results[0].Error.Status != tc.status {
				t.Errorf("batch: %+v", b)
			}
		})
	}
}

func TestIntakeAsksBeforeItTakes(t *testing.T) {
	var full error
	d := openDesk(t, func(c *producer.IntakeConfig) {
		c.Room = func() error { return full }
		c.Check = func(_ context.Context, ev *schemas.Event) error {
			switch ev.Type {
			case "bad.field":
				return &schemas.InvalidEvent{Field: "data.candidate", Reason: "is missing; endpoint wh_1 (smartcv) needs it"}
			case "bad":
				return errors.New("wh_1 does not take it")
			case "slow":
				return fmt.Errorf("barrier: %w", context.DeadlineExceeded)
			case "own":
				return api.Fail(http.StatusTeapot, "teapot", "", "short and stout")
			}
			return nil
		}
	})
	for typ, want := range map[string]int{"fine": 202, "bad.field": 422, "bad": 422, "slow": 503, "own": 418} {
		r := d.post("/v1/events", "root", `{"type":"`+typ+`","data":1}`)
		if r.Status != want || typ == "bad.field" && r.Field != "data.candidate" {
			t.Errorf("%s: %+v", typ, r)
		}
	}
	full = errors.New("deliveries are 300 MiB behind; wait for them")
	for _, path := range []string{"/v1/events", "/v1/events/batch"} {
		if r := d.post(path, "root", `{"type":"fine","data":1}`); r.Status != 507 || !strings.Contains(r.Detail, "300 MiB") || r.Retry == "" {
			t.Errorf("%s when full: %+v", path, r)
		}
	}
	if len(d.events) != 1 {
		t.Errorf("%d published", len(d.events))
	}
}

func TestIntakeBatchAnswersEveryLine(t *testing.T) {
	d := openDesk(t, nil)
	lines := []string{
		`{"id":"a","type":"a","data":1}`,
		``,
		`{"type":"a"}`,
		`{"id":"a","type":"a","data":2}`,
		`{"type":"a","tenant":"t2","data":1}`,
		`{"type":"a","data":"` + strings.Repeat("x", 100_000) + `"}`,
		`{"type":"a","data":"` + strings.Repeat("x", 5000) + `"}`,
		`{"id":"b","type":"a","data":1}`,
	}
	r := d.post("/v1/events/batch", "key-of-t1", strings.Join(lines, "\n"), "Content-Type", "application/x-ndjson")
	if r.Status != http.StatusMultiStatus || r.Accepted != 2 || r.Rejected != 5 || len(r.Results) != 7 || r.Code != "" {
		t.Fatalf("got %+v", r)
	}
	for i, want := range []struct {
		line, status int
		id           string
	}{{1, 0, "a"}, {3, 422, ""}, {4, 409, ""}, {5, 403, ""}, {6, 413, ""}, {7, 413, ""}, {8, 0, "b"}} {
		got := r.Results[i]
		if got.Line != want.line || got.ID != want.id || (got.Error == nil) != (want.status == 0) || got.Error != nil && got.Error.Status != want.status {
			t.Errorf("result %d: %+v %+v, want %+v", i, got, got.Error, want)
		}
	}
	if len(d.events) != 2 {
		t.Errorf("%d published", len(d.events))
	}
	if r := d.post("/v1/events/batch", "root", "\n\n"); r.Status != 400 {
		t.Errorf("no line: %+v", r)
	}
	if r := d.post("/v1/events/batch", "root", "{\"type\":\"a\",\"data\":1}\n{\"type\":\"a\",\"data\":1}\n"); r.Status != 202 || r.Accepted != 2 {
		t.Errorf("all fine: %+v", r)
	}
}

func TestIntakeBatchSaysWhereItStopped(t *testing.T) {
	line := `{"type":"a","data":1}` + "\n"
	d := openDesk(t, func(c *producer.IntakeConfig) { c.MaxLines, c.MaxBatch = 1200, 50_000 })
	r := d.post("/v1/events/batch", "root", strings.Repeat(line, 1201))
	if r.Status != http.StatusMultiStatus || r.Accepted != 1200 || r.Code != "too_many_lines" {
		t.Errorf("too many lines: %d, %d accepted, %s", r.Status, r.Accepted, r.Code)
	}
	d.events = nil
	long := `{"type":"a","data":"` + strings.Repeat("x", 1000) + `"}` + "\n"
	r = d.post("/v1/events/batch", "root", strings.Repeat(long, 100))
	if r.Status != http.StatusMultiStatus || r.Code != "too_large" || r.Accepted != len(d.events) || r.Accepted == 0 || r.Accepted > 50 {
		t.Errorf("too many bytes: %d %s, %d accepted, %d published", r.Status, r.Code, r.Accepted, len(d.events))
	}
	// Kafka goes away after the first chunk: what follows is not read.
	calls := 0
	d.publish = func(_ context.Context, events []schemas.Event) []producer.Result {
		out := make([]producer.Result, len(events))
		if calls++; calls > 1 {
			for i := range out {
				out[i].Err = producer.ErrNotSent
			}
		}
		return out
	}
	r = d.post("/v1/events/batch", "root", strings.Repeat(line, 1200))
	if r.Status != http.StatusMultiStatus || r.Accepted != 500 || r.Rejected != 500 || len(r.Results) != 1000 || r.Code != "unavailable" {
		t.Errorf("Kafka away: %d, %d accepted, %d rejected, %s", r.Status, r.Accepted, r.Rejected, r.Code)
	}
}

func TestIntakeEndToEnd(t *testing.T) {
	c := kafkatest.Start(t)
	p := openPublisher(t, producer.PublisherConfig{Options: c.Options(), Topic: c.Topology.EventsTopic()})
	d := openDesk(t, func(cfg *producer.IntakeConfig) { cfg.Publish = p.PublishBatch })
	ids := map[string]bool{}
	r := d.post("/v1/events", "root", `{"type":"a","data":{"n": 1}}`)
	if r.Status != 202 || !schemas.IsMadeID(schemas.EventPrefix, r.ID) {
		t.Fatalf("got %+v", r)
	}
	ids[r.ID] = true
	b := d.post("/v1/events/batch", "root", strings.Repeat(`{"type":"a","data":{"n": 2}}`+"\n", 600))
	if b.Status != 202 || b.Accepted != 600 {
		t.Fatalf("got %d, %d accepted", b.Status, b.Accepted)
	}
	for _, res := range b.Results {
		ids[res.ID] = true
	}
	for _, rec := range read(t, c, c.Topology.EventsTopic(), 601) {
		ev := parse(t, rec)
		if !ids[ev.ID] {
			t.Errorf("%s was never answered", ev.ID)
		}
		delete(ids, ev.ID)
	}
	if len(ids) != 0 {
		t.Errorf("%d ids were answered and are not there", len(ids))
	}
}

func BenchmarkIntake(b *testing.B) {
	c := kafkatest.Start(b)
	p := openPublisher(b, producer.PublisherConfig{Options: c.Options(), Topic: c.Topology.EventsTopic()})
	d := openDesk(b, func(cfg *producer.IntakeConfig) { cfg.Publish = p.PublishBatch })
	line := `{"type":"a","data":{"text":"` + strings.Repeat("x", 1000) + `"}}` + "\n"
	b.Run("single", func(b *testing.B) {
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if r := d.post("/v1/events", "root", line); r.Status != 202 {
					b.Errorf("got %+v", r)
					return
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	})
	b.Run("batch of 500", func(b *testing.B) {
		body := strings.Repeat(line, 500)
		for b.Loop() {
			if r := d.post("/v1/events/batch", "root", body); r.Status != 202 {
				b.Fatalf("got %d", r.Status)
			}
		}
		b.ReportMetric(float64(b.N)*500/b.Elapsed().Seconds(), "events/s")
	})
}
