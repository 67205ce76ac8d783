package consumer

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hookstream/hookstream/schemas"
)

// The lane against virtual time: jobs arrive with due times, are attempted,
// come back with later ones. Whoever only looks when lookAgain says so misses
// nothing, nothing starts early, and no bound is broken.
func TestLaneModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := time.Unix(1_700_000_000, 0)
		now := base
		l := newLane("wh_a", now)
		l.know(Lane{Ordered: rapid.Bool().Draw(t, "ordered"), Concurrency: rapid.IntRange(0, 4).Draw(t, "concurrency")}, 3)
		var inFlight []*job
		arrived, ended, lastStarted := 0, 0, -1
		wait := func(t *rapid.T) time.Duration {
			return time.Duration(rapid.IntRange(-2, 20).Draw(t, "wait")) * time.Millisecond
		}
		start := func(t *rapid.T) {
			for {
				j := l.next(now)
				if j == nil {
					return
				}
				if !j.ready(now) || l.hold.After(now) {
					t.Fatalf("started %s early", j.d.Due.Sub(now))
				}
				j.state = running
				l.running++
				inFlight = append(inFlight, j)
				if len(inFlight) > l.limit {
					t.Fatalf("%d in flight, the limit is %d", len(inFlight), l.limit)
				}
				if l.info.Ordered {
					if n := int(j.src.Offset); n < lastStarted {
						t.Fatalf("record %d started after %d", n, lastStarted)
					}
					lastStarted = int(j.src.Offset)
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"arrive": func(t *rapid.T) {
				j := &job{received: now, src: schemas.Position{Offset: int64(arrived)}}
				if rapid.Bool().Draw(t, "later") {
					j.d.Due = now.Add(wait(t))
				}
				arrived++
				l.push(j, now)
				start(t)
			},
			"land": func(t *rapid.T) {
				if len(inFlight) == 0 {
					return
				}
				i := rapid.IntRange(0, len(inFlight)-1).Draw(t, "which")
				j := inFlight[i]
				inFlight = append(inFlight[:i], inFlight[i+1:]...)
				l.running--
				if rapid.Bool().Draw(t, "again") {
					j.d.Due = now.Add(wait(t))
					l.again(j, now)
				} else {
					j.state = finished
					ended++
				}
				start(t)
			},
			"hold": func(t *rapid.T) { l.holdUntil(now.Add(wait(t)), now) },
			"sleep as told": func(t *rapid.T) {
				at := l.lookAgain(now)
				if at.IsZero() {
					now = now.Add(time.Second)
					if j := l.next(now); j != nil {
						t.Fatal("said that only an event helps, but time did")
					}
					return
				}
				// A moment before, there is nothing; then there is.
				if at.After(now) {
					if j := l.next(at.Add(-1)); j != nil {
						t.Fatalf("record %d could start before the time to look again", j.src.Offset)
					}
					now = at
				}
				j := l.next(now)
				if j == nil {
					t.Fatal("nothing to start at the time to look again")
				}
				l.back(j)
				start(t)
			},
			"": func(t *rapid.T) {
				if n := l.waitingJobs() + len(inFlight) + ended; n != arrived {
					t.Fatalf("%d of %d jobs are accounted for", n, arrived)
				}
			},
		})
	})
}

func TestLaneStuck(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	old := now.Add(-3 * time.Second)
	ack := func(int64) {}
	cases := []struct {
		name string
		lane func(*lane)
		want bool
	}{
		{"a request in flight for too long", func(l *lane) { l.sourced = []*job{{state: running, started: old, ack: ack}} }, true},
		{"a young request", func(l *lane) { l.sourced = []*job{{state: running, started: now, received: old, ack: ack}} }, false},
		{"a long queue of a busy endpoint", func(l *lane) { l.sourced = []*job{{state: waiting, received: old, ack: ack}} }, false},
		{"a hold", func(l *lane) {
			l.sourced, l.hold = []*job{{state: waiting, received: old, ack: ack}}, now.Add(time.Minute)
		}, true},
		{"a hold that just began", func(l *lane) {
			l.sourced, l.hold = []*job{{state: waiting, received: now, ack: ack}}, now.Add(time.Minute)
		}, false},
		{"an ordered head that waits for its retry", func(l *lane) {
			j := &job{state: waiting, received: old, ack: ack}
			j.d.Due = now.Add(time.Minute)
			l.info.Ordered, l.sourced, l.queue = true, []*job{j}, []*job{j}
		}, true},
		{"a place in park already", func(l *lane) { l.sourced = []*job{{state: running, started: old}} }, false},
		{"on its way to park", func(l *lane) { l.sourced = []*job{{state: running, started: old, ack: ack, parking: true}} }, false},
		{"halted", func(l *lane) { l.sourced, l.halted = []*job{{state: waiting, received: old, ack: ack}}, true }, true},
	}
	for _, c := range cases {
		l := newLane("wh_a", now)
		c.lane(l)
		if got := l.stuck(now, 2*time.Second); got != c.want {
			t.Errorf("%s: stuck is %v", c.name, got)
		}
	}
}

func TestFailingCountsDays(t *testing.T) {
	limits := DefaultDispatchLimits()
	now := time.Unix(1_700_000_000, 0)
	var f failing
	for i := range 20 {
		if f.count(true, now, limits) {
			t.Fatalf("disabled after %d failures at once", i+1)
		}
	}
	if f.count(true, now.Add(limits.FailingFor-1), limits) {
		t.Error("disabled too early")
	}
	if !f.count(true, now.Add(limits.FailingFor), limits) {
		t.Error("not disabled after days of failures")
	}
	if f.count(false, now, limits); !f.since.IsZero() {
		t.Error("a success is not remembered")
	}
	f.count(true, now, limits)
	if f.count(true, now.Add(2*limits.FailingFor), limits) {
		t.Error("disabled after two failures")
	}
}
