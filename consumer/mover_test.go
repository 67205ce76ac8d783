package consumer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/hookstream/hookstream/internal/kafkatest"
	"github.com/hookstream/hookstream/producer"
	"github.com/hookstream/hookstream/schemas"
)

func moverConfig(c kafkatest.Cluster, w *producer.Writer) MoverConfig {
	cfg := DefaultMoverConfig()
	cfg.Options, cfg.Topology, cfg.Append = c.Options(), c.Topology, w.Append
	cfg.Group = c.Topology.Prefix + "mover-test"
	cfg.Session = 6 * time.Second
	return cfg
}

// startMover runs a mover; the returned function ends it and gives Run's error.
func startMover(t testing.TB, cfg MoverConfig) (*Mover, func() error) {
	t.Helper()
	m, err := NewMover(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	var once sync.Once
	stop := func() (err error) {
		once.Do(func() {
			cancel()
			err = <-done
		})
		return err
	}
	t.Cleanup(func() { _ = stop() })
	return m, stop
}

// retryOf is a delivery that waits.
func retryOf(t testing.TB, topology schemas.Topology, id, endpoint string, wait time.Duration) schemas.Record {
	t.Helper()
	now := time.Now()
	d := schemas.Delivery{ID: id, EventID: "evt_1", EventType: "a", Tenant: "t", EndpointID: endpoint, Attempts: 1, Data: []byte(`{"x": 1}`)}
	rec, ok := TierRecord(topology, &d, now.Add(wait), now)
	if !ok {
		t.Fatalf("%v has no tier", wait)
	}
	return rec
}

// arrival is a record that came out at due.
type arrival struct {
	schemas.Delivery
	partition int32
	late      time.Duration
	at        time.Time
}

// dueReader collects what arrives at due.
type dueReader struct {
	mu   sync.Mutex
	got  map[string][]arrival
	errs []error
}

func readDue(t testing.TB, options []kgo.Opt, topic string) (*dueReader, func()) {
	t.Helper()
	cl, err := kgo.NewClient(append(options, kgo.ConsumeTopics(topic), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		t.Fatal(err)
	}
	d := &dueReader{got: map[string][]arrival{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			fs := cl.PollFetches(context.Background())
			if fs.IsClientClosed() {
				return
			}
			now := time.Now()
			d.mu.Lock()
			fs.EachRecord(func(r *kgo.Record) {
				rec := FromKafka(r)
				got, err := schemas.ParseDelivery(&rec)
				if err != nil {
					d.errs = append(d.errs, err)
					return
				}
				d.got[got.ID] = append(d.got[got.ID], arrival{Delivery: got, partition: r.Partition, late: now.Sub(got.Due), at: r.Timestamp})
			})
			d.mu.Unlock()
		}
	}()
	return d, func() { cl.Close(); <-done }
}

func (d *dueReader) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.got)
}

// quantiles of how late things arrived.
func (d *dueReader) quantiles(qs ...float64) (out []time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var late []time.Duration
	for _, as := range d.got {
		late = append(late, as[0].late)
	}
	slices.Sort(late)
	for _, q := range qs {
		out = append(out, late[int(q*float64(len(late)-1))])
	}
	return out
}

// check looks at everything that has arrived.
func (d *dueReader) check(t testing.TB, topology schemas.Topology, ids int) (twice int) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.got) != ids || len(d.errs) != 0 {
		t.Errorf("%d of %d deliveries arrived; errors %v", len(d.got), ids, d.errs)
	}
	for id, as := range d.got {
		twice += len(as) - 1
		for _, a := range as {
			switch {
			case a.late < 0 || a.at.Before(a.Due.Truncate(time.Millisecond)):
				t.Errorf("%s: %v early (written %v, due %v)", id, -a.late, a.at, a.Due)
			case a.partition != topology.Slot(a.EndpointID):
				t.Errorf("%s: lies in slot %d of due", id, a.partition)
			case !a.Enqueued.IsZero() || a.Attempts != 1 || string(a.Data) != `{"x": 1}`:
				t.Errorf("%s: was changed: %+v", id, a.Delivery)
			}
		}
	}
	return twice
}

func TestMoverMovesWhatIsDueThroughTheTiers(t *testing.T) {
	c := kafkatest.Start(t)
	w := tailWriter(t, c.Options())
	cfg := moverConfig(c, w)
	cfg.Instance, cfg.Registerer = "m1", prometheus.NewRegistry()
	_, stop := startMover(t, cfg)
	due, end := readDue(t, c.Options(), c.Topology.DueTopic())
	defer end()
	const n = 300
	for i := range n {
		wait := time.Second + time.Duration(i%40)*100*time.Millisecond // one hop for some, 1 s to 4.9 s
		rec := retryOf(t, c.Topology, fmt.Sprint("dlv_", i), fmt.Sprint("wh_", i%17), wait)
		if err := w.AppendAll(minute(t), rec); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "all arrived", func() bool { return due.count() == n })
	if twice := due.check(t, c.Topology, n); twice != 0 {
		t.Errorf("%d arrived twice without any trouble", twice)
	}
	t.Logf("late by: %v", due.quantiles(.5, .99, 1))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	// Everything was committed: a second member finds nothing.
	m, stop := startMover(t, cfg)
	until(t, "assigned", func() bool { return len(m.group.Assignment()) == len(schemas.Tiers()) })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if due.count() != n {
		t.Errorf("the second member moved again")
	}
}

// cutDialer is a network that can be cut: what a kill -9 looks like from the
// broker's side.
type cutDialer struct {
	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

func (d *cutDialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cut {
		_ = conn.Close()
		return nil, errors.New("the wire is cut")
	}
	d.conns = append(d.conns, conn)
	return conn, nil
}

func (d *cutDialer) kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cut = true
	for _, c := range d.conns {
		_ = c.Close()
	}
}

func TestMoverLosesNothingWhenKilled(t *testing.T) {
	c := kafkatest.Start(t)
	w := tailWriter(t, c.Options())
	due, end := readDue(t, c.Options(), c.Topology.DueTopic())
	defer end()
	const n, kills = 2000, 4
	written := make(chan struct{})
	go func() {
		defer close(written)
		for i := range n {
			wait := time.Second + time.Duration(i%30)*100*time.Millisecond
			if err := w.AppendAll(minute(t), retryOf(t, c.Topology, fmt.Sprint("dlv_", i), fmt.Sprint("wh_", i%17), wait)); err != nil {
				t.Error(err)
			}
			time.Sleep(2 * time.Millisecond)
		}
	}()
	var leftovers sync.WaitGroup
	for k := range kills {
		wire := &cutDialer{}
		// The killed process's writer goes with it.
		own, err := producer.NewWriter(c.Options(kgo.Dialer(wire.dial)))
		if err != nil {
			t.Fatal(err)
		}
		cfg := moverConfig(c, own)
		cfg.Options, cfg.Instance = c.Options(kgo.Dialer(wire.dial)), "m1"
		_, stop := startMover(t, cfg)
		aim := due.count() + n/(kills+2)
		until(t, "some moved", func() bool { return due.count() >= min(aim, n) })
		if k == kills-1 {
			break // this one lives to the end
		}
		wire.kill()
		leftovers.Go(func() {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_ = own.Close(ctx)
			_ = stop()
		})
	}
	<-written
	until(t, "all arrived", func() bool { return due.count() == n })
	twice := due.check(t, c.Topology, n)
	t.Logf("%d of %d were moved twice over %d kills", twice, n, kills-1)
	leftovers.Wait()
}

func TestMoverBoundsItsMemory(t *testing.T) {
	c := kafkatest.Start(t)
	w := tailWriter(t, c.Options())
	cfg := moverConfig(c, w)
	cfg.HighMark, cfg.LowMark = 100, 50
	cfg.Options = c.Options(kgo.FetchMaxPartitionBytes(16 << 10)) // some 60 records a fetch
	const n = 4000
	recs := make([]schemas.Record, n)
	for i := range recs {
		recs[i] = retryOf(t, c.Topology, fmt.Sprint("dlv_", i), "wh_1", 5*time.Second)
	}
	if err := w.AppendAll(minute(t), recs...); err != nil {
		t.Fatal(err)
	}
	m, stop := startMover(t, cfg)
	due, end := readDue(t, c.Options(), c.Topology.DueTopic())
	defer end()
	most := 0
	until(t, "the queue filled", func() bool { return m.Waiting() > cfg.HighMark })
	until(t, "all arrived", func() bool {
		most = max(most, m.Waiting())
		return due.count() == n
	})
	due.check(t, c.Topology, n)
	// While it waits it holds the mark and a few fetches; firing at full speed
	// raises the marks by design, but never to all there is.
	if most > n*3/4 {
		t.Errorf("up to %d of %d records were in memory", most, n)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

func TestMoverEndsWhenItCannotWrite(t *testing.T) {
	c := kafkatest.Start(t)
	w := tailWriter(t, c.Options())
	cfg := moverConfig(c, w)
	cfg.Append = func(_ context.Context, _ schemas.Record, done func(int64, error)) { done(-1, errors.New("no disk")) }
	if err := w.AppendAll(minute(t), retryOf(t, c.Topology, "dlv_1", "wh_1", time.Second)); err != nil {
		t.Fatal(err)
	}
	m, err := NewMover(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Run(minute(t)); err == nil || !strings.Contains(err.Error(), "no disk") {
		t.Fatalf("Run returned %v", err)
	}
	// And what it could not write is still there for the next.
	cfg.Append = w.Append
	_, stop := startMover(t, cfg)
	due, end := readDue(t, c.Options(), c.Topology.DueTopic())
	defer end()
	until(t, "it arrived", func() bool { return due.count() == 1 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

func TestMoverSharesPartitionsAndHandsThemOver(t *testing.T) {
	c := kafkatest.Start(t)
	w := tailWriter(t, c.Options())
	due, end := readDue(t, c.Options(), c.Topology.DueTopic())
	defer end()
	const n = 1000
	stopA := func() error { return nil }
	for i := range n {
		rec := retryOf(t, c.Topology, fmt.Sprint("dlv_", i), fmt.Sprint("wh_", i%17), time.Second+time.Duration(i%30)*100*time.Millisecond)
		if err := w.AppendAll(minute(t), rec); err != nil {
			t.Fatal(err)
		}
		switch i {
		case 100:
			_, stopA = startMover(t, moverConfig(c, w))
		case 400: // a second member takes over a part
			_, stop := startMover(t, moverConfig(c, w))
			defer func() {
				if err := stop(); err != nil {
					t.Error(err)
				}
			}()
		case 700: // and then the whole
			if err := stopA(); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Millisecond)
	}
	until(t, "all arrived", func() bool { return due.count() == n })
	t.Logf("%d were moved twice", due.check(t, c.Topology, n))
}

// A day of virtual time: waits that take several tiers.
func TestMoverKeepsLongSchedules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topology := schemas.DevTopology()
		network := &kfake.VirtualNetwork{}
		var topics []kfake.Opt
		topics = append(topics, kfake.NumBrokers(1), kfake.ListenFn(network.Listen), kfake.SeedTopics(topology.Slots, topology.DueTopic()))
		for _, tier := range schemas.Tiers() {
			topics = append(topics, kfake.SeedTopics(topology.Tiers, topology.TierTopic(tier)))
		}
		fake, err := kfake.NewCluster(topics...)
		if err != nil {
			t.Fatal(err)
		}
		// Long polls and sessions: a day has few of them.
		options := []kgo.Opt{kgo.SeedBrokers(fake.ListenAddrs()...), kgo.Dialer(network.DialContext), kgo.FetchMaxWait(time.Minute)}
		w, err := producer.NewWriter(options)
		if err != nil {
			t.Fatal(err)
		}
		cfg := DefaultMoverConfig()
		cfg.Options, cfg.Topology, cfg.Append, cfg.Session = options, topology, w.Append, 50*time.Second
		m, err := NewMover(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- m.Run(ctx) }()
		due, end := readDue(t, options, topology.DueTopic())
		waits := []time.Duration{time.Second, 1900 * time.Millisecond, 7 * time.Second, 61 * time.Second, 5 * time.Minute,
			37*time.Minute + 11*time.Second, 2 * time.Hour, 14 * time.Hour, 24 * time.Hour}
		for i, wait := range waits {
			if err := w.AppendAll(ctx, retryOf(t, topology, fmt.Sprint("dlv_", i), "wh_1", wait)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(24*time.Hour + time.Minute)
		if twice := due.check(t, topology, len(waits)); twice != 0 {
			t.Errorf("%d came twice", twice)
		}
		for id, as := range due.got {
			if as[0].late > time.Second {
				t.Errorf("%s came %v late", id, as[0].late)
			}
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		end()
		if err := w.Close(t.Context()); err != nil {
			t.Error(err)
		}
		fake.Close()
	})
}

func TestMoverLeavesNoGoroutines(t *testing.T) {
	c := kafkatest.Start(t)
	leaks := goleak.IgnoreCurrent()
	w, err := producer.NewWriter(c.Options())
	if err != nil {
		t.Fatal(err)
	}
	m, stop := startMover(t, moverConfig(c, w))
	until(t, "assigned", func() bool { return len(m.group.Assignment()) == len(schemas.Tiers()) })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(minute(t)); err != nil {
		t.Fatal(err)
	}
	goleak.VerifyNone(t, leaks)
}
