package analytics

// The records of one partition between the poll loop and the stream that
// stores them: bounded by pausing the fetch, cut into ranges in offset order.

import (
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// limits say when a range is cut.
type limits struct {
	rows     int
	bytes    int
	interval func() time.Duration // after the first record of the range
}

// cut is a range of records, fixed from now on: its token depends on it.
type cut struct {
	records []*kgo.Record
	first   int64 // the committed offset at which the range begins
	last    int64 // offset of the last record
	resumed bool  // announced by whoever had the partition before
	repair  int   // the highest repair token that may have been used
	// regressed: the log begins again below what was stored, so it was cut off.
	// What is stored under these offsets stays.
	regressed bool
}

// feed is filled by the poll loop and emptied by one stream.
type feed struct {
	limits limits
	wake   chan struct{} // has room for one

	mu       sync.Mutex
	records  []*kgo.Record
	bytes    int
	since    time.Time // when records[0] arrived here
	next     int64     // where the next range begins; -1: at the next record
	resume   *intent   // the range that has to be cut first
	draining bool      // cut what is there, due or not
	stopped  bool      // cut nothing any more
	high     int64     // the partition's high watermark
}

func newFeed(l limits, next int64, resume *intent) *feed {
	return &feed{limits: l, wake: make(chan struct{}, 1), next: next, resume: resume}
}

// recordBytes is what a buffered record costs.
func recordBytes(r *kgo.Record) int { return len(r.Value) + len(r.Key) + 256 }

// add appends what was fetched.
func (f *feed) add(records []*kgo.Record, high int64, now time.Time) {
	f.mu.Lock()
	if high > f.high {
		f.high = high
	}
	if !f.stopped && len(records) > 0 {
		if len(f.records) == 0 {
			f.since = now
		}
		f.records = append(f.records, records...)
		for _, r := range records {
			f.bytes += recordBytes(r)
		}
	}
	f.mu.Unlock()
	f.signal()
}

func (f *feed) signal() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// stop ends the cutting; with drain, after everything that is there. A drain
// that has begun goes on.
func (f *feed) stop(drain bool) {
	f.mu.Lock()
	f.draining = f.draining || drain
	f.stopped = !f.draining
	f.mu.Unlock()
	f.signal()
}

// tryTake cuts the next range if one is due. Otherwise wait is how long until
// the interval makes one due (0: until more records come), and done says that
// none ever will.
func (f *feed) tryTake(now time.Time) (c *cut, wait time.Duration, done bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return nil, 0, true
	}
	n := 0
	switch {
	case len(f.records) == 0:
		return nil, 0, f.draining
	case f.resume != nil:
		if n = f.upTo(f.resume.last); n < 0 {
			return nil, 0, f.draining // the rest of the range is not here yet
		}
	default:
		var full bool
		if n, full = f.full(); !full && !f.draining {
			due := f.since.Add(f.limits.interval())
			if left := due.Sub(now); left > 0 {
				return nil, left, false
			}
		}
	}
	return f.cutAt(n, now), 0, false
}

// upTo counts the records of the range that ends at last; -1 while it is not
// complete. The record at last may be gone by retention: one after it will do.
func (f *feed) upTo(last int64) int {
	for i, r := range f.records {
		if r.Offset > last {
			return i
		}
		if r.Offset == last {
			return i + 1
		}
	}
	return -1
}

// full counts the records of the next range, and says whether it cannot grow.
func (f *feed) full() (n int, full bool) {
	bytes := 0
	for n < len(f.records) {
		if n > 0 && f.records[n].Offset <= f.records[n-1].Offset {
			return n, true
		}
		bytes += recordBytes(f.records[n])
		n++
		if n >= f.limits.rows || bytes >= f.limits.bytes {
			return n, true
		}
	}
	return n, false
}

func (f *feed) cutAt(n int, now time.Time) *cut {
	c := &cut{records: append([]*kgo.Record(nil), f.records[:n]...), first: f.next}
	switch {
	case f.next < 0:
		c.first = f.records[0].Offset
	case f.resume == nil && f.records[0].Offset < f.next:
		c.first, c.regressed = f.records[0].Offset, true
	}
	if f.resume != nil {
		c.last, c.resumed, c.repair = f.resume.last, true, f.resume.repair
		f.resume = nil
	} else {
		c.last = c.records[n-1].Offset
	}
	for _, r := range c.records {
		f.bytes -= recordBytes(r)
	}
	rest := copy(f.records, f.records[n:])
	clear(f.records[rest:])
	f.records = f.records[:rest]
	f.next, f.since = c.last+1, now
	return c
}

// load is what is buffered, and whether a range could be cut of it: a partition
// that waits for the rest of a resumed range must not be paused.
func (f *feed) load() (bytes int, ready bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bytes, len(f.records) > 0 && (f.resume == nil || f.upTo(f.resume.last) >= 0)
}

// horizon is the broker's time of the oldest buffered record (zero: none), the
// next offset to cut and the high watermark.
func (f *feed) horizon() (oldest time.Time, next, high int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.records) > 0 {
		oldest = f.records[0].Timestamp
	}
	return oldest, f.next, f.high
}
