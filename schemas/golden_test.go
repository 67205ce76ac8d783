package schemas

// Goldens: the bytes of every record that crosses a border, kept as files under
// testdata. Run with UPDATE_GOLDEN=1 to write them anew, then read the diff.

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func dump(r Record) string {
	var b strings.Builder
	fmt.Fprintf(&b, "topic %s partition %d\nkey %q\n", r.Topic, r.Partition, r.Key)
	for _, h := range r.Headers {
		fmt.Fprintf(&b, "%s: %s\n", h.Key, h.Value)
	}
	fmt.Fprintf(&b, "value %d bytes\n%s\n", len(r.Value), r.Value)
	return b.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run with UPDATE_GOLDEN=1)", err)
	}
	if got != string(want) {
		t.Errorf("%s differs\n got: %s\nwant: %s", name, got, want)
	}
}

// nastyData is JSON that every encoder in reach would change.
const nastyData = "{ \"amount\" : 25.0, \"big\":12345678901234567890,\"text\":\"<a&b>\u2028 \\u00e9 é\" ,\n\"z\":1,\"a\":[ ] }"

func at(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func sampleDelivery() Delivery {
	return Delivery{ID: DeliveryID("acme", "evt_1", "wh_1", ""), EventID: "evt_1", EventType: "invoice.paid", Tenant: "acme", EndpointID: "wh_1",
		Kind: KindEvent, EventTime: at(1741064767123), CreatedAt: at(1741064767500), Attempts: 2, Due: at(1741064770000), Enqueued: at(1741064768000),
		Profile: "standard", ProfileVersion: 1, Source: Position{"hookstream.events", 3, 42},
		Trace: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Data: []byte(nastyData)}
}

func TestGoldens(t *testing.T) {
	top := DevTopology()
	ev := Event{ID: "evt_1", Type: "invoice.paid", Tenant: "acme", Time: at(1741064767123), Key: "cust-7", Data: []byte(nastyData)}
	golden(t, "event", dump(ev.Record(top.EventsTopic())))
	replay := ev
	replay.Kind, replay.ReplayOf, replay.ReplayID, replay.EndpointID = KindReplay, "dlv_x", "r1", "wh_1"
	golden(t, "event_replay", dump(replay.Record(top.EventsTopic())))
	d := sampleDelivery()
	golden(t, "delivery", dump(d.Record(top.DeliveriesTopic(), top.Slot(d.EndpointID))))

	a := AttemptOf(&d, 3, at(1741064770001))
	a.State, a.ResponseCode, a.ErrorKind, a.Error, a.DurationMS, a.ResponseBody = StatePending, 503, ErrHTTP5xx, "answered 503", 17, "busy \u2028 <b>"
	a.URL, a.NextRetryAt = "https://hooks.example.test/in", 1741064775000
	golden(t, "attempt", dump(must(a.Record(top))(t)))

	r := Routed{EventID: "evt_1", Tenant: "acme", Type: "invoice.paid", Time: 1741064767123, CreatedAt: 1741064767500, DeliveryIDs: []string{d.ID},
		EndpointIDs: []string{"wh_1"}, Skipped: []Skip{{"wh_2", "dlv_2", SkipInactive}}, Source: d.Source, Data: []byte(nastyData)}
	golden(t, "routed", dump(must(r.Record(top, 3))(t)))

	in := Inbound{ID: "in_1", Source: "interviews", Profile: "aiinterview", Tenant: "acme", Key: "interview.completed:ses_51b", Type: "interview.completed",
		Unlisted: true, Received: at(1741064767123), ContentType: "application/json", Body: []byte(nastyData), Raw: Position{"hookstream.inbound.raw", 3, 7}}
	rec := in.Record(top, top.InboundTopic())
	golden(t, "inbound", dump(rec))
	if back, err := ParseInbound(&rec); err != nil || !reflect.DeepEqual(back, Inbound{in.ID, in.Source, in.Profile, in.Tenant, in.Key, in.Type, in.Unlisted, back.Received, in.ContentType, in.Body, in.Raw, in.Trace}) || !back.Received.Equal(in.Received) {
		t.Errorf("read back %+v, %v", back, err)
	}

	e := Endpoint{ID: "wh_1", Tenant: "acme", Version: 4, Name: "billing", URL: "https://hooks.example.test/in", Events: []string{"invoice.*"}, Profile: "standard",
		Active: true, Verified: true, Secrets: []Sealed{{KeyID: "k1", Box: []byte{1, 2, 3}, CreatedAt: at(1741064767123)}}, RateLimit: 10,
		Retry: []float64{1, 2.5}, CreatedAt: at(1741064767123), UpdatedAt: at(1741064767124)}
	golden(t, "endpoint", dump(must(e.Record(top))(t)))
	s := EndpointStatus{ID: "wh_1", ForVersion: 4, Disabled: true, Reason: "gone", At: at(1741064770002)}
	golden(t, "endpoint_status", dump(must(s.Record(top))(t)))
	golden(t, "endpoint_tombstone", dump(EndpointTombstone(top, "wh_1")))
	x := Tenant{ID: "acme", Name: "Acme", Version: 2, Profile: "standard", Keys: []TenantKey{{ID: "key_1", Hash: []byte{9}, Hint: "x9z", CreatedAt: at(1741064767123)}},
		CreatedAt: at(1741064767123), UpdatedAt: at(1741064767124)}
	golden(t, "tenant", dump(must(x.Record(top))(t)))
	n := Notice{Kind: NoticeBreaker, Tenant: "acme", EndpointID: "wh_1", At: 1741064770002, State: "open", Reason: "10 failures in a row", Failures: 10, OpenUntil: 1741064800002}
	golden(t, "notice", dump(must(n.Record(top))(t)))
	c := Control{Action: ControlProbe, EndpointID: "wh_1", At: 1741064770002}
	golden(t, "control", dump(must(c.Record(top))(t)))
}

func must(r Record, err error) func(*testing.T) Record {
	return func(t *testing.T) Record {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
}

// TestTopicShapes keeps the names, counts and policies of every topic.
func TestTopicShapes(t *testing.T) {
	for name, top := range map[string]Topology{"topics": DefaultTopology(), "topics_dev": DevTopology()} {
		if err := top.Validate(); err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, topic := range top.Topics() {
			fmt.Fprintf(&b, "%s %d %v\n", topic.Name, topic.Partitions, top.Configs(topic))
		}
		golden(t, name, b.String())
	}
}
