package schemas

// Refused is a received request that was not accepted, kept for review on
// inbound.quarantine.

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/segmentio/encoding/json"
)

// RefusedExcerpt is how many bytes of a refused body are kept.
const RefusedExcerpt = 4 << 10

// Refused is one request. Nothing in it was verified but where it came from.
type Refused struct {
	ID       string            `json:"id"`
	Source   string            `json:"source"`
	Profile  string            `json:"profile"`
	Tenant   string            `json:"tenant"`
	Verdict  string            `json:"verdict"` // the case that was answered
	Reason   string            `json:"reason"`
	Received time.Time         `json:"received"`
	Remote   string            `json:"remote"` // address of the sender
	Path     string            `json:"path"`
	Headers  map[string]string `json:"headers"`
	Size     int               `json:"size"`                  // of the body in bytes
	Body     string            `json:"body,omitempty"`        // its beginning, when that is UTF-8
	Base64   string            `json:"body_base64,omitempty"` // otherwise
}

// SetBody keeps the beginning of a body.
func (q *Refused) SetBody(body []byte) {
	q.Size, q.Body, q.Base64 = len(body), "", ""
	head := body[:min(len(body), RefusedExcerpt)]
	cut := head
	for i := 0; i < utf8.UTFMax && len(head) < len(body) && !utf8.Valid(cut) && len(cut) > 0; i++ {
		cut = cut[:len(cut)-1] // a character that the cut went through
	}
	if utf8.Valid(cut) {
		q.Body = string(cut)
		return
	}
	q.Base64 = base64.StdEncoding.EncodeToString(head)
}

// Record writes the request for the quarantine topic, keyed by its source.
func (q *Refused) Record(t Topology) (Record, error) {
	value, err := json.Append(nil, q, json.SortMapKeys)
	if err != nil {
		return Record{}, fmt.Errorf("writing a refused request: %w", err)
	}
	return Record{Topic: t.QuarantineTopic(), Partition: SlotOf(q.Source, t.Events), Key: []byte(q.Source), Value: value, Headers: []Header{
		{Key: HdrInbound, Value: []byte(q.ID)},
		{Key: HdrSourceName, Value: []byte(q.Source)},
		{Key: HdrProfile, Value: []byte(q.Profile)},
		{Key: HdrTenant, Value: []byte(q.Tenant)},
		{Key: HdrReceived, Value: []byte(strconv.FormatInt(q.Received.UnixMilli(), 10))},
		{Key: HdrError, Value: []byte(q.Reason)},
	}}, nil
}
