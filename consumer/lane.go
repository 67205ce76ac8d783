package consumer

// lane is the queue of one endpoint inside a slot: what waits, what is in
// flight, and when to look again. It decides and remembers, it does no I/O.

import (
	"container/heap"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// jobState says where a delivery stands inside its slot.
type jobState uint8

const (
	waiting  jobState = iota // in its lane
	running                  // its request is in flight
	settling                 // the outcome is known, what follows from it is being written
	spilling                 // out of its lane, its place on the way to park
	finished                 // nothing of it is left to do
)

// job is one delivery that a slot holds. Its place is the record that stands
// for it after a crash: first its source record, whose offset stays open in
// the ledger, then, if it was parked, a record of park.
type job struct {
	d        schemas.Delivery
	lane     *lane
	state    jobState
	src      schemas.Position // the source record
	ack      func(int64)      // closes the source offset; nil once the place is in park
	parkOff  int64            // place in park; −1 while it has none
	parking  bool             // a park record for it is on its way
	told     int              // attempts made, as the record in park says
	received time.Time        // when the slot took it
	started  time.Time        // of the request in flight
	version  int64            // the endpoint's when the request was sent
	probe    bool             // the request in flight is a breaker's probe
	news     []schemas.Event  // what the outcome makes known, to be written before the row
	noted    func()           // runs once news is written; nil: nothing to do
	bytes    int64            // what it counts against the budgets
}

// ready reports whether the next attempt is due.
func (j *job) ready(now time.Time) bool { return !j.d.Due.After(now) }

// retries is a heap of waiting jobs that are not due yet.
type retries []*job

func (r retries) Len() int           { return len(r) }
func (r retries) Less(a, b int) bool { return r[a].d.Due.Before(r[b].d.Due) }
func (r retries) Swap(a, b int)      { r[a], r[b] = r[b], r[a] }
func (r *retries) Push(x any)        { *r = append(*r, x.(*job)) }
func (r *retries) Pop() any {
	old := *r
	j := old[len(old)-1]
	old[len(old)-1] = nil
	*r = old[:len(old)-1]
	return j
}

// lane holds the jobs of one endpoint. In an ordered lane everything waits in
// queue, so that a head that is not due blocks what follows.
type lane struct {
	id       string
	info     Lane
	limit    int // requests in flight at once
	queue    []*job
	later    retries // unordered lanes: waiting, but not due yet
	running  int
	settling int
	hold     time.Time // no attempt of the lane before (rate limit, Retry-After)
	used     time.Time // last time it had work, for eviction
	wake     time.Time // when the slot looks again; zero: only on events
	wakeAt   int       // index in the slot's heap of wakes; −1: not there
	stalled  bool      // waits for room in the process
	disabled int64     // endpoint version that this lane has disabled; −1: none
	halted   bool      // an ordered lane whose head was exhausted waits for an order to go on
	failing  failing
	told     time.Time // since when the breaker is open, once an event says so; zero: none is outstanding
	toldRow  time.Time // the same, once that event is written: what the row says, or a crash would lose it
	mode     laneMode
	ramp     int    // after a breaker has closed: requests in flight at once, growing; 0: no such cap
	sourced  []*job // jobs whose place is a source record, in order of arrival; done ones among them are dropped now and then
	park     parked
	dirty    bool // its row is not written yet
	hasRow   bool // there is a row in lanes that does not say "nothing"
}

func newLane(id string, now time.Time) *lane {
	return &lane{id: id, limit: 1, used: now, wakeAt: -1, disabled: -1, park: newParked()}
}

// push adds a job behind all others.
func (l *lane) push(j *job, now time.Time) {
	j.state, j.lane = waiting, l
	if !l.info.Ordered && !j.ready(now) {
		heap.Push(&l.later, j)
		return
	}
	l.queue = append(l.queue, j)
}

// again puts back a job that was attempted: at the head of an ordered lane, by
// its due time otherwise.
func (l *lane) again(j *job, now time.Time) {
	j.state = waiting
	if l.info.Ordered || j.ready(now) {
		l.queue = append([]*job{j}, l.queue...)
		return
	}
	heap.Push(&l.later, j)
}

// next takes the job that may be attempted now; nil when there is none.
func (l *lane) next(now time.Time) *job {
	switch {
	case l.halted, l.hold.After(now), l.running >= l.width():
		return nil
	case l.info.Ordered && (l.running > 0 || l.settling > 0):
		return nil
	case len(l.later) > 0 && l.later[0].ready(now):
		return heap.Pop(&l.later).(*job)
	case len(l.queue) > 0 && l.queue[0].ready(now):
		j := l.queue[0]
		l.queue[0] = nil
		l.queue = l.queue[1:]
		return j
	}
	return nil
}

// back undoes next.
func (l *lane) back(j *job) {
	j.state = waiting
	l.queue = append([]*job{j}, l.queue...)
}

// lookAgain is when next may give something though nothing happens until
// then; zero when only an event can change that.
func (l *lane) lookAgain(now time.Time) time.Time {
	if l.stalled || l.halted || l.running >= l.width() || l.info.Ordered && (l.running > 0 || l.settling > 0) {
		return time.Time{}
	}
	var at time.Time
	if len(l.later) > 0 {
		at = l.later[0].d.Due
	}
	if l.mode != live && l.park.unread() > 0 && l.waitingJobs() == 0 && l.hold.After(now) {
		return l.hold
	}
	if len(l.queue) > 0 {
		if due := l.queue[0].d.Due; at.IsZero() || due.Before(at) {
			at = due
		}
		if at.Before(now) {
			at = now
		}
	}
	if !at.IsZero() && l.hold.After(at) {
		at = l.hold
	}
	return at
}

// width is how many requests may be in flight now.
func (l *lane) width() int {
	switch {
	case l.mode == open:
		return 1
	case l.ramp > 0:
		return min(l.ramp, l.limit)
	}
	return l.limit
}

// openSources are the lane's jobs that hold the ledger up, oldest first.
func (l *lane) openSources() []*job {
	kept := l.sourced[:0]
	for _, j := range l.sourced {
		if j.ack != nil && j.state != finished {
			kept = append(kept, j)
		}
	}
	clear(l.sourced[len(kept):])
	l.sourced = kept
	return kept
}

// stuck reports that the lane holds the ledger up without getting on: a
// request has been in flight for too long, or records wait for an endpoint
// that may not be called.
func (l *lane) stuck(now time.Time, after time.Duration) bool {
	blocked := l.halted || l.hold.After(now) || l.info.Ordered && len(l.queue) > 0 && !l.queue[0].ready(now)
	for _, j := range l.openSources() {
		switch {
		case j.parking:
		case j.state == running && now.Sub(j.started) >= after:
			return true
		case j.state == waiting && blocked && now.Sub(j.received) >= after:
			return true
		}
	}
	return false
}

// room reports whether the lane wants one more record from park.
func (l *lane) room(now time.Time, tight bool) bool {
	switch n := l.waitingJobs(); {
	case l.mode == live, l.halted, l.hold.After(now.Add(time.Second)):
		return false
	case l.mode == open || tight:
		return n == 0 && l.running < l.width() && !l.hold.After(now)
	default:
		return n < 2*l.width()
	}
}

// wants reports whether there is one, too.
func (l *lane) wants(now time.Time, tight bool) bool {
	return l.park.unread() > 0 && l.room(now, tight)
}

// waitingJobs is how many jobs are in memory without a request.
func (l *lane) waitingJobs() int { return len(l.queue) + len(l.later) }

// evictable reports whether the lane can be forgotten: it has no work, had none
// for a while, and remembers nothing that a new lane would not know.
func (l *lane) evictable(now time.Time, after time.Duration) bool {
	return l.idle() && l.mode == live && l.park.empty() && !l.dirty && !l.hasRow && !l.halted && l.failing.since.IsZero() && !l.hold.After(now) && now.Sub(l.used) >= after
}

// idle reports whether nothing of the lane is in memory.
func (l *lane) idle() bool { return l.waitingJobs() == 0 && l.running == 0 && l.settling == 0 }

// failing counts the attempts since the last one that succeeded.
type failing struct {
	since    time.Time // of the first failure; zero: the last attempt succeeded
	attempts int
}

// count takes one attempt and reports whether the endpoint has been failing
// for long enough to be disabled.
func (f *failing) count(failed bool, now time.Time, limits DispatchLimits) bool {
	if !failed {
		*f = failing{}
		return false
	}
	if f.since.IsZero() {
		f.since = now
	}
	f.attempts++
	return f.attempts >= limits.FailingAttempts && now.Sub(f.since) >= limits.FailingFor
}

// wakes is a heap of lanes by the time the slot looks at them again.
type wakes []*lane

func (w wakes) Len() int           { return len(w) }
func (w wakes) Less(a, b int) bool { return w[a].wake.Before(w[b].wake) }
func (w wakes) Swap(a, b int) {
	w[a], w[b] = w[b], w[a]
	w[a].wakeAt, w[b].wakeAt = a, b
}
func (w *wakes) Push(x any) {
	l := x.(*lane)
	l.wakeAt = len(*w)
	*w = append(*w, l)
}
func (w *wakes) Pop() any {
	old := *w
	l := old[len(old)-1]
	old[len(old)-1] = nil
	*w = old[:len(old)-1]
	l.wakeAt = -1
	return l
}

// set moves a lane to its time; zero takes it out.
func (w *wakes) set(l *lane, at time.Time) {
	l.wake = at
	switch {
	case at.IsZero() && l.wakeAt >= 0:
		heap.Remove(w, l.wakeAt)
	case at.IsZero():
	case l.wakeAt >= 0:
		heap.Fix(w, l.wakeAt)
	default:
		heap.Push(w, l)
	}
}
