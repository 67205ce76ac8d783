package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/internal/kafkatest"
	"github.com/hookstream/hookstream/producer"
	"github.com/hookstream/hookstream/schemas"
)

// world is what a dispatcher under test sees: a cluster, endpoints that do as
// they are told, and everything that was written.
type world struct {
	t       *testing.T
	c       kafkatest.Cluster
	group   string
	writer  *producer.Writer
	ctx     context.Context
	mu      sync.Mutex
	targets map[string]*target
	notices []schemas.Notice
	status  []schemas.EndpointStatus
	rows    []schemas.Attempt
	records map[string][]schemas.Record // by topic: dead, due, park, lanes, events
	changed chan struct{}
	broken  map[string]schemas.BreakerState
}

// target is one endpoint.
type target struct {
	lane    Lane
	gone    bool
	admit   func(now time.Time) schemas.Admission
	deliver func(ctx context.Context, d *schemas.Delivery, n int) schemas.Outcome // n counts this endpoint's requests from 1
	calls   []call
	now     int // requests in flight
	peak    int
}

type call struct {
	id      string
	attempt int
	at      time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, c: kafkatest.Start(t), targets: map[string]*target{}, records: map[string][]schemas.Record{},
		changed: make(chan struct{}, 1), broken: map[string]schemas.BreakerState{}}
	w.group = "dispatch-" + w.c.Topology.Prefix + fmt.Sprint(time.Now().UnixNano())
	ctx, cancel := context.WithCancel(context.Background())
	w.ctx = ctx
	var err error
	if w.writer, err = producer.NewWriter(w.c.Options()); err != nil {
		t.Fatal(err)
	}
	topo := w.c.Topology
	topics := []string{topo.AttemptsTopic(), topo.DeadTopic(), topo.DueTopic(), topo.ParkTopic(), topo.LanesTopic(), topo.EventsTopic()}
	for _, tier := range schemas.Tiers() {
		topics = append(topics, topo.TierTopic(tier))
	}
	reader, err := kgo.NewClient(w.c.Options(kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(50*time.Millisecond))...)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { w.watch(ctx, reader) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		reader.Close()
		closing, done := context.WithTimeout(context.Background(), 10*time.Second)
		defer done()
		_ = w.writer.Close(closing)
	})
	return w
}

// watch collects what is written, and plays the mover for the retry tiers.
func (w *world) watch(ctx context.Context, reader *kgo.Client) {
	topo := w.c.Topology
	tiers := map[string]bool{}
	for _, tier := range schemas.Tiers() {
		tiers[topo.TierTopic(tier)] = true
	}
	for {
		f := reader.PollFetches(ctx)
		if ctx.Err() != nil {
			return
		}
		f.EachRecord(func(r *kgo.Record) {
			rec := FromKafka(r)
			if tiers[r.Topic] {
				d, err := schemas.ParseDelivery(&rec)
				if err != nil {
					w.t.Errorf("tier record: %v", err)
					return
				}
				next := d
				next.Enqueued = time.Time{}
				time.AfterFunc(time.Until(d.Due), func() {
					if ctx.Err() == nil {
						_ = w.writer.AppendAll(ctx, next.Record(topo.DueTopic(), topo.Slot(d.EndpointID)))
					}
				})
			}
			w.mu.Lock()
			if r.Topic == topo.AttemptsTopic() {
				row, err := schemas.ParseAttempt(&rec)
				if err != nil {
					w.t.Errorf("row: %v", err)
				}
				w.rows = append(w.rows, row)
			} else {
				w.records[r.Topic] = append(w.records[r.Topic], rec)
			}
			w.mu.Unlock()
		})
		w.notify()
	}
}

func (w *world) notify() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// endpoint adds one; deliver nil means that every attempt succeeds.
func (w *world) endpoint(id string, lane Lane, deliver func(ctx context.Context, d *schemas.Delivery, n int) schemas.Outcome) *target {
	lane.Tenant, lane.Version = "default", 1
	t := &target{lane: lane, deliver: deliver}
	w.mu.Lock()
	w.targets[id] = t
	w.mu.Unlock()
	return t
}

// send writes deliveries of one endpoint, in order, with ids that name them.
func (w *world) send(endpoint string, from, to int) {
	w.t.Helper()
	var recs []schemas.Record
	for i := from; i < to; i++ {
		d := schemas.Delivery{ID: fmt.Sprintf("%s/%05d", endpoint, i), EventID: fmt.Sprintf("evt%d", i), EventType: "a.b", Tenant: "default",
			EndpointID: endpoint, CreatedAt: time.UnixMilli(1700000000000), Profile: "standard", Source: schemas.Position{Topic: "x", Offset: int64(i)}, Data: []byte(`{"n": 1}`)}
		recs = append(recs, d.Record(w.c.Topology.DeliveriesTopic(), w.c.Topology.Slot(endpoint)))
	}
	if err := w.writer.AppendAll(w.ctx, recs...); err != nil {
		w.t.Fatal(err)
	}
}

// process is one running dispatcher that can be killed.
type process struct {
	w      *world
	d      *Dispatcher
	killed atomic.Bool
	cancel context.CancelFunc
	ended  chan struct{}
	err    error
	conns  sync.Map
	own    *producer.Writer
}

// start runs a dispatcher; change may adapt its configuration.
func (w *world) start(change func(*DispatcherConfig)) *process {
	w.t.Helper()
	p := &process{w: w, ended: make(chan struct{})}
	opts := w.c.Options(kgo.Dialer(p.dial), kgo.RetryTimeout(5*time.Second))
	var err error
	if p.own, err = producer.NewWriter(opts); err != nil {
		w.t.Fatal(err)
	}
	cfg := DefaultDispatcherConfig()
	cfg.Options, cfg.Topology, cfg.Group, cfg.Instance = opts, w.c.Topology, w.group, "one"
	cfg.Logger = slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		cfg.Logger = slog.New(slog.NewTextHandler(w.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	cfg.Barrier = func(ctx context.Context) error { return ctx.Err() }
	cfg.Append = func(ctx context.Context, r schemas.Record, done func(int64, error)) {
		if !p.killed.Load() {
			p.own.Append(ctx, r, done)
		}
	}
	cfg.Lookup = func(id string) (Lane, bool) {
		w.mu.Lock()
		defer w.mu.Unlock()
		t, ok := w.targets[id]
		if !ok || t.gone {
			return Lane{}, false
		}
		return t.lane, true
	}
	cfg.Admit = func(id, kind string, now time.Time) schemas.Admission {
		if p.killed.Load() {
			return schemas.Admission{Kind: schemas.NotBefore, Until: now.Add(time.Hour)}
		}
		w.mu.Lock()
		t := w.targets[id]
		w.mu.Unlock()
		if t.admit != nil {
			return t.admit(now)
		}
		return schemas.Admission{Kind: schemas.Go, Token: "token"}
	}
	cfg.Deliver = p.deliver
	cfg.Release = func(any) {}
	cfg.Breaker = func(id string) schemas.BreakerState {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.broken[id]
	}
	cfg.Restore = func(id string, s schemas.BreakerState) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.broken[id] = s
	}
	cfg.Verify = func(context.Context, string) {}
	cfg.Status = func(_ context.Context, s *schemas.EndpointStatus) error {
		w.mu.Lock()
		w.status = append(w.status, *s)
		w.mu.Unlock()
		w.notify()
		return nil
	}
	cfg.Notice = func(n schemas.Notice) {
		w.mu.Lock()
		w.notices = append(w.notices, n)
		w.mu.Unlock()
	}
	if change != nil {
		change(&cfg)
	}
	// A killed process touches nothing that the next one shares with it.
	if forget := cfg.Forget; forget != nil {
		cfg.Forget = func(id string) {
			if !p.killed.Load() {
				forget(id)
			}
		}
	}
	if p.d, err = NewDispatcher(cfg); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	go func() {
		defer close(p.ended)
		p.err = p.d.Run(ctx)
	}()
	w.t.Cleanup(func() {
		p.cancel()
		<-p.ended
		closing, done := context.WithTimeout(context.Background(), time.Second)
		defer done()
		_ = p.own.Close(closing)
	})
	return p
}

func (p *process) deliver(ctx context.Context, _ any, d *schemas.Delivery) schemas.Outcome {
	w := p.w
	if p.killed.Load() {
		<-ctx.Done()
		return schemas.Outcome{Verdict: schemas.Canceled}
	}
	w.mu.Lock()
	t := w.targets[d.EndpointID]
	t.calls = append(t.calls, call{id: d.ID, attempt: d.Attempts + 1, at: time.Now()})
	n := len(t.calls)
	t.now++
	t.peak = max(t.peak, t.now)
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		t.now--
		w.mu.Unlock()
	}()
	w.notify()
	if t.deliver == nil {
		return ok(d)
	}
	return t.deliver(ctx, d, n)
}

// dial connects until the process is killed.
func (p *process) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if p.killed.Load() {
		return nil, errors.New("killed")
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err == nil {
		p.conns.Store(conn, nil)
		if p.killed.Load() {
			_ = conn.Close()
		}
	}
	return conn, err
}

// kill is kill -9: nothing reaches the broker from now on, no request starts.
func (p *process) kill() {
	p.killed.Store(true)
	p.conns.Range(func(c, _ any) bool { _ = c.(net.Conn).Close(); return true })
	p.cancel()
}

// stop drains.
func (p *process) stop() {
	p.w.t.Helper()
	p.cancel()
	<-p.ended
	if p.err != nil {
		p.w.t.Errorf("Run: %v", p.err)
	}
}

// until waits for a condition on the world, which it calls with the lock held.
func (w *world) until(what string, cond func() bool) {
	w.t.Helper()
	deadline := time.After(90 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		w.mu.Lock()
		ok := cond()
		w.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-w.changed:
		case <-tick.C:
		case <-deadline:
			w.mu.Lock()
			defer w.mu.Unlock()
			written := map[string]int{}
			for topic, recs := range w.records {
				written[topic] = len(recs)
			}
			w.t.Fatalf("waited in vain for: %s (%d rows, %d ended, %v)", what, len(w.rows), len(w.terminal("")), written)
		}
	}
}

// terminal is how many deliveries of an endpoint (all with "") have ended, by id.
func (w *world) terminal(endpoint string) map[string]schemas.Attempt {
	out := map[string]schemas.Attempt{}
	for _, r := range w.rows {
		if r.State.Terminal() && (endpoint == "" || r.EndpointID == endpoint) {
			out[r.DeliveryID] = r
		}
	}
	return out
}

func ok(*schemas.Delivery) schemas.Outcome {
	return schemas.Outcome{Verdict: schemas.Delivered, Row: schemas.Attempt{ResponseCode: 200, AttemptedAt: time.Now().UnixMilli()}}
}

func retryIn(delay time.Duration) schemas.Outcome {
	return schemas.Outcome{Verdict: schemas.Retry, Failed: true, RetryAt: time.Now().Add(delay), Row: schemas.Attempt{ResponseCode: 503, ErrorKind: schemas.ErrHTTP5xx}}
}

func verdict(v schemas.Verdict) schemas.Outcome {
	return schemas.Outcome{Verdict: v, Failed: true, Row: schemas.Attempt{ResponseCode: 500, ErrorKind: schemas.ErrHTTP5xx}}
}
