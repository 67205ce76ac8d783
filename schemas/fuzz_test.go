package schemas

// Fuzzing of what publishers put on the events topic, and of our own records
// as somebody else may have written them.

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzParseEvent: whatever is on the topic is an event or an *InvalidEvent that
// names its field. An event's data is valid JSON to anybody, lies in the record
// verbatim, and survives being written as an envelope.
func FuzzParseEvent(f *testing.F) {
	for _, value := range []string{
		`{"type":"resume.created","data":{"a": 1.0}}`,
		` {"id":"e1","type":"a.b","tenant":"acme","time":"2025-03-04T05:06:07.5+02:00","key":"k","endpoint_id":"wh_1","data":[1, 2]}`,
		`{"type":"a","callback_url":"https://example.org/x","profile":"kidsmart","data":"\u2028<>&"}`,
		`{"specversion":"1.0","id":"1","source":"/s","type":"a.b","data":{"x":null},"partitionkey":"p"}`,
		`{"specversion":"1.0","id":"1","source":"/s","type":"a.b","data_base64":"eyJhIjoxfQ=="}`,
		`{"type":"a","data":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`,
		`{"Type":"a","data":1}`, `{"type":"a","data":01}`, `{"type":"a","data":"` + "\x01" + `"}`, `{"type":"a","data":1}{}`, `[]`, ``, `nul`,
	} {
		for form := range uint8(4) {
			f.Add(form, []byte(value), "a.b", "id-1", "2025-03-04T05:06:07Z", []byte("key"))
		}
	}
	f.Fuzz(func(t *testing.T, form uint8, value []byte, kind, id, at string, key []byte) {
		source := EventSource{Topic: "t"}
		rec := Record{Topic: "t", Key: key, Value: value, Time: time.UnixMilli(1700000000123).UTC()}
		header := func(k, v string) { rec.Headers = append(rec.Headers, Header{Key: k, Value: []byte(v)}) }
		switch form % 4 {
		case 1:
			header("content-type", "application/cloudevents+json; charset=utf-8")
		case 2:
			header("ce_specversion", "1.0")
			header("ce_type", kind)
			header("ce_id", id)
			header("ce_time", at)
		case 3:
			source = EventSource{Topic: "t", Format: FormatRaw, TypeHeader: "type", TenantHeader: "tenant", IDHeader: "id", Key: true}
			header("type", kind)
			header("id", id)
			header("tenant", at)
		}
		before := bytes.Clone(value)
		ev, err := ParseEvent(source, &rec)
		if !bytes.Equal(value, before) {
			t.Fatal("the record was changed")
		}
		var bad *InvalidEvent
		if err != nil {
			if !errors.As(err, &bad) || bad.Field == "" || bad.Reason == "" {
				t.Fatalf("the error %v names no field", err)
			}
			return
		}
		if !stdjson.Valid(ev.Data) {
			t.Fatalf("data is no JSON to the standard library: %q", ev.Data)
		}
		if string(ev.Data) != "null" && !bytes.Contains(value, ev.Data) && !bytes.Contains(value, []byte("base64")) {
			t.Fatalf("data %q is not as it was published in %q", ev.Data, value)
		}
		if ev.Tenant == "" || ev.Type == "" || ev.Kind != KindEvent || ev.Time.IsZero() {
			t.Fatalf("half an event: %+v", ev)
		}
		if !utf8.ValidString(ev.Key + ev.EndpointID + ev.CallbackURL + ev.Profile) {
			return // JSON has no way to say it
		}
		again, err := ParseEnvelope(ev.AppendEnvelope(nil))
		if err != nil {
			t.Fatalf("%+v as an envelope: %v", ev, err)
		}
		again.Kind, again.Trace = ev.Kind, ev.Trace
		// White space around a value is no part of it.
		if !again.Time.Equal(ev.Time) || !bytes.Equal(again.Data, bytes.Trim(ev.Data, " \t\r\n")) {
			t.Fatalf("%+v came back as %+v", ev, again)
		}
		again.Time, again.Data = ev.Time, ev.Data
		if !reflect.DeepEqual(again, ev) {
			t.Fatalf("%+v came back as %+v", ev, again)
		}
	})
}

// FuzzRecords: no bytes on one of our topics make a reader panic, and what one
// reads it reads again from what it writes.
func FuzzRecords(f *testing.F) {
	top := DefaultTopology()
	d := Delivery{ID: "dlv_1", EventID: "e", EventType: "a.b", Tenant: "t", EndpointID: "wh_1", CreatedAt: time.UnixMilli(1700000000000).UTC(), Attempts: 2,
		Due: time.UnixMilli(1700000001000).UTC(), Profile: "standard", ProfileVersion: 1, Source: Position{"events", 3, 9}, Data: []byte(`{"a": 1}`)}
	rec := d.Record("deliveries", 0)
	for _, h := range rec.Headers {
		f.Add([]byte("wh_1"), rec.Value, h.Key, h.Value)
	}
	a := AttemptOf(&d, 3, time.UnixMilli(1700000002000))
	r, _ := a.Record(top)
	f.Add(r.Key, r.Value, HdrOutcome, r.Value)
	r, _ = (&Routed{EventID: "e", Tenant: "t", Type: "a", DeliveryIDs: []string{"d"}, EndpointIDs: []string{"w"}, Data: []byte("[1 ]")}).Record(top, 0)
	f.Add(r.Key, r.Value, HdrReason, []byte("exhausted"))
	r, _ = (&LaneRow{EndpointID: "wh_1", State: LaneOpen, Lo: 1, Hi: 2}).Record(top)
	f.Add(r.Key, r.Value, HdrSlot, []byte("1"))
	in := Inbound{ID: "in_1", Source: "s", Profile: "stripe", Key: "evt_1", Type: "a", Received: time.UnixMilli(5), Body: []byte("{}"), Raw: Position{"inbound.raw", 1, 2}}
	r = in.Record(top, "inbound")
	for _, h := range r.Headers {
		f.Add(r.Key, r.Value, h.Key, h.Value)
	}
	f.Fuzz(func(t *testing.T, key, value []byte, name string, header []byte) {
		// The header that is fuzzed stands among those that make a record whole.
		rec := Record{Topic: "x", Key: key, Value: value, Headers: []Header{{HdrDelivery, []byte("dlv_1")}, {HdrEvent, []byte("e")}, {HdrInbound, []byte("in_1")}, {HdrSourceName, []byte("s")},
			{HdrReceived, []byte("5")}, {name, header}}}
		if d, err := ParseDelivery(&rec); err == nil {
			again := d.Record("x", 0)
			if back, err := ParseDelivery(&again); err != nil || !sameDelivery(back, d) {
				t.Fatalf("delivery %+v came back as %+v (%v)", d, back, err)
			}
		}
		if d, reason, last, err := ParseDead(&rec); err == nil {
			again, err := DeadRecord(top, &d, reason, &last)
			if err != nil {
				t.Fatal(err)
			}
			if _, because, row, err := ParseDead(&again); err != nil || because != reason || utf8.Valid(header) && row != last {
				t.Fatalf("dead letter %s %+v came back as %s %+v (%v)", reason, last, because, row, err)
			}
		}
		if in, err := ParseInbound(&rec); err == nil {
			again := in.Record(top, "x")
			if back, err := ParseInbound(&again); err != nil || !reflect.DeepEqual(back, in) {
				t.Fatalf("received webhook %+v came back as %+v (%v)", in, back, err)
			}
		}
		if routed, err := ParseRouted(&rec); err == nil {
			again, err := routed.Record(top, 0)
			if err != nil {
				t.Fatal(err)
			}
			if back, err := ParseRouted(&again); err != nil || !bytes.Equal(back.Data, routed.Data) {
				t.Fatalf("routed %+v came back as %+v (%v)", routed, back, err)
			}
		}
		if a, err := ParseAttempt(&rec); err == nil {
			if again, err := a.Record(top); err == nil {
				if back, err := ParseAttempt(&again); err != nil || utf8.Valid(value) && back != a {
					t.Fatalf("attempt %+v came back as %+v (%v)", a, back, err)
				}
			}
		}
		if row, err := ParseLane(&rec); err == nil {
			_, _ = row.Record(top)
		}
		_, _ = ParseCheckpoint(&rec)
		_, _ = ParseNotice(&rec)
		_, _ = ParseControl(&rec)
		for _, row := range []any{&Endpoint{}, &EndpointStatus{}, &Tenant{}, &TenantType{}} {
			_ = ParseRow(&rec, row)
		}
		if p, err := ParsePosition(string(header)); err == nil {
			if back, err := ParsePosition(p.String()); err != nil || back != p {
				t.Fatalf("position %v came back as %v (%v)", p, back, err)
			}
		}
	})
}

// sameDelivery compares what a record holds of a delivery: times as instants,
// counts from one.
func sameDelivery(a, b Delivery) bool {
	for _, d := range []*Delivery{&a, &b} {
		d.Attempts, d.ProfileVersion = max(d.Attempts, 0), max(d.ProfileVersion, 0)
		if d.Kind == "" {
			d.Kind = KindEvent
		}
	}
	same := a.EventTime.Equal(b.EventTime) && a.CreatedAt.Equal(b.CreatedAt) && a.Due.Equal(b.Due) && a.Enqueued.Equal(b.Enqueued) && bytes.Equal(a.Data, b.Data)
	for _, d := range []*Delivery{&a, &b} {
		d.EventTime, d.CreatedAt, d.Due, d.Enqueued, d.Data = time.Time{}, time.Time{}, time.Time{}, time.Time{}, nil
	}
	return same && reflect.DeepEqual(a, b)
}

// FuzzIDs: an id that we made goes out under another prefix and comes back;
// what a publisher gave is never changed.
func FuzzIDs(f *testing.F) {
	f.Add("evt_0123456789abcdefghjkmnpqrs", "event_")
	f.Add("evt_5", "event_")
	f.Add("event_0123456789abcdefghjkmnpqrs", "event_")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, id, prefix string) {
		wire := WireID(id, EventPrefix, prefix)
		if !IsMadeID(EventPrefix, id) && wire != id {
			t.Fatalf("%q goes out as %q", id, wire)
		}
		if IsMadeID(EventPrefix, id) && InnerID(wire, EventPrefix, prefix) != id {
			t.Fatalf("%q goes out as %q and comes back as %q", id, wire, InnerID(wire, EventPrefix, prefix))
		}
		for _, err := range []error{CheckEventID(id), CheckTenant(id), CheckEventType(id)} {
			if field, reason, ok := "", "", true; err != nil {
				if field, reason, ok = strings.Cut(err.Error(), ": "); !ok || field == "" || reason == "" {
					t.Fatalf("%q: %v names no field", id, err)
				}
			}
		}
		if CheckEventID(id) == nil && strings.ContainsAny(id, "\r\n\x00") {
			t.Fatalf("%q would break a header", id)
		}
		_ = MatchType(prefix, id)
	})
}
