package endpoint

// Callback endpoints: the implicit ones of events that bring their own URL.

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/schemas"
)

// matchCallback finds or makes the implicit endpoint of a callback URL. An
// unknown profile, or a URL that no webhook could have, makes it no event.
func (r *Registry) matchCallback(ctx context.Context, ev *schemas.Event) ([]schemas.Match, error) {
	p, ok := r.cfg.Profiles.Get(ev.Profile)
	if !ok {
		return nil, &schemas.InvalidEvent{Field: "profile", Reason: fmt.Sprintf("is %.64q, which is not installed here; use one of %s", ev.Profile, strings.Join(r.cfg.Profiles.Names(), ", "))}
	}
	normal, err := r.callbackURL(ev.CallbackURL)
	if err != nil {
		return nil, err
	}
	id := schemas.CallbackEndpointID(ev.Tenant, ev.Profile, normal)
	// An endpoint that was idle for long may go on another node while it is found
	// here; once its use is in the log it is either still there, or made again.
	for range 3 {
		if err := r.touch(ctx, id); err != nil {
			return nil, err
		}
		if m, ok := r.matchOne(ev, id); ok {
			return []schemas.Match{m}, nil
		}
		row := schemas.Endpoint{ID: id, Tenant: ev.Tenant, Version: 1, URL: normal, Profile: p.Name(), Events: []string{"*"},
			Active: true, Verified: true, SkipVerification: true, Callback: true}
		if err := r.makeCallback(ctx, &row); err != nil {
			return nil, fmt.Errorf("making the endpoint of a callback URL: %w", err)
		}
	}
	return nil, errors.New("making the endpoint of a callback URL: it went away again each time")
}

// callbackURL is a callback URL in its normal form. It has to be one that a
// webhook could have, else the error is an *schemas.InvalidEvent.
func (r *Registry) callbackURL(raw string) (string, error) {
	normal, err := NormalizeURL(raw)
	if err != nil {
		return "", &schemas.InvalidEvent{Field: "callback_url", Reason: "is no URL"}
	}
	err = r.checkURL(normal)
	var problem *api.Problem
	if errors.As(err, &problem) {
		return "", &schemas.InvalidEvent{Field: "callback_url", Reason: problem.Detail}
	}
	return normal, err
}

func (r *Registry) makeCallback(ctx context.Context, row *schemas.Endpoint) error {
	return r.change(ctx, row.ID, func(ctx context.Context) error {
		if _, ok := r.Outline(row.ID); ok {
			return nil // another event was faster
		}
		if _, err := r.needTenantSecret(ctx, row.Tenant, actorSelf); err != nil {
			return err
		}
		row.CreatedAt = stamp()
		row.UpdatedAt = row.CreatedAt
		if err := r.putEndpoint(ctx, row); err != nil {
			return err
		}
		r.audit(ctx, actorSelf, "webhook.create", row.Tenant, row.ID, row.ID, "callback, url, profile")
		return nil
	})
}

// useEvery is how often a callback endpoint's use is put on record at most.
const useEvery = 24 * time.Hour

// touch puts the use of a callback endpoint on record, once a day; for any
// other endpoint, and nearly always, it costs a map look-up.
func (r *Registry) touch(ctx context.Context, id string) error {
	if _, _, idle := r.idleFor(id, useEvery); !idle {
		return nil
	}
	err := r.change(ctx, id, func(ctx context.Context) error {
		if _, _, idle := r.idleFor(id, useEvery); !idle {
			return nil
		}
		use := schemas.EndpointUse{ID: id, At: stamp()}
		rec, err := use.Record(r.cfg.Topology)
		if err != nil {
			return err
		}
		return r.put(ctx, rec)
	})
	if err != nil {
		return fmt.Errorf("recording the use of a callback endpoint: %w", err)
	}
	return nil
}

// idleFor finds a callback endpoint that was not used for a time, and its last
// use.
func (r *Registry) idleFor(id string, idle time.Duration) (*entry, time.Time, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	x := r.endpoints[id]
	if x == nil || !x.flags.has(isCallback) {
		return nil, time.Time{}, false
	}
	last := r.lastUse(x)
	return x, last, time.Since(last) >= idle
}

// lastUse is when a callback endpoint was last used, as far as it is on
// record; the lock is held.
func (r *Registry) lastUse(x *entry) time.Time {
	return time.UnixMicro(max(x.updated, r.used[x.id]))
}

// applyUse takes a use row. One without its endpoint is left over.
func (r *Registry) applyUse(id string, rec *schemas.Record) error {
	var use schemas.EndpointUse
	if len(rec.Value) > 0 {
		if err := schemas.ParseRow(rec, &use); err != nil {
			return err
		}
		if use.ID != id {
			return fmt.Errorf("use of %q stands under the key of %q", use.ID, id)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if x := r.endpoints[id]; x == nil || !x.flags.has(isCallback) || use.At.IsZero() {
		delete(r.used, id)
		return nil
	}
	r.used[id] = micros(use.At)
	return nil
}

// NormalizeURL is the form under which a callback URL has one endpoint: scheme
// and host in lower case, no default port, no fragment, a path of at least "/".
func NormalizeURL(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", fmt.Errorf("reading URL: %w", err)
	}
	u.Scheme = strings.ToLower(u.Scheme)
	u.Host = strings.ToLower(u.Host)
	if port := u.Port(); port == "443" && u.Scheme == "https" || port == "80" && u.Scheme == "http" {
		u.Host = strings.TrimSuffix(u.Host, ":"+port)
	}
	u.Fragment, u.RawFragment = "", ""
	if u.Path == "" {
		u.Path = "/"
	}
	return u.String(), nil
}
