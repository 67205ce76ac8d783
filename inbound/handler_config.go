package inbound

// HandlersConfig says which webhooks a program handles, and how hard it tries.

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/schemas"
)

// HandlersConfig configures Handlers. Start from DefaultHandlersConfig and fill
// in Options and Group.
type HandlersConfig struct {
	Options  []kgo.Opt // how to reach Kafka, from producer.Options
	Group    string    // consumer group: programs of one group share the work, each group sees every webhook
	Instance string    // static member id, one per process; empty: a dynamic member
	Topic    string    // the topic inbound, or the one that a source names
	Parked   string    // takes what could not be handled, and has as many partitions or others
	Sources  []string  // only these sources' webhooks; empty: all

	Retry       []time.Duration // the waits before each retry; empty: no retry
	Concurrency int             // handlers that run at once
	MaxQueued   int64           // bytes taken from Kafka and not yet handled; reading waits above it
	Notices     []string        // types by which a sender announces retries: they are logged, and go to a handler of the very type only

	LeaveOnClose bool // see consumer.GroupConfig
	Log          *slog.Logger
	Registerer   prometheus.Registerer // nil: no metrics
}

// DefaultHandlersConfig reads the topic inbound under the default prefix and
// retries after 1, 2 and 4 s.
func DefaultHandlersConfig() HandlersConfig {
	t := schemas.DefaultTopology()
	return HandlersConfig{Topic: t.InboundTopic(), Parked: t.InboundParkedTopic(),
		Retry: []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}, Concurrency: 16, MaxQueued: 32 << 20,
		Notices: []string{"webhook.retry"}}
}

// Validate names the field that is wrong and the cure.
func (c HandlersConfig) Validate() error {
	switch {
	case len(c.Options) == 0:
		return errors.New("handlers: Options is empty; give what producer.Options makes of the brokers' addresses")
	case c.Group == "":
		return errors.New("handlers: Group is empty; name the consumer group, one for each program that has to see every webhook")
	case c.Topic == "" || c.Parked == "":
		return errors.New("handlers: Topic and Parked are both needed; start from DefaultHandlersConfig")
	case c.Topic == c.Parked:
		return fmt.Errorf("handlers: Topic and Parked are both %s; what is parked would be handled again for ever", c.Topic)
	case c.Concurrency < 1:
		return fmt.Errorf("handlers: Concurrency is %d; give 1 or more", c.Concurrency)
	case c.MaxQueued < 1<<20:
		return fmt.Errorf("handlers: MaxQueued is %d bytes; give 1 MiB or more", c.MaxQueued)
	}
	for i, d := range c.Retry {
		if d < 0 || d > time.Hour {
			return fmt.Errorf("handlers: Retry[%d] is %s; give 0 to 1h: the webhooks of the same key wait meanwhile", i, d)
		}
	}
	return nil
}
