package consumer

// gate holds batches back until the registry knows at least what it knew when
// they were polled; only then an endpoint that is unknown is a deleted one.

import (
	"context"
	"fmt"
	"sync"
)

// gated is a batch on its way to the slot that owned its partition when it was
// polled.
type gated struct {
	batch *Batch
	slot  *slot
	bytes int64
}

// gate is one goroutine. While it waits for one barrier, batches gather, and
// one more barrier serves them all: the cost is per round, not per partition.
type gate struct {
	barrier func(context.Context) error
	mu      sync.Mutex
	queue   []gated
	ready   chan struct{}
}

func newGate(barrier func(context.Context) error) *gate {
	return &gate{barrier: barrier, ready: make(chan struct{}, 1)}
}

func (g *gate) add(b gated) {
	g.mu.Lock()
	g.queue = append(g.queue, b)
	g.mu.Unlock()
	select {
	case g.ready <- struct{}{}:
	default:
	}
}

// run passes batches on, in order, until ctx ends.
func (g *gate) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-g.ready:
		}
		g.mu.Lock()
		round := g.queue
		g.queue = nil
		g.mu.Unlock()
		if err := g.barrier(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("waiting for the registry: %w", err)
		}
		for _, b := range round {
			if !b.slot.box.post(func() { b.slot.take(b.batch, b.bytes) }) {
				b.slot.budget.free(b.bytes)
			}
		}
	}
}
