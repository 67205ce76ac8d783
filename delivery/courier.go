package delivery

// Courier carries deliveries to endpoints, one attempt at a time.

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/hookstream/hookstream/schemas"
)

// Courier is safe for concurrent use. It starts no goroutine of its own;
// Close ends the idle connections it keeps.
type Courier struct {
	cfg     Config
	log     *slog.Logger
	gates   gates
	clients clients
	metrics *metrics
}

// New makes a Courier of a valid Config.
func New(cfg Config) (*Courier, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Notice == nil {
		cfg.Notice = func(schemas.Notice) {}
	}
	clients, err := newClients(cfg)
	if err != nil {
		return nil, err
	}
	metrics, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, fmt.Errorf("registering delivery metrics: %w", err)
	}
	return &Courier{cfg: cfg, log: cfg.Log, clients: clients, metrics: metrics}, nil
}

// Close ends idle connections. Attempts under way are not touched: their
// contexts end them.
func (c *Courier) Close() { c.clients.close() }

// token is one admitted attempt. It is used up by the first Deliver or
// Release.
type token struct {
	endpointID string
	gate       *gate // nil: the endpoint had nothing to remember
	ticket     ticket
	used       atomic.Bool
}

// faultPause is how long an endpoint waits whose secrets cannot be opened.
const faultPause = 30 * time.Second

// Admit answers whether an attempt of a delivery of this kind may start now.
// After Go exactly one Deliver or Release of the token must follow.
func (c *Courier) Admit(endpointID, kind string, now time.Time) schemas.Admission {
	target, ok := c.cfg.Target(endpointID)
	if !ok {
		return schemas.Admission{Kind: schemas.Inactive, Reason: schemas.SkipDeleted}
	}
	if reason := target.Standing.Skip(kind); reason != "" {
		return schemas.Admission{Kind: schemas.Inactive, Reason: reason}
	}
	if target.Fault != "" {
		// Ours to mend, not the endpoint's fault: it waits and burns no attempt.
		c.cfg.Log.Error("an endpoint's secrets cannot be opened; its deliveries wait", "endpoint", endpointID, "error", target.Fault, "again_in", faultPause)
		return schemas.Admission{Kind: schemas.NotBefore, Until: now.Add(faultPause)}
	}
	t := &token{endpointID: endpointID, gate: c.gates.get(endpointID)}
	if t.gate == nil && target.RateLimit <= 0 {
		return schemas.Admission{Kind: schemas.Go, Token: t}
	}
	if t.gate == nil {
		t.gate = c.gates.make(endpointID, target.Tenant, now)
	}
	t.gate.mu.Lock()
	var a schemas.Admission
	t.ticket, a = t.gate.admit(target.RateLimit, now)
	notices := t.gate.takeChanges()
	t.gate.mu.Unlock()
	c.tell(notices)
	if a.Kind == schemas.Go {
		a.Token = t
	}
	return a
}

// Release gives a token back: no attempt follows. Releasing twice, or after
// Deliver, does nothing.
func (c *Courier) Release(tok any) {
	if t, ok := tok.(*token); ok {
		c.settle(t, ignored, "", "", time.Time{})
	}
}

// settle reports a token's attempt, once; hold is the end of a Retry-After.
func (c *Courier) settle(t *token, r result, deliveryID, reason string, hold time.Time) {
	if t.used.Swap(true) {
		return
	}
	if t.gate == nil {
		// Other attempts may have made one meanwhile.
		t.gate = c.gates.get(t.endpointID)
		if t.gate == nil {
			if r != failed && hold.IsZero() {
				return
			}
			target, _ := c.cfg.Target(t.endpointID)
			t.gate = c.gates.make(t.endpointID, target.Tenant, time.Now())
		}
	}
	g := t.gate
	g.mu.Lock()
	if g.gone {
		g.mu.Unlock()
		return
	}
	if hold.After(g.hold) {
		g.hold = hold
	}
	switch {
	case t.ticket.done != nil:
		g.breaker.report(t.ticket, r, deliveryID, reason)
	case g.breaker != nil || r == failed:
		c.breakerOf(g).record(r, deliveryID, reason, time.Now())
	}
	notices := g.takeChanges()
	g.mu.Unlock()
	c.tell(notices)
}

// breakerOf is the gate's breaker, made when there is none. The gate is
// locked.
func (c *Courier) breakerOf(g *gate) *breaker {
	if g.breaker == nil {
		g.breaker = newBreaker(c.cfg.Breaker, func(change breakerChange) {
			if change.from == gobreaker.StateClosed {
				c.metrics.open.Inc()
			}
			if change.to == gobreaker.StateClosed {
				c.metrics.open.Dec()
			}
			g.changes = append(g.changes, change.notice(g.breaker, g.tenant, g.id, time.Now()))
		})
	}
	return g.breaker
}

func (c *Courier) tell(notices []schemas.Notice) {
	for _, n := range notices {
		c.log.Warn("breaker", "endpoint", n.EndpointID, "tenant", n.Tenant, "state", n.State, "reason", n.Reason, "failures", n.Failures)
		c.cfg.Notice(n)
	}
}

// Breaker is the endpoint's breaker as its lane row keeps it; the zero value
// is a closed one.
func (c *Courier) Breaker(endpointID string) schemas.BreakerState {
	g := c.gates.get(endpointID)
	if g == nil {
		return schemas.BreakerState{}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.breaker == nil {
		return schemas.BreakerState{}
	}
	return g.breaker.snapshot()
}

// Restore puts back what Breaker gave, when this process becomes the
// endpoint's owner. It makes no notice.
func (c *Courier) Restore(endpointID string, s schemas.BreakerState) {
	if !s.Open {
		return
	}
	target, _ := c.cfg.Target(endpointID)
	g := c.gates.make(endpointID, target.Tenant, time.Now())
	g.mu.Lock()
	defer g.mu.Unlock()
	b := c.breakerOf(g)
	if b.state == gobreaker.StateClosed {
		c.metrics.open.Inc()
	}
	b.restore(s)
}

// Probe ends an open breaker's cool-down: the next Admit lets a probe through.
func (c *Courier) Probe(endpointID string) {
	g := c.gates.get(endpointID)
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hold = time.Time{}
	if g.breaker != nil {
		g.breaker.probeNow(time.Now())
	}
}

// Forget drops all that is known of an endpoint, an open breaker too: when
// its slot goes to another owner, or when it was enabled again and starts
// afresh. Attempts under way are reported to nobody.
func (c *Courier) Forget(endpointID string) {
	g := c.gates.remove(endpointID)
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.breaker != nil && g.breaker.state != gobreaker.StateClosed {
		c.metrics.open.Dec()
	}
	g.gone = true
	if g.breaker != nil {
		g.breaker.changed = func(breakerChange) {} // an Admit may have found it just before
	}
}
