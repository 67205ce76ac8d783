package consumer

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/schemas"
)

// TestCreatedAt: the same log gives the same creation times, whatever the
// publishers' clocks say.
func TestCreatedAt(t *testing.T) {
	now := time.Now().Truncate(time.Millisecond).UTC()
	old := time.Date(2021, 5, 6, 7, 8, 9, 123_456_789, time.UTC)
	f := &Fanout{clock: map[topicPartition]time.Time{}}
	b := &Batch{Topic: "t", Partition: 1}
	for i, c := range []struct {
		record, event, want time.Time
	}{
		{time.Unix(0, 0), time.Unix(0, 0), earliestCreated},                         // nothing to go by
		{time.UnixMilli(-1), now.Add(-time.Hour), now.Add(-time.Hour)},              // the event knows
		{old, now, toMillis(old)},                                                   // a backlog is no error
		{now.Add(23 * time.Hour), now.Add(23 * time.Hour), now.Add(23 * time.Hour)}, // a fast clock
		{now.Add(48 * time.Hour), now.Add(48 * time.Hour), now.Add(23 * time.Hour)}, // a broken one: the record before
		{now.Add(48 * time.Hour), now.Add(-time.Minute), now.Add(-time.Minute)},
		{now, old, now},
		{time.Unix(3, 0), time.Unix(3, 0), now},
	} {
		if got := f.createdAt(b, &kgo.Record{Timestamp: c.record}, &schemas.Event{Time: c.event}); !got.Equal(c.want) {
			t.Errorf("%d: %v, want %v", i, got, c.want)
		}
	}
	if err := f.assigned(t.Context(), map[string][]int32{"t": {1}}); err != nil || len(f.clock) != 0 {
		t.Errorf("an assignment keeps the clock of an earlier one: %v", f.clock)
	}
}

func TestFanoutConfigValidate(t *testing.T) {
	good := DefaultFanoutConfig()
	good.Barrier = func(context.Context) error { return nil }
	good.Match = crashMatches
	good.Append = func(context.Context, schemas.Record, func(int64, error)) {}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, breakIt := range map[string]func(*FanoutConfig){
		"Group":           func(c *FanoutConfig) { c.Group = "" },
		"Match":           func(c *FanoutConfig) { c.Match = nil },
		"MaxInFlight":     func(c *FanoutConfig) { c.MaxInFlight = 5 },
		"DedupeWindow":    func(c *FanoutConfig) { c.DedupeWindow = -1 },
		"slots":           func(c *FanoutConfig) { c.Topology.Slots = 0 },
		"type_header":     func(c *FanoutConfig) { c.Sources = []schemas.EventSource{{Topic: "o", Format: schemas.FormatRaw}} },
		"listed twice":    func(c *FanoutConfig) { c.Sources = []schemas.EventSource{{Topic: "o"}, {Topic: "o"}} },
		"would never end": func(c *FanoutConfig) { c.Sources = []schemas.EventSource{{Topic: c.Topology.RoutedTopic()}} },
	} {
		c := good
		breakIt(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	good.Sources = []schemas.EventSource{{Topic: good.Topology.EventsTopic(), Tenant: "acme"}}
	if err := good.Validate(); err != nil || good.sources()[good.Topology.EventsTopic()].Tenant != "acme" {
		t.Errorf("our own topic cannot be configured: %v", err)
	}
}
