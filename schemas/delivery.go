package schemas

// Delivery is one event for one endpoint, as it travels through deliveries,
// the retry tiers, due, park and dead: data verbatim in the value, everything
// else in headers.

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Delivery carries all that an attempt needs but URL, headers and secrets,
// which are read per attempt. It never carries a secret. Data aliases the
// record it was read from.
type Delivery struct {
	ID             string
	EventID        string
	EventType      string
	Tenant         string
	EndpointID     string
	Kind           string
	EventTime      time.Time // the event's time, for the body
	CreatedAt      time.Time // ms; the same on every descendant, so that a re-run makes the same row key
	Attempts       int       // attempts made so far; 0 at first
	Due            time.Time // the next attempt may not start before; zero: now
	Enqueued       time.Time // when a tier took it; zero outside the tiers
	Profile        string    // chosen at fan-out, so that every attempt's body is the same
	ProfileVersion int
	ReplayOf       string
	Trace          string
	Source         Position // the event's record
	Data           []byte
}

// Record writes the delivery for one of the co-partitioned topics (partition =
// slot) or a tier (partition = slot mod tiers, by the caller). Value is Data
// itself, not a copy.
func (d *Delivery) Record(topic string, partition int32) Record {
	h := make([]Header, 0, 16)
	add := func(k, v string) {
		if v != "" {
			h = append(h, Header{Key: k, Value: []byte(v)})
		}
	}
	add(HdrDelivery, d.ID)
	add(HdrEvent, d.EventID)
	add(HdrType, d.EventType)
	add(HdrTenant, d.Tenant)
	if d.Kind != "" && d.Kind != KindEvent {
		add(HdrKind, d.Kind)
	}
	if !d.EventTime.IsZero() {
		add(HdrEventTime, d.EventTime.UTC().Format(time.RFC3339Nano))
	}
	add(HdrCreated, millis(d.CreatedAt))
	if d.Attempts > 0 {
		add(HdrAttempts, strconv.Itoa(d.Attempts))
	}
	add(HdrDue, millis(d.Due))
	add(HdrEnqueued, millis(d.Enqueued))
	add(HdrProfile, d.Profile)
	if d.ProfileVersion > 0 {
		add(HdrVersion, strconv.Itoa(d.ProfileVersion))
	}
	add(HdrReplayOf, d.ReplayOf)
	if d.Source.Topic != "" {
		add(HdrSource, d.Source.String())
	}
	add(HdrTrace, d.Trace)
	return Record{Topic: topic, Partition: partition, Key: []byte(d.EndpointID), Value: d.Data, Headers: h}
}

// ParseDelivery reads what Record wrote. An error means that the record is not
// ours; Data aliases rec.Value.
func ParseDelivery(rec *Record) (Delivery, error) {
	d := Delivery{EndpointID: string(rec.Key), Kind: KindEvent, Data: rec.Value}
	var err error
	num := func(v []byte) int64 {
		n, e := strconv.ParseInt(string(v), 10, 64)
		if e != nil && err == nil {
			err = e
		}
		return n
	}
	for _, h := range rec.Headers {
		switch h.Key {
		case HdrDelivery:
			d.ID = string(h.Value)
		case HdrEvent:
			d.EventID = string(h.Value)
		case HdrType:
			d.EventType = string(h.Value)
		case HdrTenant:
			d.Tenant = string(h.Value)
		case HdrKind:
			d.Kind = string(h.Value)
		case HdrEventTime:
			t, e := time.Parse(time.RFC3339Nano, string(h.Value))
			if e != nil && err == nil {
				err = e
			}
			d.EventTime = t
		case HdrCreated:
			d.CreatedAt = time.UnixMilli(num(h.Value)).UTC()
		case HdrAttempts:
			d.Attempts = int(num(h.Value))
		case HdrDue:
			d.Due = time.UnixMilli(num(h.Value)).UTC()
		case HdrEnqueued:
			d.Enqueued = time.UnixMilli(num(h.Value)).UTC()
		case HdrProfile:
			d.Profile = string(h.Value)
		case HdrVersion:
			d.ProfileVersion = int(num(h.Value))
		case HdrReplayOf:
			d.ReplayOf = string(h.Value)
		case HdrTrace:
			d.Trace = string(h.Value)
		case HdrSource:
			d.Source, err = firstErr(err, string(h.Value))
		}
	}
	if err == nil && (d.ID == "" || d.EndpointID == "" || d.EventID == "") {
		err = fmt.Errorf("delivery id, event id or endpoint id is missing")
	}
	if err != nil {
		return Delivery{}, fmt.Errorf("reading delivery at %s/%d/%d: %w", rec.Topic, rec.Partition, rec.Offset, err)
	}
	return d, nil
}

func firstErr(before error, s string) (Position, error) {
	p, err := ParsePosition(s)
	if before != nil {
		return p, before
	}
	return p, err
}

// ParsePosition reads topic/partition/offset.
func ParsePosition(s string) (Position, error) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return Position{}, fmt.Errorf("position %q is not topic/partition/offset", s)
	}
	j := strings.LastIndexByte(s[:i], '/')
	if j < 0 {
		return Position{}, fmt.Errorf("position %q is not topic/partition/offset", s)
	}
	part, err := strconv.ParseInt(s[j+1:i], 10, 32)
	if err != nil {
		return Position{}, fmt.Errorf("position %q: %w", s, err)
	}
	off, err := strconv.ParseInt(s[i+1:], 10, 64)
	if err != nil {
		return Position{}, fmt.Errorf("position %q: %w", s, err)
	}
	return Position{Topic: s[:j], Partition: int32(part), Offset: off}, nil
}
