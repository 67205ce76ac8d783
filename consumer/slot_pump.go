package consumer

// How jobs leave their lanes: admitted and sent, held back, or given up.

import (
	"slices"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// know takes what the registry says about the endpoint now.
func (l *lane) know(info Lane, concurrency int) {
	if info.Concurrency > 0 {
		concurrency = info.Concurrency
	}
	if info.Ordered {
		concurrency = 1
	}
	if info.Ordered && !l.info.Ordered && len(l.later) > 0 {
		// It became ordered: what waits for a retry blocks what came after it.
		l.queue = append(l.queue, l.later...)
		l.later = nil
		slices.SortStableFunc(l.queue, func(a, b *job) int {
			if c := a.received.Compare(b.received); c != 0 {
				return c
			}
			return int(a.src.Offset - b.src.Offset)
		})
	}
	l.info, l.limit = info, concurrency
}

// pump starts what the lane may start now, and sets when to look again.
func (s *slot) pump(l *lane) {
	if s.closing {
		return
	}
	now := time.Now()
	for !l.stalled {
		j := l.next(now)
		if j == nil {
			break
		}
		s.metrics.waiting.Dec()
		info, ok := s.cfg.Lookup(l.id)
		if !ok {
			s.skip(j, schemas.SkipDeleted, now)
			continue
		}
		l.know(info, s.cfg.Limits.Concurrency)
		if l.disabled == info.Version && j.d.Kind != schemas.KindTest {
			s.bury(j, schemas.ReasonDisabled, now)
			continue
		}
		if !s.try(l, j, now) {
			break
		}
	}
	s.wakes.set(l, l.lookAgain(now))
	if l.mode != live {
		s.scan()
	}
}

// try asks for admission and starts the attempt; false leaves the job waiting.
func (s *slot) try(l *lane, j *job, now time.Time) bool {
	if !s.budget.acquire(s.roomAgain) {
		s.putBack(l, j)
		l.stalled = true
		s.stalled = append(s.stalled, l)
		return false
	}
	adm := s.cfg.Admit(l.id, j.d.Kind, now)
	switch adm.Kind {
	case schemas.Go:
		s.launch(l, j, adm, now)
		return true
	case schemas.Inactive:
		s.budget.release()
		if adm.Reason == schemas.ReasonDisabled {
			s.bury(j, adm.Reason, now)
		} else {
			s.skip(j, adm.Reason, now)
		}
		return true
	case schemas.Open:
		s.budget.release()
		s.putBack(l, j)
		s.opened(l, adm.Until, now)
		return false
	default:
		s.budget.release()
		s.putBack(l, j)
		l.holdUntil(adm.Until, now)
		return false
	}
}

// putBack undoes next: the job is the lane's first again.
func (s *slot) putBack(l *lane, j *job) {
	l.back(j)
	s.metrics.waiting.Inc()
}

// holdUntil lets nothing of the lane start before t; always a little in the
// future, so that an admission that is late by a hair cannot spin.
func (l *lane) holdUntil(t, now time.Time) {
	if least := now.Add(time.Millisecond); t.Before(least) {
		t = least
	}
	if t.After(l.hold) {
		l.hold = t
	}
}

// roomAgain runs on whatever goroutine gave room in the process.
func (s *slot) roomAgain() {
	s.box.post(func() {
		stalled := s.stalled
		s.stalled = nil
		for _, l := range stalled {
			l.stalled = false
		}
		for _, l := range stalled {
			s.pump(l)
		}
	})
}

// launch sends the request on a goroutine that reports back.
func (s *slot) launch(l *lane, j *job, adm schemas.Admission, now time.Time) {
	j.state, j.started, j.version, j.probe = running, now, l.info.Version, adm.Probe
	l.running++
	l.used = now
	s.flying++
	due := j.d.Due
	if due.IsZero() {
		due = j.d.CreatedAt
	}
	s.metrics.late(now.Sub(due))
	ctx, deliver, d := s.ctx, s.cfg.Deliver, j.d // the worker's own copy: the slot may change the job's
	go func() {
		out := deliver(ctx, adm.Token, &d)
		s.box.post(func() { s.landed(l, j, out) })
	}()
}
