package consumer

// News: the events that hookstream itself makes of what happens in a slot. They
// are written to the events topic and acked between the successor of an attempt
// and its row, so that a crash repeats them, under the same ids, but loses none.

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// wanted reports whether somebody asked for events of a type.
func (s *slot) wanted(tenant, eventType string) bool {
	return s.cfg.Wants != nil && s.cfg.Wants(tenant, eventType)
}

// publish writes events in their order, then runs then on the slot's goroutine.
func (s *slot) publish(events []schemas.Event, then func()) {
	if len(events) == 0 {
		then()
		return
	}
	s.append(events[0].Record(s.cfg.Topology.EventsTopic()), func(int64) { s.publish(events[1:], then) })
}

// publishNews writes what the job's outcome makes known, then runs then.
func (s *slot) publishNews(j *job, then func()) {
	news, noted := j.news, j.noted
	j.news, j.noted = nil, nil
	s.publish(news, func() {
		if noted != nil {
			noted()
		}
		then()
	})
}

// retryNews adds what the profile says about a retry; the delivery still has
// the attempts from before.
func (s *slot) retryNews(j *job, out *schemas.Outcome) {
	if s.cfg.Announce == nil {
		return
	}
	for _, ev := range s.cfg.Announce(&j.d, out) {
		if s.wanted(ev.Tenant, ev.Type) {
			j.news = append(j.news, ev)
		}
	}
}

// exhaustedNews adds that the delivery was given up after an attempt. What is
// buried with a disabled endpoint is told by that endpoint's own event.
func (s *slot) exhaustedNews(j *job, row *schemas.Attempt, reason string) {
	if reason == schemas.ReasonDisabled || schemas.Quiet(&j.d) || !s.wanted(j.d.Tenant, schemas.EventDeliveryExhausted) {
		return
	}
	ev, err := schemas.ExhaustedEvent(&j.d, row, reason)
	if err != nil {
		s.fail(err)
		return
	}
	j.news = append(j.news, ev)
}

// breakerNews adds that the endpoint's breaker opened or has closed again. The
// opening is told with the first failure that finds it open and is not quiet:
// what becomes of our own events never starts a story, it only ends one.
func (s *slot) breakerNews(l *lane, j *job, out *schemas.Outcome, now time.Time) {
	c := schemas.Condition{At: now, Cause: schemas.AttemptCause(&j.d), Trace: j.d.Trace}
	if l.told.IsZero() {
		if !out.Failed || schemas.Quiet(&j.d) || !s.wanted(l.info.Tenant, schemas.EventBreakerOpened) && !s.wanted(l.info.Tenant, schemas.EventEndpointRecovered) {
			return
		}
		state := s.cfg.Breaker(l.id)
		if !state.Open {
			return
		}
		l.told = toldSince(state, now)
		c.Type, c.Reason, c.Failures, c.Since, c.Until = schemas.EventBreakerOpened, state.Reason, state.Failures, l.told, state.OpenUntil
	} else {
		if out.Failed || s.cfg.Breaker(l.id).Open {
			return
		}
		c.Type, c.Reason, c.Since, c.Until = schemas.EventEndpointRecovered, schemas.RecoveredByProbe, l.told, now
		l.told = time.Time{}
	}
	since := l.told
	j.noted = func() {
		if l.told.Equal(since) { // else a later event has more to say
			l.toldRow = since
			s.soil(l)
		}
	}
	j.news = append(j.news, s.condition(l.id, l.info, c)...)
}

// toldSince is when an open breaker opened; zero for a closed one.
func toldSince(state schemas.BreakerState, now time.Time) time.Time {
	if state.Open && state.Since.IsZero() {
		return now
	}
	return state.Since
}

// enabledNews is what an owner's order to go on makes: it ends a disabling, or
// a breaker's pause that was told.
func (s *slot) enabledNews(order *schemas.Control, at schemas.Position) []schemas.Event {
	info, known := s.cfg.Lookup(order.EndpointID)
	if !known {
		return nil
	}
	now := time.Now()
	c := schemas.Condition{Type: schemas.EventEndpointRecovered, Reason: schemas.RecoveredByOwner, Until: now, At: now,
		Cause: at.String() + "/" + strconv.FormatInt(order.At, 10)}
	told := false
	if l := s.lanes[order.EndpointID]; l != nil {
		told = !l.told.IsZero()
		if c.Since = l.told; !l.failing.since.IsZero() && (c.Since.IsZero() || l.failing.since.Before(c.Since)) {
			c.Since = l.failing.since
		}
	}
	if !order.Disabled && !told {
		return nil
	}
	return s.condition(order.EndpointID, info, c)
}

// condition is a change of an endpoint's condition as an event, if it is wanted.
func (s *slot) condition(id string, info Lane, c schemas.Condition) []schemas.Event {
	if !s.wanted(info.Tenant, c.Type) {
		return nil
	}
	c.Tenant, c.EndpointID, c.URL = info.Tenant, id, schemas.Shorten(info.URL, maxURLText)
	ev, err := c.Event()
	if err != nil {
		s.fail(err)
		return nil
	}
	return []schemas.Event{ev}
}

// disable takes an endpoint out of service, in the version that was called: the
// event, then the status row, so that what follows finds it disabled. The event
// comes first because nothing would make it once the row is there; there is one
// for each version of the endpoint.
func (s *slot) disable(l *lane, version int64, reason string, then func()) {
	l.disabled = version
	now := time.Now()
	since := l.failing.since
	if since.IsZero() {
		since = now
	}
	status := &schemas.EndpointStatus{ID: l.id, ForVersion: version, Disabled: true, Reason: reason, At: now.UTC()}
	notice := schemas.Notice{Kind: schemas.NoticeDisabled, Tenant: l.info.Tenant, EndpointID: l.id, At: now.UnixMilli(), Reason: reason, Failures: l.failing.attempts}
	news := s.condition(l.id, l.info, schemas.Condition{Type: schemas.EventEndpointDisabled, Reason: reason, Failures: l.failing.attempts, Since: since, At: now,
		Cause: strconv.FormatInt(version, 10)})
	s.publish(news, func() {
		s.call(func(ctx context.Context) error {
			if err := s.cfg.Status(ctx, status); err != nil {
				return fmt.Errorf("disabling endpoint %s: %w", l.id, err)
			}
			return nil
		}, func() {
			s.cfg.Notice(notice)
			then()
		})
	})
}
