package producer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/internal/kafkatest"
	"github.com/hookstream/hookstream/producer"
	"github.com/hookstream/hookstream/schemas"
)

func openPublisher(t testing.TB, cfg producer.PublisherConfig) *producer.Publisher {
	t.Helper()
	p, err := producer.NewPublisher(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = p.Close(ctx)
	})
	return p
}

// parse reads a record as the fan-out would.
func parse(t testing.TB, r *kgo.Record) schemas.Event {
	t.Helper()
	rec := schemas.Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value, Time: r.Timestamp}
	for _, h := range r.Headers {
		rec.Headers = append(rec.Headers, schemas.Header{Key: h.Key, Value: h.Value})
	}
	ev, err := schemas.ParseEvent(schemas.EventSource{Topic: r.Topic}, &rec)
	if err != nil {
		t.Fatalf("what was published is no event: %v", err)
	}
	return ev
}

func TestPublisherWritesWhatFanoutReads(t *testing.T) {
	c := kafkatest.Start(t)
	p := openPublisher(t, producer.PublisherConfig{Options: c.Options(), Topic: c.Topology.EventsTopic()})
	data := `{ "z":1,  "a":"<&>\u2028", "n":1.50 }`
	want := schemas.Event{Type: "resume.created", Tenant: "t1", Key: "k", Data: []byte(data), Time: time.Date(2025, 3, 4, 5, 6, 7, 0, time.UTC)}
	receipt, err := p.Publish(within(t), want)
	if err != nil {
		t.Fatal(err)
	}
	if !schemas.IsMadeID(schemas.EventPrefix, receipt.ID) {
		t.Errorf("made id %q", receipt.ID)
	}
	r := read(t, c, c.Topology.EventsTopic(), 1)[0]
	if r.Partition != receipt.Partition || r.Offset != receipt.Offset || r.Topic != receipt.Topic {
		t.Errorf("the receipt says %+v, the record lies at %s/%d/%d", receipt, r.Topic, r.Partition, r.Offset)
	}
	got := parse(t, r)
	if got.ID != receipt.ID || got.Type != want.Type || got.Tenant != want.Tenant || got.Key != want.Key || !got.Time.Equal(want.Time) {
		t.Errorf("got %+v", got)
	}
	if string(got.Data) != data {
		t.Errorf("data was changed to %s", got.Data)
	}
}

func TestPublisherTellsWhatIsWrong(t *testing.T) {
	c := kafkatest.Start(t)
	p := openPublisher(t, producer.PublisherConfig{Options: c.Options(), Topic: c.Topology.EventsTopic(), DataLimit: 1000})
	big := []byte(`"` + strings.Repeat("x", 1000) + `"`)
	results := p.PublishBatch(within(t), []schemas.Event{
		{Type: "a", Data: []byte(`1`)},
		{Data: []byte(`1`)},
		{Type: "a", Data: []byte(`{`)},
		{Type: "a", Data: big},
		{ID: "mine", Type: "a", Data: []byte(`2`)},
	})
	if len(results) != 5 {
		t.Fatalf("%d results", len(results))
	}
	for i, field := range map[int]string{1: "type", 2: "data"} {
		var bad *schemas.InvalidEvent
		if !errors.As(results[i].Err, &bad) || bad.Field != field {
			t.Errorf("%d: %v, want field %s", i, results[i].Err, field)
		}
	}
	var large *producer.DataTooLargeError
	if !errors.As(results[3].Err, &large) || large.Size != len(big) || large.Limit != 1000 {
		t.Errorf("too large: %v", results[3].Err)
	}
	for _, i := range []int{0, 4} {
		if results[i].Err != nil || results[i].Offset < 0 {
			t.Errorf("%d: one bad event kept a good one back: %+v", i, results[i])
		}
	}
	if results[4].ID != "mine" {
		t.Errorf("a given id became %q", results[4].ID)
	}
	if n := len(read(t, c, c.Topology.EventsTopic(), 2)); n != 2 {
		t.Errorf("%d records, want 2", n)
	}
}

func TestPublisherSaysWhenTheOutcomeIsUnknown(t *testing.T) {
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
	if err != nil {
		t.Fatal(err)
	}
	defer fake.Close()
	p := openPublisher(t, producer.PublisherConfig{Options: impatient(fake.ListenAddrs()...), Topic: "t"})
	if err := p.Prepare(within(t)); err != nil {
		t.Fatal(err)
	}
	var away atomic.Bool
	away.Store(true)
	ctx, cancel := context.WithCancel(within(t))
	hangUp(fake, func() bool { cancel(); return away.Load() })
	receipt, err := p.Publish(ctx, schemas.Event{Type: "a", Data: []byte("1")})
	if !errors.Is(err, producer.ErrOutcomeUnknown) || !errors.Is(err, context.Canceled) || receipt.ID == "" {
		t.Fatalf("cut off under way: %+v %v", receipt, err)
	}
	away.Store(false)
	// The same id again is what the error asks for.
	if _, err := p.Publish(within(t), schemas.Event{ID: receipt.ID, Type: "a", Data: []byte("1")}); err != nil {
		t.Fatal(err)
	}
}

func TestPublisherSaysWhenNothingWasSent(t *testing.T) {
	// Nobody listens there: the topic's settings cannot be asked for.
	p := openPublisher(t, producer.PublisherConfig{Options: impatient("127.0.0.1:1"), Topic: "t"})
	ctx, cancel := context.WithTimeout(within(t), 100*time.Millisecond)
	defer cancel()
	_, err := p.Publish(ctx, schemas.Event{Type: "a", Data: []byte("1")})
	if !errors.Is(err, producer.ErrNotSent) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
}

func TestFeedPublishesEveryGoodLineAndNamesTheOthers(t *testing.T) {
	c := kafkatest.Start(t)
	p := openPublisher(t, producer.PublisherConfig{Options: c.Options(), Topic: c.Topology.EventsTopic()})
	var in strings.Builder
	for i := 1; i <= 100; i++ {
		switch {
		case i == 7:
			in.WriteString("no json\n")
		case i == 8:
			in.WriteString("\r\n")
		case i == 9:
			in.WriteString(`{"type":"a","data":"` + strings.Repeat("x", 5000) + "\"}\r\n")
		case i == 100:
			in.WriteString(`{"type":"a","data":100}`) // no newline at the end
		default:
			fmt.Fprintf(&in, "{\"type\":\"a\",\"data\":%d}\r\n", i)
		}
	}
	calls := 0
	report, err := producer.Feed(within(t), strings.NewReader(in.String()), producer.FeedConfig{
		Publish: p.PublishBatch, BatchSize: 10, LineLimit: 4000, Progress: func(producer.FeedReport) { calls++ },
	})
	if err != nil {
		t.Fatal(err)
	}
	if report.Lines != 99 || report.Published != 97 || report.Failed != 2 || calls < 9 {
		t.Errorf("report %+v, %d progress calls", report, calls)
	}
	if len(report.Errors) != 2 || report.Errors[0].Line != 7 || report.Errors[1].Line != 9 {
		t.Errorf("errors %v", report.Errors)
	}
	seen := map[string]bool{}
	for _, r := range read(t, c, c.Topology.EventsTopic(), 97) {
		seen[string(parse(t, r).Data)] = true
	}
	if len(seen) != 97 || !seen["1"] || !seen["100"] || seen["8"] {
		t.Errorf("%d events are there", len(seen))
	}
}

func TestFeedReportsWhatACancelledRunDid(t *testing.T) {
	ctx, cancel := context.WithCancel(within(t))
	report, err := producer.Feed(ctx, strings.NewReader(strings.Repeat(`{"type":"a","data":1}`+"\n", 50)), producer.FeedConfig{
		BatchSize: 10,
		Publish: func(ctx context.Context, events []schemas.Event) []producer.Result {
			defer cancel()
			return make([]producer.Result, len(events))
		},
	})
	if !errors.Is(err, context.Canceled) || report.Published != 10 || report.Lines != 10 {
		t.Errorf("got %+v, %v", report, err)
	}
}
