package consumer

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

func TestDispatcherDeliversEverythingOnce(t *testing.T) {
	w := newWorld(t)
	for i := range 5 {
		w.endpoint(fmt.Sprintf("wh_%d", i), Lane{}, nil)
		w.send(fmt.Sprintf("wh_%d", i), 0, 50)
	}
	p := w.start(nil)
	w.until("250 successes", func() bool { return len(w.terminal("")) == 250 })
	p.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.rows) != 250 {
		t.Errorf("%d rows for 250 deliveries", len(w.rows))
	}
	for _, r := range w.rows {
		if r.State != schemas.StateSuccess || r.No != 1 || r.NextRetryAt != 0 || r.CreatedAt != 1700000000000 || r.Tenant != "default" {
			t.Errorf("row %+v", r)
		}
	}
	for id, e := range w.targets {
		if e.peak > DefaultDispatchLimits().Concurrency {
			t.Errorf("%s had %d requests in flight", id, e.peak)
		}
	}
}

func TestDispatcherRestartRepeatsNothing(t *testing.T) {
	w := newWorld(t)
	e := w.endpoint("wh_a", Lane{}, nil)
	w.send("wh_a", 0, 40)
	p := w.start(nil)
	w.until("40 successes", func() bool { return len(w.terminal("")) == 40 })
	p.stop()
	w.send("wh_a", 40, 60)
	p = w.start(nil)
	w.until("60 successes", func() bool { return len(w.terminal("")) == 60 })
	p.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(e.calls) != 60 {
		t.Errorf("%d requests for 60 deliveries", len(e.calls))
	}
}

func TestDispatcherRetries(t *testing.T) {
	cases := []struct {
		name  string
		delay time.Duration
		tier  bool
	}{{"through a tier", time.Second, true}, {"in memory", 200 * time.Millisecond, false}}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.endpoint("wh_a", Lane{}, func(_ context.Context, d *schemas.Delivery, _ int) schemas.Outcome {
				switch d.Attempts {
				case 0, 1:
					return retryIn(c.delay)
				default:
					return verdict(schemas.Exhausted)
				}
			})
			w.send("wh_a", 0, 1)
			p := w.start(nil)
			w.until("a dead letter and its row", func() bool { return len(w.terminal("")) == 1 && len(w.records[w.c.Topology.DeadTopic()]) == 1 })
			p.stop()
			w.mu.Lock()
			defer w.mu.Unlock()
			if got := len(w.rows); got != 3 {
				t.Fatalf("%d rows for 3 attempts", got)
			}
			calls := w.targets["wh_a"].calls
			for i, r := range w.rows {
				if r.No != i+1 {
					t.Errorf("row %d has number %d", i, r.No)
				}
				if i < 2 && (r.State != schemas.StatePending || r.NextRetryAt == 0) {
					t.Errorf("row %+v", r)
				}
				if i < 2 && calls[i+1].at.Before(time.UnixMilli(r.NextRetryAt)) {
					t.Errorf("attempt %d was made %s before it was due", i+2, time.UnixMilli(r.NextRetryAt).Sub(calls[i+1].at))
				}
			}
			if tiers := len(w.records[w.c.Topology.TierTopic(schemas.Tiers()[0])]); (tiers == 2) != c.tier {
				t.Errorf("%d records in the 1s tier", tiers)
			}
			d, reason, last, err := schemas.ParseDead(&w.records[w.c.Topology.DeadTopic()][0])
			if err != nil || reason != "exhausted" || d.Attempts != 3 || last.No != 3 || last.State != schemas.StateError || last.ResponseCode != 500 {
				t.Errorf("dead letter %+v %q %+v %v", d, reason, last, err)
			}
		})
	}
}

func TestDispatcherVerdicts(t *testing.T) {
	cases := []struct {
		name    string
		outcome schemas.Outcome
		setup   func(*target)
		state   schemas.State
		kind    string
		no      int
		dead    string // reason; empty: no dead letter
		sent    bool
	}{
		{name: "rejected", outcome: schemas.Outcome{Verdict: schemas.Rejected, Row: schemas.Attempt{ErrorKind: schemas.ErrRejected}}, state: schemas.StateError, kind: schemas.ErrRejected, dead: "rejected", sent: true},
		{name: "skipped by the courier", outcome: schemas.Outcome{Verdict: schemas.Skipped, Row: schemas.Attempt{ErrorKind: schemas.SkipDeleted}}, state: schemas.StateSkipped, kind: schemas.SkipDeleted, sent: true},
		{name: "deleted", setup: func(e *target) { e.gone = true }, state: schemas.StateSkipped, kind: schemas.SkipDeleted},
		{name: "inactive", setup: func(e *target) {
			e.admit = func(time.Time) schemas.Admission {
				return schemas.Admission{Kind: schemas.Inactive, Reason: schemas.SkipInactive}
			}
		}, state: schemas.StateSkipped, kind: schemas.SkipInactive},
		{name: "disabled", setup: func(e *target) {
			e.admit = func(time.Time) schemas.Admission {
				return schemas.Admission{Kind: schemas.Inactive, Reason: schemas.ReasonDisabled}
			}
		}, state: schemas.StateError, kind: schemas.ReasonDisabled, dead: "disabled"},
		{name: "gone", outcome: schemas.Outcome{Verdict: schemas.Gone, Failed: true, Row: schemas.Attempt{ResponseCode: 410, ErrorKind: schemas.ErrHTTP4xx}}, state: schemas.StateError, kind: schemas.ErrHTTP4xx, no: 1, dead: "gone", sent: true},
		{name: "text that is too long", outcome: schemas.Outcome{Verdict: schemas.Delivered, Row: schemas.Attempt{ResponseBody: strings.Repeat("é", 2<<20), Error: strings.Repeat("x", 2<<20)}}, state: schemas.StateSuccess, no: 1, sent: true},
	}
	w := newWorld(t)
	p := w.start(nil)
	for i, c := range cases {
		id := fmt.Sprintf("wh_%d", i)
		e := w.endpoint(id, Lane{}, func(context.Context, *schemas.Delivery, int) schemas.Outcome { return c.outcome })
		if c.setup != nil {
			c.setup(e)
		}
		w.send(id, 0, 1)
		w.until(c.name, func() bool { return len(w.terminal(id)) == 1 })
		w.mu.Lock()
		row := w.terminal(id)[id+"/00000"]
		if row.State != c.state || row.ErrorKind != c.kind || row.No != c.no {
			t.Errorf("%s: row %+v", c.name, row)
		}
		if len(row.ResponseBody) > schemas.MaxResponseExcerpt || len(row.Error) > maxErrorText {
			t.Errorf("%s: %d bytes of body, %d of error", c.name, len(row.ResponseBody), len(row.Error))
		}
		if (len(e.calls) == 1) != c.sent {
			t.Errorf("%s: %d requests", c.name, len(e.calls))
		}
		w.mu.Unlock()
		if c.dead != "" {
			w.until(c.name+": dead letter", func() bool {
				for _, r := range w.records[w.c.Topology.DeadTopic()] {
					if reason, _ := r.Header(schemas.HdrReason); string(r.Key) == id && reason == c.dead {
						return true
					}
				}
				return false
			})
		}
	}
	p.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.status) != 1 || w.status[0].ForVersion != 1 || !w.status[0].Disabled || w.status[0].Reason != disabledGone || len(w.notices) != 1 || w.notices[0].Kind != schemas.NoticeDisabled {
		t.Errorf("status %+v, notices %+v", w.status, w.notices)
	}
}

func TestDispatcherGoneStopsTheLane(t *testing.T) {
	w := newWorld(t)
	e := w.endpoint("wh_a", Lane{Concurrency: 1}, func(context.Context, *schemas.Delivery, int) schemas.Outcome { return verdict(schemas.Gone) })
	w.send("wh_a", 0, 30)
	p := w.start(nil)
	w.until("30 dead letters", func() bool { return len(w.records[w.c.Topology.DeadTopic()]) == 30 && len(w.terminal("")) == 30 })
	p.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(e.calls) != 1 || len(w.status) != 1 {
		t.Errorf("%d requests, %d disables for one 410", len(e.calls), len(w.status))
	}
}

func TestDispatcherFailingForDaysDisables(t *testing.T) {
	w := newWorld(t)
	w.endpoint("wh_a", Lane{Concurrency: 1}, func(context.Context, *schemas.Delivery, int) schemas.Outcome { return verdict(schemas.Exhausted) })
	w.send("wh_a", 0, 20)
	p := w.start(func(c *DispatcherConfig) { c.Limits.FailingFor, c.Limits.FailingAttempts = time.Nanosecond, 5 })
	w.until("20 dead letters", func() bool { return len(w.terminal("")) == 20 })
	p.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.targets["wh_a"].calls) != 5 || len(w.status) != 1 || w.status[0].Reason != disabledFailing {
		t.Errorf("%d requests, status %+v", len(w.targets["wh_a"].calls), w.status)
	}
}

func TestDispatcherHoldsAndLimits(t *testing.T) {
	w := newWorld(t)
	var last time.Time
	gap := 30 * time.Millisecond
	e := w.endpoint("wh_a", Lane{}, nil)
	e.admit = func(now time.Time) schemas.Admission {
		if next := last.Add(gap); now.Before(next) {
			return schemas.Admission{Kind: schemas.NotBefore, Until: next}
		}
		last = now
		return schemas.Admission{Kind: schemas.Go}
	}
	w.send("wh_a", 0, 10)
	p := w.start(nil)
	w.until("10 successes", func() bool { return len(w.terminal("")) == 10 })
	p.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := 1; i < len(e.calls); i++ {
		if e.calls[i].at.Before(e.calls[i-1].at) {
			t.Errorf("call %d came before call %d", i, i-1)
		}
	}
	if span := e.calls[9].at.Sub(e.calls[0].at); span < 9*gap-5*time.Millisecond {
		t.Errorf("10 requests within %s", span)
	}
}

func TestDispatcherKeepsWhatItCannotRead(t *testing.T) {
	w := newWorld(t)
	w.endpoint("wh_a", Lane{}, nil)
	topo := w.c.Topology
	if err := w.writer.AppendAll(w.ctx, schemas.Record{Topic: topo.DeliveriesTopic(), Partition: topo.Slot("wh_a"), Key: []byte("wh_a"), Value: []byte("?")}); err != nil {
		t.Fatal(err)
	}
	w.send("wh_a", 0, 1)
	p := w.start(nil)
	w.until("the letter and the success", func() bool { return len(w.records[topo.DeadTopic()]) == 1 && len(w.terminal("")) == 1 })
	p.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	if reason, _ := w.records[topo.DeadTopic()][0].Header(schemas.HdrReason); !strings.HasPrefix(reason, "malformed: ") || string(w.records[topo.DeadTopic()][0].Value) != "?" {
		t.Errorf("dead letter %+v", w.records[topo.DeadTopic()][0])
	}
}
