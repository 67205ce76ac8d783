package endpoint

// Matching: which endpoints an event is for.

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/schemas"
)

// Match lists the endpoints of the event's tenant that it is for, in the order
// of their creation; one that gets nothing has its reason in Skip. An event
// with a callback URL makes its implicit endpoint first; an error means that
// this write failed and the event has to be matched again, or it is an
// *schemas.InvalidEvent and no match ever comes of it. An event that
// hookstream made itself is for those only that name its type.
func (r *Registry) Match(ctx context.Context, ev *schemas.Event) ([]schemas.Match, error) {
	if ev.CallbackURL != "" {
		return r.matchCallback(ctx, ev)
	}
	if ev.EndpointID != "" {
		id := r.namedEndpoint(ev)
		if err := r.touch(ctx, id); err != nil {
			return nil, err
		}
		return one(r.matchOne(ev, id)), nil
	}
	return r.subscribed(ev), nil
}

// namedEndpoint is the id of the endpoint that an event names, by any id that
// clients may use of it; a uid is one of the event's tenant.
func (r *Registry) namedEndpoint(ev *schemas.Event) string {
	uid, named := strings.CutPrefix(ev.EndpointID, uidPrefix)
	if !named {
		return r.innerID(ev.EndpointID)
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if found := r.withUID(ev.Tenant, uid); len(found) == 1 {
		return found[0].id
	}
	return ev.EndpointID // no webhook's id
}

// one is a list of a match, if there is one.
func one(m schemas.Match, ok bool) []schemas.Match {
	if !ok {
		return nil
	}
	return []schemas.Match{m}
}

// subscribed lists the endpoints whose subscriptions have the event's type.
func (r *Registry) subscribed(ev *schemas.Event) []schemas.Match {
	r.mu.RLock()
	defer r.mu.RUnlock()
	t := r.tenants[ev.Tenant]
	if t == nil {
		return nil
	}
	find := t.index.find
	if schemas.ByName(ev.Kind) {
		find = t.index.named
	}
	found := find(ev.Type)
	matches := make([]schemas.Match, 0, len(found))
	for _, x := range found {
		m, knows := r.match(x, ev)
		if knows {
			matches = append(matches, m)
		}
	}
	return matches
}

// matchOne is a match for an event that names its endpoint: whatever that
// subscribes to, but never another tenant's.
func (r *Registry) matchOne(ev *schemas.Event, id string) (schemas.Match, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	x := r.endpoints[id]
	if x == nil || x.tenant.Value() != ev.Tenant {
		return schemas.Match{}, false
	}
	m, _ := r.match(x, ev)
	return m, true
}

// match is one endpoint's match. knows is false when its profile has a closed
// catalogue without the event's type. A profile that is no longer installed
// matches all the same: the delivery then ends with its reason on record.
func (r *Registry) match(x *entry, ev *schemas.Event) (m schemas.Match, knows bool) {
	m = schemas.Match{EndpointID: x.id, Profile: x.profile.Value(), Skip: x.standing().Skip(ev.Kind)}
	p, ok := r.cfg.Profiles.Get(m.Profile)
	if !ok {
		return m, true
	}
	m.ProfileVersion = p.Version()
	return m, p.Knows(ev.Type)
}

// Check judges an event by what its tenant asks of event types, and its data by
// the rules of every endpoint that it would go to now: a 422 problem naming the
// event type or the endpoint, and the field. It writes nothing.
func (r *Registry) Check(ctx context.Context, ev *schemas.Event) error {
	if err := r.checkAddressed(ctx, ev); err != nil {
		return err
	}
	var of string // whose catalogue counts beside the tenant's
	if ev.CallbackURL != "" {
		of = ev.Profile
		_, err := r.callbackURL(ev.CallbackURL)
		if invalid := (*schemas.InvalidEvent)(nil); errors.As(err, &invalid) {
			return api.Fail(http.StatusUnprocessableEntity, "invalid_event", invalid.Field, "%s", invalid.Reason)
		}
		if err != nil {
			return err
		}
	}
	if fault := r.typeFault(ev.Tenant, ev.Type, of, ev.Data); fault != nil {
		return fault.problem()
	}
	matches := r.wouldMatch(ev)
	bodies := map[string][]byte{} // by profile: what has passed its rules
	for _, m := range matches {
		if m.Skip != "" {
			continue
		}
		if body, ok := bodies[m.Profile]; ok {
			if err := r.checkSize(m, body); err != nil {
				return err
			}
			continue
		}
		p, ok := r.cfg.Profiles.Get(m.Profile)
		if !ok {
			return api.Fail(http.StatusUnprocessableEntity, "unknown_profile", "profile", "there is no profile %q; use one of %s", m.Profile, strings.Join(r.cfg.Profiles.Names(), ", "))
		}
		if err := p.CheckData(ev.Type, ev.Data); err != nil {
			return invalidData(m, err)
		}
		body, err := p.Body(wireSample(ev))
		if err != nil {
			return invalidData(m, err)
		}
		bodies[m.Profile] = body
		if err := r.checkSize(m, body); err != nil {
			return err
		}
	}
	return nil
}

// catchUpEvery is how often unknown webhooks make the registry catch up: a batch
// may name ten thousand of them.
const catchUpEvery = 100 * time.Millisecond

// checkAddressed refuses an event for a webhook that its tenant does not have. One
// that is not here may have been made on another node just now.
func (r *Registry) checkAddressed(ctx context.Context, ev *schemas.Event) error {
	if ev.EndpointID == "" || ev.CallbackURL != "" || len(r.wouldMatch(ev)) > 0 {
		return nil
	}
	now, last := time.Now().UnixMicro(), r.caughtUp.Load()
	if now-last >= catchUpEvery.Microseconds() || now < last {
		if err := r.barrier(ctx); err != nil {
			return err
		}
		r.caughtUp.Store(now)
		if len(r.wouldMatch(ev)) > 0 {
			return nil
		}
	}
	return api.Fail(http.StatusUnprocessableEntity, "unknown_webhook", "endpoint_id", "tenant %s has no webhook %.100q; give the id of one, or leave endpoint_id out", ev.Tenant, ev.EndpointID)
}

// wouldMatch is Match without writing anything: a callback URL stands for the
// endpoint that it has, or gets.
func (r *Registry) wouldMatch(ev *schemas.Event) []schemas.Match {
	switch {
	case ev.CallbackURL != "":
		return []schemas.Match{{Profile: ev.Profile}}
	case ev.EndpointID != "":
		return one(r.matchOne(ev, r.namedEndpoint(ev)))
	default:
		return r.subscribed(ev)
	}
}

// wireSample is the delivery of an event whose id may not be made yet: its body
// is as long as the real one's.
func wireSample(ev *schemas.Event) *schemas.Delivery {
	id := ev.ID
	if id == "" {
		id = schemas.NewID(schemas.EventPrefix, [16]byte{})
	}
	return &schemas.Delivery{EventID: id, EventType: ev.Type, Tenant: ev.Tenant, EventTime: ev.Time, CreatedAt: ev.Time, Kind: ev.Kind, Data: ev.Data}
}

// checkSize holds a body against the limit of its endpoint, else of the profile.
func (r *Registry) checkSize(m schemas.Match, body []byte) error {
	target, _ := r.Outline(m.EndpointID)
	p, ok := r.cfg.Profiles.Get(m.Profile)
	if !ok {
		return nil
	}
	if err := p.CheckSize(body, target.MaxBody); err != nil {
		return invalidData(m, err)
	}
	return nil
}

// invalidData is the problem of data that an endpoint's profile refuses.
func invalidData(m schemas.Match, err error) error {
	detail := err.Error()
	if m.EndpointID != "" {
		detail = fmt.Sprintf("webhook %s (profile %s): %s", m.EndpointID, m.Profile, detail)
	}
	return api.Fail(http.StatusUnprocessableEntity, "invalid_data", "data", "%s", detail)
}

// stamp is the time of a row: whole milliseconds, as rows keep it.
func stamp() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
