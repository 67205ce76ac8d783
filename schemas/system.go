package schemas

// SystemEvent: the events that hookstream makes itself, about endpoints and
// deliveries, for the tenant that owns them. They travel like any event, under
// a kind of their own: a subscription has to name them (NamesType), and nothing
// that becomes of one of them makes another (Quiet).

import (
	"fmt"
	"strconv"
	"time"

	"github.com/segmentio/encoding/json"
)

// KindSystem marks the events below. They are retried like any event.
const KindSystem = "system"

// Types of the events that hookstream makes itself.
const (
	EventBreakerOpened     = "endpoint.breaker_opened"
	EventEndpointDisabled  = "endpoint.disabled"
	EventEndpointRecovered = "endpoint.recovered"
	EventDeliveryExhausted = "delivery.exhausted"
)

// SystemEvent is one type of event that hookstream makes itself, for the
// catalogue: what it means and the data of an example.
type SystemEvent struct {
	Type   string
	Doc    string
	Sample string
}

// SystemEvents lists them all. The list is the caller's.
func SystemEvents() []SystemEvent {
	return []SystemEvent{
		{EventBreakerOpened, "Requests to a webhook's URL keep failing: only probes go out until one succeeds; deliveries wait. " +
			"since: when it opened; until: when the next probe may start; reason: the last error kind",
			`{"endpoint_id":"wh_06bv0y9g3sr4w8k1m2n5p7q9t0","url":"https://example.com/hooks","reason":"http_5xx","failures":10,"since":"2025-03-04T05:06:07.123Z","until":"2025-03-04T05:06:37.123Z"}`},
		{EventEndpointDisabled, "A webhook was disabled by hookstream, until its owner changes it: it answered 410 (reason gone), or every attempt failed for days (failing). " +
			"since: when the failures began. What waits for it becomes dead letters, without further events",
			`{"endpoint_id":"wh_06bv0y9g3sr4w8k1m2n5p7q9t0","url":"https://example.com/hooks","reason":"failing","failures":212,"since":"2025-02-27T05:06:07.123Z"}`},
		{EventEndpointRecovered, "A webhook gets its deliveries again: a probe succeeded (reason probe), or its owner enabled it (enabled). " +
			"since: when the trouble began; until: when it ended",
			`{"endpoint_id":"wh_06bv0y9g3sr4w8k1m2n5p7q9t0","url":"https://example.com/hooks","reason":"probe","since":"2025-03-04T05:06:07.123Z","until":"2025-03-04T05:09:41.007Z"}`},
		{EventDeliveryExhausted, "A delivery was given up and is a dead letter now: its retries are used up (reason exhausted), the webhook answered 410 (gone), or its profile refuses the data (rejected). " +
			"since: when the delivery was made; until: its last attempt; response_code is null when there was no answer",
			`{"endpoint_id":"wh_06bv0y9g3sr4w8k1m2n5p7q9t0","url":"https://example.com/hooks","reason":"exhausted","since":"2025-03-04T05:06:07.123Z","until":"2025-03-05T08:41:12.900Z",` +
				`"event_id":"evt_06bv0y8c1d2e3f4g5h6j7k8m9n","event_type":"invoice.paid","delivery_id":"dlv_06bv0y8d9e0f1g2h3j4k5m6n7p","attempts":8,"response_code":503,"error_kind":"http_5xx","error":"HTTP 503"}`},
	}
}

// IsSystemEvent reports whether a type is one of SystemEvents.
func IsSystemEvent(eventType string) bool {
	switch eventType {
	case EventBreakerOpened, EventEndpointDisabled, EventEndpointRecovered, EventDeliveryExhausted:
		return true
	}
	return false
}

// ByName reports whether events of a kind go only to subscriptions that name
// their type: an outage must not double the load of whoever takes everything.
func ByName(kind string) bool { return kind == KindSystem || kind == KindNotice }

// NamesType reports whether one of the subscriptions names the type, exactly or
// by a pattern such as endpoint.*; the bare * names nothing.
func NamesType(subscriptions []string, eventType string) bool {
	for _, s := range subscriptions {
		if s != "*" && MatchType(s, eventType) {
			return true
		}
	}
	return false
}

// Quiet reports whether what becomes of a delivery makes no event: tests, whose
// outcome somebody waits for, and hookstream's own events, which would go round
// in circles.
func Quiet(d *Delivery) bool {
	switch d.Kind {
	case KindTest, KindChallenge, KindNotice, KindSystem:
		return true
	case KindReplay:
		return IsSystemEvent(d.EventType)
	}
	return false
}

// Condition is a change of an endpoint's condition.
type Condition struct {
	Type       string // EventBreakerOpened, EventEndpointDisabled or EventEndpointRecovered
	Tenant     string
	EndpointID string
	URL        string
	Reason     string
	Failures   int
	Since      time.Time // zero: not known
	Until      time.Time // zero: open
	At         time.Time // when it changed
	Cause      string    // what changed it: with type and endpoint it makes the event's id
	Trace      string
}

// Reasons of an EventEndpointRecovered.
const (
	RecoveredByProbe = "probe"
	RecoveredByOwner = "enabled"
)

// AttemptCause names an attempt as what changed an endpoint's condition.
func AttemptCause(d *Delivery) string { return d.ID + "/" + strconv.Itoa(d.Attempts+1) }

// systemData is the data of all system events; its fields' order is that of the
// document.
type systemData struct {
	EndpointID string `json:"endpoint_id"`
	URL        string `json:"url,omitempty"`
	Reason     string `json:"reason"`
	Failures   int    `json:"failures,omitempty"`
	Since      string `json:"since,omitempty"`
	Until      string `json:"until,omitempty"`
}

// exhaustedData adds what was given up.
type exhaustedData struct {
	systemData
	EventID      string `json:"event_id"`
	EventType    string `json:"event_type"`
	DeliveryID   string `json:"delivery_id"`
	Attempts     int    `json:"attempts"`
	ResponseCode *int   `json:"response_code"`
	ErrorKind    string `json:"error_kind"`
	Error        string `json:"error"`
}

// Event is the condition as an event. The same cause makes the same id.
func (c *Condition) Event() (Event, error) {
	data := systemData{EndpointID: c.EndpointID, URL: c.URL, Reason: c.Reason, Failures: c.Failures, Since: systemTime(c.Since), Until: systemTime(c.Until)}
	ev := Event{ID: systemID(c.Type, c.EndpointID, c.Cause), Type: c.Type, Tenant: c.Tenant, Time: c.At.UTC(), Key: c.EndpointID, Kind: KindSystem, Trace: c.Trace}
	return ev.with(data)
}

// ExhaustedEvent says that a delivery was given up with its last row: reason is
// that of its dead letter. One delivery makes one event, however often it is
// asked for.
func ExhaustedEvent(d *Delivery, last *Attempt, reason string) (Event, error) {
	ended := time.UnixMilli(last.AttemptedAt + last.DurationMS).UTC()
	data := exhaustedData{
		systemData: systemData{EndpointID: d.EndpointID, URL: last.URL, Reason: reason, Since: systemTime(d.CreatedAt), Until: systemTime(ended)},
		EventID:    d.EventID, EventType: d.EventType, DeliveryID: d.ID, Attempts: last.No, ErrorKind: last.ErrorKind, Error: last.Error}
	if last.ResponseCode != 0 {
		data.ResponseCode = &last.ResponseCode
	}
	ev := Event{ID: systemID(EventDeliveryExhausted, d.EndpointID, d.ID), Type: EventDeliveryExhausted, Tenant: d.Tenant, Time: ended, Key: d.EndpointID, Kind: KindSystem, Trace: d.Trace}
	return ev.with(data)
}

func (e Event) with(data any) (Event, error) {
	var err error
	if e.Data, err = json.Append(nil, data, 0); err != nil {
		return Event{}, fmt.Errorf("encoding %s: %w", e.Type, err)
	}
	return e, nil
}

// systemID is a pure function of what happened.
func systemID(eventType, endpointID, cause string) string {
	return hashID(EventPrefix, "system event", eventType, endpointID, cause)
}

// systemTime is RFC 3339 in milliseconds, empty for no time.
func systemTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}
