package schemas

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestDataStaysVerbatim(t *testing.T) {
	for name, rec := range map[string]Record{
		"envelope":   {Value: []byte(" {\"type\":\"invoice.paid\" , \"data\" : " + nastyData + " }\n")},
		"structured": {Value: []byte(`{"specversion":"1.0","id":"a1","source":"/x","type":"invoice.paid","data":` + nastyData + `}`), Headers: []Header{{"content-type", []byte("application/cloudevents+json; charset=utf-8")}}},
		"binary":     {Value: []byte(nastyData), Headers: []Header{{"ce_specversion", []byte("1.0")}, {"ce_id", []byte("a1")}, {"ce_type", []byte("invoice.paid")}, {"ce_source", []byte("/x")}}},
	} {
		t.Run(name, func(t *testing.T) {
			ev, err := ParseEvent(EventSource{Topic: "t"}, &rec)
			if err != nil {
				t.Fatal(err)
			}
			if string(ev.Data) != nastyData {
				t.Errorf("data changed:\n got %q\nwant %q", ev.Data, nastyData)
			}
			again, err := ParseEvent(EventSource{Topic: "t"}, &Record{Value: ev.AppendEnvelope(nil)})
			if err != nil || string(again.Data) != nastyData {
				t.Errorf("data changed by our own envelope: %q %v", again.Data, err)
			}
			d := Delivery{ID: "d", EventID: "e", EndpointID: "w", Data: ev.Data}
			drec := d.Record("deliveries", 0)
			back, err := ParseDelivery(&drec)
			if err != nil || string(back.Data) != nastyData {
				t.Errorf("data changed in a delivery: %q %v", back.Data, err)
			}
		})
	}
}

func TestParseEventRefusals(t *testing.T) {
	raw := EventSource{Topic: "orders", Format: FormatRaw, TypeHeader: "kind"}
	for _, c := range []struct {
		name   string
		source EventSource
		rec    Record
		field  string
	}{
		{"empty", EventSource{}, Record{}, "event"},
		{"text", EventSource{}, Record{Value: []byte("hello")}, "event"},
		{"array", EventSource{}, Record{Value: []byte(`[{"type":"a","data":1}]`)}, "event"},
		{"cut off", EventSource{}, Record{Value: []byte(`{"type":"a","data":{`)}, "event"},
		{"two objects", EventSource{}, Record{Value: []byte(`{"type":"a","data":1}{"type":"b","data":2}`)}, "event"},
		{"no type", EventSource{}, Record{Value: []byte(`{"data":1}`)}, "type"},
		{"type of another case", EventSource{}, Record{Value: []byte(`{"Type":"a","data":1}`)}, "type"},
		{"type is a number", EventSource{}, Record{Value: []byte(`{"type":7,"data":1}`)}, "type"},
		{"type with a star", EventSource{}, Record{Value: []byte(`{"type":"a.*","data":1}`)}, "type"},
		{"no data", EventSource{}, Record{Value: []byte(`{"type":"a"}`)}, "data"},
		{"bad time", EventSource{}, Record{Value: []byte(`{"type":"a","data":1,"time":"yesterday"}`)}, "time"},
		{"bad tenant", EventSource{}, Record{Value: []byte(`{"type":"a","data":1,"tenant":"a b"}`)}, "tenant"},
		{"bad id", EventSource{}, Record{Value: []byte(`{"type":"a","data":1,"id":"a\u0000b"}`)}, "id"},
		{"callback without profile", EventSource{}, Record{Value: []byte(`{"type":"a","data":1,"callback_url":"https://x.test/"}`)}, "profile"},
		{"callback is no URL", EventSource{}, Record{Value: []byte(`{"type":"a","data":1,"callback_url":"x.test","profile":"standard"}`)}, "callback_url"},
		{"cloudevents without id", EventSource{}, Record{Value: []byte(`{"specversion":"1.0","source":"/x","type":"a"}`), Headers: []Header{{"content-type", []byte("application/cloudevents+json")}}}, "id"},
		{"cloudevents 0.3", EventSource{}, Record{Value: []byte(`{"specversion":"0.3","id":"1","source":"/x","type":"a"}`), Headers: []Header{{"content-type", []byte("application/cloudevents+json")}}}, "specversion"},
		{"cloudevents wanted", EventSource{Topic: "o", Format: FormatCloudEvents}, Record{Value: []byte(`{}`)}, "content-type"},
		{"raw without its type header", raw, Record{Value: []byte(`{}`)}, "type"},
		{"raw that is no JSON", raw, Record{Value: []byte(`<xml/>`), Headers: []Header{{"kind", []byte("a")}}}, "data"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseEvent(c.source, &c.rec)
			var inv *InvalidEvent
			if !errors.As(err, &inv) {
				t.Fatalf("error is %v, want an *InvalidEvent", err)
			}
			if inv.Field != c.field {
				t.Errorf("names field %q (%s), want %q", inv.Field, inv, c.field)
			}
		})
	}
}

func TestParseEventDefaults(t *testing.T) {
	when := time.Date(2025, 3, 4, 5, 6, 7, 0, time.UTC)
	ev, err := ParseEvent(EventSource{Topic: "t"}, &Record{Value: []byte(`{"type":"a","data":null}`), Time: when})
	if err != nil {
		t.Fatal(err)
	}
	if ev.Tenant != DefaultTenant || !ev.Time.Equal(when) || ev.Kind != KindEvent || ev.ID != "" {
		t.Errorf("got %+v", ev)
	}
	ev, err = ParseEvent(EventSource{Topic: "t", Format: FormatRaw, Type: "order.made", TenantHeader: "org", IDHeader: "msg", Key: true},
		&Record{Key: []byte("c1"), Value: []byte(`{"n":1}`), Headers: []Header{{"org", []byte("acme")}, {"msg", []byte("m-1")}}})
	if err != nil {
		t.Fatal(err)
	}
	if ev.Type != "order.made" || ev.Tenant != "acme" || ev.ID != "m-1" || ev.Key != "c1" {
		t.Errorf("got %+v", ev)
	}
	ev, err = ParseEvent(EventSource{Topic: "t"}, &Record{Headers: []Header{{"ce_specversion", []byte("1.0")}, {"ce_id", []byte("1")}, {"ce_type", []byte("a")}, {"ce_tenant", []byte("acme")}}})
	if err != nil || string(ev.Data) != "null" || ev.Tenant != "acme" {
		t.Errorf("got %+v, %v", ev, err)
	}
}

func TestDeliveryRoundTrip(t *testing.T) {
	d := sampleDelivery()
	rec := d.Record("x", 1)
	back, err := ParseDelivery(&rec)
	if err != nil {
		t.Fatal(err)
	}
	if dump(back.Record("x", 1)) != dump(rec) {
		t.Errorf("changed:\n%s\n%s", dump(back.Record("x", 1)), dump(rec))
	}
	rec.Headers = rec.Headers[1:]
	if _, err := ParseDelivery(&rec); err == nil || !strings.Contains(err.Error(), "delivery id") {
		t.Errorf("a delivery without its id is read: %v", err)
	}
}

func TestRowsRoundTrip(t *testing.T) {
	top := DevTopology()
	d := sampleDelivery()
	a := AttemptOf(&d, 1, at(5))
	rec := must(a.Record(top))(t)
	back, err := ParseAttempt(&rec)
	if err != nil || back != a {
		t.Errorf("attempt changed: %+v %v", back, err)
	}
	if a.TraceID != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("trace id is %q", a.TraceID)
	}
	r := Routed{EventID: "e", Data: []byte(nastyData)}
	rrec := must(r.Record(top, 0))(t)
	rback, err := ParseRouted(&rrec)
	if err != nil || string(rback.Data) != nastyData {
		t.Errorf("routed changed: %q %v", rback.Data, err)
	}
}

func TestMatchType(t *testing.T) {
	for _, c := range []struct {
		pattern, typ string
		want         bool
	}{
		{"*", "a", true}, {"a.b", "a.b", true}, {"a.b", "a.bc", false}, {"a.*", "a.b", true}, {"a.*", "a.b.c", true},
		{"a.*", "a", false}, {"a.*", "ab.c", false}, {"a.*", "a.", false}, {"A.b", "a.b", false},
	} {
		if got := MatchType(c.pattern, c.typ); got != c.want {
			t.Errorf("MatchType(%q, %q) = %v", c.pattern, c.typ, got)
		}
	}
}

func TestIDs(t *testing.T) {
	a := DeliveryID("t", "e", "w", "")
	if !IsMadeID(DeliveryPrefix, a) || len(a) != 30 {
		t.Errorf("delivery id %q", a)
	}
	if a != DeliveryID("t", "e", "w", "") || a == DeliveryID("t", "ew", "", "") || a == DeliveryID("t", "e", "w", "r") {
		t.Error("delivery ids are not fixed by their parts alone")
	}
	ev := EventIDAt([16]byte{1}, 2, 3)
	if ev == EventIDAt([16]byte{2}, 2, 3) || ev == EventIDAt([16]byte{1}, 3, 2) {
		t.Error("event ids of different records are equal")
	}
	wire := WireID(ev, EventPrefix, "event_")
	if !strings.HasPrefix(wire, "event_") || InnerID(wire, EventPrefix, "event_") != ev || InnerID(ev, EventPrefix, "event_") != ev {
		t.Errorf("wire id %q", wire)
	}
	if WireID("evt_mine", EventPrefix, "event_") != "evt_mine" {
		t.Error("a publisher's id was changed")
	}
}

// TestMurmur2 has the vectors of Kafka's own UtilsTest.testMurmur2.
func TestMurmur2(t *testing.T) {
	for s, want := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string": -1486304829, "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971, "abc": 479470107,
	} {
		if got := int32(murmur2(s)); got != want {
			t.Errorf("murmur2(%q) = %d, want %d", s, got, want)
		}
	}
}

func TestTierFor(t *testing.T) {
	for d, want := range map[time.Duration]string{time.Second: "1s", 4 * time.Second: "2s", time.Minute: "1m", 14 * time.Hour: "10h"} {
		if tier, ok := TierFor(d); !ok || tier.Name != want {
			t.Errorf("TierFor(%v) = %v %v", d, tier.Name, ok)
		}
	}
	if _, ok := TierFor(999 * time.Millisecond); ok {
		t.Error("a delay under the shortest tier got one")
	}
}

// TestWordsForBrokenJSON: what is wrong with an event that is no JSON is said
// without the parser's own marks.
func TestWordsForBrokenJSON(t *testing.T) {
	_, err := ParseEnvelope([]byte(`{"type":"a.b","data":`))
	if err == nil || err.Error() != "event: is not valid JSON: unexpected end of JSON input" {
		t.Errorf("%v", err)
	}
}
