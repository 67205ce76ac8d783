package schemas

// Control is an order to the dispatcher that owns an endpoint.

import (
	"fmt"

	"github.com/segmentio/encoding/json"
)

// Control actions.
const (
	ControlVerify = "verify" // send the verification challenge now
	ControlProbe  = "probe"  // an open breaker: probe now
	ControlEnable = "enable" // the endpoint was enabled again: unblock its lane
)

// Control is one record of the control topic, keyed by endpoint.
type Control struct {
	Action     string `json:"action"`
	EndpointID string `json:"endpoint"`
	At         int64  `json:"at"`                     // Unix ms; a dispatcher may ignore what is old
	Disabled   bool   `json:"was_disabled,omitempty"` // enable: hookstream itself had disabled it
}

// Record writes the order into the endpoint's slot.
func (c *Control) Record(t Topology) (Record, error) {
	value, err := json.Append(nil, c, 0)
	if err != nil {
		return Record{}, fmt.Errorf("encoding control: %w", err)
	}
	return Record{Topic: t.ControlTopic(), Partition: t.Slot(c.EndpointID), Key: []byte(c.EndpointID), Value: value}, nil
}

// ParseControl reads what Record wrote.
func ParseControl(rec *Record) (Control, error) {
	var c Control
	if _, err := json.Parse(rec.Value, &c, json.DontMatchCaseInsensitiveStructFields); err != nil {
		return Control{}, fmt.Errorf("reading control at %s/%d/%d: %w", rec.Topic, rec.Partition, rec.Offset, err)
	}
	return c, nil
}
