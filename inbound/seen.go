package inbound

// What a receiver knows of inbound.raw: which keys the log has, and whether a
// record of its own was the first of its key.

import (
	"context"
	"sync"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// seen follows the log through a tail. Nothing enters it but what the log
// holds: a request whose record could not be written leaves no trace.
type seen struct {
	keys int                               // per partition
	keep func(source string) time.Duration // how long repeats are recognised

	mu      sync.Mutex
	windows map[int32]*Window
	next    map[int32]int64 // per partition: everything below is applied
	waiting map[place]chan<- bool
}

// place is a record of inbound.raw.
type place struct {
	partition int32
	offset    int64
}

func newSeen(keys int, keep func(string) time.Duration) *seen {
	return &seen{keys: keys, keep: keep, windows: map[int32]*Window{}, next: map[int32]int64{}, waiting: map[place]chan<- bool{}}
}

// apply takes in the next record of a partition. What is no received webhook
// has no key to remember.
func (s *seen) apply(rec *schemas.Record) {
	in, err := schemas.ParseInbound(rec)
	s.mu.Lock()
	defer s.mu.Unlock()
	first := true
	if err == nil {
		w := s.windows[rec.Partition]
		if w == nil {
			w = NewWindow(s.keys)
			s.windows[rec.Partition] = w
		}
		first = w.First(in.Source, in.Key, s.keep(in.Source), rec.Time, rec.Offset)
	}
	s.next[rec.Partition] = rec.Offset + 1
	at := place{rec.Partition, rec.Offset}
	if told, ok := s.waiting[at]; ok {
		told <- first // has room for it
		delete(s.waiting, at)
	}
}

// known reports whether the log has a record that one of this source and key,
// written now, would repeat.
func (s *seen) known(source, key string, partition int32, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.windows[partition]
	if w == nil {
		return false
	}
	_, ok := w.Holder(source, key, now)
	return ok
}

// first waits until the record at a place is applied, and says whether it is
// the first of its key. told is false when ctx ended before.
func (s *seen) first(ctx context.Context, in *schemas.Inbound, at place) (first, told bool) {
	s.mu.Lock()
	if s.next[at.partition] > at.offset {
		defer s.mu.Unlock()
		w := s.windows[at.partition]
		if w == nil {
			return true, true // it lies before where this receiver began to read
		}
		holder, ok := w.Holder(in.Source, in.Key, in.Received)
		return !ok || holder == at.offset, true
	}
	verdict := make(chan bool, 1)
	s.waiting[at] = verdict
	s.mu.Unlock()
	select {
	case first := <-verdict:
		return first, true
	case <-ctx.Done():
		s.mu.Lock()
		delete(s.waiting, at)
		s.mu.Unlock()
		return false, false
	}
}

// size is how many keys are remembered, and how many were forgotten before
// their time.
func (s *seen) size() (keys int, crowded uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.windows {
		keys += w.Len()
		crowded += w.Crowded()
	}
	return keys, crowded
}
