package inbound

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/internal/kafkatest"
	"github.com/hookstream/hookstream/producer"
)

// TestStormOfCopies: 1,000 copies from 20 connections over two receivers, with
// two dedupers behind: one is accepted, one record is there for the handlers.
func TestStormOfCopies(t *testing.T) {
	c := kafkatest.Start(t)
	const source = "interviews=aiinterview,secret-env=SECRET"
	two := []*running{receive(t, c, nil, source), receive(t, c, nil, source)}
	group := c.Topology.Prefix + "storm"
	for range two {
		w, err := producer.NewWriter(c.Options())
		if err != nil {
			t.Fatal(err)
		}
		cfg := DefaultDeduperConfig()
		cfg.Options, cfg.Group, cfg.Topology, cfg.Append = c.Options(), group, c.Topology, w.Append
		cfg.Rules = Rules([]Source{mustSource(t, source)}, builtin(t))
		d, err := NewDeduper(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- d.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("a deduper ended with: %v", err)
			}
			closing, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			_ = w.Close(closing)
		})
	}
	const copies, connections = 1000, 20
	body := `{"event":"interview.completed","session_id":"ses_storm"}`
	var mu sync.Mutex
	answers := map[string]int{}
	var wg sync.WaitGroup
	for n := range connections {
		wg.Go(func() {
			for range copies / connections {
				a := two[n%2].post("/in/interviews", body, aiinterview(body))
				mu.Lock()
				answers[fmt.Sprintf("%d %s", a.status, a.body)]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if answers["200 OK"] != 1 || answers["200 Already processed"] != copies-1 {
		t.Errorf("the answers: %v", answers)
	}
	raw := int64(len(two[0].raw()))
	client, err := kgo.NewClient(c.Options()...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	eventually(t, "the dedupers are done", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		done, err := kadm.NewClient(client).FetchOffsets(ctx, group)
		if err != nil {
			return false
		}
		n := int64(0)
		done.Each(func(o kadm.OffsetResponse) { n += max(o.At, 0) })
		return n == raw
	})
	if got := landed(t, c, c.Topology.InboundTopic()); len(got) != 1 || string(got[0].Value) != body {
		t.Errorf("%d records for the handlers, want 1; inbound.raw had %d", len(got), raw)
	}
	t.Logf("%d of %d copies reached inbound.raw", raw, copies)
}
