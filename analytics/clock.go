package analytics

// Up to when the brokers were seen to have nothing more.

import (
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// fetchClock notes, for each broker, when its latest answered fetch was sent:
// what it had by then is here.
type fetchClock struct {
	mu   sync.Mutex
	sent map[int32]time.Time
}

var _ kgo.HookBrokerE2E = (*fetchClock)(nil)

// fetchKey is Kafka's number of the Fetch request.
const fetchKey = 1

// OnBrokerE2E implements kgo.HookBrokerE2E.
func (c *fetchClock) OnBrokerE2E(meta kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	if key != fetchKey || e2e.Err() != nil {
		return
	}
	sent := time.Now().Add(-e2e.DurationE2E())
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sent == nil {
		c.sent = map[int32]time.Time{}
	}
	c.sent[meta.NodeID] = sent
}

// seen is the earliest of the brokers' times; zero when none was fetched from.
func (c *fetchClock) seen() (t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sent {
		if t.IsZero() || s.Before(t) {
			t = s
		}
	}
	return t
}

// forget starts anew: partitions move between brokers.
func (c *fetchClock) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.sent)
}
