package schemas

// Routed is what an event made: one record per event on the routed topic, and
// one row of the table events.

import (
	"bytes"
	"fmt"

	"github.com/segmentio/encoding/json"
)

// Skip is an endpoint that matched an event and did not get it.
type Skip struct {
	EndpointID string `json:"endpoint"`
	DeliveryID string `json:"delivery"`
	Reason     string `json:"reason"` // SkipInactive, SkipUnverified, "disabled", …
}

// Routed times are Unix milliseconds. DeliveryIDs and EndpointIDs are parallel:
// one delivery each.
type Routed struct {
	EventID     string   `json:"event"`
	Tenant      string   `json:"tenant"`
	Type        string   `json:"type"`
	Time        int64    `json:"time"`
	CreatedAt   int64    `json:"created"` // of the event's deliveries
	Kind        string   `json:"kind,omitempty"`
	ReplayOf    string   `json:"replay_of,omitempty"`
	DeliveryIDs []string `json:"deliveries"`
	EndpointIDs []string `json:"endpoints"`
	Skipped     []Skip   `json:"skipped,omitempty"`
	Source      Position `json:"src"`
	Data        []byte   `json:"-"` // the event's data, verbatim
}

// Record writes one line of JSON and then the data, verbatim: JSON encoders
// compact what is put inside them.
func (r *Routed) Record(t Topology, partition int32) (Record, error) {
	value, err := json.Append(make([]byte, 0, 512+len(r.Data)), r, 0)
	if err != nil {
		return Record{}, fmt.Errorf("encoding routed event %s: %w", r.EventID, err)
	}
	value = append(value, '\n')
	value = append(value, r.Data...)
	return Record{Topic: t.RoutedTopic(), Partition: partition, Key: []byte(r.EventID), Value: value}, nil
}

// ParseRouted reads what Record wrote; Data aliases rec.Value.
func ParseRouted(rec *Record) (Routed, error) {
	var r Routed
	head, data, ok := bytes.Cut(rec.Value, []byte{'\n'})
	if !ok {
		return r, fmt.Errorf("reading routed event at %s/%d/%d: no line break after the head", rec.Topic, rec.Partition, rec.Offset)
	}
	if _, err := json.Parse(head, &r, json.DontMatchCaseInsensitiveStructFields); err != nil {
		return r, fmt.Errorf("reading routed event at %s/%d/%d: %w", rec.Topic, rec.Partition, rec.Offset, err)
	}
	r.Data = data
	return r, nil
}
