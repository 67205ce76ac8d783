package schemas

// Notice is what hookstream reports about itself: breaker changes, disables,
// audit entries. One topic feeds the tables breaker_events and audit.

import (
	"fmt"

	"github.com/segmentio/encoding/json"
)

// Kinds of notice.
const (
	NoticeBreaker  = "breaker"  // State is open, half_open or closed
	NoticeDisabled = "disabled" // an endpoint was disabled by us
	NoticeAudit    = "audit"    // somebody changed an endpoint, key or secret
)

// Notice times are Unix milliseconds. It never carries a secret.
type Notice struct {
	Kind       string `json:"kind"`
	Tenant     string `json:"tenant"`
	EndpointID string `json:"endpoint,omitempty"`
	At         int64  `json:"at"`
	State      string `json:"state,omitempty"`
	Reason     string `json:"reason,omitempty"`
	Failures   int    `json:"failures,omitempty"`
	OpenUntil  int64  `json:"open_until,omitempty"`
	Actor      string `json:"actor,omitempty"`  // audit: the key's id, "root", or "hookstream"
	Action     string `json:"action,omitempty"` // audit: "webhook.create", "webhook.update", …
	Target     string `json:"target,omitempty"` // audit: what it was done to
	Detail     string `json:"detail,omitempty"` // audit: which fields, in words
}

// Record writes the notice, keyed by endpoint, else tenant.
func (n *Notice) Record(t Topology) (Record, error) {
	value, err := json.Append(nil, n, 0)
	if err != nil {
		return Record{}, fmt.Errorf("encoding notice: %w", err)
	}
	key := n.EndpointID
	if key == "" {
		key = n.Tenant
	}
	return Record{Topic: t.NoticesTopic(), Partition: t.AttemptsPartition(t.Slot(key)), Key: []byte(key), Value: value}, nil
}

// ParseNotice reads what Record wrote.
func ParseNotice(rec *Record) (Notice, error) {
	var n Notice
	if _, err := json.Parse(rec.Value, &n, json.DontMatchCaseInsensitiveStructFields); err != nil {
		return Notice{}, fmt.Errorf("reading notice at %s/%d/%d: %w", rec.Topic, rec.Partition, rec.Offset, err)
	}
	return n, nil
}
