package schemas

// Lane rows: what a dispatcher has to know about an endpoint's lane after a
// crash, and up to where in park that knowledge goes.

import (
	"fmt"

	"github.com/segmentio/encoding/json"
)

// LaneState says where a lane's deliveries wait.
type LaneState string

// States of a lane.
const (
	LaneLive    LaneState = "live"    // in memory, straight from their topics
	LaneSpilled LaneState = "spilled" // in park, read back as fast as the endpoint takes them
	LaneOpen    LaneState = "open"    // in park, the breaker is open: only probes go out
)

// CheckpointKey is the key of a slot's checkpoint among its lane rows. No
// endpoint id begins with '#'.
const CheckpointKey = "#ckpt"

// LaneHead is a delivery that was attempted and keeps its own record for the
// next attempt: the head of an ordered lane.
type LaneHead struct {
	DeliveryID string `json:"id"`
	Attempts   int    `json:"att"`
	Due        int64  `json:"due"` // Unix ms
}

// LaneRow is the newest state of one lane, keyed by endpoint. A lane without a
// row is live and has nothing in park. Times are Unix milliseconds, zero for
// none.
type LaneRow struct {
	EndpointID string       `json:"-"`
	Owner      int64        `json:"owner"` // grows with each owner of the slot: rows of an earlier one that come late do not count
	State      LaneState    `json:"state"`
	Lo         int64        `json:"lo"`               // below this offset of park, everything of the lane is done
	Hi         int64        `json:"hi"`               // the lane's highest offset in park; below Lo: nothing is parked
	Parked     int64        `json:"parked,omitempty"` // how many records of the lane are in park and not done
	HoldUntil  int64        `json:"hold,omitempty"`   // no attempt before
	Halted     bool         `json:"halted,omitempty"` // waits for an order to go on
	Head       *LaneHead    `json:"head,omitempty"`
	FailSince  int64        `json:"fail_since,omitempty"` // every attempt since then has failed,
	FailCount  int          `json:"fail_count,omitempty"` // and so many there were at least
	Breaker    BreakerState `json:"breaker,omitzero"`
	Told       int64        `json:"told,omitempty"` // since when the breaker is open, once an event that says so was written; none since that it closed
}

// Checkpoint says that every record of park up to and including Park is
// reflected in the lane rows before it.
type Checkpoint struct {
	Owner    int64 `json:"owner"`
	Park     int64 `json:"park"`     // −1: none
	Snapshot int64 `json:"snapshot"` // offset in lanes from which on every lane with a row is written again; −1: read from the start
}

// Record writes the row into its endpoint's slot.
func (l *LaneRow) Record(t Topology) (Record, error) {
	value, err := json.Append(nil, l, 0)
	if err != nil {
		return Record{}, fmt.Errorf("encoding lane row %s: %w", l.EndpointID, err)
	}
	return Record{Topic: t.LanesTopic(), Partition: t.Slot(l.EndpointID), Key: []byte(l.EndpointID), Value: value}, nil
}

// LaneTombstone removes a lane's row: it is live, and nothing of it is parked.
func LaneTombstone(t Topology, endpointID string) Record {
	return Record{Topic: t.LanesTopic(), Partition: t.Slot(endpointID), Key: []byte(endpointID)}
}

// Record writes the checkpoint of a slot.
func (c *Checkpoint) Record(t Topology, slot int32) (Record, error) {
	value, err := json.Append(nil, c, 0)
	if err != nil {
		return Record{}, fmt.Errorf("encoding checkpoint of slot %d: %w", slot, err)
	}
	return Record{Topic: t.LanesTopic(), Partition: slot, Key: []byte(CheckpointKey), Value: value}, nil
}

// ParseLane reads a row; its value must not be empty.
func ParseLane(rec *Record) (LaneRow, error) {
	l := LaneRow{EndpointID: string(rec.Key)}
	if _, err := json.Parse(rec.Value, &l, json.DontMatchCaseInsensitiveStructFields); err != nil {
		return LaneRow{}, fmt.Errorf("reading lane row at %s/%d/%d: %w", rec.Topic, rec.Partition, rec.Offset, err)
	}
	return l, nil
}

// ParseCheckpoint reads a checkpoint.
func ParseCheckpoint(rec *Record) (Checkpoint, error) {
	var c Checkpoint
	if _, err := json.Parse(rec.Value, &c, json.DontMatchCaseInsensitiveStructFields); err != nil {
		return Checkpoint{}, fmt.Errorf("reading checkpoint at %s/%d/%d: %w", rec.Topic, rec.Partition, rec.Offset, err)
	}
	return c, nil
}
