package inbound

// Handlers that fail: retries, the parked topic, and the way back.

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
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/schemas"
)

func TestFailingHandlersAreRetriedThenParked(t *testing.T) {
	s := newStation(t)
	var log lockedBuffer
	c := s.handlers(slog.New(slog.NewTextHandler(&log, nil)))
	reg := prometheus.NewRegistry()
	c.Registerer = reg
	h := s.newHandlers(c)
	var tries ranLog
	h.On("interview.completed", func(_ context.Context, in *schemas.Inbound) error {
		tries.add(in)
		return errors.New("the database is away")
	})
	h.On("panics", func(_ context.Context, in *schemas.Inbound) error {
		tries.add(in)
		panic("nobody expects it")
	})
	h.On("recovers", func(_ context.Context, in *schemas.Inbound) error {
		tries.add(in)
		if n := len(slices.DeleteFunc(tries.all(), func(id string) bool { return id != in.ID })); n < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	failing := received(1, "ai", "interview.completed:ses_51b", "interview.completed")
	failing.Body = []byte("{ \"session_id\" : \"ses_51b\",\n \"x\": \"\\u00e9<&>\" }")
	s.putTo(c.Topic, s.copies(failing, received(2, "ai", "p", "panics"), received(3, "ai", "r", "recovers"))...)
	s.start(h.Run)
	s.caughtUp(c.Group, c.Topic)

	counts := map[string]int{}
	for _, id := range tries.all() {
		counts[id]++
	}
	if counts["in_000001"] != 4 || counts["in_000002"] != 4 || counts["in_000003"] != 3 {
		t.Errorf("tries are %v, want 4 of the failing ones and 3 of the one that recovers", counts)
	}
	parked, err := ListParked(t.Context(), ParkedConfig{Options: s.Options(), Parked: c.Parked})
	if err != nil {
		t.Fatal(err)
	}
	byID := map[string]Parked{}
	for _, p := range parked {
		byID[p.ID] = p
	}
	p := byID["in_000001"]
	if len(parked) != 2 || !bytes.Equal(p.Body, failing.Body) || p.Error != "the database is away" || p.Retries != 3 || p.Group != c.Group || p.From.Topic != c.Topic {
		t.Errorf("parked is %+v", parked)
	}
	if byID["in_000002"].Error != "panic: nobody expects it" {
		t.Errorf("the panic is parked as %q", byID["in_000002"].Error)
	}
	for k := 1; k <= 3; k++ {
		want := fmt.Sprintf(`level=WARN msg="Retry %d/3" group=%s id=in_000001 source=ai type=interview.completed key=interview.completed:ses_51b session=ses_51b`, k, c.Group)
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s", want)
		}
	}
	if want := `level=ERROR msg="webhook not handled; it is parked for review" group=` + c.Group + " id=in_000001"; !strings.Contains(log.String(), want) {
		t.Errorf("the log lacks %s", want)
	}
	if countOf(t, reg, "hookstream_inbound_handled_total", "interview.completed", "parked") != 1 {
		t.Error("the failure is not counted")
	}
}

func TestParkedWebhooksAreRequeuedForTheirGroup(t *testing.T) {
	s := newStation(t)
	c, other := s.handlers(logTo(t, slog.LevelError+1)), s.handlers(nil)
	other.Group += "-other"
	var mended, others ranLog
	broken := true
	var mu sync.Mutex
	h, o := s.newHandlers(c), s.newHandlers(other)
	h.On("x", func(_ context.Context, in *schemas.Inbound) error {
		mu.Lock()
		defer mu.Unlock()
		if broken {
			return errors.New("broken")
		}
		mended.add(in)
		return nil
	})
	o.On("x", func(_ context.Context, in *schemas.Inbound) error { others.add(in); return nil })
	s.putTo(c.Topic, s.copies(received(1, "a", "k1", "x"), received(2, "a", "k2", "x"))...)
	s.start(h.Run)
	s.start(o.Run)
	s.caughtUp(c.Group, c.Topic)
	where := ParkedConfig{Options: s.Options(), Parked: c.Parked}
	parked, err := ListParked(t.Context(), where)
	if err != nil || len(parked) != 2 {
		t.Fatalf("parked are %v, %v; want two", parked, err)
	}
	mu.Lock()
	broken = false
	mu.Unlock()
	if n, err := Requeue(t.Context(), where, parked...); n != 2 || err != nil {
		t.Fatalf("requeued %d, %v", n, err)
	}
	s.caughtUp(c.Group, c.Topic)
	s.caughtUp(other.Group, c.Topic)
	if got := mended.all(); len(got) != 2 {
		t.Errorf("after the requeue, the group handled %v", got)
	}
	if got := others.all(); len(got) != 2 {
		t.Errorf("the other group handled %v, want each once", got)
	}
	if left, err := ListParked(t.Context(), where); err != nil || len(left) != 0 {
		t.Errorf("still parked are %v, %v", left, err)
	}
}

func TestHandlersWaitOneTwoFourSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := DefaultHandlersConfig()
		c.Options, c.Group = []kgo.Opt{kgo.SeedBrokers("127.0.0.1:1")}, "g"
		h, err := NewHandlers(c)
		if err != nil {
			t.Fatal(err)
		}
		h.life = t.Context()
		h.ending, h.end = context.WithCancel(h.life)
		var at []time.Duration
		began := time.Now()
		retries, err := h.try(h.life, h.life, "x", nil, func(context.Context) error {
			at = append(at, time.Since(began))
			return errors.New("no")
		})
		if want := []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second}; !slices.Equal(at, want) || retries != 3 || err == nil {
			t.Errorf("tries were at %v with %d retries and error %v, want %v", at, retries, err, want)
		}
		h.end()
	})
}

func TestParkedWebhookThatFitsNoTopicLeavesANote(t *testing.T) {
	s := newStation(t)
	c := s.handlers(logTo(t, slog.LevelError+1))
	c.Retry = nil
	small := s.Topology.Prefix + "small"
	cl, err := kgo.NewClient(s.Options()...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	limit := "2000"
	if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 1, 1, map[string]*string{"max.message.bytes": &limit}, small); err != nil {
		t.Fatal(err)
	}
	c.Parked = small
	h := s.newHandlers(c)
	h.On("x", func(context.Context, *schemas.Inbound) error { return errors.New("no") })
	in := received(1, "a", "k", "x")
	in.Body = bytes.Repeat([]byte("x"), 3000)
	s.putTo(c.Topic, s.copies(in)...)
	s.start(h.Run)
	s.caughtUp(c.Group, c.Topic)
	parked, err := ListParked(t.Context(), ParkedConfig{Options: s.Options(), Parked: small})
	if err != nil || len(parked) != 1 || parked[0].ID != in.ID || len(parked[0].Body) != 0 || parked[0].From.Topic != c.Topic {
		t.Errorf("parked are %v, %v; want a note without the body", parked, err)
	}
}
