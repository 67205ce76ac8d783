package consumer

// The dedupe window: which events were fanned out lately, so that a publisher's
// retry makes no second fan-out. Best effort, within one process.

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// eventHash names an event in 128 bits.
type eventHash [16]byte

// hashEvent is over what makes two records the same event: tenant, id and
// ordering key. What a record targets (one endpoint, one replay) counts too: a
// replay is no repeat of its original.
func hashEvent(ev *schemas.Event) eventHash {
	h := sha256.New()
	var n [4]byte
	for _, p := range [...]string{ev.Tenant, ev.ID, ev.Key, ev.Kind, ev.ReplayID, ev.EndpointID, ev.CallbackURL} {
		binary.BigEndian.PutUint32(n[:], uint32(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	var sum [sha256.Size]byte
	return eventHash(h.Sum(sum[:0])[:16])
}

// dedupe is a bounded memory of events by their creation time, which comes from
// the log: what counts is how far apart two records were published, not how
// fast a backlog is read.
type dedupe struct {
	window time.Duration
	size   int // entries kept at most

	mu   sync.Mutex
	seen map[eventHash]int64 // creation, Unix ms
	ring []eventHash         // in the order of noting; len(ring) grows to size
	head int                 // the oldest, once the ring is full
}

func newDedupe(window time.Duration, size int) *dedupe {
	return &dedupe{window: window, size: size, seen: map[eventHash]int64{}}
}

// repeat reports whether the event was noted within the window around created.
func (d *dedupe) repeat(h eventHash, created time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, ok := d.seen[h]
	return ok && created.Sub(time.UnixMilli(at)).Abs() <= d.window
}

// note remembers an event whose records are all acked. Noting it earlier would
// let a repeat be acked in place of an original that then fails.
func (d *dedupe) note(h eventHash, created time.Time) {
	if d.size == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.seen[h]; ok {
		d.seen[h] = created.UnixMilli()
		return
	}
	d.seen[h] = created.UnixMilli()
	if len(d.ring) < d.size {
		d.ring = append(d.ring, h)
		return
	}
	delete(d.seen, d.ring[d.head])
	d.ring[d.head] = h
	d.head = (d.head + 1) % d.size
}
