package schemas

// Attempt is one row of the attempts topic and of the table attempts: one HTTP
// exchange of a delivery, or the reason why there was none.

import (
	"fmt"
	"strconv"
	"time"

	"github.com/segmentio/encoding/json"
)

// State is a delivery's state after an attempt.
type State string

// States of a delivery.
const (
	StatePending State = "pending" // another attempt will come
	StateSuccess State = "success"
	StateError   State = "error"   // given up: a dead letter
	StateSkipped State = "skipped" // never attempted; the reason is the error kind
)

// Terminal reports whether no attempt follows.
func (s State) Terminal() bool { return s != StatePending }

// Error kinds: what went wrong with an attempt, or why a delivery was skipped.
const (
	ErrNone     = ""
	ErrHTTP3xx  = "http_3xx"
	ErrHTTP4xx  = "http_4xx"
	ErrHTTP5xx  = "http_5xx"
	ErrTimeout  = "timeout"
	ErrDNS      = "dns"
	ErrRefused  = "refused"
	ErrTLS      = "tls"
	ErrReset    = "reset"
	ErrBlocked  = "blocked"   // the egress guard
	ErrTooLarge = "too_large" // a record that can never be produced
	ErrRejected = "rejected"  // the profile's rules refuse the data

	SkipNoMatch    = "no_match"
	SkipInactive   = "inactive"
	SkipUnverified = "unverified"
	SkipDeleted    = "deleted"
	SkipDuplicate  = "duplicate"
	SkipExpired    = "expired"
)

// MaxResponseExcerpt bounds Attempt.ResponseBody, in bytes.
const MaxResponseExcerpt = 4 << 10

// Attempt times are Unix milliseconds, zero for none.
type Attempt struct {
	Tenant       string   `json:"tenant"`
	EndpointID   string   `json:"endpoint"`
	DeliveryID   string   `json:"delivery"`
	No           int      `json:"no"` // 1 for the first attempt; 0 for a row without an attempt
	EventID      string   `json:"event"`
	EventType    string   `json:"type"`
	State        State    `json:"state"`
	CreatedAt    int64    `json:"created"` // of the delivery
	AttemptedAt  int64    `json:"at"`      // when the request was sent
	NextRetryAt  int64    `json:"next,omitempty"`
	DurationMS   int64    `json:"ms"`
	ResponseCode int      `json:"code,omitempty"` // 0: no answer came
	ErrorKind    string   `json:"error_kind,omitempty"`
	Error        string   `json:"error,omitempty"`
	ResponseBody string   `json:"body,omitempty"` // at most MaxResponseExcerpt bytes
	URL          string   `json:"url,omitempty"`
	Profile      string   `json:"profile,omitempty"`
	Kind         string   `json:"kind,omitempty"`
	ReplayOf     string   `json:"replay_of,omitempty"`
	Slow         bool     `json:"slow,omitempty"`
	TraceID      string   `json:"trace,omitempty"`
	Source       Position `json:"src"`
}

// Record writes the attempt for the attempts topic. The headers repeat what a
// dispatcher needs to seed its done-set without reading the value.
func (a *Attempt) Record(t Topology) (Record, error) {
	value, err := json.Append(nil, a, 0)
	if err != nil {
		return Record{}, fmt.Errorf("encoding attempt: %w", err)
	}
	slot := t.Slot(a.EndpointID)
	return Record{Topic: t.AttemptsTopic(), Partition: t.AttemptsPartition(slot), Key: []byte(a.EndpointID), Value: value,
		Headers: []Header{
			{Key: HdrSlot, Value: strconv.AppendInt(nil, int64(slot), 10)},
			{Key: HdrDelivery, Value: []byte(a.DeliveryID)},
			{Key: HdrAttempts, Value: strconv.AppendInt(nil, int64(a.No), 10)},
			{Key: HdrState, Value: []byte(a.State)},
		}}, nil
}

// ParseAttempt reads what Record wrote.
func ParseAttempt(rec *Record) (Attempt, error) {
	var a Attempt
	if _, err := json.Parse(rec.Value, &a, json.DontMatchCaseInsensitiveStructFields); err != nil {
		return Attempt{}, fmt.Errorf("reading attempt at %s/%d/%d: %w", rec.Topic, rec.Partition, rec.Offset, err)
	}
	return a, nil
}

// AttemptOf starts a row for a delivery: everything but what the exchange gave.
func AttemptOf(d *Delivery, no int, at time.Time) Attempt {
	a := Attempt{Tenant: d.Tenant, EndpointID: d.EndpointID, DeliveryID: d.ID, No: no, EventID: d.EventID, EventType: d.EventType,
		AttemptedAt: at.UnixMilli(), Profile: d.Profile, Kind: d.Kind, ReplayOf: d.ReplayOf, TraceID: traceID(d.Trace), Source: d.Source}
	if !d.CreatedAt.IsZero() {
		a.CreatedAt = d.CreatedAt.UnixMilli()
	}
	return a
}

// traceID is the trace id inside a W3C traceparent: version-traceid-spanid-flags.
func traceID(traceparent string) string {
	if len(traceparent) < 55 {
		return ""
	}
	return traceparent[3:35]
}
