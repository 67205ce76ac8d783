package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/hookstream/hookstream/internal/kafkatest"
)

// until waits for a condition, with a deadline that only a broken test meets.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never came true: %s", what)
		}
	}
}

// noLeaks fails the test when goroutines outlive it, its cleanups included.
func noLeaks(t *testing.T) {
	current := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, current) })
}

// groupTest is a cluster with two co-partitioned topics and a name for a group.
type groupTest struct {
	kafkatest.Cluster
	name   string
	topics []string
}

func newGroupTest(t *testing.T) groupTest {
	c := kafkatest.Start(t)
	return groupTest{c, fmt.Sprintf("test-%x", rand.Uint64()), []string{c.Topology.DeliveriesTopic(), c.Topology.DueTopic()}}
}

func (g groupTest) config(t *testing.T) GroupConfig {
	c := DefaultGroupConfig()
	c.Options, c.Group, c.Topics, c.Balancer = g.Options(), g.name, g.topics, SlotBalancer()
	c.CommitEvery, c.FetchMaxWait = 20*time.Millisecond, 50*time.Millisecond
	c.Log = slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return c
}

// testWriter sends log lines to the test, also those of a goroutine that ends late.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Helper()
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

// member is a running Group.
type member struct {
	*Group
	stop func() error // ends Run and returns its error
	done chan error
}

func startMember(t *testing.T, c GroupConfig) *member {
	t.Helper()
	g, err := NewGroup(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &member{Group: g, done: make(chan error, 1)}
	m.stop = sync.OnceValue(func() error {
		cancel()
		return <-m.done
	})
	go func() { m.done <- g.Run(ctx) }()
	t.Cleanup(func() { _ = m.stop() })
	return m
}

func (g groupTest) produce(t *testing.T, n int) {
	t.Helper()
	cl, err := kgo.NewClient(g.Options(kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var recs []*kgo.Record
	for i := range n {
		recs = append(recs, &kgo.Record{Topic: g.topics[i%2], Partition: int32(i/2) % g.Topology.Slots, Value: fmt.Append(nil, i)})
	}
	if err := cl.ProduceSync(context.Background(), recs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func (g groupTest) admin(t *testing.T) *kadm.Client {
	t.Helper()
	cl, err := kgo.NewClient(g.Options()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return kadm.NewClient(cl)
}

// committed lists the group's commits as "topic/partition" → offset.
func (g groupTest) committed(t *testing.T, adm *kadm.Client) map[string]int64 {
	t.Helper()
	offsets, err := adm.FetchOffsets(context.Background(), g.name)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int64{}
	offsets.Each(func(o kadm.OffsetResponse) {
		if o.At >= 0 {
			out[fmt.Sprintf("%s/%d", o.Topic, o.Partition)] = o.At
		}
	})
	return out
}

func TestGroupConfigValidate(t *testing.T) {
	good := DefaultGroupConfig()
	good.Group, good.Topics, good.Handle = "g", []string{"t"}, func(context.Context, *Batch) error { return nil }
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, breakIt := range map[string]func(*GroupConfig){
		"Group": func(c *GroupConfig) { c.Group = "" }, "Topics": func(c *GroupConfig) { c.Topics = nil }, "Handle": func(c *GroupConfig) { c.Handle = nil },
		"SessionTimeout": func(c *GroupConfig) { c.SessionTimeout = time.Second }, "CommitEvery": func(c *GroupConfig) { c.CommitEvery = 0 },
		"MaxPoll": func(c *GroupConfig) { c.MaxPoll = 0 }, "FetchMaxWait": func(c *GroupConfig) { c.FetchMaxWait = 0 },
		"RebalanceTimeout": func(c *GroupConfig) { c.RebalanceTimeout = time.Second }, "Settle": func(c *GroupConfig) { c.Settle = -1 },
	} {
		c := good
		breakIt(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestGroupCommitsContiguous: one open record holds the commit back, whatever
// is done behind it, and a drain ends with all of it committed.
func TestGroupCommitsContiguous(t *testing.T) {
	noLeaks(t)
	g := newGroupTest(t)
	g.produce(t, 800) // 100 in each of 8 partitions
	adm := g.admin(t)
	c := g.config(t)
	var mu sync.Mutex
	held := map[topicPartition]*Batch{} // offset 40 of each partition stays open
	seen := 0
	c.Handle = func(_ context.Context, b *Batch) error {
		mu.Lock()
		defer mu.Unlock()
		seen += len(b.Records)
		for _, i := range rand.Perm(len(b.Records)) {
			if at := b.Records[i].Offset; at == 40 {
				held[topicPartition{b.Topic, b.Partition}] = b
			} else {
				b.Done(at)
			}
		}
		return nil
	}
	m := startMember(t, c)
	all := func(want int64) func() bool {
		return func() bool {
			got := g.committed(t, adm)
			for _, at := range got {
				if at > want {
					t.Fatalf("committed %v, above %d", got, want)
				}
			}
			return len(got) == 8 && !slices.ContainsFunc(slices.Collect(maps.Values(got)), func(at int64) bool { return at != want })
		}
	}
	until(t, "everything but offset 40 is done and 40 committed", func() bool { return m.Pending() == 8 && all(40)() })
	if n := len(m.Assignment()[g.topics[0]]); n != 4 {
		t.Errorf("%d partitions assigned", n)
	}
	if at, ok := m.Committed(g.topics[0], 0); !ok || at != 40 {
		t.Errorf("Committed says %d %v", at, ok)
	}
	go func() {
		time.Sleep(50 * time.Millisecond) // while the group drains
		mu.Lock()
		defer mu.Unlock()
		for _, b := range held {
			b.Done(40)
			b.Done(40)
			b.Done(7)
		}
	}()
	if err := m.stop(); err != nil {
		t.Fatal(err)
	}
	if !all(100)() {
		t.Errorf("after the drain %v is committed", g.committed(t, adm))
	}
	mu.Lock()
	defer mu.Unlock()
	if seen != 800 {
		t.Errorf("saw %d records", seen)
	}
}

// TestGroupSlotsStayWhole: with 1, 3 and 2 members nobody holds only a part of
// a slot at rest, nothing is lost on the way, and Handle never runs for a
// partition after it was revoked.
func TestGroupSlotsStayWhole(t *testing.T) {
	noLeaks(t)
	g := newGroupTest(t)
	var mu sync.Mutex
	got := map[string]int{}
	owner := map[topicPartition]int{}
	start := func(id int) *member {
		c := g.config(t)
		c.Assigned = func(_ context.Context, a map[string][]int32) error {
			mu.Lock()
			defer mu.Unlock()
			for topic, ps := range a {
				for _, p := range ps {
					if at := (topicPartition{topic, p}); owner[at] != 0 {
						t.Errorf("%v is given to %d while %d has it", at, id, owner[at])
					} else {
						owner[at] = id
					}
				}
			}
			return nil
		}
		c.Revoked = func(_ context.Context, a map[string][]int32) {
			mu.Lock()
			defer mu.Unlock()
			for topic, ps := range a {
				for _, p := range ps {
					delete(owner, topicPartition{topic, p})
				}
			}
		}
		c.Lost = func(a map[string][]int32) { t.Errorf("%d lost %v", id, a) }
		c.Handle = func(_ context.Context, b *Batch) error {
			mu.Lock()
			defer mu.Unlock()
			if owner[topicPartition{b.Topic, b.Partition}] != id {
				t.Errorf("member %d handles %s/%d, which it does not own", id, b.Topic, b.Partition)
			}
			for _, r := range b.Records {
				got[string(r.Value)]++
				go b.Done(r.Offset)
			}
			return nil
		}
		return startMember(t, c)
	}
	var members []*member
	settled := func(want ...int) func() bool {
		return func() bool {
			slots := 0
			for i, m := range members {
				a := m.Assignment()
				if len(a[g.topics[0]]) != want[i] || !slices.Equal(a[g.topics[0]], a[g.topics[1]]) {
					return false
				}
				slots += want[i]
			}
			return slots == 4
		}
	}
	members = append(members, start(1))
	until(t, "one member has 4 slots", settled(4))
	g.produce(t, 200)
	members = append(members, start(2), start(3))
	until(t, "three members have 2, 1 and 1 slots", func() bool { return settled(2, 1, 1)() || settled(1, 2, 1)() || settled(1, 1, 2)() })
	g.produce(t, 400)
	if err := members[0].stop(); err != nil {
		t.Fatal(err)
	}
	members = members[1:]
	until(t, "two members have 2 slots each", settled(2, 2))
	g.produce(t, 600)
	until(t, "every record is read", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(got) == 600
	})
	for _, m := range members {
		if err := m.stop(); err != nil {
			t.Fatal(err)
		}
	}
	for v, n := range got {
		var i int
		_, _ = fmt.Sscan(v, &i)
		if want := 1 + b2i(i < 400) + b2i(i < 200); n != want {
			t.Errorf("record %s came %d times, not %d: a hand-over repeats none", v, n, want)
		}
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestGroupPauseEndsWithRevoke: a pause must not outlive the assignment.
func TestGroupPauseEndsWithRevoke(t *testing.T) {
	g := newGroupTest(t)
	var count sync.Map
	config := func() GroupConfig {
		c := g.config(t)
		c.Handle = func(_ context.Context, b *Batch) error {
			for _, r := range b.Records {
				count.Store(string(r.Value), true)
				b.Done(r.Offset)
			}
			return nil
		}
		return c
	}
	seen := func() (n int) {
		count.Range(func(any, any) bool { n++; return true })
		return n
	}
	a := startMember(t, config())
	until(t, "the first member has all", func() bool { return len(a.Assignment()[g.topics[0]]) == 4 })
	for _, topic := range g.topics {
		for p := range int32(4) {
			a.Pause(topic, p)
		}
	}
	b := startMember(t, config())
	until(t, "two slots moved", func() bool { return len(b.Assignment()[g.topics[1]]) == 2 })
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	until(t, "they came back", func() bool { return len(a.Assignment()[g.topics[1]]) == 4 })
	g.produce(t, 400)
	until(t, "the two that moved are read", func() bool { return seen() == 200 })
	for _, topic := range g.topics {
		for p := range int32(4) {
			a.Resume(topic, p)
		}
	}
	until(t, "all are read", func() bool { return seen() == 400 })
}

// TestGroupSameInstance: the second process with one instance takes the place
// of the first, whose Run ends and names the flag.
func TestGroupSameInstance(t *testing.T) {
	g := newGroupTest(t)
	c := g.config(t)
	c.Instance = "node-1"
	c.Handle = func(_ context.Context, b *Batch) error { return nil }
	c.SessionTimeout = 6 * time.Second
	a := startMember(t, c)
	until(t, "the first has all", func() bool { return len(a.Assignment()[g.topics[0]]) == 4 })
	b := startMember(t, c)
	select {
	case err := <-a.done:
		a.done <- err
		if err == nil || !strings.Contains(err.Error(), "--instance") || !strings.Contains(err.Error(), "node-1") {
			t.Fatalf("the first ended with: %v", err)
		}
	case err := <-b.done:
		t.Fatalf("the second ended with: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("both go on")
	}
	until(t, "the second has all", func() bool { return len(b.Assignment()[g.topics[0]]) == 4 })
}

// TestGroupStaticRestart: a static member that restarts has its slots back
// without a word to the others; one that leaves for good does not keep them.
func TestGroupStaticRestart(t *testing.T) {
	g := newGroupTest(t)
	config := func(instance string) GroupConfig {
		c := g.config(t)
		c.Instance = instance
		c.Handle = func(_ context.Context, b *Batch) error { return nil }
		return c
	}
	two := func(m *member) func() bool { return func() bool { return len(m.Assignment()[g.topics[0]]) == 2 } }
	a, b := startMember(t, config("a")), startMember(t, config("b"))
	until(t, "both have two slots", func() bool { return two(a)() && two(b)() })
	before := b.Assignment()
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	c := config("b")
	c.LeaveOnClose = true
	b = startMember(t, c)
	until(t, "it is back", two(b))
	if !maps.EqualFunc(before, b.Assignment(), slices.Equal) || !two(a)() {
		t.Errorf("slots moved: %v, then %v", before, b.Assignment())
	}
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	until(t, "the other has all", func() bool { return len(a.Assignment()[g.topics[0]]) == 4 })
}

// TestGroupErrors: errors of hooks end Run, and nothing is handed out or
// committed after them.
func TestGroupErrors(t *testing.T) {
	boom := errors.New("boom")
	g := newGroupTest(t)
	g.produce(t, 80)
	adm := g.admin(t)
	for name, c := range map[string]func(c *GroupConfig){
		"assigned": func(c *GroupConfig) {
			c.Assigned = func(context.Context, map[string][]int32) error { return boom }
			c.Handle = func(context.Context, *Batch) error { t.Error("Handle after a failed Assigned"); return nil }
		},
		"handle": func(c *GroupConfig) { c.Handle = func(context.Context, *Batch) error { return boom } },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := g.config(t)
			c(&cfg)
			m := startMember(t, cfg)
			if err := <-m.done; !errors.Is(err, boom) {
				t.Errorf("Run ended with %v", err)
			}
			m.done <- nil
			for at, offset := range g.committed(t, adm) {
				if offset > 0 {
					t.Errorf("%s is committed at %d", at, offset)
				}
			}
		})
	}
}

// TestGroupDrop: a revoke does not wait for what Handle has given up, and the
// commit stops there.
func TestGroupDrop(t *testing.T) {
	g := newGroupTest(t)
	g.produce(t, 80)
	c := g.config(t)
	c.DrainTimeout, c.Settle, c.RebalanceTimeout = time.Hour, time.Hour, 2*time.Hour // a wait would never end
	c.Handle = func(ctx context.Context, b *Batch) error {
		for _, r := range b.Records {
			if r.Offset == 5 {
				<-ctx.Done()
				b.Drop(5)
				return ctx.Err()
			}
			b.Done(r.Offset)
		}
		return nil
	}
	m := startMember(t, c)
	until(t, "Handle waits", func() bool { return m.Pending() > 0 })
	if err := m.stop(); err != nil {
		t.Fatal(err)
	}
	for at, offset := range g.committed(t, g.admin(t)) {
		if offset > 5 {
			t.Errorf("%s is committed at %d", at, offset)
		}
	}
}
