package consumer

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

// news lists the events that were written; the lock is held.
func (w *world) news() (events []schemas.Event) {
	for i := range w.records[w.c.Topology.EventsTopic()] {
		ev, err := schemas.ParseEvent(schemas.EventSource{Topic: "events"}, &w.records[w.c.Topology.EventsTopic()][i])
		if err != nil {
			w.t.Errorf("an event of ours cannot be read: %v", err)
		}
		events = append(events, ev)
	}
	return events
}

// types names them.
func types(events []schemas.Event) (names []string) {
	for _, ev := range events {
		names = append(names, ev.Type)
	}
	return names
}

// fields is an event's data.
func fields(t *testing.T, ev schemas.Event) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(ev.Data, &m); err != nil {
		t.Fatalf("%s: %v", ev.Data, err)
	}
	return m
}

// sendAs writes one delivery of a kind.
func (w *world) sendAs(endpoint, kind, eventType, id string) {
	w.t.Helper()
	d := schemas.Delivery{ID: id, EventID: "evt_" + id, EventType: eventType, Tenant: "default", EndpointID: endpoint, Kind: kind,
		CreatedAt: time.UnixMilli(1700000000000), Profile: "standard", Source: schemas.Position{Topic: "x"}, Data: []byte(`{}`)}
	if err := w.writer.AppendAll(w.ctx, d.Record(w.c.Topology.DeliveriesTopic(), w.c.Topology.Slot(endpoint))); err != nil {
		w.t.Fatal(err)
	}
}

// diary is the order in which a process's writes were acked.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (l *diary) note(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

// of keeps the lines that begin with one of the words.
func (l *diary) of(words ...string) (out []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(line, w) }) {
			out = append(out, line)
		}
	}
	return out
}

// tells makes a process publish, and keeps its diary.
func tells(l *diary, wants func(tenant, eventType string) bool) func(*DispatcherConfig) {
	return func(c *DispatcherConfig) {
		c.Wants = wants
		prefix, write, status := c.Topology.Prefix, c.Append, c.Status
		c.Append = func(ctx context.Context, rec schemas.Record, done func(int64, error)) {
			write(ctx, rec, func(offset int64, err error) {
				if err == nil {
					l.note(strings.TrimPrefix(rec.Topic, prefix))
				}
				done(offset, err)
			})
		}
		c.Status = func(ctx context.Context, s *schemas.EndpointStatus) error {
			l.note("status")
			return status(ctx, s)
		}
	}
}

func everything(string, string) bool { return true }

// retrying answers with the retry notice's own schedule, in times that a test
// can wait for.
func retrying(delays ...time.Duration) func(context.Context, *schemas.Delivery, int) schemas.Outcome {
	return func(_ context.Context, d *schemas.Delivery, _ int) schemas.Outcome {
		if d.Attempts >= len(delays) {
			return verdict(schemas.Exhausted)
		}
		out := retryIn(delays[d.Attempts])
		out.Row.AttemptedAt = time.Now().UnixMilli()
		return out
	}
}

// TestRetryNoticesAreWrittenBetweenSuccessorAndRow: through a tier, in memory
// and in an ordered lane alike, with the attempts made before.
func TestRetryNoticesAreWrittenBetweenSuccessorAndRow(t *testing.T) {
	set, err := profile.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	ihateppt, _ := set.Get("ihateppt")
	announce := func(d *schemas.Delivery, out *schemas.Outcome) []schemas.Event {
		ev, ok := ihateppt.RetryNotice(d, out)
		if !ok {
			return nil
		}
		return []schemas.Event{ev}
	}
	for _, c := range []struct {
		name  string
		lane  Lane
		delay time.Duration
		want  []string // acked writes, lanes and park left out
	}{
		{"through a tier", Lane{}, time.Second, []string{"retry.1s", "events", "attempts", "retry.1s", "events", "attempts", "dead", "attempts"}},
		{"in memory", Lane{}, 100 * time.Millisecond, []string{"events", "attempts", "events", "attempts", "dead", "attempts"}},
		{"ordered", Lane{Ordered: true}, 100 * time.Millisecond, []string{"events", "attempts", "events", "attempts", "dead", "attempts"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.endpoint("wh_a", c.lane, retrying(c.delay, c.delay))
			w.send("wh_a", 0, 1)
			l := &diary{}
			tell := tells(l, func(tenant, eventType string) bool { return tenant == "default" && eventType == "webhook.retry" })
			p := w.start(func(cfg *DispatcherConfig) { tell(cfg); cfg.Announce = announce })
			w.until("the end and two notices", func() bool { return len(w.terminal("")) == 1 && len(w.news()) == 2 })
			p.stop()
			w.mu.Lock()
			defer w.mu.Unlock()
			if got := l.of("retry", "events", "attempts", "dead"); !slices.Equal(got, c.want) {
				t.Errorf("written in the order %v; want %v", got, c.want)
			}
			for i, ev := range w.news() {
				data := fields(t, ev)
				if ev.Type != "webhook.retry" || ev.Kind != schemas.KindNotice || ev.Tenant != "default" || data["retry_count"] != float64(i) || data["original_event_id"] != "evt0" || ev.ID == "evt0" {
					t.Errorf("notice %d: %+v %v", i, ev, data)
				}
			}
		})
	}
}

// TestNewsRepeatUnderTheSameIdAfterACrash: a process dies when the event is
// written and the row is not.
func TestNewsRepeatUnderTheSameIdAfterACrash(t *testing.T) {
	w := newWorld(t)
	w.endpoint("wh_a", Lane{}, func(context.Context, *schemas.Delivery, int) schemas.Outcome { return verdict(schemas.Exhausted) })
	w.send("wh_a", 0, 1)
	p := w.start(func(c *DispatcherConfig) {
		c.Wants = everything
		write := c.Append
		c.Append = func(ctx context.Context, rec schemas.Record, done func(int64, error)) {
			if rec.Topic != c.Topology.AttemptsTopic() {
				write(ctx, rec, done)
			}
		}
	})
	w.until("the event", func() bool { return len(w.news()) == 1 })
	p.kill()
	<-p.ended
	p = w.start(func(c *DispatcherConfig) { c.Wants = everything })
	w.until("the row", func() bool { return len(w.terminal("")) == 1 && len(w.news()) == 2 })
	p.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	if news := w.news(); news[0].ID != news[1].ID || news[0].Type != schemas.EventDeliveryExhausted {
		t.Errorf("%+v", news)
	}
}

// TestDeliveriesThatAreGivenUpAreTold: by event, once, and only if somebody
// asked; nothing is told of tests and of our own events.
func TestDeliveriesThatAreGivenUpAreTold(t *testing.T) {
	w := newWorld(t)
	l := &diary{}
	p := w.start(tells(l, func(tenant, eventType string) bool {
		return tenant == "default" && (eventType == schemas.EventDeliveryExhausted || eventType == schemas.EventEndpointDisabled)
	}))
	exhausted := func(context.Context, *schemas.Delivery, int) schemas.Outcome { return verdict(schemas.Exhausted) }
	w.endpoint("wh_quiet", Lane{}, exhausted)
	for kind, eventType := range map[string]string{schemas.KindTest: "a.b", schemas.KindNotice: "webhook.retry", schemas.KindSystem: schemas.EventDeliveryExhausted} {
		w.sendAs("wh_quiet", kind, eventType, kind)
	}
	w.sendAs("wh_quiet", schemas.KindReplay, schemas.EventDeliveryExhausted, "replay")
	w.until("four quiet ends", func() bool { return len(w.terminal("wh_quiet")) == 4 })
	w.until("three dead letters", func() bool { return len(w.records[w.c.Topology.DeadTopic()]) == 3 })
	w.endpoint("wh_a", Lane{URL: "https://a.example/hook"}, func(_ context.Context, d *schemas.Delivery, _ int) schemas.Outcome {
		out := verdict(map[string]schemas.Verdict{"one": schemas.Exhausted, "two": schemas.Rejected, "three": schemas.Gone}[d.ID])
		out.Row.URL, out.Row.AttemptedAt, out.Row.No = "https://a.example/hook", 1700000000500, 1
		if d.ID == "two" {
			out.Row.No, out.Row.ResponseCode, out.Row.ErrorKind, out.Row.Error = 0, 0, schemas.ErrRejected, "data.id is missing"
		}
		return out
	})
	for i, id := range []string{"one", "two", "three", "four"} { // the last one finds the endpoint disabled
		w.sendAs("wh_a", schemas.KindEvent, "a.b", id)
		w.until(id, func() bool { return len(w.terminal("wh_a")) == i+1 })
	}
	w.until("their events", func() bool { return len(w.news()) == 4 })
	p.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	news := w.news()
	if got, want := types(news), []string{schemas.EventDeliveryExhausted, schemas.EventDeliveryExhausted, schemas.EventEndpointDisabled, schemas.EventDeliveryExhausted}; !slices.Equal(got, want) {
		t.Fatalf("told %v; want %v", got, want)
	}
	want := []string{
		`{"endpoint_id":"wh_a","url":"https://a.example/hook","reason":"exhausted","since":"2023-11-14T22:13:20.000Z","until":"2023-11-14T22:13:20.500Z","event_id":"evt_one","event_type":"a.b","delivery_id":"one","attempts":1,"response_code":500,"error_kind":"http_5xx","error":""}`,
		`{"endpoint_id":"wh_a","url":"https://a.example/hook","reason":"rejected","since":"2023-11-14T22:13:20.000Z","until":"2023-11-14T22:13:20.500Z","event_id":"evt_two","event_type":"a.b","delivery_id":"two","attempts":0,"response_code":null,"error_kind":"rejected","error":"data.id is missing"}`,
		"",
		`{"endpoint_id":"wh_a","url":"https://a.example/hook","reason":"gone","since":"2023-11-14T22:13:20.000Z","until":"2023-11-14T22:13:20.500Z","event_id":"evt_three","event_type":"a.b","delivery_id":"three","attempts":1,"response_code":500,"error_kind":"http_5xx","error":""}`,
	}
	for i, data := range want {
		if data != "" && string(news[i].Data) != data {
			t.Errorf("event %d:\n%s\nwant\n%s", i, news[i].Data, data)
		}
	}
	if d := fields(t, news[2]); d["reason"] != disabledGone || d["url"] != "https://a.example/hook" || d["endpoint_id"] != "wh_a" || d["since"] == nil {
		t.Errorf("disabled: %v", d)
	}
	want = []string{"dead", "events", "attempts", "dead", "events", "attempts", "events", "status", "dead", "events", "attempts", "dead", "attempts"}
	if got := l.of("dead", "events", "attempts", "status"); !slices.Equal(got[max(0, len(got)-len(want)):], want) {
		t.Errorf("written in the order %v; want at the end %v", got, want)
	}
	for _, ev := range news {
		if ev.Kind != schemas.KindSystem || ev.Tenant != "default" || ev.Key != "wh_a" {
			t.Errorf("%+v", ev)
		}
	}
}

// TestNobodyAskedNobodyIsTold: an outage writes nothing for those that did not
// ask for it.
func TestNobodyAskedNobodyIsTold(t *testing.T) {
	w := newWorld(t)
	w.endpoint("wh_a", Lane{Concurrency: 1}, func(_ context.Context, d *schemas.Delivery, _ int) schemas.Outcome {
		return verdict(schemas.Exhausted)
	})
	w.send("wh_a", 0, 10)
	p := w.start(func(c *DispatcherConfig) {
		c.Limits.FailingFor, c.Limits.FailingAttempts = time.Nanosecond, 5
		c.Wants = func(string, string) bool { return false }
		c.Breaker = func(string) schemas.BreakerState { return schemas.BreakerState{Open: true} }
		c.Announce = func(*schemas.Delivery, *schemas.Outcome) []schemas.Event {
			return []schemas.Event{{ID: "n", Type: "n", Data: []byte("1")}}
		}
	})
	w.until("10 ends", func() bool { return len(w.terminal("")) == 10 })
	p.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	if news := w.news(); len(news) != 0 || len(w.status) != 1 {
		t.Errorf("told %v, disabled %d times", types(news), len(w.status))
	}
}

// TestANoticeIsNoDeadLetterAndHaltsNothing: it ends in its row.
func TestANoticeIsNoDeadLetterAndHaltsNothing(t *testing.T) {
	w := newWorld(t)
	e := w.endpoint("wh_a", Lane{Ordered: true, Halt: true}, func(_ context.Context, d *schemas.Delivery, _ int) schemas.Outcome {
		if d.Kind == schemas.KindNotice {
			return verdict(schemas.Exhausted)
		}
		return ok(d)
	})
	p := w.start(func(c *DispatcherConfig) { c.Wants = everything })
	for i := range 3 {
		w.sendAs("wh_a", schemas.KindNotice, "webhook.retry", fmt.Sprint("notice", i))
		w.sendAs("wh_a", schemas.KindEvent, "a.b", fmt.Sprint("event", i))
	}
	w.until("all", func() bool { return len(w.terminal("wh_a")) == 6 })
	p.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, row := range w.terminal("wh_a") {
		if want := map[bool]schemas.State{true: schemas.StateError, false: schemas.StateSuccess}[strings.HasPrefix(id, "notice")]; row.State != want || row.No != 1 {
			t.Errorf("%s: %+v", id, row)
		}
	}
	if len(w.records[w.c.Topology.DeadTopic()]) != 0 || len(w.news()) != 0 || len(e.calls) != 6 {
		t.Errorf("%d dead letters, told %v, %d requests", len(w.records[w.c.Topology.DeadTopic()]), types(w.news()), len(e.calls))
	}
}
