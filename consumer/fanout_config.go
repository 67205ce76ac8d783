package consumer

// FanoutConfig says which topics are read as events, and the seams to the
// registry and the writer.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/schemas"
)

// FanoutConfig configures a Fanout. Start from DefaultFanoutConfig.
type FanoutConfig struct {
	Options  []kgo.Opt // producer.Options
	Group    string    // consumer group
	Instance string    // static member id; empty: a dynamic member
	Topology schemas.Topology
	Sources  []schemas.EventSource // users' own topics; the topic events is always read

	// Barrier waits until the registry has applied everything that was written
	// before the call. An error is tried again.
	Barrier func(ctx context.Context) error
	// Match lists the endpoints that an event is for. An *schemas.InvalidEvent
	// says that the record is no event; any other error is tried again.
	Match func(ctx context.Context, ev *schemas.Event) ([]schemas.Match, error)
	// Append is producer.Writer.Append: one writer, records of one partition in
	// the order of the calls.
	Append func(ctx context.Context, rec schemas.Record, done func(offset int64, err error))

	MaxInFlight  int64         // bytes appended and not acked; reading waits above it
	DedupeWindow time.Duration // the same event id within it is fanned out once
	DedupeSize   int           // events remembered for that; 0 switches it off
	LeaveOnClose bool          // see GroupConfig

	Log        *slog.Logger
	Registerer prometheus.Registerer // nil: no metrics
}

// DefaultFanoutConfig has the bounds set; the caller fills in Options and the seams.
func DefaultFanoutConfig() FanoutConfig {
	return FanoutConfig{Group: "hookstream-fanout", Topology: schemas.DefaultTopology(),
		MaxInFlight: 32 << 20, DedupeWindow: 10 * time.Minute, DedupeSize: 1 << 20}
}

// Validate names the field that is wrong and the cure.
func (c FanoutConfig) Validate() error {
	switch {
	case c.Group == "":
		return errors.New("fanout: Group is empty; give the consumer group's name")
	case c.Barrier == nil || c.Match == nil || c.Append == nil:
		return errors.New("fanout: Barrier, Match and Append are all needed")
	case c.MaxInFlight < 1<<20:
		return fmt.Errorf("fanout: MaxInFlight is %d bytes; give 1 MiB or more", c.MaxInFlight)
	case c.DedupeWindow < 0 || c.DedupeSize < 0:
		return errors.New("fanout: DedupeWindow and DedupeSize must not be negative")
	}
	if err := c.Topology.Validate(); err != nil {
		return fmt.Errorf("fanout: %w", err)
	}
	ours := map[string]bool{}
	for _, t := range c.Topology.Topics() {
		ours[t.Name] = t.Name != c.Topology.EventsTopic()
	}
	seen := map[string]bool{}
	for _, s := range c.Sources {
		if err := s.Validate(); err != nil {
			return fmt.Errorf("fanout: %w", err)
		}
		if ours[s.Topic] {
			return fmt.Errorf("fanout: event topic %s is one that hookstream writes itself; reading it as events would never end", s.Topic)
		}
		if seen[s.Topic] {
			return fmt.Errorf("fanout: event topic %s is listed twice; keep one of them", s.Topic)
		}
		seen[s.Topic] = true
	}
	return nil
}

// sources maps each topic that is read to how its records become events.
func (c FanoutConfig) sources() map[string]schemas.EventSource {
	out := map[string]schemas.EventSource{c.Topology.EventsTopic(): {Topic: c.Topology.EventsTopic(), Format: schemas.FormatEnvelope}}
	for _, s := range c.Sources {
		out[s.Topic] = s
	}
	return out
}
