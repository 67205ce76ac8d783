package schemas

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

// The documented data of each system event is what the code makes, field for
// field and in that order.
func TestSystemEventsAreAsDocumented(t *testing.T) {
	at := time.Date(2025, 3, 4, 5, 6, 7, 123e6, time.UTC)
	const id, url = "wh_06bv0y9g3sr4w8k1m2n5p7q9t0", "https://example.com/hooks"
	condition := func(c Condition) Event {
		t.Helper()
		c.Tenant, c.EndpointID, c.URL, c.At, c.Cause = "acme", id, url, at, "dlv_x/1"
		ev, err := c.Event()
		if err != nil {
			t.Fatal(err)
		}
		return ev
	}
	d := &Delivery{ID: "dlv_06bv0y8d9e0f1g2h3j4k5m6n7p", EventID: "evt_06bv0y8c1d2e3f4g5h6j7k8m9n", EventType: "invoice.paid", Tenant: "acme", EndpointID: id, CreatedAt: at}
	ended := time.Date(2025, 3, 5, 8, 41, 12, 900e6, time.UTC)
	exhausted, err := ExhaustedEvent(d, &Attempt{No: 8, URL: url, AttemptedAt: ended.UnixMilli() - 400, DurationMS: 400, ResponseCode: 503, ErrorKind: ErrHTTP5xx, Error: "HTTP 503"}, "exhausted")
	if err != nil {
		t.Fatal(err)
	}
	made := []Event{
		condition(Condition{Type: EventBreakerOpened, Reason: ErrHTTP5xx, Failures: 10, Since: at, Until: at.Add(30 * time.Second)}),
		condition(Condition{Type: EventEndpointDisabled, Reason: "failing", Failures: 212, Since: at.AddDate(0, 0, -5)}),
		condition(Condition{Type: EventEndpointRecovered, Reason: RecoveredByProbe, Since: at, Until: time.Date(2025, 3, 4, 5, 9, 41, 7e6, time.UTC)}),
		exhausted,
	}
	catalogue := SystemEvents()
	if len(catalogue) != len(made) {
		t.Fatalf("%d types, %d made", len(catalogue), len(made))
	}
	document, err := os.ReadFile("../docs/own-events.md")
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for i, e := range catalogue {
		ev := made[i]
		if ev.Type != e.Type || string(ev.Data) != e.Sample || e.Doc == "" || !IsSystemEvent(e.Type) {
			t.Errorf("%s: made\n%s\nsample\n%s", e.Type, ev.Data, e.Sample)
		}
		if !strings.Contains(string(document), e.Sample) || !strings.Contains(string(document), "| `"+e.Type+"` |") {
			t.Errorf("docs/own-events.md lacks %s or its sample", e.Type)
		}
		if ev.Tenant != "acme" || ev.Key != id || ev.Kind != KindSystem || ev.Time.IsZero() || !IsMadeID(EventPrefix, ev.ID) || ids[ev.ID] {
			t.Errorf("%+v", ev)
		}
		ids[ev.ID] = true
		// On the events topic and back.
		rec := ev.Record("events")
		back, err := ParseEvent(EventSource{Topic: "events"}, &rec)
		if err != nil || back.Kind != KindSystem || back.ID != ev.ID || string(back.Data) != string(ev.Data) || !back.Time.Equal(ev.Time) {
			t.Errorf("read back %+v, %v", back, err)
		}
	}
	if again, _ := ExhaustedEvent(d, &Attempt{No: 8, AttemptedAt: at.UnixMilli(), Error: "another try after a crash"}, "exhausted"); again.ID != exhausted.ID {
		t.Error("a repeat has another id")
	}
	if other := *d; true {
		other.ID = "dlv_other"
		if ev, _ := ExhaustedEvent(&other, &Attempt{No: 8}, "exhausted"); ev.ID == exhausted.ID {
			t.Error("two deliveries have one event")
		}
	}
	hostile, err := ExhaustedEvent(d, &Attempt{Error: "\xff\"\u2028\x00"}, "exhausted")
	if err != nil || !json.Valid(hostile.Data) {
		t.Errorf("%s, %v", hostile.Data, err)
	}
	var none struct {
		Code *int `json:"response_code"`
	}
	if err := json.Unmarshal(hostile.Data, &none); err != nil || none.Code != nil {
		t.Errorf("no answer is null: %s", hostile.Data)
	}
}

func TestSubscriptionsNameSystemEvents(t *testing.T) {
	for _, c := range []struct {
		subscriptions []string
		names         bool
	}{
		{nil, false}, {[]string{"*"}, false}, {[]string{"endpoint.*"}, true}, {[]string{"*", "endpoint.disabled"}, true},
		{[]string{"endpoint.recovered"}, false}, {[]string{"delivery.*", "endpoints.*", "endpoint"}, false},
	} {
		if got := NamesType(c.subscriptions, EventEndpointDisabled); got != c.names {
			t.Errorf("%q: %v", c.subscriptions, got)
		}
	}
	for kind, want := range map[string]bool{KindSystem: true, KindNotice: true, KindEvent: false, KindTest: false, KindReplay: false, "": false} {
		if ByName(kind) != want {
			t.Errorf("ByName(%q) is %v", kind, !want)
		}
	}
	for _, c := range []struct {
		kind, eventType string
		quiet           bool
	}{
		{KindEvent, "a.b", false}, {"", "a.b", false}, {KindEvent, EventDeliveryExhausted, false}, {KindReplay, "a.b", false},
		{KindReplay, EventDeliveryExhausted, true}, {KindSystem, EventDeliveryExhausted, true}, {KindNotice, "webhook.retry", true}, {KindTest, "a.b", true},
	} {
		if Quiet(&Delivery{Kind: c.kind, EventType: c.eventType}) != c.quiet {
			t.Errorf("%+v", c)
		}
	}
}
