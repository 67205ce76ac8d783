package consumer

// Mover takes retries out of the fixed-delay tiers when their time has come and
// writes them to due, or to the next tier when their wait is longer than one.

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/hookstream/hookstream/producer"
	"github.com/hookstream/hookstream/schemas"
)

// Mover is a member of the movers' group. It holds at most the marks' worth of
// records of each partition in memory; the rest waits in the topics.
type Mover struct {
	cfg     MoverConfig
	group   *Group
	tiers   map[string]schemas.Tier // by topic
	metrics *moverMetrics
	life    context.Context // of Run

	mu     sync.Mutex
	queue  moverHeap
	parts  map[topicPartition]*moverPart
	resume []*moverPart  // to be fetched again
	wake   chan struct{} // the queue's head or resume has changed
}

// moverPart is one assigned partition.
type moverPart struct {
	topicPartition
	tier     schemas.Tier
	waiting  int   // records not acked
	bytes    int64 // of them
	paused   bool
	resuming bool // is in Mover.resume
	gone     bool // revoked or lost

	fired int // since since
	since time.Time
	rate  float64 // records per second, of the last full second
}

// NewMover checks the configuration and starts nothing.
func NewMover(cfg MoverConfig) (*Mover, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	m := &Mover{cfg: cfg, tiers: map[string]schemas.Tier{}, parts: map[topicPartition]*moverPart{}, wake: make(chan struct{}, 1)}
	g := DefaultGroupConfig()
	g.Options, g.Group, g.Instance, g.Log, g.Registerer = cfg.Options, cfg.Group, cfg.Instance, cfg.Log, cfg.Registerer
	if cfg.Session > 0 {
		g.SessionTimeout = cfg.Session
	}
	for _, tier := range schemas.Tiers() {
		topic := cfg.Topology.TierTopic(tier)
		m.tiers[topic] = tier
		g.Topics = append(g.Topics, topic)
	}
	g.Handle = m.take
	g.Revoked = func(_ context.Context, a map[string][]int32) { m.release(a) }
	g.Lost = m.release
	// What is not due by then stays in its tier.
	g.Drain = func(context.Context) { m.release(m.group.Assignment()) }
	var err error
	if m.group, err = NewGroup(g); err != nil {
		return nil, fmt.Errorf("mover: %w", err)
	}
	return m, nil
}

// Run moves records until ctx ends (then nil) or one cannot be written.
func (m *Mover) Run(ctx context.Context) (err error) {
	if m.metrics, err = newMoverMetrics(m); err != nil {
		return fmt.Errorf("mover: %w", err)
	}
	defer m.metrics.close()
	// Firing outlives ctx: draining waits for what was written to be acked.
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	m.life = life
	var wg sync.WaitGroup
	wg.Go(func() { m.fireLoop(life) })
	err = m.group.Run(ctx)
	stop()
	wg.Wait()
	if err != nil {
		return fmt.Errorf("mover: %w", err)
	}
	return nil
}

// Waiting is how many records are in memory.
func (m *Mover) Waiting() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, p := range m.parts {
		n += p.waiting
	}
	return n
}

// take queues what was fetched.
func (m *Mover) take(_ context.Context, b *Batch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := topicPartition{b.Topic, b.Partition}
	p := m.parts[at]
	if p == nil {
		p = &moverPart{topicPartition: at, tier: m.tiers[b.Topic], since: time.Now()}
		m.parts[at] = p
	}
	for _, r := range b.Records {
		rec := FromKafka(r)
		due := millisHeader(&rec, schemas.HdrDue)
		it := &moverItem{rec: rec, due: due, at: fireAt(p.tier, due, millisHeader(&rec, schemas.HdrEnqueued)), batch: b, part: p}
		it.bytes = int64(producer.RecordSize(&rec))
		p.waiting++
		p.bytes += it.bytes
		m.queue.push(it)
	}
	// Also when it is paused already: batches under way at the pause still come.
	if high, _ := m.marks(p); p.waiting > high || p.bytes > m.byteMark() {
		p.paused = true
		m.group.Pause(p.topic, p.partition)
	}
	m.signal()
	return nil
}

// marks are the bounds of a partition's queue. The low one covers what fires
// while the broker is asked for more, so that the queue does not run dry; the
// high one leaves room for a fetch above it.
func (m *Mover) marks(p *moverPart) (high, low int) {
	low = max(m.cfg.LowMark, int(p.rate*DefaultGroupConfig().FetchMaxWait.Seconds()))
	return max(m.cfg.HighMark, 2*low), low
}

// byteMark is a partition's part of the memory.
func (m *Mover) byteMark() int64 {
	return max(1<<20, m.cfg.MaxBytes/int64(max(1, len(m.parts))))
}

// release forgets partitions: what has not been written stays in its tier, and
// nobody waits for it. What has been is waited for by the group.
func (m *Mover) release(a map[string][]int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for topic, partitions := range a {
		for _, n := range partitions {
			if p := m.parts[topicPartition{topic, n}]; p != nil {
				p.gone = true
				delete(m.parts, p.topicPartition)
			}
		}
	}
	for _, it := range m.queue.removeGone() {
		it.batch.Drop(it.rec.Offset)
	}
}

func (m *Mover) signal() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}
