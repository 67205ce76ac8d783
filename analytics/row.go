package analytics

// What the queries answer with: one row for a delivery, one for an attempt.

import (
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/hookstream/hookstream/schemas"
)

// LogRow is the latest state of one delivery, the same everywhere in the API.
type LogRow struct {
	ID            string        `json:"id"`
	EventID       string        `json:"event_id"`
	EventType     string        `json:"event_type"`
	WebhookID     string        `json:"webhook_id"`
	Tenant        string        `json:"tenant"`
	URL           string        `json:"url"` // of the latest attempt; empty before the first
	Status        schemas.State `json:"status"`
	Attempts      int           `json:"attempts"`
	ResponseCode  *int          `json:"response_code"` // null: no answer came
	ErrorKind     string        `json:"error_kind"`
	Error         string        `json:"error"`
	ResponseBody  string        `json:"response_body"`
	DurationMS    int64         `json:"duration_ms"`
	Slow          bool          `json:"slow"` // it took longer than the profile's slow mark, and succeeded
	CreatedAt     time.Time     `json:"created_at"`
	LastAttemptAt *time.Time    `json:"last_attempt_at"` // null before the first attempt
	NextRetryAt   *time.Time    `json:"next_retry_at"`   // null unless one is planned
}

// AttemptRow is one HTTP exchange of a delivery, or, with number 0, the reason
// why there was none.
type AttemptRow struct {
	No           int           `json:"no"`
	At           time.Time     `json:"at"`
	Status       schemas.State `json:"status"` // of the delivery after it
	URL          string        `json:"url"`
	ResponseCode *int          `json:"response_code"`
	ErrorKind    string        `json:"error_kind"`
	Error        string        `json:"error"`
	ResponseBody string        `json:"response_body"`
	DurationMS   int64         `json:"duration_ms"`
	Slow         bool          `json:"slow"`
	TraceID      string        `json:"trace_id"`
	NextRetryAt  *time.Time    `json:"next_retry_at"`
}

// DeliveryDetail is a delivery with all of its attempts, oldest first.
type DeliveryDetail struct {
	LogRow
	Kind         string           `json:"kind"`
	ReplayOf     string           `json:"replay_of"`
	Profile      string           `json:"profile"`
	AttemptsList []AttemptRow     `json:"attempts_list"`
	Source       schemas.Position `json:"-"` // where the event's own record lies
}

// record is one row of attempts, or, with no attempt made yet, what events says
// of the delivery.
type record struct {
	tenant, endpoint, delivery, event, eventType string
	created, attempted, next                     time.Time
	no, code                                     uint16
	state, errorKind, errorMessage, body, url    string
	duration                                     uint32
	profile, kind, replayOf, trace               string
	slow                                         bool
	sourceTopic                                  string
	sourcePartition                              uint32
	sourceOffset                                 uint64
}

// recordColumns is the select list that scan reads, of the table attempts.
const recordColumns = `toString(tenant_id) AS tenant_id, toString(endpoint_id) AS endpoint_id, created_at, delivery_id, attempt_no, event_id, toString(event_type) AS event_type,
	toString(state) AS row_state, attempted_at, next_retry_at, response_code, toString(error_kind) AS error_kind, error_message, duration_ms, response_body,
	url, toString(profile) AS profile, toString(kind) AS kind, replay_of, slow, trace_id, toString(source_topic) AS source_topic, source_partition, source_offset`

// madeColumns is the same list of the table events, one row for each delivery
// that an event made.
const madeColumns = `toString(tenant_id) AS tenant_id, toString(endpoint) AS endpoint_id, created_at, delivery AS delivery_id, toUInt16(0) AS attempt_no, event_id, toString(event_type) AS event_type,
	'pending' AS row_state, toDateTime64(0, 3, 'UTC') AS attempted_at, toDateTime(0, 'UTC') AS next_retry_at, toUInt16(0) AS response_code, '' AS error_kind, '' AS error_message, toUInt32(0) AS duration_ms, '' AS response_body,
	'' AS url, '' AS profile, toString(kind) AS kind, replay_of, false AS slow, '' AS trace_id, toString(source_topic) AS source_topic, source_partition, source_offset`

func scanRecord(r driver.Rows) (record, error) {
	var x record
	err := r.Scan(&x.tenant, &x.endpoint, &x.created, &x.delivery, &x.no, &x.event, &x.eventType,
		&x.state, &x.attempted, &x.next, &x.code, &x.errorKind, &x.errorMessage, &x.duration, &x.body,
		&x.url, &x.profile, &x.kind, &x.replayOf, &x.slow, &x.trace, &x.sourceTopic, &x.sourcePartition, &x.sourceOffset)
	return x, err
}

// outranks says whether x, rather than y, tells the state of their delivery: a
// terminal row stands over any other, else the later attempt.
func (x record) outranks(y record) bool {
	xt, yt := schemas.State(x.state).Terminal(), schemas.State(y.state).Terminal()
	switch {
	case xt != yt:
		return xt
	case x.no != y.no:
		return x.no > y.no
	}
	return x.attempted.After(y.attempted)
}

// fold makes the log row of a delivery from its records, in any order. There
// has to be at least one.
func fold(records []record) LogRow {
	top := records[0]
	var last time.Time
	attempts := 0
	for _, r := range records {
		if r.outranks(top) {
			top = r
		}
		attempts = max(attempts, int(r.no))
		if r.no > 0 && r.attempted.After(last) {
			last = r.attempted
		}
	}
	row := LogRow{ID: top.delivery, EventID: top.event, EventType: top.eventType, WebhookID: top.endpoint, Tenant: top.tenant,
		URL: top.url, Status: schemas.State(top.state), Attempts: attempts, ResponseCode: code(top.code), ErrorKind: top.errorKind,
		Error: top.errorMessage, ResponseBody: top.body, DurationMS: int64(top.duration), Slow: top.slow, CreatedAt: top.created.UTC(), LastAttemptAt: moment(last)}
	if row.Status == schemas.StatePending {
		row.NextRetryAt = moment(top.next)
	}
	return row
}

func (x record) attempt() AttemptRow {
	a := AttemptRow{No: int(x.no), At: x.attempted.UTC(), Status: schemas.State(x.state), URL: x.url, ResponseCode: code(x.code),
		ErrorKind: x.errorKind, Error: x.errorMessage, ResponseBody: x.body, DurationMS: int64(x.duration), Slow: x.slow, TraceID: x.trace}
	if a.Status == schemas.StatePending {
		a.NextRetryAt = moment(x.next)
	}
	return a
}

func code(c uint16) *int {
	if c == 0 {
		return nil
	}
	n := int(c)
	return &n
}

// moment is nil for the zero time and for the epoch, which the tables use for
// "none".
func moment(t time.Time) *time.Time {
	if t.IsZero() || t.Unix() == 0 {
		return nil
	}
	t = t.UTC()
	return &t
}
