package inbound

// Handlers on Kafka: dispatch, order, retries, parking, batches, repeats.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/schemas"
)

// lockedBuffer takes a log that a test reads.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// log of what handlers were given, in their order.
type ranLog struct {
	mu  sync.Mutex
	ids []string
}

func (r *ranLog) add(in *schemas.Inbound) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ids = append(r.ids, in.ID)
}

func (r *ranLog) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.ids)
}

func (s *station) handlers(log *slog.Logger) HandlersConfig {
	c := DefaultHandlersConfig()
	c.Options, c.Group = s.Options(), s.group
	c.Topic, c.Parked = s.Topology.InboundTopic(), s.Topology.InboundParkedTopic()
	c.Retry = []time.Duration{5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond}
	c.Log = log
	return c
}

func (s *station) newHandlers(c HandlersConfig) *Handlers {
	s.t.Helper()
	h, err := NewHandlers(c)
	if err != nil {
		s.t.Fatal(err)
	}
	return h
}

// copies are webhooks as the deduper writes them, at offsets of their own.
func (s *station) copies(ins ...schemas.Inbound) []schemas.Inbound {
	for i := range ins {
		ins[i].Raw = schemas.Position{Topic: s.Topology.InboundRawTopic(), Partition: schemas.InboundPartition(s.Topology, ins[i].Key), Offset: int64(i)}
	}
	return ins
}

func TestHandlersDispatchByType(t *testing.T) {
	s := newStation(t)
	var log lockedBuffer
	c := s.handlers(slog.New(slog.NewTextHandler(&log, nil)))
	reg := prometheus.NewRegistry()
	c.Registerer = reg
	h := s.newHandlers(c)
	var created, deleted ranLog
	h.On("resume.created", func(_ context.Context, in *schemas.Inbound) error { created.add(in); return nil })
	h.On("resume.deleted", func(_ context.Context, in *schemas.Inbound) error { deleted.add(in); return nil })
	s.putTo(c.Topic, s.copies(received(1, "cv", "e1", "resume.created"), received(2, "cv", "e2", "resume.deleted"),
		received(3, "cv", "e3", "resume.shared"), received(4, "ppt", "e4", "webhook.retry"), received(5, "cv", "e5", "resume.created"))...)
	stop := s.start(h.Run)
	s.caughtUp(c.Group, c.Topic)
	if got := created.all(); len(got) != 2 || !slices.Contains(got, "in_000001") || !slices.Contains(got, "in_000005") {
		t.Errorf("resume.created ran for %v", got)
	}
	if got := deleted.all(); !slices.Equal(got, []string{"in_000002"}) {
		t.Errorf("resume.deleted ran for %v", got)
	}
	for _, want := range []string{`msg="webhook unhandled: no handler for its type"`, "id=in_000003", `msg="the sender announces a retry"`, "id=in_000004",
		`msg="webhook handled" group=` + c.Group + " id=in_000001"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s", want)
		}
	}
	for labels, want := range map[[2]string]float64{{"resume.created", "handled"}: 2, {"other", "unhandled"}: 1, {"other", "notice"}: 1} {
		if got := countOf(t, reg, "hookstream_inbound_handled_total", labels[0], labels[1]); got != want {
			t.Errorf("result %v is counted %v times, want %v", labels, got, want)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// countOf is a counter's value by its labels result and type.
func countOf(t *testing.T, reg *prometheus.Registry, name, kind, result string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			values := map[string]string{}
			for _, l := range m.Label {
				values[l.GetName()] = l.GetValue()
			}
			if f.GetName() == name && values["type"] == kind && values["result"] == result {
				return m.Counter.GetValue()
			}
		}
	}
	return 0
}

func TestRetryNoticesRunTheirVeryHandlerOnly(t *testing.T) {
	s := newStation(t)
	c := s.handlers(logTo(t, slog.LevelError))
	rest, notices := ranLog{}, ranLog{}
	plain, special := s.newHandlers(c), c
	plain.Otherwise(func(_ context.Context, in *schemas.Inbound) error { rest.add(in); return nil })
	special.Group += "-special"
	asking := s.newHandlers(special)
	asking.On("webhook.retry", func(_ context.Context, in *schemas.Inbound) error { notices.add(in); return nil })
	s.putTo(c.Topic, s.copies(received(1, "ppt", "e1", "webhook.retry"), received(2, "ppt", "e2", "file.uploaded"))...)
	s.start(plain.Run)
	s.start(asking.Run)
	s.caughtUp(c.Group, c.Topic)
	s.caughtUp(special.Group, c.Topic)
	if got := rest.all(); !slices.Equal(got, []string{"in_000002"}) {
		t.Errorf("Otherwise ran for %v, want the event alone", got)
	}
	if got := notices.all(); !slices.Equal(got, []string{"in_000001"}) {
		t.Errorf("the notice's own handler ran for %v", got)
	}
}

func TestHandlersTakeTheirSourcesOnly(t *testing.T) {
	s := newStation(t)
	c := s.handlers(logTo(t, slog.LevelError))
	c.Sources = []string{"cv"}
	h := s.newHandlers(c)
	var ran ranLog
	h.Otherwise(func(_ context.Context, in *schemas.Inbound) error { ran.add(in); return nil })
	s.putTo(c.Topic, s.copies(received(1, "cv", "e1", "user.registered"), received(2, "ppt", "e2", "user.registered"))...)
	s.start(h.Run)
	s.caughtUp(c.Group, c.Topic)
	if got := ran.all(); !slices.Equal(got, []string{"in_000001"}) {
		t.Errorf("handlers ran for %v, want the source's alone", got)
	}
}

func TestHandlersOfOneKeyRunInOrderAndOthersMeanwhile(t *testing.T) {
	s := newStation(t)
	c := s.handlers(logTo(t, slog.LevelError))
	h := s.newHandlers(c)
	var ran ranLog
	release := make(chan struct{})
	h.On("x", func(ctx context.Context, in *schemas.Inbound) error {
		if in.Key == "slow" && in.ID == "in_000000" {
			<-release // all others finish while it hangs
		}
		ran.add(in)
		return nil
	})
	var ins []schemas.Inbound
	for n := range 10 {
		ins = append(ins, received(2*n, "a", "slow", "x"), received(2*n+1, "a", fmt.Sprint("k", n), "x"))
	}
	s.putTo(c.Topic, s.copies(ins...)...)
	s.start(h.Run)
	s.until("the other keys", func() bool { return len(ran.all()) == 10 })
	close(release)
	s.caughtUp(c.Group, c.Topic)
	slow := slices.DeleteFunc(ran.all(), func(id string) bool { return id[len(id)-1]%2 == 1 })
	if len(slow) != 10 || !slices.IsSorted(slow) {
		t.Errorf("the key's events ran as %v", slow)
	}
}

func TestHandlersDropRepeats(t *testing.T) {
	s := newStation(t)
	c := s.handlers(logTo(t, slog.LevelError))
	put := func(offsets ...int64) {
		for _, o := range offsets {
			in := received(int(o), "a", "k", "x")
			in.Raw = schemas.Position{Topic: s.Topology.InboundRawTopic(), Partition: schemas.InboundPartition(s.Topology, "k"), Offset: o}
			s.putTo(c.Topic, in)
		}
	}
	var ran ranLog
	run := func() func() error {
		h := s.newHandlers(c)
		h.On("x", func(_ context.Context, in *schemas.Inbound) error { ran.add(in); return nil })
		return s.start(h.Run)
	}
	put(5, 6, 5, 7, 6)
	stop := run()
	s.caughtUp(c.Group, c.Topic)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	put(7, 6, 8) // a late writer's, for the next member
	run()
	s.caughtUp(c.Group, c.Topic)
	if got, want := ran.all(), []string{"in_000005", "in_000006", "in_000007", "in_000008"}; !slices.Equal(got, want) {
		t.Errorf("handlers ran for %v, want %v", got, want)
	}
}

func TestBatchHandlersTakeEventsOfATypeTogether(t *testing.T) {
	s := newStation(t)
	c := s.handlers(logTo(t, slog.LevelError+1))
	h := s.newHandlers(c)
	var mu sync.Mutex
	var sizes []int
	good := map[string]bool{}
	h.OnBatch("row", 10, 100*time.Millisecond, func(_ context.Context, ins []*schemas.Inbound) error {
		mu.Lock()
		defer mu.Unlock()
		for _, in := range ins {
			if in.Key == "bad" {
				return errors.New("bad row")
			}
		}
		sizes = append(sizes, len(ins))
		for _, in := range ins {
			good[in.Key] = true
		}
		return nil
	})
	ins := []schemas.Inbound{received(0, "a", "bad", "row")}
	for n := 1; n < 35; n++ {
		ins = append(ins, received(n, "a", fmt.Sprint("k", n), "row"))
	}
	s.putTo(c.Topic, s.copies(ins...)...)
	s.start(h.Run)
	s.caughtUp(c.Group, c.Topic)
	mu.Lock()
	defer mu.Unlock()
	if len(good) != 34 {
		t.Errorf("%d good events were handled, want 34", len(good))
	}
	if slices.Max(sizes) < 2 || slices.Max(sizes) > 10 {
		t.Errorf("batches had %v events, want several together and 10 at most", sizes)
	}
	parked, err := ListParked(t.Context(), ParkedConfig{Options: s.Options(), Parked: c.Parked})
	if err != nil || len(parked) != 1 || parked[0].Key != "bad" || parked[0].Error != "bad row" {
		t.Errorf("parked are %v, %v; want the bad row alone", parked, err)
	}
}

func TestStoppedHandlersLeaveTheRestToTheNext(t *testing.T) {
	s := newStation(t)
	c := s.handlers(logTo(t, slog.LevelError))
	c.Retry = []time.Duration{time.Hour}
	var first, second ranLog
	h := s.newHandlers(c)
	h.On("x", func(_ context.Context, in *schemas.Inbound) error {
		first.add(in)
		if in.Key == "k1" {
			return errors.New("later")
		}
		return nil
	})
	s.putTo(c.Topic, s.copies(received(1, "a", "k1", "x"), received(2, "a", "k1", "x"), received(3, "a", "k2", "x"))...)
	stop := s.start(h.Run)
	s.until("the first tries", func() bool { return len(first.all()) == 2 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	h = s.newHandlers(c)
	h.On("x", func(_ context.Context, in *schemas.Inbound) error { second.add(in); return nil })
	stop = s.start(h.Run)
	s.caughtUp(c.Group, c.Topic)
	if got := second.all(); !slices.Contains(got, "in_000001") || !slices.Contains(got, "in_000002") {
		t.Errorf("the next member handled %v, want what waited for its retry and what waited behind it", got)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if parked := s.all(c.Parked); len(parked) != 0 {
		t.Errorf("%d events are parked although none has failed its retries", len(parked))
	}
}

func TestASleepingHandlerKeepsItsPartitions(t *testing.T) {
	s := newStation(t)
	c := s.handlers(logTo(t, slog.LevelError))
	h := s.newHandlers(c)
	var ran ranLog
	h.On("x", func(ctx context.Context, in *schemas.Inbound) error {
		ran.add(in)
		select {
		case <-time.After(11 * time.Second): // longer than the group's session
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	s.putTo(c.Topic, s.copies(received(1, "a", "k", "x"))...)
	s.start(h.Run)
	s.caughtUp(c.Group, c.Topic)
	if got := ran.all(); len(got) != 1 {
		t.Errorf("the handler ran %d times", len(got))
	}
}

func TestHandlersConfigNamesTheField(t *testing.T) {
	do := func(context.Context, *schemas.Inbound) error { return nil }
	for want, change := range map[string]func(*HandlersConfig){
		"Options is empty":        func(c *HandlersConfig) { c.Options = nil },
		"Group is empty":          func(c *HandlersConfig) { c.Group = "" },
		"Topic and Parked are b":  func(c *HandlersConfig) { c.Parked = "" },
		"handled again for ever":  func(c *HandlersConfig) { c.Parked = c.Topic },
		"Concurrency is 0":        func(c *HandlersConfig) { c.Concurrency = 0 },
		"MaxQueued is 5 bytes":    func(c *HandlersConfig) { c.MaxQueued = 5 },
		"Retry[1] is -1ns":        func(c *HandlersConfig) { c.Retry = []time.Duration{0, -1} },
		"two handlers for \"x\"":  nil,
		"the handler for \"y\" i": nil,
	} {
		c := DefaultHandlersConfig()
		c.Options, c.Group = []kgo.Opt{kgo.SeedBrokers("127.0.0.1:1")}, "g"
		if change != nil {
			change(&c)
		}
		h, err := NewHandlers(c)
		if change == nil && err == nil {
			h.On("x", do)
			h.OnBatch("x", 1, time.Second, func(context.Context, []*schemas.Inbound) error { return nil })
			h.On("y", nil)
			err = h.Run(t.Context())
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want %q", err, want)
		}
	}
}
