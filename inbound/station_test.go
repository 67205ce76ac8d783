package inbound

// What the tests of the deduper and of handlers stand on.

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/hookstream/hookstream/consumer"
	"github.com/hookstream/hookstream/internal/kafkatest"
	"github.com/hookstream/hookstream/producer"
	"github.com/hookstream/hookstream/schemas"
)

// station is a cluster, a writer, and what tests of the room do with them.
type station struct {
	kafkatest.Cluster
	t      *testing.T
	writer *producer.Writer
	group  string
}

func newStation(t *testing.T) *station {
	t.Helper()
	current := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, current) })
	s := &station{Cluster: kafkatest.Start(t), t: t, group: fmt.Sprintf("test-inbound-%x", rand.Uint64())}
	w, err := producer.NewWriter(s.Options())
	if err != nil {
		t.Fatal(err)
	}
	s.writer = w
	t.Cleanup(func() { _ = w.Close(context.Background()) })
	return s
}

// logTo is a logger at a level into the test's log.
func logTo(t *testing.T, level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: level}))
}

type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}

// start runs something until the test ends or stop is called, which gives
// Run's error.
func (s *station) start(run func(context.Context) error) (stop func() error) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		err := run(ctx)
		if err != nil && ctx.Err() == nil {
			s.t.Errorf("it ended by itself: %v", err)
		}
		done <- err
	}()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	s.t.Cleanup(func() { _ = stop() })
	return stop
}

// received is a webhook as a receiver makes it.
func received(n int, source, key, kind string) schemas.Inbound {
	return schemas.Inbound{ID: fmt.Sprintf("in_%06d", n), Source: source, Profile: "standard", Tenant: "default", Key: key, Type: kind,
		Received: time.Now(), ContentType: "application/json", Body: fmt.Appendf(nil, `{"n": %d}`, n)}
}

// put writes webhooks to inbound.raw.
func (s *station) put(ins ...schemas.Inbound) {
	s.t.Helper()
	s.putTo(s.Topology.InboundRawTopic(), ins...)
}

func (s *station) putTo(topic string, ins ...schemas.Inbound) {
	s.t.Helper()
	recs := make([]schemas.Record, len(ins))
	for i := range ins {
		recs[i] = ins[i].Record(s.Topology, topic)
	}
	if err := s.writer.AppendAll(context.Background(), recs...); err != nil {
		s.t.Fatal(err)
	}
}

// all is what a topic holds now.
func (s *station) all(topic string) []schemas.Record {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(s.Options()...)
	if err != nil {
		s.t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	starts, err := listed(adm.ListStartOffsets(ctx, topic))
	if err != nil {
		s.t.Fatal(err)
	}
	ends, err := listed(adm.ListEndOffsets(ctx, topic))
	if err != nil {
		s.t.Fatal(err)
	}
	want := map[int32]span{}
	ends.Each(func(o kadm.ListedOffset) {
		start, _ := starts.Lookup(topic, o.Partition)
		want[o.Partition] = span{start.Offset, o.Offset}
	})
	var out []schemas.Record
	if err := readBack(ctx, s.Options(), topic, want, func(r *kgo.Record) { out = append(out, consumer.FromKafka(r)) }); err != nil {
		s.t.Fatal(err)
	}
	return out
}

// until waits for a condition.
func (s *station) until(what string, ok func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("waited a minute for %s", what)
		}
	}
}

// caughtUp waits until a group has read and committed a topic.
func (s *station) caughtUp(group, topic string) {
	s.t.Helper()
	cl, err := kgo.NewClient(s.Options()...)
	if err != nil {
		s.t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	s.until("group "+group+" to catch up with "+topic, func() bool {
		ends, err := listed(adm.ListEndOffsets(context.Background(), topic))
		if err != nil {
			return false
		}
		at, err := adm.FetchOffsetsForTopics(context.Background(), group, topic)
		if err != nil {
			return false
		}
		behind := false
		ends.Each(func(o kadm.ListedOffset) {
			c, ok := at.Lookup(topic, o.Partition)
			behind = behind || o.Offset > 0 && (!ok || c.At < o.Offset)
		})
		return !behind
	})
}

func (s *station) parse(recs []schemas.Record) []schemas.Inbound {
	s.t.Helper()
	out := make([]schemas.Inbound, len(recs))
	for i := range recs {
		var err error
		if out[i], err = schemas.ParseInbound(&recs[i]); err != nil {
			s.t.Fatal(err)
		}
	}
	return out
}
