package endpoint

// Forgetting callback endpoints that got no event for a month: nobody else
// would ever remove them.
//
// Every node that fans out sweeps; none of them owns the sweep, because
// whatever two nodes do at once comes to the same. The one thing that must not
// happen is that an endpoint goes between an event's match and its delivery.
// Uses and idle tombstones stand in one partition, so every reader sees them in
// one order: a use before the tombstone makes the tombstone void, and the row
// is written again; a use behind it finds no endpoint, and makes it anew.

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// DefaultIdle is how long the endpoint of a callback URL is kept without an
// event. No delivery waits that long.
const DefaultIdle = 30 * 24 * time.Hour

// minIdle leaves room for the built-in schedules, whose last retry is 30 h
// behind the event, and for uses that are put on record once a day.
const minIdle = 7 * 24 * time.Hour

// sweepEvery is the pause between sweeps; they are spread by half of it.
const sweepEvery = time.Hour

// Run sweeps from time to time until ctx ends.
func (r *Registry) Run(ctx context.Context) error {
	for {
		wait := time.NewTimer(sweepEvery/2 + rand.N(sweepEvery))
		select {
		case <-ctx.Done():
			wait.Stop()
			return nil
		case <-wait.C:
		}
		if n, err := r.Forget(ctx); err != nil && ctx.Err() == nil {
			r.cfg.Log.Warn("forgetting idle callback endpoints; the next sweep goes on", "forgotten", n, "err", err)
		}
	}
}

// Forget removes the callback endpoints that were idle for too long, and
// counts them. An error ends the sweep; the next one goes on.
func (r *Registry) Forget(ctx context.Context) (forgotten int, err error) {
	for _, id := range r.forgettable() {
		gone := false
		err := r.change(ctx, id, func(ctx context.Context) (err error) {
			gone, err = r.forget(ctx, id)
			return err
		})
		if gone {
			forgotten++
		}
		if err != nil {
			return forgotten, err
		}
		if ctx.Err() != nil {
			return forgotten, ctx.Err()
		}
	}
	return forgotten, nil
}

// forgettable lists what a sweep has to look at.
func (r *Registry) forgettable() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var ids []string
	for id, x := range r.endpoints {
		if x.flags.has(isCallback) && (r.rowless[id] || time.Since(r.lastUse(x)) >= r.cfg.Idle) {
			ids = append(ids, id)
		}
	}
	return ids
}

// forget removes one endpoint unless it was used; its row is locked.
func (r *Registry) forget(ctx context.Context, id string) (gone bool, err error) {
	if x, since, idle := r.idleFor(id, r.cfg.Idle); idle {
		if err := r.put(ctx, schemas.IdleTombstone(r.cfg.Topology, id, since)); err != nil {
			return false, err
		}
		if _, ok := r.Outline(id); !ok {
			r.audit(ctx, actorSelf, "webhook.forget", x.tenant.Value(), id, id, "idle")
			return true, r.put(ctx, r.beside(id)...)
		}
	}
	r.mu.RLock()
	x, void := r.endpoints[id], r.rowless[id]
	r.mu.RUnlock()
	if x == nil || !void {
		return false, nil
	}
	row := x.row()
	row.UpdatedAt = stamp()
	return false, r.putEndpoint(ctx, &row)
}

// outlives says that a tombstone does not count, because the endpoint was used
// after what the tombstone's writer knew of; the lock is held.
func (r *Registry) outlives(x *entry, tombstone *schemas.Record) bool {
	since, idle := schemas.IdleSince(tombstone)
	if !idle || !r.lastUse(x).Truncate(time.Millisecond).After(since) {
		return false
	}
	r.rowless[x.id] = true
	return true
}

// beside are the tombstones of the rows beside an endpoint's.
func (r *Registry) beside(id string) []schemas.Record {
	return []schemas.Record{
		schemas.EndpointTombstone(r.cfg.Topology, id+schemas.StatusKeySuffix),
		schemas.EndpointTombstone(r.cfg.Topology, id+schemas.UseKeySuffix),
	}
}
