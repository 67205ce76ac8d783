package analytics

// The sink between a Kafka cluster and a ClickHouse, modelled or real, with
// owners that come, go and are killed.

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/hookstream/hookstream/internal/kafkatest"
	"github.com/hookstream/hookstream/schemas"
)

func groupName(t testing.TB) string {
	t.Helper()
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		t.Fatal(err)
	}
	return schemas.NewID("sink-", b)
}

// produced counts what a test wrote and should find.
type produced struct{ attempts, routed, breaker, audit, invalid int }

// produce writes n of each record; every 50th is none of ours. Numbers begin
// at from, so that calls add up.
func produce(t testing.TB, c kafkatest.Cluster, from, n int) produced {
	t.Helper()
	cl, err := kgo.NewClient(c.Options(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var p produced
	var records []*kgo.Record
	add := func(r schemas.Record, err error) {
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value})
	}
	for i := from; i < from+n; i++ {
		at := time.Now().Add(-time.Duration(i%3) * 8 * 24 * time.Hour).UnixMilli()
		endpoint := fmt.Sprintf("wh_%d", i%17)
		event, delivery := fmt.Sprintf("evt_%d", i), fmt.Sprintf("dlv_%d", i)
		a := schemas.Attempt{Tenant: "t", EndpointID: endpoint, DeliveryID: delivery, No: 1, EventID: event, EventType: "a.b", State: schemas.StateSuccess,
			CreatedAt: at, AttemptedAt: at + 5, DurationMS: int64(i % 100), ResponseCode: 200}
		add(a.Record(c.Topology))
		p.attempts++
		r := schemas.Routed{EventID: event, Tenant: "t", Type: "a.b", Time: at, CreatedAt: at, DeliveryIDs: []string{delivery}, EndpointIDs: []string{endpoint},
			Skipped: []schemas.Skip{}, Data: []byte(`{"n": 1}`)}
		add(r.Record(c.Topology, int32(i)%c.Topology.Events))
		p.routed++
		if i%2 == 0 {
			n := schemas.Notice{Kind: schemas.NoticeBreaker, Tenant: "t", EndpointID: endpoint, At: at, State: "open"}
			add(n.Record(c.Topology))
			p.breaker++
		} else {
			n := schemas.Notice{Kind: schemas.NoticeDisabled, Tenant: "t", EndpointID: endpoint, At: at, Reason: "gone"}
			add(n.Record(c.Topology))
			p.audit++
		}
		if i%50 == 0 {
			add(schemas.Record{Topic: c.Topology.AttemptsTopic(), Partition: 0, Value: []byte("none of ours")}, nil)
			p.invalid++
		}
	}
	if err := cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	return p
}

func sinkOn(t testing.TB, c kafkatest.Cluster, group string, e engine, change func(*SinkConfig)) *Sink {
	t.Helper()
	cfg := DefaultSinkConfig()
	cfg.Options, cfg.Topology, cfg.Group = c.Options(), c.Topology, group
	cfg.FlushInterval, cfg.FlushRows, cfg.Session = 50*time.Millisecond, 100, 6*time.Second
	if change != nil {
		change(&cfg)
	}
	s, err := newSink(cfg, e)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// runSink runs a sink until the returned stop.
func runSink(t testing.TB, s *Sink) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("running the sink: %v", err)
		}
	}
}

// tally is what the modelled tables hold: rows, and offsets held twice.
func (h *modelHouse) tally() (p produced, twice int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, table := range h.tables {
		n := 0
		for _, offsets := range table.rows {
			seen := map[uint64]bool{}
			for _, o := range offsets {
				if seen[o] {
					twice++
				}
				seen[o] = true
				n++
			}
		}
		switch name {
		case "attempts":
			p.attempts = n
		case "events":
			p.routed = n
		case "breaker_events":
			p.breaker = n
		case "audit":
			p.audit = n
		}
	}
	return p, twice
}

func TestSinkStoresAllTopicsWhileMembersComeAndGo(t *testing.T) {
	c := kafkatest.Start(t)
	script := []fault{none, failAfter, none, half, failBefore, none, poison, none, none, failAfter, late, none, none, failBefore, poison}
	pl := &plan{faults: script, killAt: -1}
	h := newModelHouse(pl.next)
	h.partitioned = true
	group := groupName(t)
	reg := prometheus.NewRegistry()
	kept := make(chan schemas.Record, 100)
	first := sinkOn(t, c, group, h.engine(), func(cfg *SinkConfig) {
		cfg.Metrics = reg
		cfg.Append = func(_ context.Context, rec schemas.Record, done func(int64, error)) { kept <- rec; done(0, nil) }
	})
	want := produce(t, c, 0, 400)
	stopFirst := runSink(t, first)
	eventually(t, "some rows", func() bool { p, _ := h.tally(); return p.attempts > 50 })
	stopSecond := runSink(t, sinkOn(t, c, group, h.engine(), nil))
	more := produce(t, c, 400, 400)
	eventually(t, "all rows", func() bool {
		p, _ := h.tally()
		return p.attempts == want.attempts+more.attempts && p.routed == want.routed+more.routed && p.breaker == want.breaker+more.breaker && p.audit == want.audit+more.audit
	})
	stopFirst()
	again := produce(t, c, 800, 200)
	eventually(t, "the rows after a member left", func() bool {
		p, _ := h.tally()
		return p.attempts == want.attempts+more.attempts+again.attempts && p.routed == want.routed+more.routed+again.routed
	})
	stopSecond()
	h.arrive()
	if p, twice := h.tally(); twice > 0 {
		t.Errorf("%d offsets are stored twice; rows %+v", twice, p)
	}
	if len(kept) == 0 {
		t.Error("records that are none of ours were not kept")
	} else if rec := <-kept; rec.Topic != c.Topology.EventsInvalidTopic() || string(rec.Value) != "none of ours" {
		t.Errorf("kept %q in %s", rec.Value, rec.Topic)
	} else if from, _ := rec.Header(schemas.HdrSource); !strings.HasPrefix(from, c.Topology.AttemptsTopic()) {
		t.Errorf("kept without its source: %q", from)
	}
}

func TestSinkWaitsForClickHouseInBoundedMemory(t *testing.T) {
	c := kafkatest.Start(t)
	pl := &plan{killAt: -1}
	h := newModelHouse(pl.next)
	h.partitioned = true
	h.down = true
	reg := prometheus.NewRegistry()
	sink := sinkOn(t, c, groupName(t), h.engine(), func(cfg *SinkConfig) {
		cfg.Metrics, cfg.FlushBytes, cfg.BufferBytes = reg, 8<<10, 32<<10
	})
	stop := runSink(t, sink)
	want := produce(t, c, 0, 500)
	eventually(t, "tries at a ClickHouse that is down", func() bool { return h.tried() > 3 })
	h.setDown(false)
	eventually(t, "the first rows", func() bool { p, _ := h.tally(); return p.attempts > 0 })
	h.setDown(true)
	more := produce(t, c, 500, 1500)
	eventually(t, "a pause of the fetching", func() bool {
		sink.mu.Lock()
		defer sink.mu.Unlock()
		return len(sink.paused) > 0
	})
	if _, _, buffered := sink.state(); buffered > 4<<20 {
		t.Errorf("%d bytes are buffered", buffered)
	}
	h.setDown(false)
	eventually(t, "all rows", func() bool {
		p, _ := h.tally()
		return p.attempts == want.attempts+more.attempts && p.routed == want.routed+more.routed && p.breaker == want.breaker+more.breaker
	})
	eventually(t, "no lag", func() bool {
		lag, _, _ := sink.state()
		return lag[c.Topology.AttemptsTopic()] == 0 && lag[c.Topology.RoutedTopic()] == 0
	})
	if asOf, ok := sink.AsOf(); !ok || time.Since(asOf) > time.Hour {
		t.Errorf("as of %s, %v", asOf, ok)
	}
	families, err := reg.Gather()
	names := map[string]bool{}
	for _, f := range families {
		names[f.GetName()] = true
	}
	for _, want := range []string{"hookstream_sink_rows_total", "hookstream_sink_lag_records", "hookstream_sink_lag_seconds", "hookstream_sink_insert_seconds"} {
		if err != nil || !names[want] {
			t.Errorf("metric %s is missing (%v)", want, err)
		}
	}
	stop()
	if _, twice := h.tally(); twice > 0 {
		t.Errorf("%d offsets are stored twice", twice)
	}
}

func TestSinkLeavesNoGoroutine(t *testing.T) {
	c := kafkatest.Start(t)
	before := goleak.IgnoreCurrent()
	h := newModelHouse(func() fault { return none })
	h.partitioned = true
	stop := runSink(t, sinkOn(t, c, groupName(t), h.engine(), nil))
	produce(t, c, 0, 20)
	eventually(t, "rows", func() bool { p, _ := h.tally(); return p.attempts == 20 })
	stop()
	goleak.VerifyNone(t, before)
}

func TestSinkConfigNamesWhatIsWrong(t *testing.T) {
	good := DefaultSinkConfig()
	good.Topology, good.Store = schemas.DevTopology(), &Store{}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*SinkConfig){
		"store": func(c *SinkConfig) { c.Store = nil }, "flush rows": func(c *SinkConfig) { c.FlushRows = 300_000 },
		"flush interval": func(c *SinkConfig) { c.FlushInterval = 0 }, "inserts": func(c *SinkConfig) { c.Inserts = 0 },
		"session": func(c *SinkConfig) { c.Session = time.Second }, "slots": func(c *SinkConfig) { c.Topology.Slots = 0 },
	} {
		cfg := good
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestSinkEndsWhileClickHouseIsDown(t *testing.T) {
	c := kafkatest.Start(t)
	produce(t, c, 0, 50)
	h := newModelHouse(func() fault { return none })
	h.partitioned = true
	h.down = true
	stop := runSink(t, sinkOn(t, c, groupName(t), h.engine(), nil))
	eventually(t, "a partition that waits", func() bool { return h.tried() > 0 })
	stop() // while assignments wait
	h.setDown(false)
	stop = runSink(t, sinkOn(t, c, groupName(t), h.engine(), nil))
	eventually(t, "rows", func() bool { p, _ := h.tally(); return p.attempts > 0 && p.routed > 0 })
	h.setDown(true)
	produce(t, c, 50, 50)
	tried := h.tried()
	eventually(t, "an insert that fails", func() bool { return h.tried() > tried })
	stop() // while ranges wait
}
