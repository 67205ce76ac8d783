package inbound

// Handlers while their partitions move between members.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// TestARebalanceInTheMiddleLosesAndParksNothing: a member joins and leaves
// while handlers run that fail when they are cut off. Every event is handled,
// none is parked, and only what was under way may be handled twice.
func TestARebalanceInTheMiddleLosesAndParksNothing(t *testing.T) {
	s := newStation(t)
	c := s.handlers(logTo(t, slog.LevelError))
	c.Retry, c.Concurrency, c.LeaveOnClose = nil, 4, true // one failure would park
	var begun, done ranLog
	member := func() func() error {
		h := s.newHandlers(c)
		h.On("x", func(ctx context.Context, in *schemas.Inbound) error {
			begun.add(in)
			select {
			case <-time.After(20 * time.Millisecond):
				done.add(in)
				return nil
			case <-ctx.Done():
				return errors.New("cut off")
			}
		})
		h.OnBatch("row", 50, time.Second, func(ctx context.Context, ins []*schemas.Inbound) error {
			for _, in := range ins {
				begun.add(in)
				done.add(in)
			}
			return nil
		})
		return s.start(h.Run)
	}
	var ins []schemas.Inbound
	const events = 400
	for n := range events {
		kind := "x"
		if n%10 == 9 {
			kind = "row" // fewer than fill a batch: they wait while the partitions move
		}
		ins = append(ins, received(n, "a", fmt.Sprint("k", n), kind))
	}
	s.putTo(c.Topic, s.copies(ins...)...)
	member()
	s.until("the first events", func() bool { return len(done.all()) > 20 })
	stop := member()
	s.until("more events", func() bool { return len(done.all()) > 150 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	s.caughtUp(c.Group, c.Topic)
	if parked := s.all(c.Parked); len(parked) != 0 {
		t.Errorf("%d events are parked although no handler failed by itself", len(parked))
	}
	handled := done.all()
	slices.Sort(handled)
	if n := len(slices.Compact(handled)); n != events {
		t.Errorf("%d of %d events were handled", n, events)
	}
	t.Logf("%d begun, %d done for %d events", len(begun.all()), len(done.all()), events)
}

// TestABatchDoesNotHoldAPartitionThatGoes: events that wait for their batch to
// fill are left to the next owner at once, and the rest of the batch does not
// wait for others in their place.
func TestABatchDoesNotHoldAPartitionThatGoes(t *testing.T) {
	s := newStation(t)
	c := s.handlers(logTo(t, slog.LevelError))
	c.LeaveOnClose = true
	member := func() (*Handlers, *ranLog) {
		h, ran := s.newHandlers(c), &ranLog{}
		h.OnBatch("row", 1000, time.Minute, func(_ context.Context, ins []*schemas.Inbound) error {
			for _, in := range ins {
				ran.add(in)
			}
			return nil
		})
		h.batches["row"].wait = time.Hour
		return h, ran
	}
	waiting := func(h *Handlers) int {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.lanes)
	}
	const events = 40
	var ins []schemas.Inbound
	for n := range events {
		ins = append(ins, received(n, "a", fmt.Sprint("k", n), "row"))
	}
	s.putTo(c.Topic, s.copies(ins...)...)
	first, handled := member()
	s.start(first.Run)
	s.until("the batch to have them all", func() bool { return waiting(first) == events })
	second, _ := member()
	s.start(second.Run)
	s.until("each event to be handled or with the next owner", func() bool {
		went := waiting(second)
		return went > 0 && waiting(first) == 0 && len(handled.all())+went == events
	})
	if parked := s.all(c.Parked); len(parked) != 0 {
		t.Errorf("%d events are parked", len(parked))
	}
}
