package consumer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/internal/kafkatest"
	"github.com/hookstream/hookstream/producer"
	"github.com/hookstream/hookstream/schemas"
)

// crashMatches is the registry of the crash test, the same in every process.
func crashMatches(_ context.Context, ev *schemas.Event) ([]schemas.Match, error) {
	n, err := strconv.Atoi(strings.TrimPrefix(ev.ID, "e"))
	if err != nil {
		return nil, err
	}
	var out []schemas.Match
	for i := range n % 5 {
		m := schemas.Match{EndpointID: fmt.Sprintf("wh_%d", (n+i*7)%40)}
		if (n+i)%11 == 0 {
			m.Skip = schemas.SkipInactive
		}
		out = append(out, m)
	}
	return out, nil
}

// TestFanoutChild is no test: it is the process that TestFanoutCrash kills.
func TestFanoutChild(t *testing.T) {
	brokers, prefix, group := os.Getenv("FANOUT_CHILD_BROKERS"), os.Getenv("FANOUT_CHILD_PREFIX"), os.Getenv("FANOUT_CHILD_GROUP")
	if brokers == "" {
		t.Skip("runs only as a child of TestFanoutCrash")
	}
	c := DefaultFanoutConfig()
	c.Options = []kgo.Opt{kgo.SeedBrokers(strings.Split(brokers, ",")...)}
	c.Topology = schemas.DevTopology()
	c.Topology.Prefix, c.Group, c.Instance = prefix, group, "child"
	w, err := producer.NewWriter(c.Options)
	if err != nil {
		t.Fatal(err)
	}
	first := true
	c.Barrier = func(context.Context) error { return nil }
	matched := 0
	c.Match = func(ctx context.Context, ev *schemas.Event) ([]schemas.Match, error) {
		if matched++; matched%15 == 0 {
			time.Sleep(time.Millisecond) // so that the events last for some kills
		}
		return crashMatches(ctx, ev)
	}
	c.Append = func(ctx context.Context, rec schemas.Record, done func(int64, error)) {
		if first {
			first = false
			fmt.Println("appending") // the parent's clock starts
		}
		w.Append(ctx, rec, done)
	}
	f, err := NewFanout(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Fatal(f.Run(context.Background()))
}

// TestFanoutCrash kills the process with SIGKILL again and again while it fans
// out: every delivery is made at least once, none is made up, and each endpoint
// gets the events of a partition in their order.
func TestFanoutCrash(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills processes")
	}
	k := kafkatest.Start(t)
	group := fmt.Sprintf("test-crash-%x", rand.Uint64())
	cl, err := kgo.NewClient(k.Options()...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	const events = 20_000
	for n := range events {
		cl.Produce(context.Background(), &kgo.Record{Topic: k.Topology.EventsTopic(), Key: fmt.Append(nil, n), Value: fmt.Appendf(nil, `{"type":"t","id":"e%d","data":{"n":%d}}`, n, n)}, nil)
	}
	if err := cl.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	kills := 0
	for ; ; kills++ {
		if done, err := crashDone(adm, group, events); err != nil {
			t.Fatal(err)
		} else if done {
			break
		}
		if kills > 300 {
			t.Fatal("the kills leave no time to make progress")
		}
		runAndKill(t, k, group, time.Duration(rand.Int64N(int64(400+80*kills)*int64(time.Millisecond)))) // longer and longer: a slow machine gets done too
	}
	checkCrash(t, k, events)
	t.Logf("%d kills", kills)
	if kills < 3 {
		t.Errorf("only %d kills happened before the end; the test shows little", kills)
	}
}

// crashDone reports whether the group has committed every event.
func crashDone(adm *kadm.Client, group string, events int64) (bool, error) {
	offsets, err := adm.FetchOffsets(context.Background(), group)
	if errors.Is(err, kerr.GroupIDNotFound) || kerr.IsRetriable(err) { // nobody joined yet; the coordinator is just being made
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("fetching commits: %w", err)
	}
	n := int64(0)
	offsets.Each(func(o kadm.OffsetResponse) { n += max(o.At, 0) })
	return n == events, nil
}

// runAndKill lets a child append for a while, then kills it where it is.
func runAndKill(t *testing.T, k kafkatest.Cluster, group string, life time.Duration) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestFanoutChild$", "-test.v")
	cmd.Env = append(os.Environ(), "FANOUT_CHILD_BROKERS="+strings.Join(k.Brokers, ","), "FANOUT_CHILD_PREFIX="+k.Topology.Prefix, "FANOUT_CHILD_GROUP="+group)
	appending := make(chan struct{})
	out := &marker{seen: appending}
	cmd.Stdout, cmd.Stderr = out, out // one and the same: the command writes from one goroutine then
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	idle := time.NewTimer(30 * time.Second)
	defer idle.Stop()
	select {
	case <-appending:
		time.Sleep(life)
	case <-idle.C: // everything is appended, only the commit was missing
	case err := <-ended:
		t.Fatalf("the child ended by itself: %v\n%s", err, out.buf.String())
	}
	_ = cmd.Process.Kill()
	<-ended
}

// marker closes seen when the child says that it appends.
type marker struct {
	buf  bytes.Buffer
	seen chan struct{}
	once bool
}

func (m *marker) Write(b []byte) (int, error) {
	m.buf.Write(b)
	if !m.once && bytes.Contains(m.buf.Bytes(), []byte("appending")) {
		m.once = true
		close(m.seen)
	}
	return len(b), nil
}

func checkCrash(t *testing.T, k kafkatest.Cluster, events int) {
	t.Helper()
	want, skips := map[string]bool{}, map[string]bool{}
	for n := range events {
		id := fmt.Sprintf("e%d", n)
		matches, _ := crashMatches(context.Background(), &schemas.Event{ID: id})
		for _, m := range matches {
			if did := schemas.DeliveryID("default", id, m.EndpointID, ""); m.Skip == "" {
				want[did] = true
			} else {
				skips[did] = true
			}
		}
		if len(matches) == 0 {
			skips[schemas.DeliveryID("default", id, "", "")] = true
		}
	}
	f := &fanoutTest{Cluster: k, t: t}
	got, last, repeats := map[string]bool{}, map[string]int64{}, 0
	for _, rec := range f.read(k.Topology.DeliveriesTopic(), f.size(k.Topology.DeliveriesTopic())) {
		d, err := schemas.ParseDelivery(&rec)
		if err != nil {
			t.Fatal(err)
		}
		if !want[d.ID] {
			t.Fatalf("delivery %s of %s was made up", d.ID, d.EventID)
		}
		if got[d.ID] {
			repeats++
			continue
		}
		got[d.ID] = true
		lane := fmt.Sprintf("%s/%d", d.EndpointID, d.Source.Partition)
		if d.Source.Offset < last[lane] {
			t.Fatalf("%s gets offset %d after %d", lane, d.Source.Offset, last[lane])
		}
		last[lane] = d.Source.Offset
	}
	if len(got) != len(want) {
		t.Errorf("%d of %d deliveries were made", len(got), len(want))
	}
	rows := map[string]bool{}
	for _, rec := range f.read(k.Topology.AttemptsTopic(), f.size(k.Topology.AttemptsTopic())) {
		a, err := schemas.ParseAttempt(&rec)
		if err != nil || !skips[a.DeliveryID] {
			t.Fatalf("row %+v: %v", a, err)
		}
		rows[a.DeliveryID] = true
	}
	routed := f.routedOf(f.size(k.Topology.RoutedTopic()))
	if len(rows) != len(skips) || len(routed) != events {
		t.Errorf("%d of %d skipped rows, %d of %d routed", len(rows), len(skips), len(routed), events)
	}
	for _, r := range routed {
		for _, id := range r.DeliveryIDs {
			if !got[id] {
				t.Fatalf("routed names delivery %s, which is missing", id)
			}
		}
	}
	t.Logf("%d deliveries, %d repeated (%.2f %%)", len(got), repeats, 100*float64(repeats)/float64(len(got)))
}
