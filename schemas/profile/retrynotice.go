package profile

// The retry notice: an event of its own by which some products announce that
// a delivery failed and will be tried again.

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/segmentio/encoding/json"

	"github.com/hookstream/hookstream/schemas"
)

type noticeSpec struct {
	Type   string            `yaml:"type"`   // an event type of the catalogue
	Fields []noticeFieldSpec `yaml:"fields"` // of the event's data, in order
}

type noticeFieldSpec struct {
	Name string `yaml:"name"`
	From string `yaml:"from"` // id, retries or next
}

// What a field of a notice's data is made from.
const (
	noticeID      = "id"      // of the event that is delivered, as it is on the wire
	noticeRetries = "retries" // how many retries were made so far
	noticeNext    = "next"    // when the next one is due, RFC 3339 in whole seconds
)

func (p *Profile) compileNotice(f *file) error {
	s := f.Notice
	if s.Type == "" && len(s.Fields) == 0 {
		return nil
	}
	if _, listed := p.byType[s.Type]; !listed {
		return wrong("is not in events.list; nobody could subscribe to it", "retry_notice", "type")
	}
	if len(s.Fields) == 0 {
		return wrong("is missing; name the fields of the data", "retry_notice", "fields")
	}
	for i, field := range s.Fields {
		at := []string{"retry_notice", "fields", strconv.Itoa(i)}
		if field.Name == "" {
			return wrong("is missing", append(at, "name")...)
		}
		if !slices.Contains([]string{noticeID, noticeRetries, noticeNext}, field.From) {
			return wrongf(append(at, "from"), "is %q; give id, retries or next", field.From)
		}
	}
	p.notice = s
	return nil
}

// RetryNotice is the event that announces the retry which an outcome asks for;
// false when the profile has no such notice, no retry follows, or the delivery
// is itself of an event that hookstream made. It is a pure function of its arguments, the id included,
// so that a repeated outcome makes the same event. The event goes to whoever
// of the tenant subscribes to its type, once.
func (p *Profile) RetryNotice(d *schemas.Delivery, out *schemas.Outcome) (schemas.Event, bool) {
	if p.notice.Type == "" || out.Verdict != schemas.Retry || out.RetryAt.IsZero() || schemas.Quiet(d) || d.EventType == p.notice.Type {
		return schemas.Event{}, false
	}
	failed := time.UnixMilli(out.Row.AttemptedAt + out.Row.DurationMS).UTC()
	// Both times lose their fraction on the wire. Their difference has to stay the
	// schedule's delay, so the second is counted from what is left of the first.
	next := failed.Truncate(time.Second).Add(max(0, out.RetryAt.Sub(failed)).Round(time.Second))
	data := []byte{'{'}
	for i, f := range p.notice.Fields {
		if i > 0 {
			data = append(data, ',')
		}
		data = append(json.AppendEscape(data, f.Name, 0), ':')
		switch f.From {
		case noticeID:
			data = json.AppendEscape(data, p.wireEvent(d), 0)
		case noticeRetries:
			data = strconv.AppendInt(data, int64(d.Attempts), 10)
		default:
			data = appendTime(data, timeSeconds, next)
		}
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "retry notice\n%s\n%d", d.ID, d.Attempts))
	return schemas.Event{ID: schemas.NewID(schemas.EventPrefix, [16]byte(sum[:16])), Type: p.notice.Type, Tenant: d.Tenant, Time: failed,
		Key: d.EndpointID, Data: append(data, '}'), Kind: schemas.KindNotice, Trace: d.Trace}, true
}
