package inbound

// The deduper on Kafka: one copy for each key, over restarts, kills and several
// members, on the topic that the source names.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

func (s *station) deduper(instance string) DeduperConfig {
	c := DefaultDeduperConfig()
	c.Options, c.Group, c.Instance, c.Topology = s.Options(), s.group, instance, s.Topology
	c.Append, c.Log = s.writer.Append, logTo(s.t, slog.LevelWarn)
	return c
}

func (s *station) startDeduper(c DeduperConfig) (stop func() error) {
	s.t.Helper()
	d, err := NewDeduper(c)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.start(d.Run)
}

func TestDeduperCopiesEachKeyOnce(t *testing.T) {
	s := newStation(t)
	var ins []schemas.Inbound
	for n := range 300 {
		ins = append(ins, received(n, []string{"a", "b"}[n%2], fmt.Sprint("k", n/2%50), "x"))
	}
	s.put(ins...)
	s.startDeduper(s.deduper(""))
	s.caughtUp(s.group, s.Topology.InboundRawTopic())

	raw := map[string]schemas.Record{}
	for _, rec := range s.all(s.Topology.InboundRawTopic()) {
		raw[schemas.Position{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset}.String()] = rec
	}
	seen := map[string]bool{}
	recs := s.all(s.Topology.InboundTopic())
	for i, in := range s.parse(recs) {
		original, ok := raw[in.Raw.String()]
		if !ok || string(original.Value) != string(in.Body) || original.Partition != recs[i].Partition {
			t.Fatalf("the copy of %s names %v, which is another record", in.ID, in.Raw)
		}
		if seen[in.Source+"/"+in.Key] {
			t.Errorf("key %s of source %s was copied twice", in.Key, in.Source)
		}
		seen[in.Source+"/"+in.Key] = true
	}
	if len(seen) != 100 {
		t.Errorf("%d keys were copied, want 2 sources with 50 each", len(seen))
	}
}

func TestDeduperKnowsWhatEarlierOwnersCopied(t *testing.T) {
	s := newStation(t)
	var ins []schemas.Inbound
	for n := range 100 {
		ins = append(ins, received(n, "a", fmt.Sprint("k", n), "x"))
	}
	s.put(ins...)
	stop := s.startDeduper(s.deduper("one"))
	s.caughtUp(s.group, s.Topology.InboundRawTopic())
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	// Repeats of all, and one that nobody has seen.
	for n := range ins {
		ins[n].ID = fmt.Sprintf("in_again_%06d", n)
	}
	s.put(append(ins, received(1000, "a", "new", "x"))...)
	// As after a kill between the copies' acks and the commit: everything is read again.
	c := s.deduper("one")
	c.Group += "-anew"
	s.startDeduper(c)
	s.caughtUp(c.Group, s.Topology.InboundRawTopic())
	if n := len(s.all(s.Topology.InboundTopic())); n != 101 {
		t.Errorf("inbound has %d records, want the 100 of the first owner and the new one", n)
	}
}

func TestDeduperOverTwoMembersAndKills(t *testing.T) {
	s := newStation(t)
	const keys, copies = 60, 4
	s.startDeduper(s.deduper("steady"))
	for round := range copies {
		c := s.deduper("")
		// A kill: what is appended lands, but nobody hears of it.
		ctx, kill := context.WithCancel(context.Background())
		c.Append = func(actx context.Context, rec schemas.Record, done func(int64, error)) {
			s.writer.Append(actx, rec, func(offset int64, err error) {
				if rand.IntN(10) == 0 {
					done(-1, errors.New("killed"))
					return
				}
				done(offset, err)
			})
		}
		d, err := NewDeduper(c)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- d.Run(ctx) }()
		s.until("the member to join", func() bool { return d.Joined() || len(ended) > 0 }) // what an earlier one left can end it at once
		var ins []schemas.Inbound
		for n := range keys {
			ins = append(ins, received(round*1000+n, "a", fmt.Sprint("k", n), "x"), received(round*1000+500+n, "a", fmt.Sprint("r", round, "-", n), "x"))
		}
		s.put(ins...)
		select {
		case <-ended:
		case <-time.After(500 * time.Millisecond): // no record of its partitions was unlucky
			kill()
			<-ended
		}
		kill()
	}
	s.caughtUp(s.group, s.Topology.InboundRawTopic())
	seen := map[string]int{}
	readers := map[int32]*growth{}
	recs := s.all(s.Topology.InboundTopic())
	for i, in := range s.parse(recs) {
		g := readers[recs[i].Partition]
		if g == nil {
			g = &growth{}
			readers[recs[i].Partition] = g
		}
		if !g.repeats(&in) {
			seen[in.Key]++
		}
	}
	for key, n := range seen {
		if n != 1 {
			t.Errorf("readers see key %s %d times", key, n)
		}
	}
	if len(seen) != keys+keys*copies {
		t.Errorf("readers see %d keys, want %d", len(seen), keys+keys*copies)
	}
}

func TestDeduperWritesToTheSourcesTopic(t *testing.T) {
	s := newStation(t)
	c := s.deduper("")
	queue := s.Topology.Prefix + "webhooks"
	c.Rules = map[string]Rule{"ai": {Topic: queue}}
	stop := s.startDeduper(c)
	s.put(received(1, "ai", "interview.completed:ses_1", "interview.completed"), received(2, "other", "k", "x"),
		received(3, "ai", "interview.completed:ses_1", "interview.completed"))
	s.caughtUp(s.group, s.Topology.InboundRawTopic())
	got := s.parse(s.all(queue))
	if len(got) != 1 || got[0].ID != "in_000001" {
		t.Errorf("the source's topic has %v, want in_000001 alone", got)
	}
	if recs := s.all(queue); len(recs) == 1 && (string(recs[0].Key) != "webhook:interview.completed:ses_1" || string(recs[0].Value) != `{"n": 1}`) {
		t.Errorf("the job has key %q and body %q, want event and session, and the body as it came", recs[0].Key, recs[0].Value)
	}
	if got := s.parse(s.all(s.Topology.InboundTopic())); len(got) != 1 || got[0].Source != "other" {
		t.Errorf("inbound has %v, want the other source's webhook alone", got)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

func TestDeduperParksWhatIsNoWebhook(t *testing.T) {
	s := newStation(t)
	s.startDeduper(s.deduper(""))
	if err := s.writer.AppendAll(context.Background(), schemas.Record{Topic: s.Topology.InboundRawTopic(), Partition: 1, Key: []byte("stray"), Value: []byte("stray")}); err != nil {
		t.Fatal(err)
	}
	s.caughtUp(s.group, s.Topology.InboundRawTopic())
	parked := s.all(s.Topology.InboundParkedTopic())
	if len(parked) != 1 {
		t.Fatalf("%d records are parked, want the stray one", len(parked))
	}
	if at, _ := parked[0].Header(schemas.HdrRaw); at != s.Topology.InboundRawTopic()+"/1/0" {
		t.Errorf("the note names %q, want the stray record's position", at)
	}
}

func TestDeduperRefusesWhenTheLogWasReplaced(t *testing.T) {
	s := newStation(t)
	in := received(1, "a", "k", "x")
	in.Raw = schemas.Position{Topic: s.Topology.InboundRawTopic(), Partition: schemas.InboundPartition(s.Topology, "k"), Offset: 40}
	rec := in.Record(s.Topology, s.Topology.InboundTopic())
	rec.Headers = append(rec.Headers, schemas.Header{Key: hdrRawTime, Value: []byte("1700000000000")})
	if err := s.writer.AppendAll(context.Background(), rec); err != nil {
		t.Fatal(err)
	}
	d, err := NewDeduper(s.deduper(""))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := d.Run(ctx); !errors.Is(err, errWentBack) {
		t.Errorf("Run ended with %v, want the log's going back named", err)
	}
}

func TestDeduperConfigNamesTheField(t *testing.T) {
	good := DefaultDeduperConfig()
	good.Append = func(context.Context, schemas.Record, func(int64, error)) {}
	for name, c := range map[string]struct {
		change func(*DeduperConfig)
		want   string
	}{
		"no group":       {func(c *DeduperConfig) { c.Group = "" }, "Group is empty"},
		"no append":      {func(c *DeduperConfig) { c.Append = nil }, "Append is nil"},
		"negative keys":  {func(c *DeduperConfig) { c.Keys = -1 }, "Keys is -1"},
		"negative keep":  {func(c *DeduperConfig) { c.Rules = map[string]Rule{"a": {Keep: -1}} }, "source a: Keep"},
		"one of ours":    {func(c *DeduperConfig) { c.Rules = map[string]Rule{"a": {Topic: "hookstream.events"}} }, "hookstream.events is one that hookstream uses"},
		"broken counts":  {func(c *DeduperConfig) { c.Topology.Events = 0 }, "events partitions"},
		"inbound itself": {func(c *DeduperConfig) { c.Rules = map[string]Rule{"a": {Topic: "hookstream.inbound"}} }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			c.change(&cfg)
			_, err := NewDeduper(cfg)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got error %v, want %q", err, c.want)
			}
		})
	}
}
