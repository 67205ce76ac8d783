package delivery

// breaker is one endpoint's circuit breaker: gobreaker's two-step state
// machine, with cool-downs of our own that grow and survive restarts.

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/hookstream/hookstream/schemas"
)

// result is what an attempt tells the breaker.
type result uint8

const (
	ignored   result = iota // never reached the endpoint, or was cut off by us
	succeeded               //
	failed                  //
)

var (
	errFailed  = errors.New("attempt failed")
	errIgnored = errors.New("attempt does not count")
)

// windowBuckets is how finely the window of the ratio rolls.
const windowBuckets = 6

// probeWait is when to ask again while all probes are out: their results come
// to the same caller, so it only bounds what a lost wake-up costs.
const probeWait = time.Second

// breaker has no lock: its gate's stands for it.
type breaker struct {
	cfg      BreakerConfig
	machine  *gobreaker.TwoStepCircuitBreaker[struct{}]
	state    gobreaker.State
	epoch    uint64 // grows with each change, so that results from before it are told apart
	force    bool   // the next failure opens, whatever the counts: for restoring
	changed  func(breakerChange)
	until    time.Time // open: the next probe may start then
	since    time.Time // when it opened first
	rounds   int       // cool-downs in a row
	failures int       // in a row
	seen     []string  // distinct deliveries of that row, at most cfg.MinDeliveries
	reason   string
}

// breakerChange is one change of state, for notices.
type breakerChange struct {
	from, to gobreaker.State
}

func newBreaker(cfg BreakerConfig, changed func(breakerChange)) *breaker {
	b := &breaker{cfg: cfg, changed: changed}
	b.machine = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests:  uint32(cfg.Probes),
		Interval:     cfg.Window,
		BucketPeriod: cfg.Window / windowBuckets,
		// The library's cool-down is fixed for its life; ours grows. Its own is over
		// at once, and until decides.
		Timeout:       time.Nanosecond,
		ReadyToTrip:   b.ready,
		OnStateChange: b.onChange,
		IsExcluded:    func(err error) bool { return errors.Is(err, errIgnored) },
	})
	return b
}

// allow asks for one attempt. When ok, report must be called with the same
// ticket exactly once, or a probe stays out for ever; otherwise ask again at
// until.
func (b *breaker) allow(now time.Time) (t ticket, until time.Time, ok bool) {
	if b.state == gobreaker.StateOpen && now.Before(b.until) {
		return ticket{}, b.until, false
	}
	done, err := b.machine.Allow()
	switch {
	case errors.Is(err, gobreaker.ErrTooManyRequests):
		return ticket{}, now.Add(probeWait), false
	case err != nil:
		return ticket{}, now.Add(time.Millisecond), false
	}
	return ticket{done: done, epoch: b.epoch, probe: b.state == gobreaker.StateHalfOpen}, time.Time{}, true
}

// ticket is one admitted attempt.
type ticket struct {
	done  func(error)
	epoch uint64
	probe bool
}

// report closes a ticket.
func (b *breaker) report(t ticket, r result, deliveryID, reason string) {
	if t.epoch != b.epoch {
		// A late result belongs to no probe. The machine would pass it over too, but
		// look at its clock first and call an open state half-open.
		return
	}
	b.count(r, deliveryID, reason)
	switch r {
	case succeeded:
		t.done(nil)
	case failed:
		t.done(errFailed)
	default:
		t.done(errIgnored)
	}
}

// record takes the result of an attempt that was admitted before there was a
// breaker. Only a closed one takes it: elsewhere it would use up a probe.
func (b *breaker) record(r result, deliveryID, reason string, now time.Time) {
	if b.state != gobreaker.StateClosed || r == ignored {
		return
	}
	if t, _, ok := b.allow(now); ok {
		b.report(t, r, deliveryID, reason)
	}
}

func (b *breaker) count(r result, deliveryID, reason string) {
	switch r {
	case succeeded:
		b.failures, b.seen = 0, b.seen[:0]
	case failed:
		b.failures++
		b.reason = reason
		if len(b.seen) < b.cfg.MinDeliveries && !slices.Contains(b.seen, deliveryID) {
			b.seen = append(b.seen, deliveryID)
		}
	}
}

// ready decides after each failure of a closed breaker. Failures in a row are
// counted here, because the library forgets them with its window and an
// endpoint that is called once a minute would never trip.
func (b *breaker) ready(c gobreaker.Counts) bool {
	if b.force || b.failures >= b.cfg.Consecutive && len(b.seen) >= b.cfg.MinDeliveries {
		return true
	}
	done := c.TotalSuccesses + c.TotalFailures
	return done >= uint32(b.cfg.MinAttempts) && float64(c.TotalFailures) >= b.cfg.FailureRatio*float64(done)
}

func (b *breaker) onChange(_ string, from, to gobreaker.State) {
	now := time.Now()
	b.state = to
	b.epoch++
	switch to {
	case gobreaker.StateOpen:
		if from == gobreaker.StateClosed {
			b.since = now
		}
		b.rounds++
		b.until = now.Add(b.cooldown())
	case gobreaker.StateClosed:
		b.rounds, b.failures, b.seen, b.reason = 0, 0, nil, ""
		b.until, b.since = time.Time{}, time.Time{}
	}
	b.changed(breakerChange{from: from, to: to})
}

func (b *breaker) cooldown() time.Duration {
	d := b.cfg.MaxCooldown
	if shift := b.rounds - 1; shift < 30 && b.cfg.Cooldown<<shift < d && b.cfg.Cooldown<<shift > 0 {
		d = b.cfg.Cooldown << shift
	}
	return d + time.Duration(rand.Float64()*b.cfg.Jitter*float64(d))
}

// snapshot is the state that a lane row keeps.
func (b *breaker) snapshot() schemas.BreakerState {
	if b.state == gobreaker.StateClosed {
		return schemas.BreakerState{}
	}
	return schemas.BreakerState{Open: true, OpenUntil: b.until, Cooldowns: b.rounds, Reason: b.reason, Failures: b.failures, Since: b.since}
}

// restore puts an open state back; a closed one needs nothing. Nobody is told,
// because nothing changed.
func (b *breaker) restore(s schemas.BreakerState) {
	if !s.Open {
		return
	}
	told := b.changed
	b.changed = func(breakerChange) {}
	if b.state == gobreaker.StateClosed {
		if t, _, ok := b.allow(time.Now()); ok {
			b.force = true
			b.report(t, failed, "", s.Reason)
			b.force = false
		}
	}
	b.changed = told
	b.until, b.rounds, b.since = s.OpenUntil, max(s.Cooldowns, 1), s.Since
	b.failures, b.reason, b.seen = s.Failures, s.Reason, nil
}

// probeNow ends the cool-down.
func (b *breaker) probeNow(now time.Time) {
	if b.state == gobreaker.StateOpen && b.until.After(now) {
		b.until = now
	}
}

// idle reports whether nothing would be lost by forgetting it.
func (b *breaker) idle() bool { return b.state == gobreaker.StateClosed && b.failures == 0 }

func (c breakerChange) notice(b *breaker, tenant, endpointID string, now time.Time) schemas.Notice {
	n := schemas.Notice{Kind: schemas.NoticeBreaker, Tenant: tenant, EndpointID: endpointID, At: now.UnixMilli(),
		Reason: b.reason, Failures: b.failures}
	switch c.to {
	case gobreaker.StateOpen:
		n.State, n.OpenUntil = "open", b.until.UnixMilli()
		if n.Reason == "" {
			n.Reason = fmt.Sprintf("%d failures", b.failures)
		}
	case gobreaker.StateHalfOpen:
		n.State = "half_open"
	default:
		n.State = "closed"
	}
	return n
}
