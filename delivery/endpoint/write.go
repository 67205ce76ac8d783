package endpoint

// Writing rows: one writer a row on this node, acked before it counts, applied
// before it is answered.

import (
	"context"
	"crypto/rand"
	"errors"
	"hash/maphash"
	"net/http"
	"time"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/schemas"
)

// writeTimeout bounds one change from its first barrier to its last: the
// client may be gone, the row and its audit entry must not part.
const writeTimeout = 30 * time.Second

const lockStripes = 32 // of each space

// stripes are locks by row id; each is a channel of one, so that waiting ends
// with the context.
type stripes struct {
	seed  maphash.Seed
	locks [uint64(lockSpaces) * lockStripes]chan struct{}
}

func newStripes() stripes {
	s := stripes{seed: maphash.MakeSeed()}
	for i := range s.locks {
		s.locks[i] = make(chan struct{}, 1)
	}
	return s
}

func (s *stripes) of(space lockSpace, id string) chan struct{} {
	// Each space has stripes of its own: a change of an endpoint may take its uid
	// and change its tenant, never the other way round, so no two can wait in a
	// ring.
	n := maphash.String(s.seed, id) % lockStripes
	return s.locks[n+uint64(space)*lockStripes]
}

// lockSpace is what a lock is of, in the order in which they are taken.
type lockSpace uint64

const (
	endpointLocks lockSpace = iota
	uidLocks
	tenantLocks
	lockSpaces
)

// change runs f with an endpoint's row locked on this node and the registry up
// to date. The context that f gets outlives the request.
func (r *Registry) change(ctx context.Context, id string, f func(context.Context) error) error {
	return r.exclusive(ctx, endpointLocks, id, f)
}

// changeTenant is change for a tenant's row.
func (r *Registry) changeTenant(ctx context.Context, id string, f func(context.Context) error) error {
	return r.exclusive(ctx, tenantLocks, id, f)
}

func (r *Registry) exclusive(ctx context.Context, space lockSpace, id string, f func(context.Context) error) error {
	lock := r.locks.of(space, id)
	select {
	case lock <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-lock }()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	if err := r.barrier(ctx); err != nil {
		return err
	}
	return f(ctx)
}

func (r *Registry) barrier(ctx context.Context) error {
	if err := r.cfg.Barrier(ctx); err != nil {
		return r.unavailable("catching up with the registry", err)
	}
	return nil
}

// put writes records in order, each acked before the next, and returns when
// this node has applied them.
func (r *Registry) put(ctx context.Context, records ...schemas.Record) error {
	for _, rec := range records {
		if err := r.cfg.Write(ctx, rec); err != nil {
			return r.unavailable("writing the registry", err)
		}
	}
	return r.barrier(ctx)
}

// unavailable logs the cause and answers 503: the client may try again.
func (r *Registry) unavailable(doing string, err error) error {
	var problem *api.Problem
	if errors.As(err, &problem) {
		return err
	}
	r.cfg.Log.Error(doing, "err", err)
	p := api.Fail(http.StatusServiceUnavailable, "registry_unavailable", "", "the registry could not be reached or did not confirm in time; try again, and look first whether the change was made")
	p.RetryAfter = 5
	return p
}

func (r *Registry) putEndpoint(ctx context.Context, row *schemas.Endpoint) error {
	rec, err := row.Record(r.cfg.Topology)
	if err != nil {
		return err
	}
	return r.put(ctx, rec)
}

func (r *Registry) putTenant(ctx context.Context, row *schemas.Tenant) error {
	rec, err := row.Record(r.cfg.Topology)
	if err != nil {
		return err
	}
	return r.put(ctx, rec)
}

// order tells the dispatcher that owns an endpoint to do something.
func (r *Registry) order(ctx context.Context, action, id string) error {
	return r.orderOf(ctx, schemas.Control{Action: action, EndpointID: id})
}

func (r *Registry) orderOf(ctx context.Context, c schemas.Control) error {
	c.At = time.Now().UnixMilli()
	rec, err := c.Record(r.cfg.Topology)
	if err != nil {
		return err
	}
	if err := r.cfg.Write(ctx, rec); err != nil {
		return r.unavailable("telling the dispatcher", err)
	}
	return nil
}

func randomID(prefix string) string { return schemas.NewID(prefix, [16]byte(randomBytes(16))) }

// randomBytes never fails: crypto/rand ends the process instead.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}
