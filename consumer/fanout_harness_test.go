package consumer

// What the fan-out tests stand on: a cluster, a writer, a registry, readers.

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/internal/kafkatest"
	"github.com/hookstream/hookstream/producer"
	"github.com/hookstream/hookstream/schemas"
)

// fanoutTest is a cluster, a writer, and a registry that a test fills.
type fanoutTest struct {
	kafkatest.Cluster
	t      *testing.T
	writer *producer.Writer
	name   string

	mu      sync.Mutex
	matches map[string][]schemas.Match // by event type
}

func newFanoutTest(t *testing.T) *fanoutTest {
	noLeaks(t)
	f := &fanoutTest{Cluster: kafkatest.Start(t), t: t, name: fmt.Sprintf("test-fanout-%x", rand.Uint64()), matches: map[string][]schemas.Match{}}
	w, err := producer.NewWriter(f.Options())
	if err != nil {
		t.Fatal(err)
	}
	f.writer = w
	t.Cleanup(func() { _ = w.Close(context.Background()) })
	return f
}

func (f *fanoutTest) config() FanoutConfig {
	c := DefaultFanoutConfig()
	c.Options, c.Group, c.Instance, c.Topology = f.Options(), f.name, "a", f.Topology
	c.Barrier = func(context.Context) error { return nil }
	c.Match = func(_ context.Context, ev *schemas.Event) ([]schemas.Match, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.matches[ev.Type], nil
	}
	c.Append = f.writer.Append
	c.Log = slog.New(slog.NewTextHandler(testWriter{f.t}, &slog.HandlerOptions{Level: slog.LevelError}))
	return c
}

// start runs a fan-out; stop ends it and returns Run's error.
func (f *fanoutTest) start(c FanoutConfig) (done chan error, stop func() error) {
	f.t.Helper()
	fan, err := NewFanout(c)
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done = make(chan error, 1)
	go func() { done <- fan.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	f.t.Cleanup(func() { _ = stop() })
	return done, stop
}

// produce writes records with a client of its own and returns where they lie.
func (f *fanoutTest) produce(recs ...*kgo.Record) {
	f.t.Helper()
	cl, err := kgo.NewClient(f.Options()...)
	if err != nil {
		f.t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.ProduceSync(context.Background(), recs...).FirstErr(); err != nil {
		f.t.Fatal(err)
	}
}

// read returns a topic's records once it has at least n of them.
func (f *fanoutTest) read(topic string, n int) []schemas.Record {
	f.t.Helper()
	cl, err := kgo.NewClient(f.Options(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(50*time.Millisecond))...)
	if err != nil {
		f.t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var out []schemas.Record
	for len(out) < n {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			f.t.Fatalf("%s has %d records, want %d", topic, len(out), n)
		}
		for _, r := range fetches.Records() {
			out = append(out, FromKafka(r))
		}
	}
	return out
}

// size is how many records a topic holds.
func (f *fanoutTest) size(topic string) int {
	f.t.Helper()
	cl, err := kgo.NewClient(f.Options()...)
	if err != nil {
		f.t.Fatal(err)
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(context.Background(), topic)
	if err != nil {
		f.t.Fatal(err)
	}
	n := 0
	ends.Each(func(o kadm.ListedOffset) { n += int(o.Offset) })
	return n
}

func (f *fanoutTest) routedOf(n int) map[string]schemas.Routed {
	f.t.Helper()
	out := map[string]schemas.Routed{}
	for _, rec := range f.read(f.Topology.RoutedTopic(), n) {
		r, err := schemas.ParseRouted(&rec)
		if err != nil {
			f.t.Fatal(err)
		}
		out[r.EventID] = r
	}
	return out
}

// counted is a counter's value under its one label.
func counted(t *testing.T, reg *prometheus.Registry, name, label string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.Metric {
			if family.GetName() == name && m.Label[0].GetValue() == label {
				return m.Counter.GetValue()
			}
		}
	}
	return 0
}

func headers(kv ...string) (out []kgo.RecordHeader) {
	for i := 0; i < len(kv); i += 2 {
		out = append(out, kgo.RecordHeader{Key: kv[i], Value: []byte(kv[i+1])})
	}
	return out
}
