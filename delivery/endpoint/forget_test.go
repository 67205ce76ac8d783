package endpoint_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookstream/hookstream/delivery/endpoint"
	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

const day = 24 * time.Hour

// nodes are registries over one log; each applies it when it asks for a barrier.
type nodes struct {
	fatal      func(...any)
	topology   schemas.Topology
	config     endpoint.Config
	registries []*endpoint.Registry
	applied    []int
	log        []schemas.Record
	audits     []string
	before     func(node int, rec *schemas.Record) error // a write; an error fails it
	after      func(node int, rec *schemas.Record)
}

func newNodes(t testing.TB, profiles *profile.Set, count int) *nodes {
	n := &nodes{fatal: func(args ...any) { t.Helper(); t.Fatal(args...) }, topology: schemas.DevTopology()}
	n.config = (&loop{t: t, topology: n.topology}).config(profiles)
	n.config.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	n.config.Notice = func(_ context.Context, notice schemas.Notice) error {
		n.audits = append(n.audits, notice.Action)
		return nil
	}
	for range count {
		n.add()
	}
	return n
}

// add starts a node that has read nothing yet.
func (n *nodes) add() int {
	i := len(n.registries)
	cfg := n.config
	cfg.Write = func(_ context.Context, rec schemas.Record) error {
		if hook := n.before; hook != nil {
			if err := hook(i, &rec); err != nil {
				return err
			}
		}
		n.log = append(n.log, rec)
		if hook := n.after; hook != nil {
			hook(i, &rec)
		}
		return nil
	}
	cfg.Barrier = func(context.Context) error { n.catchUp(i); return nil }
	r, err := endpoint.NewRegistry(cfg)
	if err != nil {
		n.fatal(err)
	}
	n.registries, n.applied = append(n.registries, r), append(n.applied, 0)
	return i
}

func (n *nodes) catchUp(i int) {
	for ; n.applied[i] < len(n.log); n.applied[i]++ {
		rec := n.log[n.applied[i]]
		n.registries[i].Apply(&rec)
	}
}

// compact keeps the last record of each key, and no tombstones.
func (n *nodes) compact() {
	last := map[string]int{}
	for i, rec := range n.log {
		last[rec.Topic+string(rec.Key)] = i
	}
	var kept []schemas.Record
	for i, rec := range n.log {
		if last[rec.Topic+string(rec.Key)] == i && rec.Value != nil {
			kept = append(kept, rec)
		}
	}
	n.log = kept
}

// event matches one event with a callback URL on a node, as the fan-out does
// after its barrier, and gives the endpoint.
func (n *nodes) event(i int) string {
	n.catchUp(i)
	ev := schemas.Event{ID: "e", Type: "a", Tenant: "acme", CallbackURL: "https://example.com/cb", Profile: "standard", Kind: schemas.KindEvent}
	m, err := n.registries[i].Match(context.Background(), &ev)
	if err != nil || len(m) != 1 || m[0].Skip != "" {
		n.fatal("match:", m, err)
	}
	return m[0].EndpointID
}

func (n *nodes) known(i int, id string) bool {
	n.catchUp(i)
	_, ok := n.registries[i].Target(id)
	return ok
}

func (n *nodes) sweep(i int) int {
	count, err := n.registries[i].Forget(context.Background())
	if err != nil {
		n.fatal(err)
	}
	return count
}

// keys counts the log's records whose key ends in a suffix.
func (n *nodes) keys(suffix string) (count int) {
	for _, rec := range n.log {
		if strings.HasSuffix(string(rec.Key), suffix) {
			count++
		}
	}
	return count
}

// TestIdleCallbackEndpointIsForgotten: after 30 days without an event, no
// sooner, with nothing left over; the next event makes it anew.
func TestIdleCallbackEndpointIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNodes(t, builtin(t), 2)
		id := n.event(0)
		row := schemas.Endpoint{ID: "wh_own", Tenant: "acme", Version: 1, URL: "https://example.com", Profile: "standard", Active: true, Verified: true, CreatedAt: time.Now(), UpdatedAt: time.Now()}
		rec, err := row.Record(n.topology)
		if err != nil {
			t.Fatal(err)
		}
		n.log = append(n.log, rec)
		time.Sleep(20 * day)
		n.event(1)
		time.Sleep(29 * day) // 49 after it was made, 29 after it was used
		if n.sweep(0)+n.sweep(1) != 0 || !n.known(0, id) || !n.known(1, id) {
			t.Fatal("forgotten while it was in use")
		}
		time.Sleep(day)
		if n.sweep(0) != 1 || n.sweep(1) != 0 || n.known(0, id) || n.known(1, id) || !n.known(0, "wh_own") {
			t.Fatal("not forgotten, or more than it")
		}
		n.compact()
		if count := n.keys(id) + n.keys(id+schemas.UseKeySuffix) + n.keys(id+schemas.StatusKeySuffix); count != 0 {
			t.Errorf("%d rows left of it", count)
		}
		for _, action := range []string{"webhook.create", "webhook.forget"} {
			if !strings.Contains(strings.Join(n.audits, " "), action) {
				t.Errorf("no audit of %s in %v", action, n.audits)
			}
		}
		n.applied = []int{len(n.log), len(n.log)}
		if again := n.event(1); again != id || !n.known(0, id) {
			t.Error("not made anew")
		}
	})
}

// TestUseIsRecordedOnceADay: a busy callback endpoint costs one row a day, and
// a status of it outlives that row.
func TestUseIsRecordedOnceADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNodes(t, builtin(t), 1)
		id := n.event(0)
		status := schemas.EndpointStatus{ID: id, ForVersion: 1, Disabled: true, Reason: "failing"}
		for range 10 * 24 {
			time.Sleep(time.Hour)
			n.event(0)
		}
		if got := n.keys(schemas.UseKeySuffix); got != 10 {
			t.Errorf("%d rows in 10 days", got)
		}
		rec, err := status.Record(n.topology)
		if err != nil {
			t.Fatal(err)
		}
		n.log = append(n.log, rec)
		n.catchUp(0)
		time.Sleep(2 * day)
		ev := schemas.Event{ID: "e", Type: "a", Tenant: "acme", EndpointID: id, Kind: schemas.KindReplay}
		if m, err := n.registries[0].Match(t.Context(), &ev); err != nil || len(m) != 1 || m[0].Skip != schemas.ReasonDisabled {
			t.Errorf("%+v %v", m, err)
		}
		if got := n.keys(schemas.UseKeySuffix); got != 11 {
			t.Errorf("a replay to it is a use too: %d rows", got)
		}
	})
}

// TestUseInTheMomentOfForgetting: an event that another node matches around the
// idle tombstone keeps the endpoint, on every node and after compaction.
func TestUseInTheMomentOfForgetting(t *testing.T) {
	for name, arrange := range map[string]func(n *nodes, use func()){
		"just before the tombstone": func(n *nodes, use func()) {
			n.before = func(node int, rec *schemas.Record) error {
				if _, idle := schemas.IdleSince(rec); idle {
					n.before = nil
					use()
				}
				return nil
			}
		},
		"just behind the tombstone": func(n *nodes, use func()) {
			n.after = func(node int, rec *schemas.Record) {
				if _, idle := schemas.IdleSince(rec); idle {
					n.after = nil
					use()
				}
			}
		},
		"before the tombstone, and the sweeper dies there": func(n *nodes, use func()) {
			n.before = func(node int, rec *schemas.Record) error {
				if _, idle := schemas.IdleSince(rec); !idle {
					return nil
				}
				n.before = func(node int, rec *schemas.Record) error {
					if node == 0 {
						return errors.New("dead")
					}
					return nil
				}
				use()
				return nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNodes(t, builtin(t), 3)
				id := n.event(0)
				time.Sleep(31 * day)
				used := false
				arrange(n, func() { n.event(1); used = true })
				n.catchUp(0)
				_, _ = n.registries[0].Forget(t.Context())
				n.before, n.after = nil, nil
				for i := range 3 {
					if !n.known(i, id) {
						t.Fatalf("node %d does not know the endpoint of an event that was matched", i)
					}
				}
				if fresh := n.add(); !used || !n.known(fresh, id) {
					t.Fatal("a node that starts now does not know it")
				}
				n.sweep(2) // any other node's sweep mends what the dead one left
				n.compact()
				if fresh := n.add(); !n.known(fresh, id) {
					t.Error("it did not outlive compaction")
				}
			})
		})
	}
}

// TestForgettingLosesNoEvent lets events, sweeps, deaths of sweepers and time
// meet at random on three nodes: an endpoint that got an event is known to
// every node for as long as a delivery may wait.
func TestForgettingLosesNoEvent(t *testing.T) {
	profiles := builtin(t)
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) {
			meet(t, profiles, rand.New(rand.NewPCG(seed, 1)), seed)
		})
	}
}

func meet(t *testing.T, profiles *profile.Set, random *rand.Rand, seed uint64) {
	n := newNodes(t, profiles, 3)
	id, last, inside := "", time.Time{}, false
	use := func(i int) { id, last = n.event(i), time.Now() }
	racing := func(node int) { // something happens on another node around a write
		if inside || random.IntN(3) > 0 {
			return
		}
		inside = true
		if i := (node + 1 + random.IntN(2)) % 3; random.IntN(2) == 0 {
			use(i)
		} else {
			_, _ = n.registries[i].Forget(t.Context())
		}
		inside = false
	}
	n.after = func(node int, _ *schemas.Record) { racing(node) }
	for range 25 {
		i := random.IntN(3)
		switch random.IntN(4) {
		case 0:
			use(i)
		case 1:
			time.Sleep(time.Duration(1+random.IntN(40*24)) * time.Hour)
		default:
			dies := random.IntN(4) == 0
			n.before = func(node int, rec *schemas.Record) error {
				racing(node)
				if _, idle := schemas.IdleSince(rec); !idle && dies && node == i && !inside {
					return errors.New("dead")
				}
				return nil
			}
			_, _ = n.registries[i].Forget(t.Context())
			n.before = nil
		}
		if id == "" || time.Since(last) >= 29*day {
			continue
		}
		n.add() // one that has read nothing yet
		for i := range n.registries {
			if !n.known(i, id) {
				t.Fatalf("seed %d: node %d lost the endpoint %s after its last event", seed, i, time.Since(last))
			}
		}
		n.registries, n.applied = n.registries[:3], n.applied[:3]
	}
}

// TestSweepRuns: the sweep goes by itself, and ends with its context.
func TestSweepRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNodes(t, builtin(t), 1)
		id := n.event(0)
		ctx, cancel := context.WithTimeout(t.Context(), 31*day)
		defer cancel()
		if err := n.registries[0].Run(ctx); err != nil {
			t.Fatal(err)
		}
		if n.known(0, id) {
			t.Error("nobody swept")
		}
	})
}
