package delivery

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/hookstream/hookstream/schemas"
)

// attempt admits and settles at once, without a network.
func (h *harness) attempt(t testing.TB, r result, deliveryID string) {
	t.Helper()
	a := h.Admit("wh_1", schemas.KindEvent, time.Now())
	if a.Kind != schemas.Go {
		t.Fatalf("not admitted: %+v", a)
	}
	h.settle(a.Token.(*token), r, deliveryID, "http_5xx", time.Time{})
}

func (h *harness) states() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var s []string
	for _, n := range h.notices {
		s = append(s, n.State)
	}
	return strings.Join(s, " ")
}

// trip opens the breaker by ten failures in a row.
func (h *harness) trip(t testing.TB) {
	t.Helper()
	for i := range 10 {
		h.attempt(t, failed, fmt.Sprint("d", i))
	}
	if !h.Breaker("wh_1").Open {
		t.Fatal("ten failures in a row of ten deliveries did not open it")
	}
}

func TestBreakerOpens(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, h *harness)
		open bool
	}{
		{"nine in a row", func(t *testing.T, h *harness) {
			for i := range 9 {
				h.attempt(t, failed, fmt.Sprint(i))
			}
		}, false},
		{"ten of four deliveries", func(t *testing.T, h *harness) {
			for i := range 10 {
				h.attempt(t, failed, fmt.Sprint(i%4))
			}
		}, false},
		{"ten of five deliveries", func(t *testing.T, h *harness) {
			for i := range 10 {
				h.attempt(t, failed, fmt.Sprint(i%5))
			}
		}, true},
		{"ten in a row over hours", func(t *testing.T, h *harness) {
			for i := range 10 {
				h.attempt(t, failed, fmt.Sprint(i))
				time.Sleep(time.Hour)
			}
		}, true},
		{"a success between", func(t *testing.T, h *harness) {
			for i := range 9 {
				h.attempt(t, failed, fmt.Sprint(i))
			}
			h.attempt(t, succeeded, "ok")
			for i := range 9 {
				h.attempt(t, failed, fmt.Sprint(i))
			}
		}, false},
		{"half of twenty in a minute", func(t *testing.T, h *harness) {
			for i := range 10 {
				h.attempt(t, failed, "one")
				h.attempt(t, succeeded, fmt.Sprint(i))
			}
			h.attempt(t, failed, "one")
		}, true},
		{"half of twenty in twenty minutes", func(t *testing.T, h *harness) {
			for i := range 20 {
				h.attempt(t, []result{failed, succeeded}[i%2], fmt.Sprint(i))
				time.Sleep(time.Minute)
			}
		}, false},
		{"less than half", func(t *testing.T, h *harness) {
			for i := range 60 {
				h.attempt(t, []result{failed, succeeded, succeeded}[i%3], fmt.Sprint(i))
			}
		}, false},
		{"what does not count", func(t *testing.T, h *harness) {
			for i := range 60 {
				h.attempt(t, ignored, fmt.Sprint(i))
			}
		}, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHarness(t, "http://127.0.0.1:1")
			c.run(t, h)
			if s := h.Breaker("wh_1"); s.Open != c.open {
				t.Errorf("%s: %+v", c.name, s)
			}
		})
	}
}

// TestCooldownsGrow walks an endpoint that stays dead, then recovers.
func TestCooldownsGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "http://127.0.0.1:1")
		start := time.Now()
		h.trip(t)
		for i, want := range []time.Duration{30, 60, 120, 240, 480, 600, 600, 600} {
			want *= time.Second
			s := h.Breaker("wh_1")
			if wait := time.Until(s.OpenUntil); wait != want || s.Cooldowns != i+1 || !s.Since.Equal(start) {
				t.Fatalf("cool-down %d is %s, want %s: %+v", i+1, wait, want, s)
			}
			a := h.Admit("wh_1", schemas.KindEvent, time.Now())
			if a.Kind != schemas.Open || !a.Until.Equal(s.OpenUntil) || a.Token != nil {
				t.Fatalf("open, but %+v", a)
			}
			time.Sleep(want - time.Nanosecond)
			if a := h.Admit("wh_1", schemas.KindEvent, time.Now()); a.Kind != schemas.Open {
				t.Fatalf("a nanosecond early: %+v", a)
			}
			time.Sleep(time.Nanosecond)
			probe := h.Admit("wh_1", schemas.KindEvent, time.Now())
			if probe.Kind != schemas.Go || !probe.Probe {
				t.Fatalf("no probe: %+v", probe)
			}
			for range 3 {
				if second := h.Admit("wh_1", schemas.KindEvent, time.Now()); second.Kind != schemas.Open || !second.Until.After(time.Now()) {
					t.Fatalf("a second probe: %+v", second)
				}
			}
			h.settle(probe.Token.(*token), failed, "p", "timeout", time.Time{})
		}
		time.Sleep(10 * time.Minute)
		h.attempt(t, succeeded, "p")
		if s := h.Breaker("wh_1"); s != (schemas.BreakerState{}) {
			t.Errorf("a good probe left %+v", s)
		}
		if a := h.Admit("wh_1", schemas.KindEvent, time.Now()); a.Kind != schemas.Go || a.Probe {
			t.Errorf("closed, but %+v", a)
		}
		h.Forget("wh_1")
		h.trip(t)
		if wait := time.Until(h.Breaker("wh_1").OpenUntil); wait != 30*time.Second {
			t.Errorf("after a recovery the first cool-down is %s", wait)
		}
		if got, want := h.states(), strings.Repeat("open half_open ", 9)+"closed open"; got != want {
			t.Errorf("notices %q, want %q", got, want)
		}
		if n := h.notices[0]; n.Tenant != "acme" || n.EndpointID != "wh_1" || n.Failures != 10 || n.Reason != "http_5xx" || n.OpenUntil == 0 || n.Kind != schemas.NoticeBreaker {
			t.Errorf("%+v", n)
		}
	})
}

func TestJitterOfCooldowns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := map[time.Duration]bool{}
		for range 20 {
			h := newHarness(t, "http://127.0.0.1:1", func(c *Config) { c.Breaker.Jitter = 0.1 })
			h.trip(t)
			wait := time.Until(h.Breaker("wh_1").OpenUntil)
			if wait < 30*time.Second || wait > 33*time.Second {
				t.Fatalf("cool-down of %s", wait)
			}
			seen[wait] = true
		}
		if len(seen) < 2 {
			t.Error("all cool-downs are equal: probes of many endpoints would come at once")
		}
	})
}

// TestProbeNeverLeaks: a probe whose attempt is cut off, refused or given back
// leaves room for the next one.
func TestProbeNeverLeaks(t *testing.T) {
	arrived, release := make(chan struct{}, 1), make(chan struct{})
	r := receiver(t, status(200))
	hanging := raw(t, func(c net.Conn) { head(c); arrived <- struct{}{}; <-release })
	defer close(release)
	h := newHarness(t, hanging)
	past := schemas.BreakerState{Open: true, OpenUntil: time.Now().Add(-time.Second), Cooldowns: 3}
	h.Restore("wh_1", past)
	probe := func() schemas.Admission {
		t.Helper()
		for {
			a := h.Admit("wh_1", schemas.KindEvent, time.Now())
			if a.Kind == schemas.Go && a.Probe {
				return a
			}
			if a.Kind != schemas.Open || time.Until(a.Until) > 100*time.Millisecond {
				t.Fatalf("no probe: %+v", a)
			}
			time.Sleep(time.Millisecond)
		}
	}
	// Canceled in the middle.
	ctx, cancel := context.WithCancel(context.Background())
	got := make(chan schemas.Outcome)
	a := probe()
	go func() { got <- h.Deliver(ctx, a.Token, sample("dlv_1")) }()
	<-arrived
	cancel()
	if out := <-got; out.Verdict != schemas.Canceled {
		t.Fatalf("%+v", out)
	}
	// Canceled before it began.
	if out := h.Deliver(ctx, probe().Token, sample("dlv_1")); out.Verdict != schemas.Canceled {
		t.Fatalf("%+v", out)
	}
	// Given back, twice.
	a = probe()
	h.Release(a.Token)
	h.Release(a.Token)
	// Refused by the profile.
	bad := sample("dlv_1")
	bad.Data = []byte("[]")
	if out := h.Deliver(context.Background(), probe().Token, bad); out.Verdict != schemas.Rejected {
		t.Fatalf("%+v", out)
	}
	if s := h.Breaker("wh_1"); !s.Open || s.Cooldowns != 3 {
		t.Errorf("what does not count changed the breaker: %+v", s)
	}
	// Cut off by a panic.
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		a := probe()
		h.Deliver(context.Background(), a.Token, nil)
	}()
	h.target.URL = r.URL
	if out := h.Deliver(context.Background(), probe().Token, sample("dlv_1")); out.Verdict != schemas.Delivered || h.Breaker("wh_1").Open {
		t.Errorf("%+v, %+v", out, h.Breaker("wh_1"))
	}
}

func TestRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := newHarness(t, "http://127.0.0.1:1")
		first.trip(t)
		time.Sleep(30 * time.Second)
		first.attempt(t, failed, "p")
		kept := first.Breaker("wh_1")

		second := newHarness(t, "http://127.0.0.1:1")
		time.Sleep(10 * time.Second)
		second.Restore("wh_1", kept)
		if got := second.Breaker("wh_1"); got != kept {
			t.Errorf("restored %+v, want %+v", got, kept)
		}
		if second.states() != "" {
			t.Errorf("restoring made notices: %s", second.states())
		}
		if a := second.Admit("wh_1", schemas.KindEvent, time.Now()); a.Kind != schemas.Open || !a.Until.Equal(kept.OpenUntil) {
			t.Errorf("restored, but %+v", a)
		}
		time.Sleep(time.Until(kept.OpenUntil))
		second.attempt(t, failed, "p")
		if wait := time.Until(second.Breaker("wh_1").OpenUntil); wait != 2*time.Minute {
			t.Errorf("the third cool-down is %s", wait)
		}
		time.Sleep(time.Millisecond)
		second.Probe("wh_1")
		second.attempt(t, succeeded, "p")
		if second.Breaker("wh_1").Open {
			t.Error("a probe on demand did not close it")
		}
		second.Restore("wh_1", schemas.BreakerState{})
		second.Restore("wh_1", kept)
		second.Restore("wh_1", kept)
		if second.Breaker("wh_1") != kept {
			t.Error("restoring twice is not restoring once")
		}
	})
}

// TestManyProbes: with k probes exactly k go out, and all have to succeed.
func TestManyProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "http://127.0.0.1:1", func(c *Config) { c.Breaker.Probes = 3 })
		h.trip(t)
		time.Sleep(30 * time.Second)
		var tokens []any
		for range 10 {
			if a := h.Admit("wh_1", schemas.KindEvent, time.Now()); a.Kind == schemas.Go {
				tokens = append(tokens, a.Token)
			}
		}
		if len(tokens) != 3 {
			t.Fatalf("%d probes", len(tokens))
		}
		for i, tok := range tokens {
			if !h.Breaker("wh_1").Open {
				t.Errorf("closed after %d good probes", i)
			}
			h.settle(tok.(*token), succeeded, "p", "", time.Time{})
		}
		if h.Breaker("wh_1").Open {
			t.Error("three good probes did not close it")
		}
	})
}

// TestBreakerModel: whatever the results and pauses, an open breaker lets
// through at most one attempt per cool-down, never before its time, and always
// lets one through afterwards.
func TestBreakerModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) [3]int {
			return [3]int{rapid.IntRange(0, 2).Draw(rt, "result"), rapid.IntRange(0, 700).Draw(rt, "pause"), rapid.IntRange(0, 7).Draw(rt, "delivery")}
		}), 1, 80).Draw(rt, "steps")
		var broken string
		synctest.Test(t, func(t *testing.T) {
			h := newHarness(t, "http://127.0.0.1:1")
			for i, s := range steps {
				before := h.Breaker("wh_1")
				a := h.Admit("wh_1", schemas.KindEvent, time.Now())
				early := before.Open && time.Now().Before(before.OpenUntil)
				switch {
				case early && (a.Kind != schemas.Open || !a.Until.Equal(before.OpenUntil)):
					broken = fmt.Sprintf("step %d: early, but %+v", i, a)
				case !early && (a.Kind != schemas.Go || a.Probe != before.Open):
					broken = fmt.Sprintf("step %d: due, but %+v", i, a)
				}
				if a.Kind == schemas.Go {
					if a.Probe && h.Admit("wh_1", schemas.KindEvent, time.Now()).Kind == schemas.Go {
						broken = fmt.Sprintf("step %d: two probes", i)
					}
					h.settle(a.Token.(*token), result(s[0]), fmt.Sprint(s[2]), "x", time.Time{})
				}
				time.Sleep(time.Duration(s[1]) * time.Second)
			}
		})
		if broken != "" {
			rt.Fatal(broken)
		}
	})
}

func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "http://127.0.0.1:1")
		h.target.RateLimit = 5
		start, sent := time.Now(), 0
		for time.Since(start) < 10*time.Second {
			switch a := h.Admit("wh_1", schemas.KindEvent, time.Now()); a.Kind {
			case schemas.Go:
				sent++
				h.Release(a.Token)
			case schemas.NotBefore:
				if !a.Until.After(time.Now()) {
					t.Fatalf("ask again at %s, now is %s", a.Until, time.Now())
				}
				time.Sleep(time.Until(a.Until))
			default:
				t.Fatalf("%+v", a)
			}
		}
		if sent < 49 || sent > 51 {
			t.Errorf("%d attempts in 10 s at 5 per second", sent)
		}
		h.target.RateLimit = 1000
		if a := h.Admit("wh_1", schemas.KindEvent, time.Now().Add(time.Second)); a.Kind != schemas.Go {
			t.Errorf("a raised limit: %+v", a)
		}
		h.target.RateLimit = 0
		for range 100 {
			if a := h.Admit("wh_1", schemas.KindEvent, time.Now()); a.Kind != schemas.Go {
				t.Fatalf("no limit: %+v", a)
			}
		}
	})
}

// TestIdleGatesAreSwept: what has nothing to remember does not stay for ever,
// an open breaker does.
func TestIdleGatesAreSwept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "http://127.0.0.1:1")
		h.trip(t)
		for i := range firstSweep - 1 {
			h.gates.make(fmt.Sprint("e", i), "t", time.Now())
		}
		time.Sleep(idleAfter + time.Second)
		h.gates.make("one more", "t", time.Now())
		if n := len(h.gates.all); n != 2 || !h.Breaker("wh_1").Open {
			t.Errorf("%d gates are left, breaker %+v", n, h.Breaker("wh_1"))
		}
	})
}

// TestLateResultsLeaveAnOpenBreakerOpen: attempts that were in flight when it
// opened come back after it, and belong to no probe.
func TestLateResultsLeaveAnOpenBreakerOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "http://127.0.0.1:1")
		h.attempt(t, failed, "first") // from now on there is a breaker to admit
		var late []*token
		for range 3 {
			late = append(late, h.Admit("wh_1", schemas.KindEvent, time.Now()).Token.(*token))
		}
		for i := range 9 {
			h.attempt(t, failed, fmt.Sprint(i))
		}
		for i, r := range []result{failed, succeeded, ignored} {
			time.Sleep(time.Second)
			h.settle(late[i], r, fmt.Sprint("late", i), "timeout", time.Time{})
		}
		if got := h.states(); got != "open" {
			t.Fatalf("the cool-down runs, but the breaker told %q", got)
		}
		time.Sleep(time.Until(h.Breaker("wh_1").OpenUntil))
		h.attempt(t, failed, "probe")
		if got := h.states(); got != "open half_open open" {
			t.Fatalf("after a failed probe the breaker told %q", got)
		}
	})
}

// TestAForgottenEndpointHasNoBreaker: results that come after the endpoint was
// enabled afresh, or went to another owner, open nothing here.
func TestAForgottenEndpointHasNoBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "http://127.0.0.1:1")
		h.target.RateLimit = 1000 // its gate is there before any failure
		var late []*token
		for range 20 {
			late = append(late, h.Admit("wh_1", schemas.KindEvent, time.Now()).Token.(*token))
		}
		h.Forget("wh_1")
		for i, tok := range late {
			h.settle(tok, failed, fmt.Sprint(i), "timeout", time.Time{})
		}
		if got := h.states(); got != "" || h.Breaker("wh_1").Open {
			t.Errorf("told %q, %+v", got, h.Breaker("wh_1"))
		}
	})
}
