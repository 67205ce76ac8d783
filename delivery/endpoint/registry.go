package endpoint

// Registry: the last row per key of endpoints and tenants, in memory.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

// Config of a Registry. The functions are its seams to the other rooms; all but Challenged are
// needed.
type Config struct {
	Topology schemas.Topology
	Profiles *profile.Set
	Keyring  *Keyring
	CheckURL func(raw string) error                      // whether an endpoint may have this URL
	Write    func(context.Context, schemas.Record) error // nil once the record is acked
	Barrier  func(context.Context) error                 // nil once this registry has applied all that is in its topics now
	Publish  func(context.Context, schemas.Event) error  // nil once the event is accepted
	Notice   func(context.Context, schemas.Notice) error // audit; nil once the entry is acked
	Log      *slog.Logger
	Overlap  time.Duration // how long a rotated secret signs on, unless asked otherwise; 0: DefaultOverlap
	Idle     time.Duration // how long the endpoint of a callback URL is kept without an event; 0: DefaultIdle

	// Challenged says whether webhooks of a profile have to pass a challenge
	// before they get events; nil: none has to.
	Challenged func(*profile.Profile) bool
}

// DefaultOverlap is how long a rotated secret signs beside the new one.
const DefaultOverlap = 24 * time.Hour

// Validate names the field that is missing.
func (c Config) Validate() error {
	missing := ""
	switch {
	case c.Profiles == nil:
		missing = "Profiles"
	case c.Keyring == nil || len(c.Keyring.keys) == 0:
		missing = "Keyring"
	case c.CheckURL == nil:
		missing = "CheckURL"
	case c.Write == nil:
		missing = "Write"
	case c.Barrier == nil:
		missing = "Barrier"
	case c.Publish == nil:
		missing = "Publish"
	case c.Notice == nil:
		missing = "Notice"
	case c.Log == nil:
		missing = "Log"
	}
	if missing != "" {
		return fmt.Errorf("registry: %s is missing; it has to be wired", missing)
	}
	if c.Overlap < 0 {
		return errors.New("registry: Overlap is negative; give a time, or 0 for 24 h")
	}
	if c.Idle != 0 && c.Idle < minIdle {
		return fmt.Errorf("registry: Idle is %s; give %s or more, so that retries of a delivery find their endpoint, or 0 for 30 days", c.Idle, minIdle)
	}
	if err := c.Topology.Validate(); err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	return nil
}

// Registry answers what the other rooms ask about endpoints and tenants. Its
// state comes from Apply alone. It is safe for concurrent use.
type Registry struct {
	cfg      Config
	prefixes []string   // of webhook ids on the wire
	judging  sync.Mutex // one long check of an event's data at a time
	locks    stripes    // serialise the writes of this node to one row

	caughtUp atomic.Int64 // when an unknown webhook last made it catch up, Unix microseconds

	mu        sync.RWMutex
	endpoints map[string]*entry
	tenants   map[string]*tenant
	keys      map[keyHash]*tenant
	foreign   map[string]bool  // master keys that rows name and this node has not, each reported once
	used      map[string]int64 // callback endpoints: the last use that is on record, Unix microseconds
	rowless   map[string]bool  // callback endpoints that were used just before their row went: it has to be written again
}

// NewRegistry makes an empty registry.
func NewRegistry(cfg Config) (*Registry, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Overlap == 0 {
		cfg.Overlap = DefaultOverlap
	}
	if cfg.Idle == 0 {
		cfg.Idle = DefaultIdle
	}
	r := &Registry{cfg: cfg, locks: newStripes(), endpoints: map[string]*entry{}, tenants: map[string]*tenant{}, keys: map[keyHash]*tenant{}, foreign: map[string]bool{},
		used: map[string]int64{}, rowless: map[string]bool{}}
	for _, name := range cfg.Profiles.Names() {
		p, ok := cfg.Profiles.Get(name)
		if !ok {
			continue
		}
		if prefix := p.WirePrefixes().Webhook; prefix != "" && prefix != schemas.WebhookPrefix && !slices.Contains(r.prefixes, prefix) {
			r.prefixes = append(r.prefixes, prefix)
		}
	}
	return r, nil
}

// Owner is the tenant of an endpoint.
func (r *Registry) Owner(id string) (tenant string, ok bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	x := r.endpoints[r.innerID(id)]
	if x == nil {
		return "", false
	}
	return x.tenant.Value(), true
}

// Len counts endpoints, callback ones included, and tenants.
func (r *Registry) Len() (endpoints, tenants int) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.endpoints), len(r.tenants)
}

// innerID accepts a webhook's id in any form: ours, or with the prefix that a
// profile gives it on the wire.
func (r *Registry) innerID(id string) string {
	for _, prefix := range r.prefixes {
		if inner := schemas.InnerID(id, schemas.WebhookPrefix, prefix); inner != id {
			return inner
		}
	}
	return id
}

// Target is the unsealed view that one attempt needs. ok is false for an
// endpoint that the registry does not have: a deleted one.
func (r *Registry) Target(id string) (target Target, ok bool) {
	x, owner, target := r.look(id)
	if x == nil {
		return target, false
	}
	var err error
	if target.Secrets, err = r.secrets(x, owner, time.Now()); err == nil {
		target.Headers, err = r.headers(x.id, x.extra().headers)
	}
	if err != nil {
		// All or nothing: without its secrets it cannot be signed, and without its
		// headers it must not be sent.
		target.Secrets, target.Headers, target.Fault = nil, nil, err.Error()
	}
	return target, true
}

// Outline is Target without what is sealed: Secrets, Headers and Fault are
// empty. It costs a map look-up, for those who ask often and send nothing.
func (r *Registry) Outline(id string) (Target, bool) {
	x, _, target := r.look(id)
	return target, x != nil
}

// look finds an endpoint, its tenant's row and its target without secrets.
func (r *Registry) look(id string) (*entry, *schemas.Tenant, Target) {
	r.mu.RLock()
	x := r.endpoints[id]
	if x == nil {
		r.mu.RUnlock()
		return nil, nil, Target{ID: id, Standing: Deleted}
	}
	// Rows are not changed once they are here; only the status is.
	standing := x.standing()
	var owner *schemas.Tenant
	if t := r.tenants[x.tenant.Value()]; t != nil {
		owner = t.row
	}
	r.mu.RUnlock()
	target := Target{ID: x.id, Tenant: x.tenant.Value(), Version: x.version, Standing: standing, URL: x.url, Profile: x.profile.Value(),
		Ordered: x.flags.has(isOrdered), Callback: x.flags.has(isCallback)}
	if extra := x.rare; extra != nil {
		target.Timeout = time.Duration(extra.timeoutMS) * time.Millisecond
		target.RateLimit, target.Concurrency = extra.rateLimit, extra.concurrency
		target.OnExhausted, target.MaxBody = extra.onExhausted, extra.maxBody
		if extra.noRetry {
			target.Retry = []time.Duration{}
		}
		for _, s := range extra.retry {
			target.Retry = append(target.Retry, time.Duration(s*float64(time.Second)))
		}
	}
	return x, owner, target
}

// secrets opens what an endpoint signs with: its own secrets, or its tenant's.
func (r *Registry) secrets(x *entry, owner *schemas.Tenant, now time.Time) ([][]byte, error) {
	row, purpose, boxes := x.id, purposeEndpoint, x.secrets()
	if x.flags.has(isCallback) || r.tenantSigns(x.profile.Value()) {
		if owner == nil {
			return nil, errors.New("the tenant has no API Secret; make a key for it")
		}
		row, purpose, boxes = owner.ID, purposeTenant, nil
		for _, s := range owner.Secrets {
			boxes = append(boxes, compactSealed(s))
		}
	}
	var open [][]byte
	for _, s := range boxes {
		if s.expired(now) {
			continue
		}
		plain, err := r.cfg.Keyring.open(row, purpose, s.key.Value(), []byte(s.box))
		if err != nil {
			return nil, fmt.Errorf("opening a secret: %w", err)
		}
		open = append(open, plain)
	}
	if len(open) == 0 {
		return nil, errors.New("there is no secret to sign with; rotate it")
	}
	return open, nil
}

func (r *Registry) headers(id string, custom []schemas.CustomHeader) ([]schemas.Header, error) {
	var open []schemas.Header
	for _, h := range custom {
		plain, err := r.cfg.Keyring.open(id, headerPurpose(h.Name), h.Value.KeyID, h.Value.Box)
		if err != nil {
			return nil, fmt.Errorf("opening header %s: %w", h.Name, err)
		}
		open = append(open, schemas.Header{Key: h.Name, Value: plain})
	}
	return open, nil
}

// headerPurpose ties a header's value to its name: moved to another header it
// does not open.
func headerPurpose(name string) string { return purposeHeader + strings.ToLower(name) }

// tenantSigns says whether a profile signs with the tenant's API Secret.
func (r *Registry) tenantSigns(name string) bool {
	p, ok := r.cfg.Profiles.Get(name)
	return ok && p.SecretOf() == profile.OfTenant
}
