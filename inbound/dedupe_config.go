package inbound

// DeduperConfig says what a Deduper reads and writes, and by which rules.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/schemas"
)

// DefaultKeep is how long repeats of a webhook are recognised where nothing
// else is said: the day that the products' contracts name.
const DefaultKeep = 24 * time.Hour

// Rule is what the deduper has to know about a source.
type Rule struct {
	Keep  time.Duration // how long repeats are recognised; 0: DefaultKeep
	Topic string        // takes the source's webhooks; empty: the topic inbound
}

// DeduperConfig configures a Deduper. Start from DefaultDeduperConfig.
type DeduperConfig struct {
	Options  []kgo.Opt // producer.Options
	Group    string    // consumer group
	Instance string    // static member id; empty: a dynamic member
	Topology schemas.Topology
	Rules    map[string]Rule // by source; one that is not here gets the zero Rule
	Keys     int             // remembered for each partition and topic; 0: DefaultWindowKeys

	// Append is producer.Writer.Append: one writer, records of one partition in
	// the order of the calls.
	Append func(ctx context.Context, rec schemas.Record, done func(offset int64, err error))

	LeaveOnClose bool // see consumer.GroupConfig
	Log          *slog.Logger
	Registerer   prometheus.Registerer // nil: no metrics
}

// DefaultDeduperConfig has everything but Options, Instance, Rules and Append.
func DefaultDeduperConfig() DeduperConfig {
	return DeduperConfig{Group: "hookstream-inbound", Topology: schemas.DefaultTopology(), Keys: DefaultWindowKeys}
}

// Validate names the field that is wrong and the cure.
func (c DeduperConfig) Validate() error {
	switch {
	case c.Group == "":
		return errors.New("deduper: Group is empty; give the consumer group's name")
	case c.Append == nil:
		return errors.New("deduper: Append is nil; give producer.Writer.Append")
	case c.Keys < 0:
		return fmt.Errorf("deduper: Keys is %d; give 0 or more", c.Keys)
	}
	if err := c.Topology.Validate(); err != nil {
		return fmt.Errorf("deduper: %w", err)
	}
	ours := map[string]bool{}
	for _, t := range c.Topology.Topics() {
		ours[t.Name] = t.Name != c.Topology.InboundTopic()
	}
	for source, r := range c.Rules {
		if r.Keep < 0 {
			return fmt.Errorf("deduper: source %s: Keep is %s; give a positive duration", source, r.Keep)
		}
		if ours[r.Topic] {
			return fmt.Errorf("deduper: source %s: topic %s is one that hookstream uses for something else; give another name", source, r.Topic)
		}
	}
	return nil
}

// rule is what holds for a source, with every default filled in. A source that
// was taken out of the configuration still has its last records read.
func (c DeduperConfig) rule(source string) Rule {
	r := c.Rules[source]
	if r.Keep == 0 {
		r.Keep = DefaultKeep
	}
	if r.Topic == "" {
		r.Topic = c.Topology.InboundTopic()
	}
	return r
}

// targets are the topics that webhooks are written to, each once.
func (c DeduperConfig) targets() []string {
	out := []string{c.Topology.InboundTopic()}
	for source := range c.Rules {
		out = append(out, c.rule(source).Topic)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// longest is the longest time that any repeat is recognised.
func (c DeduperConfig) longest() time.Duration {
	keep := DefaultKeep
	for source := range c.Rules {
		keep = max(keep, c.rule(source).Keep)
	}
	return keep
}
