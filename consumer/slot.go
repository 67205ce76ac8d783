package consumer

// slot owns everything that one partition number of deliveries, due, park and
// lanes stands for: its lanes, its done-set, its timers.
//
// A slot is one goroutine. Batches, outcomes, acks and timers all reach it as
// tasks in its mailbox, so its state needs no lock and there is no lock order
// to keep. Requests run in goroutines of their own that only report back. No
// task may block: what has to wait is a callback or a timer.

import (
	"context"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// cancelPause keeps a request that was cut off without need from spinning.
const cancelPause = time.Second

type slot struct {
	n       int32
	cfg     *DispatcherConfig
	budget  *budget
	metrics *dispatchMetrics
	fail    func(error) // ends the dispatcher

	box   *mailbox
	ctx   context.Context // requests, and writes that wait for room, end with it
	cut   context.CancelFunc
	ended chan struct{}

	lanes   map[string]*lane
	wakes   wakes
	active  map[string]*job // deliveries in memory whose attempt is still to be made
	done    *doneSet
	stalled []*lane // wait for room in the process
	bytes   int64   // of the jobs held
	flying  int     // requests in flight
	writes  int     // appends without an answer
	flushed bool    // the last lane rows are written
	calls   int     // seams that run on goroutines of their own
	closing bool    // nothing new is started
	given   bool    // the loop is to end

	blocked       map[*lane]bool              // not live
	spillingBytes int64                       // of jobs on their way to park
	parkEnd       int64                       // highest offset of park that is known to be acked
	reread        map[schemas.Position]string // source records that are in park already, with their deliveries
	began         time.Time
	pass          *parkPass // nil while nothing is read from park
	passes        int
	scanning      bool
	rescan        bool

	owner         int64 // of lane rows: grows with each owner of the slot
	dirty         map[*lane]bool
	writing       int   // lane rows on their way
	marking       bool  // the next row is the first of a round with all rows
	checkpointed  int64 // parkEnd at the last checkpoint
	snapshot      int64 // offset in lanes of the last such round; −1: none
	snapshotAt    time.Time
	sinceSnapshot int
	orders        []func() // orders that are done once the rows of now are acked,
	ordersCarried []func() // and those whose rows are on their way
}

func newSlot(d *Dispatcher, n int32) *slot {
	s := &slot{n: n, cfg: &d.cfg, budget: d.budget, metrics: d.metrics, fail: d.failWith,
		box: newMailbox(), ended: make(chan struct{}),
		lanes: map[string]*lane{}, active: map[string]*job{}, done: newDoneSet(d.cfg.Limits.DoneCount),
		blocked: map[*lane]bool{}, dirty: map[*lane]bool{}, reread: map[schemas.Position]string{}, parkEnd: -1, checkpointed: -1, snapshot: -1, snapshotAt: time.Now(), began: time.Now()}
	s.ctx, s.cut = context.WithCancel(d.life)
	return s
}

// run is the event loop. It returns when the slot was given up and no request
// of it is in flight.
func (s *slot) run() {
	defer close(s.ended)
	defer s.cut()
	s.begin()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	tick := time.NewTicker(s.cfg.Limits.Rows)
	defer tick.Stop()
	for {
		if s.closing && s.flying == 0 && s.calls == 0 && (s.given || s.writes == 0) {
			if !s.given && !s.flushed {
				s.flushed = true
				s.writeRows(time.Now())
				continue
			}
			s.letGo()
			return
		}
		if at := s.nextWake(); at.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(at))
		}
		select {
		case <-s.box.ready:
			for _, task := range s.box.take() {
				task()
			}
		case <-timer.C:
			s.fire(time.Now())
		case <-tick.C:
			s.tick(time.Now())
		}
	}
}

// stop makes the slot start nothing more, gives what is in flight until ctx
// ends, cuts off the rest, and returns when the loop has ended.
func (s *slot) stop(ctx context.Context) {
	s.box.post(s.close)
	select {
	case <-s.ended:
		return
	case <-ctx.Done():
	}
	s.abort()
}

// abort cuts off every request, and every write that waits for room, and
// returns when the loop has ended. Nothing that was not acked yet is marked
// done.
func (s *slot) abort() {
	s.cut()
	s.box.post(func() { s.given = true; s.close() })
	<-s.ended
}

// begin goes on where an earlier owner left the lanes.
func (s *slot) begin() {
	for l := range s.blocked {
		s.pump(l)
	}
	s.scan()
}

// close starts nothing more.
func (s *slot) close() {
	s.closing = true
	s.endPass()
}

// letGo gives back what the slot counts against the process.
func (s *slot) letGo() {
	s.given = true
	for _, task := range s.box.shutdown() {
		task() // batches are counted out, acks are ignored
	}
	s.budget.free(s.bytes)
	s.bytes = 0
	for _, l := range s.lanes {
		s.metrics.waiting.Sub(float64(l.waitingJobs()))
		s.metrics.parked.Sub(float64(l.park.count))
		s.metrics.mode(l.mode, -1)
		if s.cfg.Forget != nil {
			s.cfg.Forget(l.id)
		}
	}
}

func (s *slot) nextWake() time.Time {
	if len(s.wakes) == 0 || s.closing {
		return time.Time{}
	}
	return s.wakes[0].wake
}

// fire looks at every lane whose time has come.
func (s *slot) fire(now time.Time) {
	for len(s.wakes) > 0 && !s.wakes[0].wake.After(now) {
		l := s.wakes[0]
		s.wakes.set(l, time.Time{})
		s.pump(l)
	}
}

// tick does what is done at intervals.
func (s *slot) tick(now time.Time) {
	if s.closing {
		return
	}
	if len(s.reread) > 0 && now.Sub(s.began) > rereadFor {
		clear(s.reread)
	}
	s.relieve(now)
	s.takeTurns(now)
	s.writeRows(now)
	for _, l := range s.lanes {
		if l.hasRow && !l.dirty && l.mode == live && l.idle() {
			if _, ok := s.rowOf(l, now); !ok {
				s.soil(l) // what its row said is over
			}
		}
		if l.idle() && now.Sub(l.used) >= s.cfg.Limits.LaneIdle {
			s.retire(l, now)
		}
	}
}

// retire forgets a lane that has been idle for long, if nothing is lost by
// that. Of an endpoint that is gone, nothing is worth remembering.
func (s *slot) retire(l *lane, now time.Time) {
	_, known := s.cfg.Lookup(l.id)
	if !known && (l.halted || !l.failing.since.IsZero() || !l.toldRow.IsZero() || s.cfg.Breaker(l.id).Open) {
		l.halted, l.failing, l.told, l.toldRow = false, failing{}, time.Time{}, time.Time{}
		if s.cfg.Forget != nil {
			s.cfg.Forget(l.id)
		}
		s.soil(l)
		s.pump(l) // what halted it is skipped
	}
	if !l.evictable(now, s.cfg.Limits.LaneIdle) {
		return
	}
	s.wakes.set(l, time.Time{})
	delete(s.lanes, l.id)
	s.metrics.mode(live, -1)
	if !known && s.cfg.Forget != nil {
		s.cfg.Forget(l.id)
	}
}

// lane is the lane of an endpoint, made when it is first needed.
func (s *slot) lane(id string, now time.Time) *lane {
	l, ok := s.lanes[id]
	if !ok {
		l = newLane(id, now)
		if info, ok := s.cfg.Lookup(id); ok {
			l.know(info, s.cfg.Limits.Concurrency)
		}
		s.lanes[id] = l
		s.metrics.mode(live, 1)
	}
	return l
}

// append writes a record and runs then on the slot's goroutine once it is
// acked. A failed write ends the dispatcher: nothing may be marked done.
func (s *slot) append(rec schemas.Record, then func(offset int64)) {
	s.writes++
	s.cfg.Append(s.ctx, rec, func(offset int64, err error) {
		s.box.post(func() {
			s.writes--
			if err != nil && s.ctx.Err() != nil {
				return // given up: the records are still open
			}
			if err != nil {
				s.fail(&appendError{topic: rec.Topic, err: err})
				return
			}
			if !s.given {
				then(offset)
			}
		})
	})
}

// appendError is a write that ends the dispatcher.
type appendError struct {
	topic string
	err   error
}

func (e *appendError) Error() string { return "appending to " + e.topic + ": " + e.err.Error() }
func (e *appendError) Unwrap() error { return e.err }
