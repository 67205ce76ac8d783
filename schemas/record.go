package schemas

// Record is a Kafka record without a Kafka client: what the rooms that must
// not know the client pass to each other.

import (
	"strconv"
	"time"
)

// Header is one record header.
type Header struct {
	Key   string
	Value []byte
}

// Record is one record to be written, or one that was read. Key, Value and
// Headers belong to whoever made the record and are not changed by readers.
type Record struct {
	Topic     string
	Partition int32 // explicit everywhere: see SlotOf; -1 lets the producer place it by key
	Offset    int64 // of a record that was read
	Key       []byte
	Value     []byte
	Headers   []Header
	Time      time.Time // of a record that was read: the broker's; of one to be written: zero for now
}

// Header returns the last value of a header, as Kafka readers by custom do.
func (r *Record) Header(key string) (string, bool) {
	for i := len(r.Headers) - 1; i >= 0; i-- {
		if r.Headers[i].Key == key {
			return string(r.Headers[i].Value), true
		}
	}
	return "", false
}

// Position names one record of one topic for good: the topic by id, so that a
// recreated topic does not repeat positions.
type Position struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// String is topic/partition/offset.
func (p Position) String() string {
	return p.Topic + "/" + strconv.Itoa(int(p.Partition)) + "/" + strconv.FormatInt(p.Offset, 10)
}

// Header keys of our own topics. Producers of events need none of them.
const (
	HdrDelivery  = "hs-did"       // delivery id
	HdrEvent     = "hs-eid"       // event id
	HdrType      = "hs-type"      // event type
	HdrTenant    = "hs-tenant"    // tenant id
	HdrEndpoint  = "hs-ep"        // endpoint id
	HdrEventTime = "hs-time"      // the event's time, RFC 3339 with what precision it has
	HdrCreated   = "hs-created"   // the delivery's creation, Unix ms; the same on every descendant
	HdrAttempts  = "hs-att"       // attempts made so far
	HdrDue       = "hs-due"       // when the next attempt may start, Unix ms; absent = now
	HdrEnqueued  = "hs-enq"       // when a tier took the record, Unix ms
	HdrProfile   = "hs-profile"   // profile name, from fan-out on
	HdrVersion   = "hs-pver"      // profile version, from fan-out on
	HdrKind      = "hs-kind"      // event, test, replay, challenge, notice, system
	HdrReplayOf  = "hs-replay"    // the delivery that this one repeats
	HdrReplayID  = "hs-replay-id" // makes the delivery id of a replay or test its own
	HdrSource    = "hs-src"       // topic/partition/offset of the event's record
	HdrParkSrc   = "hs-park-src"  // topic/partition/offset the parked record came from
	HdrReason    = "hs-reason"    // why a record is in events.invalid or dead
	HdrSlot      = "hs-slot"      // slot of the endpoint, on attempts
	HdrState     = "hs-state"     // delivery state after the attempt, on attempts
	HdrTrace     = "traceparent"  // W3C trace context
)
