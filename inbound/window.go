package inbound

// Window remembers, for one partition of inbound.raw, which record was the
// first of its key: the verdict that receivers and dedupers share.

import (
	"container/heap"
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// DefaultWindowKeys is how many keys of one partition are remembered unless a
// configuration says otherwise; a key costs about 100 bytes.
const DefaultWindowKeys = 64 << 10

// Window is a pure state machine: what it says follows from the records that
// it was fed and from nothing else. Feed it one partition in offset order, and a
// new one after a rewind. It is not safe for concurrent use.
type Window struct {
	size    int
	first   map[keyHash]claim
	minutes map[int64][]keyHash // by the minute after which a key is forgotten
	order   minuteHeap          // of minutes
	now     int64               // the highest record time, Unix ms
	crowded uint64
}

// keyHash stands for a source and a key: 128 bits of SHA-256.
type keyHash [16]byte

// claim is a first record: where it lies, and until when others repeat it.
type claim struct {
	until  int64 // Unix ms
	offset int64
}

// NewWindow makes a window that remembers at most size keys; 0 or less is
// DefaultWindowKeys.
func NewWindow(size int) *Window {
	if size <= 0 {
		size = DefaultWindowKeys
	}
	return &Window{size: size, first: map[keyHash]claim{}, minutes: map[int64][]keyHash{}}
}

// First takes in the record at offset, which the log holds since at, and reports
// whether it is the first of its source and key. Records after it repeat it for
// as long as keep says; repeats do not make that longer. The same record again
// gets the same verdict.
func (w *Window) First(source, key string, keep time.Duration, at time.Time, offset int64) bool {
	h, ms := hashKey(source, key), at.UnixMilli()
	w.now = max(w.now, ms)
	w.forget()
	if c, ok := w.first[h]; ok {
		if c.offset == offset {
			return true
		}
		if ms < c.until {
			return false
		}
	}
	if _, again := w.first[h]; !again && len(w.first) >= w.size {
		w.makeRoom()
	}
	c := claim{until: ms + keep.Milliseconds(), offset: offset}
	w.first[h] = c
	minute := minuteOf(c.until)
	if _, ok := w.minutes[minute]; !ok {
		heap.Push(&w.order, minute)
	}
	w.minutes[minute] = append(w.minutes[minute], h)
	return true
}

// Holder is the offset of the record that another one of this source and key
// would repeat at the given time.
func (w *Window) Holder(source, key string, at time.Time) (offset int64, ok bool) {
	c, ok := w.first[hashKey(source, key)]
	if !ok || at.UnixMilli() >= c.until {
		return 0, false
	}
	return c.offset, true
}

// Len is how many keys are remembered.
func (w *Window) Len() int { return len(w.first) }

// Crowded is how many keys were forgotten before their time for want of room.
// A repeat of such a key is taken for a new event.
func (w *Window) Crowded() uint64 { return w.crowded }

// minuteOf rounds up, so that a minute that has passed holds only what is over.
func minuteOf(until int64) int64 { return until/60_000 + 1 }

// forget drops what can no longer be repeated. Time is the log's own: a reader
// that is days behind decides as it would have then.
func (w *Window) forget() {
	for len(w.order) > 0 && w.order[0] <= w.now/60_000 {
		minute := heap.Pop(&w.order).(int64)
		for _, h := range w.minutes[minute] {
			if c, ok := w.first[h]; ok && minuteOf(c.until) == minute {
				delete(w.first, h)
			}
		}
		delete(w.minutes, minute)
	}
}

// makeRoom forgets the key that would be forgotten first.
func (w *Window) makeRoom() {
	for len(w.order) > 0 {
		minute := w.order[0]
		keys := w.minutes[minute]
		if len(keys) == 0 {
			heap.Pop(&w.order)
			delete(w.minutes, minute)
			continue
		}
		w.minutes[minute] = keys[1:]
		if c, ok := w.first[keys[0]]; ok && minuteOf(c.until) == minute {
			delete(w.first, keys[0])
			w.crowded++
			return
		}
	}
}

func hashKey(source, key string) keyHash {
	text := make([]byte, 0, 8+len(source)+len(key))
	text = binary.BigEndian.AppendUint64(text, uint64(len(source)))
	text = append(append(text, source...), key...)
	sum := sha256.Sum256(text)
	return keyHash(sum[:16])
}

type minuteHeap []int64

func (h minuteHeap) Len() int           { return len(h) }
func (h minuteHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h minuteHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *minuteHeap) Push(x any)        { *h = append(*h, x.(int64)) }
func (h *minuteHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
