package main

// The load: events by Kafka and by HTTP, and the list of those that were
// accepted. It lives in the run's own process, which nothing kills.

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// event is one that was accepted: acknowledged by all replicas, or answered 202.
type event struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	Seq  int    `json:"n"` // within its type
	At   int64  `json:"t"` // of the acknowledgement, Unix microseconds
}

const eventsTopic = "hookstream.events"

// httpShare of the events go in by HTTP; wideShare go to many webhooks.
const (
	httpShare = 0.3
	wideShare = 0.03
)

type load struct {
	cfg   Config
	stack *stack
	fleet []webhook
	rng   *rand.Rand // of what is sent; the faults have their own

	mu      sync.Mutex
	done    []event
	unknown int // sent, and no answer tells whether it was accepted
}

func newLoad(cfg Config, s *stack, fleet []webhook) *load {
	return &load{cfg: cfg, stack: s, fleet: fleet, rng: rand.New(rand.NewPCG(cfg.Seed, 1))}
}

func (l *load) accepted() ([]event, int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.done, l.unknown
}

func (l *load) accept(e event, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.unknown++
		return
	}
	e.At = time.Now().UnixMicro()
	l.done = append(l.done, e)
}

// run sends at the configured rate until ctx ends, then waits for what is
// still unanswered.
func (l *load) run(ctx context.Context) error {
	kafka, err := kgo.NewClient(kgo.SeedBrokers(l.stack.brokers), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.RecordDeliveryTimeout(2*time.Minute),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.ProducerLinger(2*time.Millisecond), kgo.MetadataMinAge(200*time.Millisecond))
	if err != nil {
		return fmt.Errorf("connecting the load to Kafka: %w", err)
	}
	defer kafka.Close()
	byHTTP := make(chan event, 1000)
	var posting sync.WaitGroup
	for range 4 {
		posting.Go(func() {
			for e := range byHTTP {
				l.accept(e, l.post(e))
			}
		})
	}
	seq := map[string]int{}
	every := time.NewTicker(time.Second / time.Duration(l.cfg.Rate))
	defer every.Stop()
	for n := 0; ctx.Err() == nil; n++ {
		select {
		case <-ctx.Done():
			continue
		case <-every.C:
		}
		w := l.fleet[l.rng.IntN(len(l.fleet))]
		e := event{ID: fmt.Sprintf("t%d", n), Type: w.eventType()}
		wide, http := l.rng.Float64() < wideShare, l.rng.Float64() < httpShare
		if wide {
			e.Type = wideType
		}
		e.Seq = seq[e.Type]
		seq[e.Type]++
		if http && (w.character != ordered || wide) {
			select {
			case byHTTP <- e:
			default: // the API is away for long; the event was never sent
			}
			continue
		}
		// The key keeps the events of a type in order.
		kafka.Produce(context.WithoutCancel(ctx), &kgo.Record{Topic: eventsTopic, Key: []byte(e.Type), Value: e.envelope()}, func(_ *kgo.Record, err error) { l.accept(e, err) })
	}
	close(byHTTP)
	posting.Wait()
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Minute)
	defer cancel()
	if err := kafka.Flush(flush); err != nil {
		return fmt.Errorf("waiting for the broker's last acknowledgements: %w", err)
	}
	return nil
}

func (e event) envelope() []byte {
	return fmt.Appendf(nil, `{"id":%q,"type":%q,"data":{"n":%d}}`, e.ID, e.Type, e.Seq)
}

// post sends one event to the API; an error leaves open whether it was accepted.
func (l *load) post(e event) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	err := l.stack.api.call(ctx, http.MethodPost, "/v1/events", string(e.envelope()), http.StatusAccepted)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		time.Sleep(20 * time.Millisecond) // the API is away
	}
	return err
}
