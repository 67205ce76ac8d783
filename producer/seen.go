package producer

// What an id last stood for: so that one id with two bodies is a conflict, and
// a repeat of an accepted request is answered without writing it again.

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// fingerprint is half a SHA-256: enough to tell honest bodies apart.
type fingerprint [16]byte

type seenEntry struct {
	key      fingerprint
	body     fingerprint
	at       time.Time
	accepted bool // Kafka acknowledged it
	sending  int  // those who publish it now, or were left in doubt of it
}

// seen remembers ids for a while, best effort: per process, bounded in number
// and time, oldest forgotten first.
type seen struct {
	mu      sync.Mutex
	window  time.Duration
	most    int
	entries map[fingerprint]*seenEntry
	queue   []*seenEntry // by age; the head index moves
	head    int
}

func newSeen(window time.Duration, most int) *seen {
	return &seen{window: window, most: most, entries: map[fingerprint]*seenEntry{}}
}

// seenAnswer is what is known of an id and body.
type seenAnswer int

const (
	seenNew      seenAnswer = iota // unknown, or its outcome is: publish it
	seenAccepted                   // the same was accepted
	seenConflict                   // another body has the id
)

func keyOf(tenant, id string) fingerprint {
	return half([]byte(tenant + "\x00" + id))
}

func half(b []byte) fingerprint {
	sum := sha256.Sum256(b)
	return fingerprint(sum[:16])
}

// begin notes an event that is about to be published; body is what a repeat of
// it has to have too.
func (s *seen) begin(ev *schemas.Event, body fingerprint, now time.Time) seenAnswer {
	key := keyOf(ev.Tenant, ev.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(now)
	if e, ok := s.entries[key]; ok {
		switch {
		case e.body != body:
			return seenConflict
		case e.accepted:
			return seenAccepted
		}
		e.sending++
		return seenNew
	}
	s.note(&seenEntry{key: key, body: body, at: now, sending: 1})
	return seenNew
}

func (s *seen) note(e *seenEntry) {
	s.entries[e.key] = e
	s.queue = append(s.queue, e)
}

// knows reports whether anything is remembered of an event's id.
func (s *seen) knows(ev *schemas.Event, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(now)
	_, ok := s.entries[keyOf(ev.Tenant, ev.ID)]
	return ok
}

// learn notes an event that was accepted elsewhere, or before this process
// began; what is remembered stands.
func (s *seen) learn(tenant, id string, body fingerprint, now time.Time) {
	key := keyOf(tenant, id)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(now)
	if _, ok := s.entries[key]; !ok {
		s.note(&seenEntry{key: key, body: body, at: now, accepted: true})
	}
}

// accept notes that the event is in Kafka.
func (s *seen) accept(ev *schemas.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.entries[keyOf(ev.Tenant, ev.ID)]; ok {
		e.accepted = true
	}
}

// drop takes back begin for an event that certainly did not reach Kafka: when
// nobody else sent it, its id is free again.
func (s *seen) drop(ev *schemas.Event, body fingerprint) {
	key := keyOf(ev.Tenant, ev.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.entries[key]
	if !ok || e.body != body || e.accepted {
		return
	}
	if e.sending--; e.sending == 0 {
		delete(s.entries, key)
	}
}

// forget drops what is too old or too much.
func (s *seen) forget(now time.Time) {
	for s.head < len(s.queue) && (len(s.queue)-s.head >= s.most || now.Sub(s.queue[s.head].at) > s.window) {
		e := s.queue[s.head]
		s.queue[s.head] = nil
		s.head++
		if s.entries[e.key] == e { // else it was dropped, and another has the id
			delete(s.entries, e.key)
		}
	}
	if s.head > 1024 && s.head > len(s.queue)/2 {
		s.queue = append([]*seenEntry(nil), s.queue[s.head:]...)
		s.head = 0
	}
}
