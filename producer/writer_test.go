package producer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/hookstream/hookstream/internal/kafkatest"
	"github.com/hookstream/hookstream/producer"
	"github.com/hookstream/hookstream/schemas"
)

// within bounds a test's waiting, generously.
func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func openWriter(t testing.TB, c kafkatest.Cluster) *producer.Writer {
	t.Helper()
	w, err := producer.NewWriter(c.Options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(within(t)); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return w
}

// read returns the first n records of a topic, in offset order per partition.
func read(t testing.TB, c kafkatest.Cluster, topic string, n int) []*kgo.Record {
	t.Helper()
	cl, err := kgo.NewClient(c.Options(kgo.ConsumeTopics(topic), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx := within(t)
	var out []*kgo.Record
	for len(out) < n {
		fs := cl.PollFetches(ctx)
		if err := fs.Err0(); err != nil {
			t.Fatalf("read %d of %d: %v", len(out), n, err)
		}
		out = append(out, fs.Records()...)
	}
	return out
}

func TestWriterPlacesRecords(t *testing.T) {
	c := kafkatest.Start(t)
	w := openWriter(t, c)
	topic := c.Topology.DeliveriesTopic()
	header := []schemas.Header{{Key: "a", Value: []byte("1")}, {Key: "a", Value: nil}}
	recs := []schemas.Record{
		{Topic: topic, Partition: 3, Key: []byte("elsewhere"), Value: []byte("by partition"), Headers: header},
		{Topic: topic, Partition: -1, Key: []byte("wh_1"), Value: []byte("by key")},
		{Topic: topic, Partition: 0, Key: []byte("tombstone")},
	}
	if err := w.AppendAll(within(t), recs...); err != nil {
		t.Fatal(err)
	}
	got := map[string]*kgo.Record{}
	for _, r := range read(t, c, topic, len(recs)) {
		got[string(r.Key)] = r
	}
	if p := got["elsewhere"].Partition; p != 3 {
		t.Errorf("a set partition was not honoured: %d", p)
	}
	if p, want := got["wh_1"].Partition, c.Topology.Slot("wh_1"); p != want {
		t.Errorf("by key: partition %d, want %d", p, want)
	}
	if got["tombstone"].Value != nil {
		t.Errorf("a tombstone became %q", got["tombstone"].Value)
	}
	if h := got["elsewhere"].Headers; len(h) != 2 || h[0].Key != "a" || string(h[0].Value) != "1" {
		t.Errorf("headers: %v", h)
	}
}

func TestWriterAgreesWithKafkasOwnPartitioner(t *testing.T) {
	c := kafkatest.Start(t)
	w := openWriter(t, c)
	topic := c.Topology.EventsTopic()
	cl, err := kgo.NewClient(c.Options(kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	const n = 50
	for i := range n {
		key := []byte(fmt.Sprintf("key-%d", i))
		if err := cl.ProduceSync(within(t), &kgo.Record{Topic: topic, Key: key, Value: []byte("theirs")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := w.AppendAll(within(t), schemas.Record{Topic: topic, Partition: -1, Key: key, Value: []byte("ours")}); err != nil {
			t.Fatal(err)
		}
	}
	at := map[string]map[int32]bool{}
	for _, r := range read(t, c, topic, 2*n) {
		if at[string(r.Key)] == nil {
			at[string(r.Key)] = map[int32]bool{}
		}
		at[string(r.Key)][r.Partition] = true
	}
	for key, partitions := range at {
		if len(partitions) != 1 {
			t.Errorf("%s lies in %d partitions", key, len(partitions))
		}
	}
}

func TestWriterChecksSizesBeforeProducing(t *testing.T) {
	c := kafkatest.Start(t)
	w := openWriter(t, c)
	topic := c.Topology.DeliveriesTopic()
	var limit int
	for _, tp := range c.Topology.Topics() {
		if tp.Name == topic {
			limit = tp.MaxMessage
		}
	}
	// Many that fit, behind each other in one partition: together far over the
	// limit of one batch.
	var recs []schemas.Record
	for i := range 20 {
		recs = append(recs, schemas.Record{Topic: topic, Key: []byte{byte(i)}, Value: bytes.Repeat([]byte{byte(i)}, limit/3)})
	}
	if err := w.AppendAll(within(t), recs...); err != nil {
		t.Fatalf("records that fit alone: %v", err)
	}
	exact := schemas.Record{Topic: topic, Key: []byte("k"), Value: make([]byte, limit)}
	exact.Value = exact.Value[:limit-(producer.RecordSize(&exact)-limit)]
	if err := w.AppendAll(within(t), exact); err != nil {
		t.Fatalf("a record of exactly the limit: %v", err)
	}
	over := exact
	over.Value = make([]byte, len(exact.Value)+1)
	err := w.AppendAll(within(t), over)
	var large *producer.TooLargeError
	if !errors.As(err, &large) || !producer.Refused(err) || large.Topic != topic || large.Limit != limit {
		t.Fatalf("over the limit: %v", err)
	}
	select {
	case err := <-w.Fatal():
		t.Fatalf("a record that is too large ended the process: %v", err)
	default:
	}
}

func TestWriterRefusesKeylessRecordsOfCompactedTopics(t *testing.T) {
	c := kafkatest.Start(t)
	w := openWriter(t, c)
	err := w.AppendAll(within(t), schemas.Record{Topic: c.Topology.EndpointsTopic(), Value: []byte("x")})
	if c.Topology.Compaction != producer.Refused(err) {
		t.Fatalf("compaction %v: got %v", c.Topology.Compaction, err)
	}
}

func TestWriterFailsForGoodWithoutItsTopic(t *testing.T) {
	c := kafkatest.Start(t)
	w := openWriter(t, c)
	err := w.AppendAll(within(t), schemas.Record{Topic: c.Topology.Prefix + "nowhere", Value: []byte("x")})
	if err == nil || producer.Refused(err) {
		t.Fatalf("got %v", err)
	}
	select {
	case fatal := <-w.Fatal():
		if fatal == nil {
			t.Fatal("nil on Fatal")
		}
	case <-within(t).Done():
		t.Fatal("nothing on Fatal")
	}
}

func TestWriterBoundsMemoryAndHonoursContexts(t *testing.T) {
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
	if err != nil {
		t.Fatal(err)
	}
	defer fake.Close()
	cfg := producer.DefaultWriterConfig()
	cfg.MaxBuffered = 1 << 20
	w, err := producer.NewWriterWith(impatient(fake.ListenAddrs()...), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Prepare(within(t), "t"); err != nil {
		t.Fatal(err)
	}
	var away atomic.Bool
	var refused atomic.Int64
	away.Store(true)
	hangUp(fake, func() bool { return away.Load() && refused.Add(1) > 0 })
	var mu sync.Mutex
	written, failed := 0, 0
	done := func(_ int64, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			failed++
		} else {
			written++
		}
	}
	ctx, cancel := context.WithCancel(within(t))
	cancelled := make(chan struct{})
	go func() {
		defer close(cancelled)
		for range 100 { // 20 MB through 1 MiB: stands after a few
			w.Append(ctx, schemas.Record{Topic: "t", Value: make([]byte, 200<<10)}, done)
		}
	}()
	await(t, func() bool { return refused.Load() > 3 })
	cancel()
	<-cancelled
	away.Store(false)
	if err := w.Close(within(t)); err != nil {
		t.Fatal(err)
	}
	// Close waited for the acks; promises may still be on their way.
	await(t, func() bool { mu.Lock(); defer mu.Unlock(); return written+failed == 100 })
	mu.Lock()
	defer mu.Unlock()
	if written < 1 || written > 5 {
		t.Errorf("%d records of 200 KiB were in flight through 1 MiB", written)
	}
}

func TestWriterWritesWhatWasAppendedAcrossOutages(t *testing.T) {
	defer goleak.VerifyNone(t)
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "t"))
	if err != nil {
		t.Fatal(err)
	}
	defer fake.Close()
	w, err := producer.NewWriter(impatient(fake.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	// Hang-ups in every state of a connection, its first request included.
	var calm atomic.Bool
	fake.ControlKey(-1, func(kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		if !calm.Load() && rand.IntN(10) == 0 {
			return nil, errors.New("hanging up"), true
		}
		return nil, nil, false
	})
	// Written, but answered as if it were not: the producer has to try again
	// without writing twice.
	fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.RequestTimedOut, Count: 10})
	var recs []schemas.Record
	for i := range 300 {
		recs = append(recs, schemas.Record{Topic: "t", Partition: int32(i % 3), Value: []byte(fmt.Sprint(i))})
	}
	for i := 0; i < len(recs); i += 10 {
		if err := w.AppendAll(within(t), recs[i:i+10]...); err != nil {
			t.Fatal(err)
		}
	}
	calm.Store(true)
	c := kafkatest.Cluster{Brokers: fake.ListenAddrs()}
	seen := map[string]int{}
	for _, r := range read(t, c, "t", len(recs)) {
		seen[string(r.Value)]++
	}
	for _, rec := range recs {
		if seen[string(rec.Value)] != 1 {
			t.Errorf("record %s is there %d times", rec.Value, seen[string(rec.Value)])
		}
	}
	if err := w.Close(within(t)); err != nil {
		t.Fatal(err)
	}
	if err := w.AppendAll(within(t), recs[0]); !errors.Is(err, producer.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// hangUp closes the connection of every produce request for which when is true.
func hangUp(fake *kfake.Cluster, when func() bool) {
	fake.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		if when() {
			return nil, errors.New("hanging up"), true
		}
		return nil, nil, false
	})
}

// impatient keeps tests with outages short.
func impatient(brokers ...string) []kgo.Opt {
	return []kgo.Opt{kgo.SeedBrokers(brokers...), kgo.MetadataMinAge(20 * time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond })}
}

func await(t testing.TB, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("waited a minute in vain")
		}
		time.Sleep(5 * time.Millisecond)
	}
}
