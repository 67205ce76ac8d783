package consumer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/producer"
	"github.com/hookstream/hookstream/schemas"
)

// awkward is JSON that every re-encoder changes.
const awkward = "{ \"b\" : 1.50,\t\"a\":\"<&>\u2028 \\u00e9 é\",\"big\":12345678901234567890 , \"b\":1e400 }"

// TestFanoutForms: every form that an event may have, from our topic and from a
// user's, ends in deliveries with the data as it came, byte for byte.
func TestFanoutForms(t *testing.T) {
	f := newFanoutTest(t)
	raw := f.Topology.Prefix + "users-orders"
	cl, err := kgo.NewClient(f.Options()...)
	if err != nil {
		t.Fatal(err)
	}
	adm := kadm.NewClient(cl)
	if _, err := adm.CreateTopic(context.Background(), 6, 1, nil, raw); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = adm.DeleteTopic(context.Background(), raw)
		cl.Close()
	})
	f.matches["a.b"] = []schemas.Match{
		{EndpointID: "wh_1", Profile: "standard", ProfileVersion: 3}, {EndpointID: "wh_2", Skip: schemas.SkipInactive},
		{EndpointID: "wh_3", Profile: "stripe", ProfileVersion: 1}, {EndpointID: "wh_4", Skip: schemas.SkipUnverified},
	}
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	events := f.Topology.EventsTopic()
	f.produce(
		&kgo.Record{Topic: events, Value: []byte(`{"type":"a.b","id":"env-1","tenant":"acme","time":"2025-03-04T05:06:07.123456Z","data":` + awkward + `}`), Headers: headers("traceparent", trace)},
		&kgo.Record{Topic: events, Value: []byte(`{"specversion":"1.0","id":"ce-1","source":"/s","type":"a.b","tenant":"acme","data":` + awkward + `}`), Headers: headers("content-type", "application/cloudevents+json")},
		&kgo.Record{Topic: events, Value: []byte(awkward), Headers: headers("ce_specversion", "1.0", "ce_id", "ce-2", "ce_source", "/s", "ce_type", "a.b", "ce_tenant", "acme")},
		&kgo.Record{Topic: raw, Partition: 5, Key: []byte("customer-7"), Value: []byte(awkward), Headers: headers("kind", "a.b", "msg", "raw-1")},
		&kgo.Record{Topic: events, Value: []byte(`{"type":"nobody.cares","tenant":"acme","data":` + awkward + `}`)},
	)
	c := f.config()
	c.Registerer = prometheus.NewRegistry()
	c.Sources = []schemas.EventSource{{Topic: raw, Format: schemas.FormatRaw, TypeHeader: "kind", IDHeader: "msg", Tenant: "acme", Key: true}}
	_, stop := f.start(c)

	routed := f.routedOf(5)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	deliveries := f.read(f.Topology.DeliveriesTopic(), 8)
	if len(deliveries) != 8 {
		t.Fatalf("%d deliveries", len(deliveries))
	}
	for _, rec := range deliveries {
		d, err := schemas.ParseDelivery(&rec)
		if err != nil {
			t.Fatal(err)
		}
		if string(d.Data) != awkward {
			t.Errorf("data of %s changed: %q", d.EventID, d.Data)
		}
		if rec.Partition != f.Topology.Slot(d.EndpointID) {
			t.Errorf("%s is in partition %d", d.EndpointID, rec.Partition)
		}
		if d.ID != schemas.DeliveryID("acme", d.EventID, d.EndpointID, "") || d.Tenant != "acme" || d.EventType != "a.b" || d.Kind != schemas.KindEvent {
			t.Errorf("delivery %+v", d)
		}
		if want := map[string]string{"wh_1": "standard/3", "wh_3": "stripe/1"}[d.EndpointID]; fmt.Sprintf("%s/%d", d.Profile, d.ProfileVersion) != want {
			t.Errorf("%s has profile %s/%d", d.EndpointID, d.Profile, d.ProfileVersion)
		}
		if d.CreatedAt.IsZero() || d.Source.Topic == "" {
			t.Errorf("delivery without creation or source: %+v", d)
		}
		if d.EventID == "env-1" && (d.Trace != trace || d.EventTime.Format(time.RFC3339Nano) != "2025-03-04T05:06:07.123456Z") {
			t.Errorf("trace %q, time %v", d.Trace, d.EventTime)
		}
	}
	for _, id := range []string{"env-1", "ce-1", "ce-2", "raw-1"} {
		r := routed[id]
		if string(r.Data) != awkward || !slices.Equal(r.EndpointIDs, []string{"wh_1", "wh_3"}) || len(r.DeliveryIDs) != 2 || len(r.Skipped) != 2 ||
			r.Skipped[0].Reason != schemas.SkipInactive || r.Skipped[1].Reason != schemas.SkipUnverified {
			t.Errorf("routed %s: %+v", id, r)
		}
		delete(routed, id)
	}
	for id, r := range routed {
		if !schemas.IsMadeID(schemas.EventPrefix, id) || len(r.DeliveryIDs) != 0 || r.Type != "nobody.cares" {
			t.Errorf("routed %+v", r)
		}
	}
	rows := map[string]int{}
	for _, rec := range f.read(f.Topology.AttemptsTopic(), 9) {
		a, err := schemas.ParseAttempt(&rec)
		if err != nil || a.State != schemas.StateSkipped || a.No != 0 || a.CreatedAt == 0 || a.Tenant != "acme" {
			t.Errorf("row %+v, %v", a, err)
		}
		rows[a.EndpointID+" "+a.ErrorKind]++
	}
	if want := (map[string]int{"wh_2 inactive": 4, "wh_4 unverified": 4, " no_match": 1}); !maps.Equal(rows, want) {
		t.Errorf("rows %v, want %v", rows, want)
	}
}

// TestFanoutInvalid: what is no event is kept with its reason, and stops nothing.
func TestFanoutInvalid(t *testing.T) {
	f := newFanoutTest(t)
	f.matches["a"] = []schemas.Match{{EndpointID: "wh_1"}}
	events := f.Topology.EventsTopic()
	large := []byte(`{"type":"a","data":"` + strings.Repeat("x", f.Topology.DataLimit) + `"}`)
	poison := []byte("\xff\x00 not json")
	f.produce(
		&kgo.Record{Topic: events, Key: []byte("k1"), Value: poison, Headers: headers("x", "1", "hs-reason", "mine", "x", "2")},
		&kgo.Record{Topic: events, Key: []byte("k2"), Value: large},
		&kgo.Record{Topic: events, Key: []byte("k3")},
		&kgo.Record{Topic: events, Key: []byte("k4"), Value: []byte(`{"type":"refused.by.match","data":1}`)},
		&kgo.Record{Topic: events, Key: []byte("k5"), Value: []byte(`{"type":"a","id":"good","data":1}`)},
	)
	c := f.config()
	match := c.Match
	c.Match = func(ctx context.Context, ev *schemas.Event) ([]schemas.Match, error) {
		if ev.Type == "refused.by.match" {
			return nil, &schemas.InvalidEvent{Field: "profile", Reason: "is unknown"}
		}
		return match(ctx, ev)
	}
	reg := prometheus.NewRegistry()
	c.Registerer = reg
	c.Log = nil
	f.start(c)
	reasons := map[string]string{}
	for _, rec := range f.read(f.Topology.EventsInvalidTopic(), 4) {
		reason, _ := rec.Header(schemas.HdrReason)
		src, _ := rec.Header(schemas.HdrSource)
		if pos, err := schemas.ParsePosition(src); err != nil || pos.Topic != events {
			t.Errorf("source %q: %v", src, err)
		}
		reasons[string(rec.Key)] = reason
		switch string(rec.Key) {
		case "k1":
			if !bytes.Equal(rec.Value, poison) || len(rec.Headers) != 5 || string(rec.Headers[2].Value) != "2" {
				t.Errorf("the record changed: %q %v", rec.Value, rec.Headers)
			}
		case "k2":
			if !bytes.Equal(rec.Value, large) {
				t.Errorf("a record that fits has %d of %d bytes", len(rec.Value), len(large))
			}
		}
	}
	for key, want := range map[string]string{"k1": "event:", "k2": "data: has", "k3": "event: is empty", "k4": "profile: is unknown"} {
		if !strings.HasPrefix(reasons[key], want) {
			t.Errorf("reason of %s is %q, want %q", key, reasons[key], want)
		}
	}
	f.read(f.Topology.DeliveriesTopic(), 1)
	if n := f.size(f.Topology.RoutedTopic()); n != 1 {
		t.Errorf("%d routed records", n)
	}
	if n := counted(t, reg, "hookstream_fanout_events_total", resultInvalid); n != 4 {
		t.Errorf("%v invalid events are counted", n)
	}
}

// TestInvalidExcerpt: what does not fit is cut, its headers go.
func TestInvalidExcerpt(t *testing.T) {
	top := schemas.DevTopology()
	rec := schemas.Record{Partition: 9, Key: bytes.Repeat([]byte("k"), 9000), Value: bytes.Repeat([]byte("v"), 2<<20), Headers: []schemas.Header{{Key: "h", Value: []byte("1")}}}
	out := invalidRecord(top, &rec, schemas.Position{Topic: "t", Partition: 9, Offset: 7}, errors.New(strings.Repeat("é", 5000)), 400<<10)
	reason, _ := out.Header(schemas.HdrReason)
	src, _ := out.Header(schemas.HdrSource)
	if len(out.Value) != maxExcerpt || len(out.Key) != maxExcerpt || len(out.Headers) != 2 || src != "t/9/7" || out.Partition != 1 ||
		!strings.HasPrefix(reason, "(excerpt of a record of ") || len(reason) > maxReason || strings.ContainsRune(reason, '\uFFFD') {
		t.Errorf("%d bytes, key %d, headers %v", len(out.Value), len(out.Key), out.Headers)
	}
}

// TestFanoutRepeats: a publisher's retry is fanned out once; the same id of
// another tenant or key, a test and a replay are events of their own.
func TestFanoutRepeats(t *testing.T) {
	f := newFanoutTest(t)
	f.matches["a"] = []schemas.Match{{EndpointID: "wh_1"}}
	events := f.Topology.EventsTopic()
	reg := prometheus.NewRegistry()
	c := f.config()
	c.Registerer = reg
	f.start(c)
	event := func(fields string, h ...string) *kgo.Record {
		return &kgo.Record{Topic: events, Value: []byte(`{"type":"a","id":"1",` + fields + `"data":1}`), Headers: headers(h...)}
	}
	f.produce(event(""))
	f.read(f.Topology.RoutedTopic(), 1)
	f.produce(event(""), event(""), event(`"tenant":"b",`), event(`"key":"k",`),
		event("", "hs-kind", "replay", "hs-replay", "dlv_x", "hs-replay-id", "r1"), event("", "hs-kind", "test", "hs-replay-id", "t1"))
	routed := f.read(f.Topology.RoutedTopic(), 5)
	until(t, "the repeats are counted", func() bool { return counted(t, reg, "hookstream_fanout_events_total", resultDuplicate) == 2 })
	if len(routed) != 5 || f.size(f.Topology.RoutedTopic()) != 5 {
		t.Errorf("%d events were fanned out", f.size(f.Topology.RoutedTopic()))
	}
	ids := map[string]string{}
	for _, rec := range f.read(f.Topology.DeliveriesTopic(), 5) {
		d, err := schemas.ParseDelivery(&rec)
		if err != nil {
			t.Fatal(err)
		}
		ids[d.ID] = d.Kind + d.ReplayOf
	}
	for _, want := range []struct{ id, kind string }{
		{schemas.DeliveryID("default", "1", "wh_1", ""), "event"}, {schemas.DeliveryID("b", "1", "wh_1", ""), "event"},
		{schemas.DeliveryID("default", "1", "wh_1", "r1"), "replaydlv_x"}, {schemas.DeliveryID("default", "1", "wh_1", "t1"), "test"},
	} {
		if ids[want.id] != want.kind {
			t.Errorf("delivery %s is %q, want %q", want.id, ids[want.id], want.kind)
		}
	}
}

// TestFanoutAborted: events of an aborted transaction never existed.
func TestFanoutAborted(t *testing.T) {
	f := newFanoutTest(t)
	f.matches["a"] = []schemas.Match{{EndpointID: "wh_1"}}
	cl, err := kgo.NewClient(f.Options(kgo.TransactionalID(f.name))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx := context.Background()
	for id, commit := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for p := range 3 {
			r := &kgo.Record{Topic: f.Topology.EventsTopic(), Value: fmt.Appendf(nil, `{"type":"a","id":"%d-%d","data":%v}`, id, p, commit == kgo.TryCommit)}
			if err := cl.ProduceSync(ctx, r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := cl.EndTransaction(ctx, commit); err != nil {
			t.Fatal(err)
		}
	}
	f.produce(&kgo.Record{Topic: f.Topology.EventsTopic(), Value: []byte(`{"type":"a","id":"plain","data":true}`)})
	_, stop := f.start(f.config())
	f.read(f.Topology.DeliveriesTopic(), 7)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for _, rec := range f.read(f.Topology.DeliveriesTopic(), 7) {
		if string(rec.Value) != "true" {
			t.Errorf("an aborted event was delivered: %v", rec.Headers)
		}
	}
	if n := f.size(f.Topology.DeliveriesTopic()); n != 7 {
		t.Errorf("%d deliveries", n)
	}
}

// TestFanoutReadBarrier: an endpoint that was acked before an event was
// produced gets the event, however slowly the registry is applied.
func TestFanoutReadBarrier(t *testing.T) {
	f := newFanoutTest(t)
	tail := NewTail(TailConfig{Options: f.Options(kgo.FetchMaxWait(20 * time.Millisecond)), Topic: f.Topology.EndpointsTopic(), Apply: func(rec *schemas.Record) {
		time.Sleep(time.Duration(rand.IntN(int(3 * time.Millisecond))))
		f.mu.Lock()
		f.matches[string(rec.Key)] = []schemas.Match{{EndpointID: string(rec.Key)}}
		f.mu.Unlock()
	}})
	ctx, cancel := context.WithCancel(context.Background())
	tailed := make(chan error, 1)
	go func() { tailed <- tail.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-tailed })
	c := f.config()
	c.Barrier = tail.Barrier
	_, stop := f.start(c)
	const n = 150
	for i := range n {
		id := fmt.Sprintf("wh_%d", i)
		f.writer.Append(ctx, schemas.Record{Topic: f.Topology.EndpointsTopic(), Partition: f.Topology.RegistryPartition(id), Key: []byte(id), Value: []byte("{}")}, func(_ int64, err error) {
			ev := schemas.Event{Type: id, ID: id, Data: []byte("1")}
			f.writer.Append(ctx, ev.Record(f.Topology.EventsTopic()), func(int64, error) {})
		})
	}
	for id, r := range f.routedOf(n) {
		if len(r.EndpointIDs) != 1 || r.EndpointIDs[0] != id {
			t.Errorf("event %s went to %v", id, r.EndpointIDs)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestFanoutBarrierRetries: a registry that cannot be asked for a while delays
// events and loses none.
func TestFanoutBarrierRetries(t *testing.T) {
	f := newFanoutTest(t)
	f.matches["a"] = []schemas.Match{{EndpointID: "wh_1"}}
	c := f.config()
	var mu sync.Mutex
	barriers, matches := 0, 0
	c.Barrier = func(context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		if barriers++; barriers < 3 {
			return errors.New("no broker")
		}
		return nil
	}
	match := c.Match
	c.Match = func(ctx context.Context, ev *schemas.Event) ([]schemas.Match, error) {
		mu.Lock()
		defer mu.Unlock()
		if matches++; matches < 3 {
			return nil, errors.New("no broker")
		}
		return match(ctx, ev)
	}
	f.produce(&kgo.Record{Topic: f.Topology.EventsTopic(), Value: []byte(`{"type":"a","data":1}`)})
	f.start(c)
	if r := f.routedOf(1); len(r) != 1 {
		t.Errorf("routed %v", r)
	}
}

// TestFanoutAppendFails: an event whose record cannot be written is never
// done; the next process writes it.
func TestFanoutAppendFails(t *testing.T) {
	f := newFanoutTest(t)
	f.matches["a"] = []schemas.Match{{EndpointID: "wh_1"}, {EndpointID: "wh_2"}}
	for i := range 20 {
		f.produce(&kgo.Record{Topic: f.Topology.EventsTopic(), Value: fmt.Appendf(nil, `{"type":"a","id":"%d","data":1}`, i)})
	}
	boom := errors.New("boom")
	c := f.config()
	n := 0
	c.Append = func(ctx context.Context, rec schemas.Record, done func(int64, error)) {
		if n++; n == 17 {
			go done(-1, boom)
			return
		}
		f.writer.Append(ctx, rec, done)
	}
	done, _ := f.start(c)
	err := <-done
	done <- err
	if !errors.Is(err, boom) {
		t.Fatalf("Run ended with %v", err)
	}
	_, stop := f.start(f.config())
	until(t, "all deliveries are there", func() bool {
		ids := map[string]bool{}
		for _, rec := range f.read(f.Topology.DeliveriesTopic(), 1) {
			d, err := schemas.ParseDelivery(&rec)
			if err != nil {
				t.Fatal(err)
			}
			ids[d.ID] = true
		}
		return len(ids) == 40
	})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestFanoutBounded: an event for many endpoints stays within the bytes allowed
// in flight, and one routed record names no more than its part.
func TestFanoutBounded(t *testing.T) {
	f := newFanoutTest(t)
	for i := range routedPart + 10 {
		f.matches["big"] = append(f.matches["big"], schemas.Match{EndpointID: fmt.Sprintf("wh_%d", i)})
	}
	c := f.config()
	c.MaxInFlight = 1 << 20
	var mu sync.Mutex
	flying, most := 0, 0
	c.Append = func(ctx context.Context, rec schemas.Record, done func(int64, error)) {
		size := producer.RecordSize(&rec)
		mu.Lock()
		flying += size
		most = max(most, flying)
		mu.Unlock()
		f.writer.Append(ctx, rec, func(offset int64, err error) {
			mu.Lock()
			flying -= size
			mu.Unlock()
			done(offset, err)
		})
	}
	f.produce(&kgo.Record{Topic: f.Topology.EventsTopic(), Value: []byte(`{"type":"big","id":"1","data":"` + strings.Repeat("x", 4<<10) + `"}`)})
	f.start(c)
	ids := map[string]bool{}
	for _, rec := range f.read(f.Topology.RoutedTopic(), 2) {
		r, err := schemas.ParseRouted(&rec)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range r.DeliveryIDs {
			ids[id] = true
		}
	}
	if len(ids) != routedPart+10 || f.size(f.Topology.DeliveriesTopic()) != routedPart+10 {
		t.Errorf("%d ids routed, %d deliveries", len(ids), f.size(f.Topology.DeliveriesTopic()))
	}
	mu.Lock()
	defer mu.Unlock()
	if most > 1<<20 {
		t.Errorf("%d bytes were in flight", most)
	}
}
