package profile

// Bodies: the event's data as it came, alone or spliced into an envelope.

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/encoding/json"

	"github.com/hookstream/hookstream/schemas"
)

// What a field of an envelope is made from.
const (
	fromID     = "id"
	fromType   = "type"
	fromTime   = "time"
	fromTenant = "tenant"
	fromData   = "data"
)

// Formats of a time in an envelope; all are UTC.
const (
	timeSeconds = "rfc3339"       // whole seconds and Z
	timeMillis  = "rfc3339_milli" // three digits and Z
	timeExact   = "rfc3339_nano"  // as many digits as the time has, and Z
	timeUnix    = "unix"          // whole seconds as a number
	timeUnixMS  = "unix_milli"    // milliseconds as a number
)

var timeFormats = []string{timeSeconds, timeMillis, timeExact, timeUnix, timeUnixMS}

type body struct {
	fields   []field // empty: data is the body
	name     string  // flat bodies: the field with the event's type
	form     form
	object   bool // data has to be an object
	required []string
	checks   []checkSpec
}

type field struct {
	key     []byte // "name": with quotes and colon
	literal []byte // a constant; nil otherwise
	from    string
	format  string
	prefix  string
	wrap    []byte // {"name": around data
}

// Body is the request's body: a pure function of the delivery and the
// profile, so that every attempt's body has the same bytes. Data is spliced
// in verbatim, and only a profile that asks for a form of its own rewrites it.
// The error is a *Fault: the profile's rules refuse the data.
func (p *Profile) Body(d *schemas.Delivery) ([]byte, error) {
	if err := p.checkRules(d.EventType, d.Data); err != nil {
		return nil, err
	}
	b, err := p.spliced(d)
	if err != nil {
		return nil, err
	}
	if b, err = p.body.form.write(b, maxDepth+envelopeDepth); err != nil {
		return nil, &Fault{Field: "data", Reason: err.Error()}
	}
	return b, nil
}

// spliced is the body before it is put into the profile's form.
func (p *Profile) spliced(d *schemas.Delivery) ([]byte, error) {
	if len(p.body.fields) == 0 {
		return p.flat(d)
	}
	b := make([]byte, 0, len(d.Data)+256)
	b = append(b, '{')
	for i := range p.body.fields {
		f := &p.body.fields[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, f.key...)
		b = p.appendField(b, f, d)
	}
	return append(b, '}'), nil
}

func (p *Profile) appendField(b []byte, f *field, d *schemas.Delivery) []byte {
	switch {
	case f.literal != nil:
		return append(b, f.literal...)
	case f.from == fromData:
		b = append(b, f.wrap...)
		b = append(b, d.Data...)
		if f.wrap != nil {
			b = append(b, '}')
		}
		return b
	case f.from == fromTime:
		return appendTime(b, f.format, eventTime(d))
	case f.from == fromID:
		return appendString(b, f.prefix, p.wireEvent(d))
	case f.from == fromType:
		return appendString(b, f.prefix, d.EventType)
	default:
		return appendString(b, f.prefix, d.Tenant)
	}
}

// eventTime falls back to the delivery's creation, which is in the record
// too: the clock would give every attempt another body.
func eventTime(d *schemas.Delivery) time.Time {
	if d.EventTime.IsZero() {
		return d.CreatedAt.UTC()
	}
	return d.EventTime.UTC()
}

func appendTime(b []byte, format string, t time.Time) []byte {
	layout := ""
	switch format {
	case timeUnix:
		return strconv.AppendInt(b, t.Unix(), 10)
	case timeUnixMS:
		return strconv.AppendInt(b, t.UnixMilli(), 10)
	case timeSeconds:
		layout = "2006-01-02T15:04:05Z"
	case timeMillis:
		layout = "2006-01-02T15:04:05.000Z"
	default:
		layout = "2006-01-02T15:04:05.999999999Z"
	}
	b = append(b, '"')
	b = t.AppendFormat(b, layout)
	return append(b, '"')
}

// appendString puts the prefix before a string that does not have it.
func appendString(b []byte, prefix, s string) []byte {
	if prefix != "" && !strings.HasPrefix(s, prefix) {
		s = prefix + s
	}
	return json.AppendEscape(b, s, 0)
}

// flat is data itself; where the profile names a field for the event's type
// and the data lacks it, the field is put first.
func (p *Profile) flat(d *schemas.Delivery) ([]byte, error) {
	if p.body.name == "" {
		return d.Data, nil
	}
	if _, has := member(d.Data, p.body.name); has {
		return d.Data, nil // CheckData saw that it is equal
	}
	open := bytes.IndexByte(d.Data, '{')
	if open < 0 {
		return nil, &Fault{Field: "data", Reason: "has to be a JSON object"}
	}
	rest := d.Data[open+1:]
	b := make([]byte, 0, len(d.Data)+len(p.body.name)+len(d.EventType)+8)
	b = append(b, d.Data[:open+1]...)
	b = json.AppendEscape(b, p.body.name, 0)
	b = append(b, ':')
	b = json.AppendEscape(b, d.EventType, 0)
	if after := bytes.TrimLeft(rest, " \t\r\n"); len(after) > 0 && after[0] != '}' {
		b = append(b, ',')
	}
	return append(b, rest...), nil
}

// CheckSize refuses a body above the endpoint's limit, or the profile's when
// the endpoint has none (0). The error is a *Fault.
func (p *Profile) CheckSize(body []byte, endpointLimit int) error {
	limit := p.maxBody
	if endpointLimit > 0 {
		limit = endpointLimit
	}
	if limit > 0 && len(body) > limit {
		return &Fault{Field: "data", Reason: fmt.Sprintf("makes a body of %d bytes; %s takes at most %d (max_body of the endpoint)", len(body), p.name, limit)}
	}
	return nil
}
