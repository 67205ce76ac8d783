package schemas

// Endpoint and EndpointStatus are the registry's rows: what the API wrote, and
// what a dispatcher found out.

import (
	"fmt"
	"strings"
	"time"

	"github.com/segmentio/encoding/json"
)

// Sealed is a secret under the master key (AEAD). It is the only form in which
// a secret enters a topic.
type Sealed struct {
	KeyID     string    `json:"k"`     // which master key
	Box       []byte    `json:"b"`     // nonce and ciphertext
	CreatedAt time.Time `json:"at"`    //
	ExpiresAt time.Time `json:"until"` // of a rotated secret: still signs beside the new one until then
}

// CustomHeader is one header that the owner put on an endpoint; its value may
// be a credential and is sealed.
type CustomHeader struct {
	Name  string `json:"name"`
	Value Sealed `json:"value"`
}

// Endpoint is one row of the endpoints topic under the key ID, written by the
// API only.
type Endpoint struct {
	ID               string            `json:"id"`
	Tenant           string            `json:"tenant"`
	Version          int64             `json:"version"` // grows by one with each write
	Name             string            `json:"name,omitempty"`
	Description      string            `json:"description,omitempty"`
	UID              string            `json:"uid,omitempty"` // the owner's own id for it
	Metadata         map[string]string `json:"metadata,omitempty"`
	URL              string            `json:"url"`
	Events           []string          `json:"events"` // exact, "resume.*" or "*"
	Profile          string            `json:"profile"`
	Active           bool              `json:"active"`
	Headers          []CustomHeader    `json:"headers,omitempty"`
	Secrets          []Sealed          `json:"secrets,omitempty"` // newest first
	Ordered          bool              `json:"ordered,omitempty"`
	OnExhausted      string            `json:"on_exhausted,omitempty"` // ordered only: "skip" (default) or "halt"
	Concurrency      int               `json:"concurrency,omitempty"`  // 0: the default
	RateLimit        float64           `json:"rate_limit,omitempty"`   // requests per second; 0: none
	Retry            []float64         `json:"retry,omitempty"`        // seconds between attempts; nil: the profile's
	NoRetry          bool              `json:"no_retry,omitempty"`     // an empty list was asked for
	TimeoutMS        int               `json:"timeout_ms,omitempty"`   // 0: the profile's
	MaxBody          int               `json:"max_body,omitempty"`     // bytes; 0: the profile's
	SkipVerification bool              `json:"skip_verification,omitempty"`
	Verified         bool              `json:"verified"`
	Callback         bool              `json:"callback,omitempty"` // implicit endpoint of a callback URL: hidden from lists
	CreatedAt        time.Time         `json:"created_at"`
	UpdatedAt        time.Time         `json:"updated_at"`
	Unknown          Unknown           `json:"-"`
}

// Matches reports whether the endpoint subscribes to a type. An endpoint
// without a list gets everything.
func (e *Endpoint) Matches(eventType string) bool {
	if len(e.Events) == 0 {
		return true
	}
	for _, p := range e.Events {
		if MatchType(p, eventType) {
			return true
		}
	}
	return false
}

// MatchType matches a subscription: exact, "*", or "resume.*" (everything
// below resume).
func MatchType(pattern, eventType string) bool {
	if pattern == "*" || pattern == eventType {
		return true
	}
	base, ok := strings.CutSuffix(pattern, ".*")
	return ok && strings.HasPrefix(eventType, base) && len(eventType) > len(base)+1 && eventType[len(base)] == '.'
}

// StatusKeySuffix makes the key of an endpoint's status row.
const StatusKeySuffix = "#status"

// EndpointStatus is the row under ID + "#status", written by dispatchers only.
// It counts only while the endpoint's version is not newer.
type EndpointStatus struct {
	ID              string    `json:"id"`
	ForVersion      int64     `json:"for_version"`
	Disabled        bool      `json:"disabled,omitempty"`
	Reason          string    `json:"reason,omitempty"` // "gone" or "failing"
	Verified        bool      `json:"verified,omitempty"`
	VerifyError     string    `json:"verify_error,omitempty"`
	VerifyAttempted time.Time `json:"verify_attempted"`
	At              time.Time `json:"at"`
}

// Record writes the endpoint's row.
func (e *Endpoint) Record(t Topology) (Record, error) {
	return registryRecord(t.EndpointsTopic(), t.RegistryPartition(e.ID), e.ID, e, e.Unknown)
}

// EndpointTombstone removes the row under a key: an endpoint's, or one of those
// that stand beside it.
func EndpointTombstone(t Topology, key string) Record {
	id, _, _ := strings.Cut(key, "#")
	return Record{Topic: t.EndpointsTopic(), Partition: t.RegistryPartition(id), Key: []byte(key)}
}

// Record writes the status row beside its endpoint, in the same partition.
func (s *EndpointStatus) Record(t Topology) (Record, error) {
	return registryRecord(t.EndpointsTopic(), t.RegistryPartition(s.ID), s.ID+StatusKeySuffix, s, nil)
}

func registryRecord(topic string, partition int32, key string, row any, unknown Unknown) (Record, error) {
	value, err := json.Append(nil, row, 0)
	if err != nil {
		return Record{}, fmt.Errorf("encoding registry row %s: %w", key, err)
	}
	return Record{Topic: topic, Partition: partition, Key: []byte(key), Value: unknown.append(value)}, nil
}

// ParseRow reads a registry row into a pointer to its type. Fields of a newer
// version are kept where the row is written again by those who read it.
func ParseRow(rec *Record, into any) error {
	switch row := into.(type) {
	case *Endpoint:
		return parseKeeping(rec, row, &row.Unknown)
	case *Tenant:
		return parseKeeping(rec, row, &row.Unknown)
	case *TenantType:
		return parseKeeping(rec, row, &row.Unknown)
	}
	if _, err := json.Parse(rec.Value, into, json.DontMatchCaseInsensitiveStructFields); err != nil {
		return fmt.Errorf("reading registry row %s at %s/%d/%d: %w", rec.Key, rec.Topic, rec.Partition, rec.Offset, err)
	}
	return nil
}
