package consumer

// Orders from outside: verify, probe now, enable.

import (
	"context"
	"errors"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// Why an endpoint was disabled by us.
const (
	disabledGone    = "gone"    // it answered 410
	disabledFailing = "failing" // every attempt failed for days
)

// control carries out one order. Its record is done when the order is.
func (s *slot) control(rec *schemas.Record, done func(int64)) {
	c, err := schemas.ParseControl(rec)
	if err != nil {
		s.cfg.Logger.Error("a control record cannot be read; it is skipped", "error", err)
		done(rec.Offset)
		return
	}
	id, offset := c.EndpointID, rec.Offset
	switch c.Action {
	case schemas.ControlVerify:
		s.call(func(ctx context.Context) error { s.cfg.Verify(ctx, id); return ctx.Err() }, func() { done(offset) })
		return
	case schemas.ControlEnable:
		at := schemas.Position{Topic: rec.Topic, Partition: rec.Partition, Offset: offset}
		s.publish(s.enabledNews(&c, at), func() { s.enable(id, func() { done(offset) }) })
		return
	case schemas.ControlProbe:
		s.probeNow(id)
	default:
		s.cfg.Logger.Warn("an order that this version does not know is skipped", "action", c.Action, "endpoint", id)
	}
	done(offset)
}

// enable starts an endpoint's lane afresh.
func (s *slot) enable(id string, done func()) {
	if s.cfg.Forget != nil {
		if info, known := s.cfg.Lookup(id); known && s.cfg.Breaker(id).Open { // no probe will tell that it is closed
			s.cfg.Notice(schemas.Notice{Kind: schemas.NoticeBreaker, Tenant: info.Tenant, EndpointID: id, At: time.Now().UnixMilli(), State: "closed"})
		}
		s.cfg.Forget(id)
	}
	l := s.lanes[id]
	if l == nil {
		done()
		return
	}
	if l.mode == open {
		s.setMode(l, spilled)
		l.ramp = 1
	}
	l.disabled, l.hold, l.failing, l.halted, l.told, l.toldRow = -1, time.Time{}, failing{}, false, time.Time{}, time.Time{}
	s.soil(l)
	s.pump(l)
	s.orders = append(s.orders, done) // a crash before the row is written would undo it
}

// probeNow moves an open breaker's next probe to now.
func (s *slot) probeNow(id string) {
	if s.cfg.Probe != nil {
		s.cfg.Probe(id)
	}
	if l := s.lanes[id]; l != nil {
		l.hold = time.Time{}
		s.pump(l)
	}
}

// call runs a seam that blocks on a goroutine of its own, and then on the
// slot's once it has succeeded. An error ends the dispatcher.
func (s *slot) call(work func(context.Context) error, then func()) {
	s.calls++
	go func() {
		err := work(s.ctx)
		s.box.post(func() {
			s.calls--
			switch {
			case err != nil && s.ctx.Err() == nil:
				s.fail(err)
			case err != nil && !errors.Is(err, context.Canceled):
				s.cfg.Logger.Warn("cut off while the slot was given up; it will be done again", "error", err)
			case err == nil && !s.given:
				then()
			}
		})
	}()
}
