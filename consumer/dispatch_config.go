package consumer

// DispatcherConfig is everything a dispatcher needs from outside: where Kafka
// is, and the function seams through which it asks whether an endpoint may be
// called, makes one attempt, and writes what follows from it.

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/schemas"
)

// Lane is what a dispatcher needs to know about an endpoint besides whether it
// may be called: how its records queue up.
type Lane struct {
	Tenant      string
	URL         string
	Version     int64 // the endpoint's row; a disable counts for this one only
	Ordered     bool  // one in flight; a failure blocks what follows
	Concurrency int   // requests in flight at once; 0: DispatchLimits.Concurrency; ordered lanes have 1
	Halt        bool  // ordered only: after an exhausted record nothing goes out until the endpoint is enabled again
}

// DispatchLimits bound what a dispatcher holds. All must be positive.
type DispatchLimits struct {
	Concurrency     int           // requests in flight per endpoint, unless it says otherwise
	InFlight        int           // requests in flight in the process
	Bytes           int64         // of records held by the process; above it nothing more is fetched until half is gone
	SlotBytes       int64         // of records that wait in one slot; above it the lane with the oldest head spills
	SpillAfter      time.Duration // a head older than this makes its lane spill
	FailingFor      time.Duration // an endpoint whose attempts all failed for this long is disabled,
	FailingAttempts int           // if there were at least so many
	Drain           time.Duration // requests in flight at the end may take this long
	Revoke          time.Duration // the same when a slot moves to another member
	SeedAge         time.Duration // how far back the done-set reads at assignment
	DoneCount       int           // deliveries that a slot's done-set remembers
	LaneIdle        time.Duration // a lane without work is forgotten after this
	Rows            time.Duration // how often changed lane rows are written
}

// DefaultDispatchLimits are the measured settings.
func DefaultDispatchLimits() DispatchLimits {
	return DispatchLimits{Concurrency: 8, InFlight: 4096, Bytes: 256 << 20, SlotBytes: 8 << 20, SpillAfter: 2 * time.Second,
		FailingFor: 5 * 24 * time.Hour, FailingAttempts: 10, Drain: 15 * time.Second, Revoke: 2 * time.Second,
		SeedAge: 10 * time.Minute, DoneCount: 20_000, LaneIdle: 10 * time.Minute, Rows: 200 * time.Millisecond}
}

// Validate says which limit is not positive.
func (l DispatchLimits) Validate() error {
	for _, f := range []struct {
		name string
		n    int64
	}{
		{"Concurrency", int64(l.Concurrency)}, {"InFlight", int64(l.InFlight)}, {"Bytes", l.Bytes}, {"SlotBytes", l.SlotBytes},
		{"SpillAfter", int64(l.SpillAfter)}, {"FailingFor", int64(l.FailingFor)}, {"FailingAttempts", int64(l.FailingAttempts)},
		{"Drain", int64(l.Drain)}, {"Revoke", int64(l.Revoke)}, {"SeedAge", int64(l.SeedAge)}, {"DoneCount", int64(l.DoneCount)},
		{"LaneIdle", int64(l.LaneIdle)}, {"Rows", int64(l.Rows)},
	} {
		if f.n <= 0 {
			return fmt.Errorf("dispatch limits: %s is %d; give a positive value", f.name, f.n)
		}
	}
	return nil
}

// DispatcherConfig: every seam is required unless it says otherwise;
// Registerer may be nil. The seams
// are called from many goroutines.
type DispatcherConfig struct {
	Options  []kgo.Opt // how to reach Kafka
	Topology schemas.Topology
	Group    string // consumer group
	Instance string // static membership id of this process; empty: a dynamic member
	Limits   DispatchLimits

	Barrier func(context.Context) error                                          // returns when the registry has applied everything written before the call
	Append  func(context.Context, schemas.Record, func(offset int64, err error)) // pipeline writer; one writer for all calls, its order kept
	Lookup  func(endpointID string) (Lane, bool)                                 // false: the endpoint is deleted
	Admit   func(endpointID, kind string, now time.Time) schemas.Admission       // kind is the delivery's
	Deliver func(ctx context.Context, token any, d *schemas.Delivery) schemas.Outcome
	Release func(token any)
	Breaker func(endpointID string) schemas.BreakerState
	Restore func(endpointID string, state schemas.BreakerState)
	Probe   func(endpointID string) // optional: an open breaker may probe now
	Forget  func(endpointID string) // optional: drop what is known of the endpoint; its slot has another owner, or it starts afresh
	Verify  func(ctx context.Context, endpointID string)
	Status  func(context.Context, *schemas.EndpointStatus) error // returns when the row is acked
	Notice  func(schemas.Notice)

	// Wants says whether an event of a type, made by hookstream itself, would
	// reach anybody of a tenant; optional: none is made. It must not block.
	Wants func(tenant, eventType string) bool
	// Announce is what a delivery's profile wants published beside the retry that
	// an outcome asks for; optional. The same arguments give the same events. It
	// must not block.
	Announce func(*schemas.Delivery, *schemas.Outcome) []schemas.Event

	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// DefaultDispatchGroup is the consumer group of all dispatchers of one
// installation.
const DefaultDispatchGroup = "hookstream-dispatch"

// DefaultDispatcherConfig has everything but the connection, the instance and
// the seams.
func DefaultDispatcherConfig() DispatcherConfig {
	return DispatcherConfig{Topology: schemas.DefaultTopology(), Group: DefaultDispatchGroup, Limits: DefaultDispatchLimits()}
}

// Validate names the first field that cannot be used.
func (c DispatcherConfig) Validate() error {
	if err := c.Topology.Validate(); err != nil {
		return fmt.Errorf("dispatcher: %w", err)
	}
	if err := c.Limits.Validate(); err != nil {
		return fmt.Errorf("dispatcher: %w", err)
	}
	if c.Group == "" {
		return fmt.Errorf("dispatcher: Group is empty; give a consumer group such as %q", DefaultDispatchGroup)
	}
	for _, f := range []struct {
		name    string
		missing bool
	}{
		{"Barrier", c.Barrier == nil}, {"Append", c.Append == nil}, {"Lookup", c.Lookup == nil}, {"Admit", c.Admit == nil},
		{"Deliver", c.Deliver == nil}, {"Release", c.Release == nil}, {"Breaker", c.Breaker == nil}, {"Restore", c.Restore == nil},
		{"Verify", c.Verify == nil}, {"Status", c.Status == nil}, {"Notice", c.Notice == nil}, {"Logger", c.Logger == nil},
	} {
		if f.missing {
			return fmt.Errorf("dispatcher: %s is nil; wire it", f.name)
		}
	}
	return nil
}
