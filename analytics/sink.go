package analytics

// The sink: one consumer-group member that stores attempts, routed and notices
// in ClickHouse.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/schemas"
)

// SinkConfig says what to read and when to write. Start from DefaultSinkConfig.
type SinkConfig struct {
	Options  []kgo.Opt // brokers, TLS, SASL, client id; the sink adds the rest
	Topology schemas.Topology
	Store    *Store
	Group    string // consumer group; empty: the topology's prefix and "sink"
	Instance string // static member id; empty: a dynamic member

	FlushInterval time.Duration // after the first record of a range; stretched up to 5 s while inserts exceed 10/s
	FlushRows     int           // at most 200,000, so that an insert stays one block
	FlushBytes    int           // of record keys and values; at most 64 MiB
	Inserts       int           // inserts at the same time
	BufferBytes   int           // fetched and not stored yet, over all partitions; above it fetching pauses
	Session       time.Duration // session timeout of the group
	Grace         time.Duration // for an insert under way when a partition goes or the sink ends

	// Append keeps records that are none of ours in the topic events.invalid,
	// for example producer.Writer.Append. Nil: they are counted and logged only.
	Append  func(ctx context.Context, rec schemas.Record, done func(offset int64, err error))
	Metrics prometheus.Registerer // nil: none
	Log     *slog.Logger          // nil: nothing is logged
}

// DefaultSinkConfig fits one node of each.
func DefaultSinkConfig() SinkConfig {
	return SinkConfig{FlushInterval: time.Second, FlushRows: 50_000, FlushBytes: 16 << 20, Inserts: 2, BufferBytes: 128 << 20,
		Session: 15 * time.Second, Grace: 10 * time.Second}
}

// Validate names the field that is wrong and the cure.
func (c SinkConfig) Validate() error {
	switch {
	case c.Store == nil:
		return errors.New("sink: store is nil; open one first")
	case c.FlushInterval <= 0:
		return fmt.Errorf("sink: flush interval is %s; give a time above zero, for example 1s", c.FlushInterval)
	case c.FlushRows < 1 || c.FlushRows > 200_000:
		return fmt.Errorf("sink: flush rows is %d; give 1 to 200000", c.FlushRows)
	case c.FlushBytes < 1 || c.FlushBytes > 64<<20:
		return fmt.Errorf("sink: flush bytes is %d; give 1 to %d", c.FlushBytes, 64<<20)
	case c.Inserts < 1:
		return fmt.Errorf("sink: inserts is %d; give at least 1", c.Inserts)
	case c.BufferBytes < c.FlushBytes:
		return fmt.Errorf("sink: buffer bytes is %d; give at least flush bytes (%d)", c.BufferBytes, c.FlushBytes)
	case c.Session < 6*time.Second:
		return fmt.Errorf("sink: session timeout is %s; brokers take 6s and more", c.Session)
	case c.Grace <= 0 || c.Grace >= time.Minute:
		return fmt.Errorf("sink: grace is %s; give a time below one minute", c.Grace)
	}
	return c.Topology.Validate()
}

// feedOf is what one topic becomes.
type feedOf struct {
	tables []string
	open   func() *decoder
}

// Sink stores the records of its partitions. Run it once.
type Sink struct {
	cfg     SinkConfig
	engine  engine
	client  *kgo.Client
	admin   *kadm.Client
	topics  map[string]feedOf
	metrics *sinkMetrics
	pace    *pace
	log     *slog.Logger
	slots   chan struct{}
	clock   fetchClock

	connected chan struct{} // closed when client and admin are set

	run   context.Context // of the streams; ends after the drain
	abort context.CancelFunc
	wg    sync.WaitGroup

	mu      sync.Mutex
	streams map[topicPartition]*running
	meta    map[topicPartition]string // commit metadata, between its fetch and its use
	paused  map[topicPartition]bool
}

type topicPartition struct {
	topic     string
	partition int32
}

// running is a stream and the way to cut it off.
type running struct {
	*stream
	cancel context.CancelFunc
}

// NewSink makes a sink; Run starts it. A ClickHouse that is down is no error.
func NewSink(cfg SinkConfig) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return newSink(cfg, cfg.Store.engine())
}

func newSink(cfg SinkConfig, e engine) (*Sink, error) {
	if cfg.Group == "" {
		cfg.Group = cfg.Topology.Prefix + "sink"
	}
	s := &Sink{cfg: cfg, engine: e, metrics: newSinkMetrics(), pace: newPace(cfg.FlushInterval), log: cfg.Log,
		slots: make(chan struct{}, cfg.Inserts), connected: make(chan struct{}), streams: map[topicPartition]*running{}, meta: map[topicPartition]string{}, paused: map[topicPartition]bool{},
		topics: map[string]feedOf{
			cfg.Topology.AttemptsTopic(): {tables: []string{attemptsTable.name}, open: newAttemptsDecoder},
			cfg.Topology.RoutedTopic():   {tables: []string{eventsTable.name}, open: newRoutedDecoder},
			cfg.Topology.NoticesTopic():  {tables: []string{breakerTable.name, auditTable.name}, open: newNoticesDecoder},
		}}
	if s.log == nil {
		s.log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	s.run, s.abort = context.WithCancel(context.Background())
	if err := s.metrics.register(cfg.Metrics, s); err != nil {
		return nil, err
	}
	return s, nil
}

// connect makes the group member. Its callbacks wait until the sink knows its
// client.
func (s *Sink) connect() error {
	names := make([]string, 0, len(s.topics))
	for name := range s.topics {
		names = append(names, name)
	}
	cfg := s.cfg
	opts := append([]kgo.Opt{}, cfg.Options...)
	opts = append(opts,
		kgo.ConsumerGroup(cfg.Group), kgo.ConsumeTopics(names...), kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(), kgo.SessionTimeout(cfg.Session), kgo.HeartbeatInterval(cfg.Session/5),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(500*time.Millisecond),
		kgo.FetchMaxBytes(16<<20), kgo.FetchMaxPartitionBytes(4<<20), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.WithHooks(&s.clock),
		kgo.OnOffsetsFetched(s.onFetched), kgo.AdjustFetchOffsetsFn(s.onAdjust),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { s.release(m, s.cfg.Grace) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { s.release(m, 0) }),
	)
	if cfg.Instance != "" {
		opts = append(opts, kgo.InstanceID(cfg.Instance))
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return fmt.Errorf("making the sink's Kafka client: %w", err)
	}
	s.client, s.admin = client, kadm.NewClient(client)
	close(s.connected)
	return nil
}

// pollRecords bounds one poll, so that no rebalance waits long for it.
const pollRecords = 10_000

// Run reads and stores until ctx ends, then stores what was fetched, for as
// long as the grace lasts, and returns nil. An error means that the process has
// to start anew: a topic was deleted and made again.
func (s *Sink) Run(ctx context.Context) error {
	defer s.metrics.unregister(s.cfg.Metrics, s)
	if err := s.connect(); err != nil {
		return err
	}
	defer s.close()
	for {
		fetches := s.client.PollRecords(ctx, pollRecords)
		if ctx.Err() != nil {
			s.client.AllowRebalance()
			return nil
		}
		if fetches.IsClientClosed() {
			return errors.New("running the sink: its Kafka client was closed")
		}
		var fatal error
		fetches.EachError(func(topic string, partition int32, err error) {
			if errors.Is(err, kerr.UnknownTopicID) || errors.Is(err, kerr.InconsistentTopicID) {
				fatal = fmt.Errorf("reading %s/%d: %w", topic, partition, err)
				return
			}
			s.log.Warn("fetch failed", "topic", topic, "partition", partition, "error", err)
		})
		now := time.Now()
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			if r := s.streamOf(topicPartition{p.Topic, p.Partition}); r != nil {
				r.feed.add(p.Records, p.HighWatermark, now)
			}
		})
		s.throttle()
		s.client.AllowRebalance()
		if fatal != nil {
			return fatal
		}
	}
}

// close stores what is fetched, within the grace, and ends everything.
func (s *Sink) close() {
	s.mu.Lock()
	all := map[string][]int32{}
	for tp, r := range s.streams {
		r.stop(true)
		all[tp.topic] = append(all[tp.topic], tp.partition)
	}
	s.mu.Unlock()
	s.release(all, s.cfg.Grace)
	s.client.CloseAllowingRebalance()
	s.abort()
	s.wg.Wait()
}

func (s *Sink) streamOf(tp topicPartition) *running {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.streams[tp]
}

// AsOf is the broker's time up to which every attempt is stored; ok is false
// when this process does not own all of their partitions, or does not know.
func (s *Sink) AsOf() (t time.Time, ok bool) {
	topic := s.cfg.Topology.AttemptsTopic()
	seen := s.clock.seen()
	s.mu.Lock()
	defer s.mu.Unlock()
	owned := int32(0)
	for tp, r := range s.streams {
		if tp.topic != topic {
			continue
		}
		owned++
		c := r.complete(seen)
		if c.IsZero() {
			return time.Time{}, false
		}
		if t.IsZero() || c.Before(t) {
			t = c
		}
	}
	return t, owned == s.cfg.Topology.Attempts
}

// state is what the gauges show.
func (s *Sink) state() (lag map[string]int64, oldest map[string]time.Time, buffered int) {
	lag, oldest = map[string]int64{}, map[string]time.Time{}
	for topic := range s.topics {
		lag[topic] = 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for tp, r := range s.streams {
		lag[tp.topic] += r.lag()
		if t := r.oldest(); !t.IsZero() && (oldest[tp.topic].IsZero() || t.Before(oldest[tp.topic])) {
			oldest[tp.topic] = t
		}
		bytes, _ := r.feed.load()
		buffered += bytes
	}
	return lag, oldest, buffered
}
