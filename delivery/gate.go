package delivery

// gate is what is known of one endpoint between attempts: how long it asked
// to be left alone, its rate limit, its breaker.

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/hookstream/hookstream/schemas"
)

// idleAfter is how long a gate with nothing to remember is kept.
const idleAfter = 10 * time.Minute

type gate struct {
	id string

	mu      sync.Mutex
	tenant  string
	used    time.Time
	hold    time.Time // Retry-After: nothing before
	limiter *rate.Limiter
	breaker *breaker // nil until the first failure
	changes []schemas.Notice
	gone    bool // forgotten: what still comes in counts for nothing
}

// admit takes the endpoint's state under its lock. A refusal costs nothing.
func (g *gate) admit(limit float64, now time.Time) (t ticket, a schemas.Admission) {
	g.used = now
	if now.Before(g.hold) {
		return t, schemas.Admission{Kind: schemas.NotBefore, Until: g.hold}
	}
	// An open breaker is asked before the limiter, so that its waiting uses up
	// no rate; a half-open one after it, so that a rate's wait takes no probe.
	if g.breaker != nil {
		if s := g.breaker.snapshot(); s.Open && now.Before(s.OpenUntil) {
			return t, schemas.Admission{Kind: schemas.Open, Until: s.OpenUntil}
		}
	}
	if wait := g.take(limit, now); wait > 0 {
		return t, schemas.Admission{Kind: schemas.NotBefore, Until: now.Add(wait)}
	}
	if g.breaker == nil {
		return t, schemas.Admission{Kind: schemas.Go}
	}
	t, until, ok := g.breaker.allow(now)
	if !ok {
		return t, schemas.Admission{Kind: schemas.Open, Until: until}
	}
	return t, schemas.Admission{Kind: schemas.Go, Probe: t.probe}
}

// take takes one request from the rate; a positive answer is how long to wait
// for it, and nothing is taken. The burst is a tenth of a second's worth.
func (g *gate) take(limit float64, now time.Time) time.Duration {
	if limit <= 0 {
		g.limiter = nil
		return 0
	}
	if g.limiter == nil {
		g.limiter = rate.NewLimiter(rate.Limit(limit), burst(limit))
	} else if g.limiter.Limit() != rate.Limit(limit) {
		g.limiter.SetLimitAt(now, rate.Limit(limit))
		g.limiter.SetBurstAt(now, burst(limit))
	}
	r := g.limiter.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait > 0 {
		r.CancelAt(now)
	}
	return wait
}

func burst(limit float64) int { return max(1, int(limit/10)) }

// takeChanges hands over the notices that came up under the lock.
func (g *gate) takeChanges() []schemas.Notice {
	c := g.changes
	g.changes = nil
	return c
}

// idle reports whether the gate can be forgotten.
func (g *gate) idle(now time.Time) bool {
	return now.Sub(g.used) > idleAfter && !now.Before(g.hold) && (g.breaker == nil || g.breaker.idle())
}

// gates finds the gate of an endpoint. Only endpoints with something to
// remember have one.
type gates struct {
	mu    sync.Mutex
	all   map[string]*gate
	sweep int // size at which idle ones are swept out
}

const firstSweep = 1024

func (s *gates) get(id string) *gate {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[id]
}

// make returns the gate of an endpoint, a new one when there is none.
func (s *gates) make(id, tenant string, now time.Time) *gate {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.all[id]; g != nil {
		return g
	}
	if s.all == nil {
		s.all, s.sweep = map[string]*gate{}, firstSweep
	}
	if len(s.all) >= s.sweep {
		for k, g := range s.all {
			g.mu.Lock()
			if g.idle(now) {
				delete(s.all, k)
			}
			g.mu.Unlock()
		}
		s.sweep = max(firstSweep, 2*len(s.all))
	}
	g := &gate{id: id, tenant: tenant, used: now}
	s.all[id] = g
	return g
}

func (s *gates) remove(id string) *gate {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.all[id]
	delete(s.all, id)
	return g
}
