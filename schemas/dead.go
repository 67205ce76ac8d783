package schemas

// Dead letters: a delivery that was given up, with why and its last outcome.

import (
	"fmt"

	"github.com/segmentio/encoding/json"
)

// HdrOutcome holds the last row of a dead delivery, as the attempts topic has it.
const HdrOutcome = "hs-outcome"

// DeadRecord writes a delivery for the dead topic: the delivery as it is, so
// that it can be sent again, the reason in HdrReason, the row in HdrOutcome.
func DeadRecord(t Topology, d *Delivery, reason string, last *Attempt) (Record, error) {
	outcome, err := json.Append(nil, last, 0)
	if err != nil {
		return Record{}, fmt.Errorf("encoding the outcome of dead delivery %s: %w", d.ID, err)
	}
	rec := d.Record(t.DeadTopic(), t.Slot(d.EndpointID))
	rec.Headers = append(rec.Headers, Header{Key: HdrReason, Value: []byte(reason)}, Header{Key: HdrOutcome, Value: outcome})
	return rec, nil
}

// ParseDead reads what DeadRecord wrote. A record that was kept because it is
// no delivery has a reason and no outcome, and gives an error.
func ParseDead(rec *Record) (d Delivery, reason string, last Attempt, err error) {
	reason, _ = rec.Header(HdrReason)
	if d, err = ParseDelivery(rec); err != nil {
		return d, reason, last, err
	}
	outcome, _ := rec.Header(HdrOutcome)
	if _, err = json.Parse([]byte(outcome), &last, json.DontMatchCaseInsensitiveStructFields); err != nil {
		return d, reason, last, fmt.Errorf("reading the outcome of the dead letter at %s/%d/%d: %w", rec.Topic, rec.Partition, rec.Offset, err)
	}
	return d, reason, last, nil
}
