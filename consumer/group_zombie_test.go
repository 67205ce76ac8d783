package consumer

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/hookstream/hookstream/schemas"
)

// zombie is one member of the test and what its hooks saw.
type zombie struct {
	group *Group
	stop  func()

	mu             sync.Mutex
	ack            bool // at once
	batches        []*Batch
	assigned, lost map[topicPartition]int
	revoked        int
}

func (z *zombie) note(into map[topicPartition]int, a map[string][]int32) {
	z.mu.Lock()
	defer z.mu.Unlock()
	for topic, ps := range a {
		for _, p := range ps {
			into[topicPartition{topic, p}]++
		}
	}
}

func (z *zombie) handle(_ context.Context, b *Batch) error {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.batches = append(z.batches, b)
	for _, r := range b.Records {
		if z.ack {
			b.Done(r.Offset)
		}
	}
	return nil
}

func (z *zombie) setAck(ack bool) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.ack = ack
}

// finish acks everything that the member was ever given.
func (z *zombie) finish() {
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, b := range z.batches {
		for _, r := range b.Records {
			b.Done(r.Offset)
		}
	}
}

// zombieTest is a cluster in virtual time.
type zombieTest struct {
	t       *testing.T
	network kfake.VirtualNetwork
	fake    *kfake.Cluster
	client  *kgo.Client
	topics  []string
}

func (z *zombieTest) options() []kgo.Opt {
	return []kgo.Opt{kgo.SeedBrokers(z.fake.ListenAddrs()...), kgo.Dialer(z.network.DialContext)}
}

func (z *zombieTest) start(commitEvery time.Duration, ack bool) *zombie {
	m := &zombie{ack: ack, assigned: map[topicPartition]int{}, lost: map[topicPartition]int{}}
	c := DefaultGroupConfig()
	c.Options, c.Group, c.Topics, c.Balancer = z.options(), "zombies", z.topics, SlotBalancer()
	c.CommitEvery, c.SessionTimeout, c.RebalanceTimeout = commitEvery, time.Minute, 2*time.Minute // a heartbeat every 12 s
	c.Assigned = func(_ context.Context, a map[string][]int32) error { m.note(m.assigned, a); return nil }
	c.Lost = func(a map[string][]int32) { m.note(m.lost, a) }
	c.Revoked = func(context.Context, map[string][]int32) { m.revoked++ }
	c.Handle = m.handle
	var err error
	if m.group, err = NewGroup(c); err != nil {
		z.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.group.Run(ctx) }()
	m.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			z.t.Errorf("Run ended with %v", err)
		}
	})
	return m
}

func (z *zombieTest) produce() {
	for i := range 8 {
		r := &kgo.Record{Topic: z.topics[i%2], Partition: int32(i / 2), Value: fmt.Append(nil, i)}
		if err := z.client.ProduceSync(context.Background(), r).FirstErr(); err != nil {
			z.t.Fatal(err)
		}
	}
}

// kick takes every member out of the group behind its back, as an expired
// session does.
func (z *zombieTest) kick() {
	groups, err := kadm.NewClient(z.client).DescribeGroups(context.Background(), "zombies")
	if err != nil {
		z.t.Fatal(err)
	}
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = "zombies"
	for _, m := range groups["zombies"].Members {
		l := kmsg.NewLeaveGroupRequestMember()
		l.MemberID = m.MemberID
		req.Members = append(req.Members, l)
	}
	if resp, err := req.RequestWith(context.Background(), z.client); err != nil || resp.ErrorCode != 0 || len(req.Members) != 1 {
		z.t.Fatalf("kicking %d members: %v %+v", len(req.Members), err, resp)
	}
}

func (z *zombieTest) committed() (out []int64) {
	offsets, err := kadm.NewClient(z.client).FetchOffsets(context.Background(), "zombies")
	if err != nil {
		z.t.Fatal(err)
	}
	offsets.Each(func(o kadm.OffsetResponse) { out = append(out, o.At) })
	slices.Sort(out)
	return out
}

func (z *zombieTest) expect(when string, want int64) {
	z.t.Helper()
	if got := z.committed(); len(got) != 8 || got[0] != want || got[7] != want {
		z.t.Errorf("%s: %v is committed, want %d everywhere", when, got, want)
	}
}

// TestGroupZombie puts a member out of the group while it works on. However it
// finds out, it commits nothing of its old assignment, is told that it lost the
// partitions, and recovers their state before it reads on from where others got
// to. All of it is in virtual time.
func TestGroupZombie(t *testing.T) {
	for name, c := range map[string]struct {
		commitEvery time.Duration
		findOut     func(*zombie)
	}{
		"by its heartbeat": {time.Hour, func(z *zombie) { z.finish() }},
		"by its commit":    {100 * time.Millisecond, func(z *zombie) { z.finish() }},
		"by joining again": {time.Hour, func(z *zombie) { z.finish(); z.group.client.ForceRebalance() }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { zombieReturns(t, c.commitEvery, c.findOut) })
		})
	}
}

func zombieReturns(t *testing.T, commitEvery time.Duration, findOut func(*zombie)) {
	topology := schemas.DevTopology()
	z := &zombieTest{t: t, topics: []string{topology.DeliveriesTopic(), topology.DueTopic()}}
	var err error
	z.fake, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.ListenFn(z.network.Listen), kfake.SeedTopics(topology.Slots, z.topics...))
	if err != nil {
		t.Fatal(err)
	}
	defer z.fake.Close()
	if z.client, err = kgo.NewClient(append(z.options(), kgo.RecordPartitioner(kgo.ManualPartitioner()))...); err != nil {
		t.Fatal(err)
	}
	defer z.client.Close()

	z.produce()
	a := z.start(commitEvery, false)
	defer a.stop()
	time.Sleep(14 * time.Second) // just after a heartbeat
	if a.group.Pending() != 8 {
		t.Fatalf("the first has %d records", a.group.Pending())
	}
	z.kick()
	b := z.start(100*time.Millisecond, true)
	defer b.stop()
	z.produce()
	time.Sleep(4 * time.Second)
	z.expect("the second took over", 2)
	if len(a.lost) != 0 {
		t.Fatal("the first knows already")
	}
	findOut(a)
	time.Sleep(2 * time.Minute)
	z.expect("the first is back", 2)
	a.mu.Lock()
	if len(a.lost) != 8 || a.revoked != 0 {
		t.Errorf("it lost %d partitions and was asked %d times to hand over", len(a.lost), a.revoked)
	}
	regained := -8
	for _, n := range a.assigned {
		regained += n
	}
	if regained != 4 {
		t.Errorf("it recovered the state of %d partitions anew, want half of 8", regained)
	}
	before, last := len(a.batches), int64(0)
	for _, batch := range a.batches {
		last = max(last, batch.Poll)
		if batch.Owned() {
			t.Errorf("its batch of %s/%d still counts", batch.Topic, batch.Partition)
		}
	}
	a.mu.Unlock()
	a.setAck(true)
	z.produce()
	time.Sleep(time.Minute)
	b.stop()
	z.produce()
	time.Sleep(2 * time.Minute)
	a.stop()
	z.expect("in the end", 4)
	for _, batch := range a.batches[before:] {
		if batch.Poll <= last {
			t.Errorf("a batch of its new membership is of poll %d; the old one got to %d", batch.Poll, last)
		}
	}
}
