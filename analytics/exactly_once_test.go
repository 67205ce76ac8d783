package analytics

// The promise of the sink, as a property: whatever fails and whoever is killed,
// at the end every offset is stored once.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"

	"github.com/hookstream/hookstream/schemas"
)

// modelPartition is one partition of a topic and the group's offset in it.
type modelPartition struct {
	mu         sync.Mutex
	log        []*kgo.Record
	end        int64 // offset after the last record
	committed  int64 // -1: none
	meta       string
	generation int
	next       func() fault
}

func (p *modelPartition) commit(generation int) func(context.Context, int64, string) error {
	return func(ctx context.Context, offset int64, meta string) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if err := ctx.Err(); err != nil {
			return err
		}
		if generation != p.generation {
			return errors.New("ILLEGAL_GENERATION")
		}
		switch p.next() {
		case failBefore:
			return errInjected
		case failAfter:
			p.committed, p.meta = offset, meta
			return errInjected
		}
		p.committed, p.meta = offset, meta
		return nil
	}
}

// plan decides, in order, what happens to each operation; when it is used up,
// everything goes well.
type plan struct {
	mu     sync.Mutex
	faults []fault
	ops    int
	killAt int // operations until the stream is cut off; < 0: never
	kill   func()
}

func (p *plan) next() fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ops++
	if p.killAt >= 0 && p.ops == p.killAt && p.kill != nil {
		p.kill()
	}
	if len(p.faults) == 0 {
		return none
	}
	f := p.faults[0]
	p.faults = p.faults[1:]
	return f
}

// done counts the operations of this life.
func (p *plan) done() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ops
}

// life is one owner of the partition and how it comes to its place.
type life struct {
	ops   int   // operations until it is cut off
	reset int64 // before it: the group's offset is set to this; -1: not
	lose  int64 // before it: ClickHouse forgets the rows from here on; -1: not
}

func lives() *rapid.Generator[life] {
	return rapid.Custom(func(t *rapid.T) life {
		l := life{ops: rapid.IntRange(1, 12).Draw(t, "ops"), reset: -1, lose: -1}
		switch rapid.IntRange(0, 9).Draw(t, "accident") {
		case 0:
			l.reset = rapid.Int64Range(0, 60).Draw(t, "reset")
		case 1:
			l.lose = rapid.Int64Range(0, 60).Draw(t, "lose")
		}
		return l
	})
}

func TestEveryOffsetIsStoredOnce(t *testing.T) {
	for _, topic := range []string{"attempts", "notices"} {
		t.Run(topic, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				n := rapid.IntRange(1, 60).Draw(rt, "records")
				script := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) fault { return fault(rapid.IntRange(0, int(faults)-1).Draw(t, "fault")) }), 0, 40).Draw(rt, "faults")
				ls := rapid.SliceOfN(lives(), 0, 8).Draw(rt, "lives")
				rows := rapid.IntRange(1, 20).Draw(rt, "rows of a range")
				holes := rapid.IntRange(1, 3).Draw(rt, "stride of offsets")
				var failure string
				synctest.Test(t, func(*testing.T) { failure = exactlyOnce(topic, n, rows, holes, script, ls) })
				if failure != "" {
					rt.Fatal(failure)
				}
			})
		})
	}
}

func exactlyOnce(topic string, n, rows, stride int, script []fault, ls []life) string {
	pl := &plan{faults: script, killAt: -1}
	house := newModelHouse(pl.next)
	part := &modelPartition{committed: -1, next: pl.next}
	want := map[uint64]string{}
	for i := range n {
		offset := int64(i * stride)
		rec, table := modelRecord(topic, i, offset)
		part.log = append(part.log, rec)
		part.end = offset + 1
		if table != "" {
			want[uint64(offset)] = table
		}
	}
	sink, err := newSink(sinkConfigForTest(rows), house.engine())
	if err != nil {
		return err.Error()
	}
	from := source{topic: topic, id: [16]byte{1, 2, 3, 4, 5}, partition: 0}
	for i, l := range append(ls, life{ops: -1, reset: -1, lose: -1}) {
		last := i == len(ls)
		// One accident at a time: what an operator's reset wipes out, a loss of
		// rows at the same time would have needed.
		in, doubtful := parseMeta(part.meta)
		calm := in == nil && doubtful < 0
		if calm {
			house.arrive()
		}
		stored, _ := house.latest(context.Background(), tablesOf(topic), from.column())
		if highest, ok := stored[0]; ok && calm && highest < part.committed && l.lose >= 0 {
			house.lose(from.column(), l.lose)
		} else if calm && l.reset >= 0 && l.reset <= part.committed {
			part.committed, part.meta = l.reset, ""
		}
		if failure := live(sink, part, house, from, pl, l, last, len(ls)-i); failure != "" {
			return failure
		}
	}
	house.arrive()
	return check(house, from, want)
}

// live is one owner's time with the partition.
func live(sink *Sink, part *modelPartition, house *modelHouse, from source, pl *plan, l life, last bool, seed int) string {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	part.mu.Lock()
	part.generation++
	generation := part.generation
	sink.meta[topicPartition{from.topic, 0}] = part.meta
	offset := kgo.NewOffset().AtStart()
	if part.committed >= 0 {
		offset = kgo.NewOffset().At(part.committed)
	}
	part.mu.Unlock()
	stored, err := house.latest(ctx, tablesOf(from.topic), from.column())
	if err != nil {
		return err.Error()
	}
	st := sink.begin(from, offset, stored)
	s := &stream{from: from, engine: house.engine(), decoder: decoderOf(from.topic), feed: newFeed(limits{rows: sink.cfg.FlushRows, bytes: 1 << 20, interval: sink.pace.interval}, st.next, st.resume),
		commit: part.commit(generation), slots: make(chan struct{}, 1), doubtful: st.doubtful, metrics: sink.metrics, pace: sink.pace, log: sink.log,
		freed: func() {}, quit: make(chan struct{}), done: make(chan struct{})}
	pl.mu.Lock()
	pl.ops, pl.killAt, pl.kill = 0, l.ops, cancel
	pl.mu.Unlock()
	go s.run(ctx)
	for _, r := range part.log {
		if r.Offset < st.next {
			continue
		}
		s.feed.add([]*kgo.Record{r}, part.end, time.Now())
		if int(r.Offset)%(seed%5+2) == 0 {
			time.Sleep(300 * time.Millisecond)
		}
	}
	if !last {
		select {
		case <-ctx.Done():
		case <-time.After(time.Minute):
		}
		if seed%3 == 0 {
			s.stop(false)
			time.Sleep(5 * time.Second)
		}
		cancel()
		<-s.done
		return ""
	}
	settled := func() bool {
		if _, next, _ := s.feed.horizon(); next != part.end {
			return false
		}
		part.mu.Lock()
		defer part.mu.Unlock()
		return part.committed == part.end && part.meta == ""
	}
	for range 3600 {
		if settled() {
			s.stop(false)
			<-s.done
			return ""
		}
		time.Sleep(time.Second)
		if pl.done() > 10_000 {
			break
		}
	}
	cancel()
	<-s.done
	return fmt.Sprintf("never settled: committed %d of %d, metadata %q", part.committed, part.end, part.meta)
}

func check(house *modelHouse, from source, want map[uint64]string) string {
	got := map[uint64]int{}
	for name, table := range house.tables {
		for _, o := range table.rows[from.column()] {
			got[o]++
			if want[o] != name {
				return fmt.Sprintf("offset %d is in table %s, not %q", o, name, want[o])
			}
		}
	}
	for o := range want {
		if got[o] != 1 {
			return fmt.Sprintf("offset %d is stored %d times", o, got[o])
		}
	}
	return ""
}

func tablesOf(topic string) []string {
	if topic == "attempts" {
		return []string{"attempts"}
	}
	return []string{"breaker_events", "audit"}
}

func decoderOf(topic string) *decoder {
	if topic == "attempts" {
		return newAttemptsDecoder()
	}
	return newNoticesDecoder()
}

// modelRecord is the i-th record of a topic and the table it belongs to; every
// seventh is none of ours. Their times fall into two table partitions.
func modelRecord(topic string, i int, offset int64) (*kgo.Record, string) {
	top := schemas.DevTopology()
	at := time.Now().Add(-time.Duration(i%2) * 40 * 24 * time.Hour).UnixMilli()
	rec := &kgo.Record{Topic: topic, Offset: offset, Timestamp: time.Now()}
	if i%7 == 6 {
		rec.Value = []byte("none of ours")
		return rec, ""
	}
	var value []byte
	var table string
	switch {
	case topic == "attempts":
		a := schemas.Attempt{Tenant: "t", EndpointID: "wh_1", DeliveryID: fmt.Sprint("dlv_", i), No: 1, State: schemas.StateSuccess, CreatedAt: at, AttemptedAt: at}
		r, _ := a.Record(top)
		value, table = r.Value, "attempts"
	case i%3 == 0:
		n := schemas.Notice{Kind: schemas.NoticeBreaker, Tenant: "t", EndpointID: "wh_1", At: at, State: "open"}
		r, _ := n.Record(top)
		value, table = r.Value, "breaker_events"
	default:
		n := schemas.Notice{Kind: schemas.NoticeAudit, Tenant: "t", At: at, Action: "webhook.create"}
		r, _ := n.Record(top)
		value, table = r.Value, "audit"
	}
	rec.Value = value
	return rec, table
}

func sinkConfigForTest(rows int) SinkConfig {
	cfg := DefaultSinkConfig()
	cfg.Topology = schemas.DevTopology()
	cfg.FlushRows = rows
	cfg.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	return cfg
}
