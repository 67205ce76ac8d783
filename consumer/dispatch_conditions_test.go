package consumer

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// fused wires a fuse as the breaker of one endpoint, as a courier would.
func fused(id string, f *fuse) func(*DispatcherConfig) {
	return func(c *DispatcherConfig) {
		c.Breaker = func(of string) schemas.BreakerState {
			f.mu.Lock()
			defer f.mu.Unlock()
			if of != id {
				return schemas.BreakerState{}
			}
			return f.state
		}
		c.Restore = func(_ string, s schemas.BreakerState) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.state = s
		}
		c.Forget = func(of string) {
			if of == id {
				f.forget()
			}
		}
	}
}

// TestBreakersAreToldOnceAndAcrossRestarts: one event when it opens, none for
// its failed probes, one when it closes, though another process sees that.
func TestBreakersAreToldOnceAndAcrossRestarts(t *testing.T) {
	w := newWorld(t)
	f := &fuse{cooldown: 150 * time.Millisecond}
	var healed atomic.Bool
	e := w.endpoint("wh_a", Lane{URL: "https://a.example/hook"}, func(_ context.Context, d *schemas.Delivery, _ int) schemas.Outcome {
		failed := !healed.Load()
		defer f.report(failed)
		if failed {
			return retryIn(50 * time.Millisecond)
		}
		return ok(d)
	})
	e.admit = f.admit
	seams := func(c *DispatcherConfig) {
		fused("wh_a", f)(c)
		c.Wants = everything
		c.Announce = nil
	}
	w.send("wh_a", 0, 20)
	p := w.start(seams)
	w.until("the breaker told and probes", func() bool { return len(w.news()) == 1 && len(e.calls) >= 8+2 })
	p.stop() // its rows say that the opening was told
	f.forget()
	p = w.start(seams)
	w.mu.Lock()
	before := len(e.calls)
	w.mu.Unlock()
	w.until("a probe of the next owner", func() bool { return len(e.calls) > before })
	healed.Store(true)
	w.until("everything and the end told", func() bool { return len(w.terminal("")) == 20 && len(w.news()) == 2 })
	w.until("the lane's row to be gone", func() bool {
		recs := w.records[w.c.Topology.LanesTopic()]
		for i := len(recs) - 1; i >= 0; i-- {
			if string(recs[i].Key) == "wh_a" {
				return len(recs[i].Value) == 0
			}
		}
		return false
	})
	p.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	news := w.news()
	if got, want := types(news), []string{schemas.EventBreakerOpened, schemas.EventEndpointRecovered}; !slices.Equal(got, want) {
		t.Fatalf("told %v; want %v", got, want)
	}
	opened, recovered := fields(t, news[0]), fields(t, news[1])
	if opened["url"] != "https://a.example/hook" || opened["since"] == nil || opened["until"] == nil || opened["failures"].(float64) < 5 {
		t.Errorf("opened %v", opened)
	}
	if recovered["reason"] != schemas.RecoveredByProbe || recovered["since"] == nil || recovered["until"] == nil {
		t.Errorf("recovered %v", recovered)
	}
}

// TestOurOwnEventsOpenNoStory: an endpoint that fails to take them gets its
// breaker opened, and nobody is told until a delivery of a publisher's fails.
func TestOurOwnEventsOpenNoStory(t *testing.T) {
	w := newWorld(t)
	f := &fuse{cooldown: 20 * time.Millisecond}
	e := w.endpoint("wh_a", Lane{Concurrency: 1}, func(_ context.Context, d *schemas.Delivery, _ int) schemas.Outcome {
		defer f.report(true)
		return verdict(schemas.Exhausted)
	})
	e.admit = f.admit
	for i := range 8 {
		w.sendAs("wh_a", schemas.KindSystem, schemas.EventDeliveryExhausted, fmt.Sprint("own", i))
	}
	p := w.start(func(c *DispatcherConfig) {
		fused("wh_a", f)(c)
		c.Wants = everything
	})
	w.until("all of them", func() bool { return len(w.terminal("wh_a")) == 8 })
	w.mu.Lock()
	quiet := types(w.news())
	w.mu.Unlock()
	if len(quiet) != 0 {
		t.Errorf("told %v of our own events", quiet)
	}
	w.sendAs("wh_a", schemas.KindEvent, "a.b", "theirs")
	w.until("theirs", func() bool { return len(w.terminal("wh_a")) == 9 && len(w.news()) == 2 })
	p.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	if got, want := types(w.news()), []string{schemas.EventBreakerOpened, schemas.EventDeliveryExhausted}; !slices.Equal(got, want) {
		t.Errorf("told %v; want %v", got, want)
	}
}

// TestFailingForDaysIsToldBeforeTheStatus: once, with when it began.
func TestFailingForDaysIsToldBeforeTheStatus(t *testing.T) {
	w := newWorld(t)
	w.endpoint("wh_a", Lane{Concurrency: 1}, func(context.Context, *schemas.Delivery, int) schemas.Outcome { return retryIn(time.Second) })
	w.send("wh_a", 0, 10)
	l := &diary{}
	tell := tells(l, everything)
	p := w.start(func(c *DispatcherConfig) {
		c.Limits.FailingFor, c.Limits.FailingAttempts = time.Nanosecond, 5
		tell(c)
	})
	w.until("10 dead letters", func() bool { return len(w.terminal("")) == 10 })
	p.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := l.of("events", "status"); !slices.Equal(got, []string{"events", "status"}) {
		t.Errorf("written in the order %v", got)
	}
	news := w.news()
	if d := fields(t, news[0]); news[0].Type != schemas.EventEndpointDisabled || d["reason"] != disabledFailing || d["failures"] != 5.0 || d["since"] == nil {
		t.Errorf("%s %v", news[0].Type, d)
	}
}

// TestAnOwnersOrderIsToldAsRecovery: if hookstream had disabled the endpoint or
// had told of its breaker; a pause by the owner is no news.
func TestAnOwnersOrderIsToldAsRecovery(t *testing.T) {
	w := newWorld(t)
	f := &fuse{cooldown: time.Hour}
	e := w.endpoint("wh_a", Lane{}, func(_ context.Context, d *schemas.Delivery, _ int) schemas.Outcome {
		defer f.report(true)
		return verdict(schemas.Exhausted)
	})
	e.admit = f.admit
	w.endpoint("wh_b", Lane{URL: "https://b.example/"}, nil)
	w.endpoint("wh_c", Lane{}, nil)
	w.send("wh_a", 0, 5)
	p := w.start(func(c *DispatcherConfig) {
		fused("wh_a", f)(c)
		c.Wants = func(_, eventType string) bool { return eventType != schemas.EventDeliveryExhausted }
	})
	w.until("the breaker told", func() bool { return len(w.news()) == 1 && len(w.terminal("wh_a")) == 5 })
	order := func(c schemas.Control) {
		t.Helper()
		c.Action, c.At = schemas.ControlEnable, 1700000000000
		rec, err := c.Record(w.c.Topology)
		if err == nil {
			err = w.writer.AppendAll(w.ctx, rec)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	order(schemas.Control{EndpointID: "wh_c"})
	order(schemas.Control{EndpointID: "wh_gone", Disabled: true})
	order(schemas.Control{EndpointID: "wh_b", Disabled: true})
	w.until("b told", func() bool { return len(w.news()) == 2 })
	order(schemas.Control{EndpointID: "wh_a"})
	w.until("a told", func() bool { return len(w.news()) == 3 })
	p.stop()
	p = w.start(func(c *DispatcherConfig) { // the orders are done with
		fused("wh_a", f)(c)
		c.Wants = everything
	})
	w.send("wh_c", 0, 1)
	w.until("c", func() bool { return len(w.terminal("wh_c")) == 1 })
	p.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	var about []string
	for _, ev := range w.news() {
		about = append(about, ev.Type+" "+ev.Key)
		if d := fields(t, ev); ev.Type == schemas.EventEndpointRecovered && (d["reason"] != schemas.RecoveredByOwner || d["until"] == nil || (d["since"] == nil) != (ev.Key == "wh_b")) {
			t.Errorf("%s: %v", ev.Key, d)
		}
	}
	if want := []string{"endpoint.breaker_opened wh_a", "endpoint.recovered wh_b", "endpoint.recovered wh_a"}; !slices.Equal(about, want) {
		t.Errorf("told %v; want %v", about, want)
	}
}
