package consumer

// What follows from an outcome, always in this order: the successor (retry or
// dead letter) and its ack, the events that it makes (slot_news.go) and their
// acks, the row in attempts and its ack, then the record is done. A row
// therefore implies that its successor and its events exist.

import (
	"strconv"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// landed takes the outcome of a request.
func (s *slot) landed(l *lane, j *job, out schemas.Outcome) {
	now := time.Now()
	l.running--
	l.used = now
	s.flying--
	s.budget.release()
	if out.Verdict == schemas.Canceled {
		if !s.closing { // cut off without need: the record is still open, try again
			l.holdUntil(now.Add(cancelPause), now)
			l.again(j, now)
			s.metrics.waiting.Inc()
			s.pump(l)
		}
		return
	}
	s.metrics.outcome(out.Verdict)
	if out.HoldUntil.After(l.hold) {
		l.hold = out.HoldUntil
		s.soil(l)
	}
	s.judge(l, &out, now)
	s.breakerNews(l, j, &out, now)
	switch out.Verdict {
	case schemas.Delivered, schemas.Retry, schemas.Exhausted:
		if l.failing.count(out.Verdict != schemas.Delivered && out.Failed, now, s.cfg.Limits) && l.disabled != j.version {
			s.disable(l, j.version, disabledFailing, func() {})
		}
	}
	s.follow(l, j, &out, now)
	s.pump(l)
}

// judge lets an open lane go on once its breaker has closed, and lets a lane
// that comes back grow to its full width step by step.
func (s *slot) judge(l *lane, out *schemas.Outcome, now time.Time) {
	if l.hasRow || !l.failing.since.IsZero() && now.Sub(l.failing.since) >= failingRow {
		s.soil(l)
	}
	if l.ramp > 0 && !out.Failed {
		if l.ramp++; l.ramp >= l.limit {
			l.ramp = 0
		}
	}
	if l.mode != open {
		if out.Failed && s.cfg.Breaker(l.id).Open {
			s.soil(l) // the next owner has to know, though nothing may wait here
		}
		return
	}
	switch state := s.cfg.Breaker(l.id); {
	case !state.Open && !out.Failed:
		s.setMode(l, spilled)
		l.ramp, l.hold = 1, out.HoldUntil
		s.soil(l)
	case state.Open:
		l.holdUntil(state.OpenUntil, now)
		s.soil(l)
	}
}

// follow writes what the verdict asks for.
func (s *slot) follow(l *lane, j *job, out *schemas.Outcome, now time.Time) {
	made := j.d.Attempts + 1
	switch out.Verdict {
	case schemas.Delivered:
		s.finish(j, s.row(j, out.Row, made, schemas.StateSuccess, time.Time{}))
	case schemas.Retry:
		due := ceilMillisecond(out.RetryAt)
		if due.Before(now) {
			due = ceilMillisecond(now)
		}
		s.retryNews(j, out)
		next := j.d
		next.Attempts = made
		successor, ok := TierRecord(s.cfg.Topology, &next, due, now)
		if l.info.Ordered || !ok {
			s.retryInPlace(l, j, out.Row, made, due)
			return
		}
		s.followBy(j, successor, s.row(j, out.Row, made, schemas.StatePending, due))
	case schemas.Exhausted:
		if out.Row.ErrorKind == schemas.ReasonDisabled { // it was disabled after its admission: nothing was sent
			s.deadLetter(j, schemas.ReasonDisabled, s.row(j, out.Row, 0, schemas.StateError, time.Time{}))
			return
		}
		if l.halted = l.info.Ordered && l.info.Halt && j.d.Kind != schemas.KindNotice && j.d.Kind != schemas.KindTest; l.halted {
			s.soil(l)
		}
		s.deadLetter(j, "exhausted", s.row(j, out.Row, made, schemas.StateError, time.Time{}))
	case schemas.Gone:
		row := s.row(j, out.Row, made, schemas.StateError, time.Time{})
		s.settle(j)
		end := func() { s.deadLetterSettled(j, disabledGone, row) }
		if l.disabled == j.version { // another answer to this version did it
			end()
			return
		}
		s.disable(l, j.version, disabledGone, end)
	case schemas.Rejected:
		if out.Row.No <= j.d.Attempts {
			made = 0 // nothing was sent
		}
		s.deadLetter(j, schemas.ErrRejected, s.row(j, out.Row, made, schemas.StateError, time.Time{}))
	default: // Skipped
		s.finish(j, s.row(j, out.Row, 0, schemas.StateSkipped, time.Time{}))
	}
}

// skip ends a delivery whose endpoint is deleted or inactive: a row says why.
func (s *slot) skip(j *job, reason string, now time.Time) {
	row := schemas.AttemptOf(&j.d, 0, now)
	row.ErrorKind = reason
	s.finish(j, s.row(j, row, 0, schemas.StateSkipped, time.Time{}))
}

// bury ends a delivery whose endpoint we disabled: a dead letter that can be
// sent again later.
func (s *slot) bury(j *job, reason string, now time.Time) {
	row := schemas.AttemptOf(&j.d, 0, now)
	row.ErrorKind, row.Error = reason, "the endpoint is disabled"
	s.deadLetter(j, reason, s.row(j, row, 0, schemas.StateError, time.Time{}))
}

// settle marks a job whose outcome is known: it is no longer this delivery's
// carrier, because what is written next takes over.
func (s *slot) settle(j *job) {
	j.state = settling
	j.lane.settling++
	if s.active[j.d.ID] == j {
		delete(s.active, j.d.ID)
	}
}

// finish writes the last row of a delivery, or the row of an attempt whose
// successor is safe, and closes the record.
func (s *slot) finish(j *job, row schemas.Attempt) {
	s.settle(j)
	s.remember(row, false)
	s.writeRow(j, row)
}

// followBy writes the successor, then the row.
func (s *slot) followBy(j *job, successor schemas.Record, row schemas.Attempt) {
	s.settle(j)
	s.remember(row, false)
	s.append(successor, func(int64) { s.writeRow(j, row) })
}

func (s *slot) deadLetter(j *job, reason string, row schemas.Attempt) {
	s.settle(j)
	s.deadLetterSettled(j, reason, row)
}

func (s *slot) deadLetterSettled(j *job, reason string, row schemas.Attempt) {
	s.remember(row, false)
	if j.d.Kind == schemas.KindNotice { // tried once, and stale soon: its row says all, nobody sends it again
		s.writeRow(j, row)
		return
	}
	s.exhaustedNews(j, &row, reason)
	d := j.d
	d.Attempts, d.Due, d.Enqueued = max(row.No, d.Attempts), time.Time{}, time.Time{}
	rec, err := schemas.DeadRecord(s.cfg.Topology, &d, reason, &row)
	if err != nil {
		s.fail(err)
		return
	}
	s.append(rec, func(int64) { s.writeRow(j, row) })
}

// writeRow appends what the outcome makes known and the row, and closes the
// record once they are acked.
func (s *slot) writeRow(j *job, row schemas.Attempt) {
	rec, err := row.Record(s.cfg.Topology)
	if err != nil {
		s.fail(err)
		return
	}
	s.publishNews(j, func() {
		s.append(rec, func(int64) {
			j.lane.settling--
			j.state = finished
			s.closePlace(j)
			s.release(j.bytes)
			s.pump(j.lane)
		})
	})
}

// retryInPlace keeps the record itself for the next attempt: it stays open, so
// nothing else has to be written. The row says so in its header, and a
// done-set that reads it later knows that no other record follows.
func (s *slot) retryInPlace(l *lane, j *job, row schemas.Attempt, made int, due time.Time) {
	full := s.row(j, row, made, schemas.StatePending, due)
	rec, err := full.Record(s.cfg.Topology)
	if err != nil {
		s.fail(err)
		return
	}
	rec.Headers = append(rec.Headers, schemas.Header{Key: schemas.HdrDue, Value: strconv.AppendInt(nil, due.UnixMilli(), 10)})
	j.state = settling
	l.settling++
	s.remember(full, true)
	s.publishNews(j, func() {
		s.append(rec, func(int64) {
			l.settling--
			j.d.Attempts, j.d.Due = made, due
			if l.info.Ordered {
				s.soil(l)
			}
			l.again(j, time.Now())
			s.metrics.waiting.Inc()
			s.pump(l)
		})
	})
}

// remember puts the attempt into the done-set. That may happen before the row
// is acked: until then the record itself stays open.
func (s *slot) remember(row schemas.Attempt, held bool) {
	s.done.mark(doneMark{id: row.DeliveryID, no: row.No, terminal: row.State.Terminal(), held: held, due: row.NextRetryAt})
}

// closePlace closes the record that stands for a finished job. One whose place
// is on its way to park is closed when it has arrived there.
func (s *slot) closePlace(j *job) {
	switch {
	case j.parking:
	case j.ack != nil:
		j.ack(j.src.Offset)
	case j.parkOff >= 0:
		s.parkDone(j)
	}
}
