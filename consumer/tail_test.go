package consumer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/hookstream/hookstream/internal/kafkatest"
	"github.com/hookstream/hookstream/producer"
	"github.com/hookstream/hookstream/schemas"
)

// tailed is a running tail and what it applied.
type tailed struct {
	*Tail
	t       testing.TB
	mu      sync.Mutex
	last    map[string]string // value by key
	offsets map[int32]int64
	count   int
	stop    context.CancelFunc
	done    chan error
}

func startTail(t testing.TB, options []kgo.Opt, topic string) *tailed {
	t.Helper()
	d := &tailed{t: t, last: map[string]string{}, offsets: map[int32]int64{}, done: make(chan error, 1)}
	d.Tail = NewTail(TailConfig{Options: options, Topic: topic, Apply: d.apply})
	var ctx context.Context
	ctx, d.stop = context.WithCancel(context.Background())
	go func() { d.done <- d.Run(ctx) }()
	t.Cleanup(d.stop)
	return d
}

func (d *tailed) apply(rec *schemas.Record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if at, ok := d.offsets[rec.Partition]; ok && rec.Offset <= at {
		d.t.Errorf("partition %d: offset %d after %d", rec.Partition, rec.Offset, at)
	}
	d.offsets[rec.Partition] = rec.Offset
	d.last[string(rec.Key)] = string(rec.Value)
	d.count++
}

func (d *tailed) value(key string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last[key]
}

func (d *tailed) end() error {
	d.stop()
	select {
	case err := <-d.done:
		return err
	case <-time.After(time.Minute):
		return errors.New("the tail does not end")
	}
}

// minute bounds a test's waiting.
func minute(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func tailWriter(t testing.TB, options []kgo.Opt) *producer.Writer {
	t.Helper()
	w, err := producer.NewWriter(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = w.Close(ctx)
	})
	return w
}

func tailPut(t testing.TB, w *producer.Writer, topic string, partition int32, key, value string) {
	t.Helper()
	if err := w.AppendAll(minute(t), schemas.Record{Topic: topic, Partition: partition, Key: []byte(key), Value: []byte(value)}); err != nil {
		t.Error(err)
	}
}

func TestTailBarrierShowsWhatWasAckedBefore(t *testing.T) {
	c := kafkatest.Start(t)
	topic := c.Topology.EndpointsTopic()
	w := tailWriter(t, c.Options())
	tailPut(t, w, topic, 1, "before", "1")
	d := startTail(t, c.Options(), topic)
	// Many writers, each checking its own write behind a barrier of its own.
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 25 {
				key, value := fmt.Sprintf("k%d", g), fmt.Sprint(i)
				tailPut(t, w, topic, int32(g)%c.Topology.Registry, key, value)
				if err := d.Barrier(minute(t)); err != nil {
					t.Error(err)
					return
				}
				if got := d.value(key); got != value {
					t.Errorf("%s is %q behind the barrier, want %q", key, got, value)
				}
			}
		})
	}
	wg.Wait()
	if !d.Ready() || d.value("before") != "1" {
		t.Errorf("ready %v, before %q", d.Ready(), d.value("before"))
	}
	if err := d.end(); err != nil {
		t.Fatal(err)
	}
	if err := d.Barrier(minute(t)); err == nil {
		t.Error("a barrier passed on a tail that has ended")
	}
}

func TestTailBarrierPassesWhereNoRecordIs(t *testing.T) {
	c := kafkatest.Start(t)
	topic := c.Topology.EndpointsTopic()
	// Transactions end in control records, which take an offset and are never
	// read; an aborted one's records are (the tail reads uncommitted).
	tx, err := kgo.NewClient(c.Options(kgo.TransactionalID(topic+"-tx"), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Close()
	if err := tx.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := tx.ProduceSync(minute(t), &kgo.Record{Topic: topic, Partition: 0, Key: []byte("k"), Value: []byte("v")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := tx.EndTransaction(minute(t), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	// A partition whose records were all deleted has an end but no record.
	w := tailWriter(t, c.Options())
	for range 10 {
		tailPut(t, w, topic, 1, "gone", "x")
	}
	del := kadm.Offsets{}
	del.AddOffset(topic, 1, 10, -1)
	if _, err := kadm.NewClient(tx).DeleteRecords(minute(t), del); err != nil {
		t.Fatal(err)
	}
	d := startTail(t, c.Options(), topic)
	if err := d.Barrier(minute(t)); err != nil {
		t.Fatal(err)
	}
	if d.value("k") != "v" {
		t.Error("the committed record was not applied")
	}
	// And behind the gaps it goes on.
	for p := range c.Topology.Registry {
		tailPut(t, w, topic, p, fmt.Sprint("after", p), "y")
	}
	if err := d.Barrier(minute(t)); err != nil {
		t.Fatal(err)
	}
	for p := range c.Topology.Registry {
		if d.value(fmt.Sprint("after", p)) != "y" {
			t.Errorf("partition %d: what came after the gap is not there", p)
		}
	}
	if err := d.end(); err != nil {
		t.Fatal(err)
	}
}

func TestTailRidesThroughBrokerRestarts(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "t"))
	if err != nil {
		t.Fatal(err)
	}
	defer fake.Close()
	options := []kgo.Opt{kgo.SeedBrokers(fake.ListenAddrs()...), kgo.MetadataMinAge(20 * time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond })}
	// Every tenth request of any kind ends in a hang-up.
	var away atomic.Bool
	fake.ControlKey(-1, func(req kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		if away.Load() || rand.IntN(10) == 0 {
			return nil, errors.New("hanging up"), true
		}
		return nil, nil, false
	})
	w, err := producer.NewWriter(options)
	if err != nil {
		t.Fatal(err)
	}
	d := startTail(t, options, "t")
	for i := range 60 {
		if i%20 == 10 {
			away.Store(true)
			time.AfterFunc(100*time.Millisecond, func() { away.Store(false) })
		}
		tailPut(t, w, "t", int32(i%3), "k", fmt.Sprint(i))
		if err := d.Barrier(minute(t)); err != nil {
			t.Fatal(err)
		}
		if got := d.value("k"); got != fmt.Sprint(i) {
			t.Fatalf("behind the barrier k is %s, want %d", got, i)
		}
	}
	away.Store(false)
	if d.count != 60 {
		t.Errorf("%d records applied, want 60", d.count)
	}
	if err := d.end(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(minute(t)); err != nil {
		t.Fatal(err)
	}
}

func TestTailBarrierNeedsRun(t *testing.T) {
	d := NewTail(TailConfig{Topic: "t", Apply: func(*schemas.Record) {}})
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := d.Barrier(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a barrier before Run: %v", err)
	}
	bad := NewTail(TailConfig{Topic: "t"})
	if err := bad.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "apply") {
		t.Errorf("without Apply: %v", err)
	}
	if err := bad.Barrier(minute(t)); err == nil || !strings.Contains(err.Error(), "apply") {
		t.Errorf("a barrier on a tail that failed: %v", err)
	}
}

func TestAsksNeverShareAListingUnderWay(t *testing.T) {
	a := newAsks()
	ctx, cancel := context.WithCancel(minute(t))
	var began atomic.Int64
	release := make(chan struct{})
	served := make(chan struct{})
	go func() {
		defer close(served)
		a.serve(ctx, func(context.Context) (map[int32]int64, error) {
			n := began.Add(1)
			<-release
			return map[int32]int64{0: n}, nil
		})
	}()
	answers := make(chan int64, 4)
	ask := func() {
		ends, err := a.ends(ctx)
		if err != nil {
			t.Error(err)
		}
		answers <- ends[0]
	}
	go ask()
	for began.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	// The first listing is under way: these three have to get the second, shared.
	for range 3 {
		go ask()
	}
	for queued := false; !queued; time.Sleep(time.Millisecond) {
		a.state.mu.Lock()
		queued = a.state.next != nil
		a.state.mu.Unlock()
	}
	release <- struct{}{}
	if got := <-answers; got != 1 {
		t.Fatalf("the first caller got listing %d", got)
	}
	close(release)
	for range 3 {
		if got := <-answers; got < 2 {
			t.Errorf("a caller got a listing that began before it asked")
		}
	}
	cancel()
	<-served
}
