package inbound

// Batches: events of one type from several lanes, handled together.

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// gatherer fills batches of one type. Each lane that gives it an event waits
// until that is settled, so that the order within a key holds.
type gatherer struct {
	h    *Handlers
	kind string
	size int
	wait time.Duration
	do   BatchHandler

	mu   sync.Mutex
	open *bunch // the one being filled
}

// bunch is one batch.
type bunch struct {
	items []*handlerItem
	full  chan struct{} // closed when nothing more is waited for
	fill  func()        // closes it
	done  chan struct{} // closed once all are settled
}

func newBunch() *bunch {
	b := &bunch{full: make(chan struct{}), done: make(chan struct{})}
	b.fill = sync.OnceFunc(func() { close(b.full) })
	return b
}

// take puts an event into the open batch and waits until it is settled. When
// its partition goes meanwhile, the batch runs without it: whoever takes the
// partition over would have to wait for the batch otherwise.
func (g *gatherer) take(it *handlerItem) {
	g.mu.Lock()
	b := g.open
	if b == nil {
		b = newBunch()
		g.open = b
		g.h.work.Go(func() { g.run(b) })
	}
	b.items = append(b.items, it)
	if len(b.items) == g.size {
		b.fill()
		g.open = nil
	}
	g.mu.Unlock()
	defer context.AfterFunc(it.part.stop, b.fill)()
	<-b.done
}

// run handles a batch once it is full, or old enough.
func (g *gatherer) run(b *bunch) {
	defer close(b.done)
	timer := time.NewTimer(g.wait)
	defer timer.Stop()
	select {
	case <-b.full:
	case <-timer.C:
	case <-g.h.ending.Done():
	}
	g.mu.Lock()
	if g.open == b {
		g.open = nil
	}
	g.mu.Unlock()

	var who []any
	retries, err := g.h.try(g.h.life, g.h.life, g.kind, append(who, "type", g.kind, "ids", idsOf(b.items)), func(ctx context.Context) error {
		held := b.items[:0]
		for _, it := range b.items {
			if it.part.stop.Err() != nil {
				g.h.settle(it, 0, errStopped)
			} else {
				held = append(held, it)
			}
		}
		b.items = held
		if len(held) == 0 {
			return nil
		}
		return g.do(ctx, events(held))
	})
	failed := err != nil && !errors.Is(err, errStopped) && len(b.items) > 1
	for _, it := range b.items {
		if failed {
			err = g.alone(it)
		}
		g.h.settle(it, retries, err)
	}
}

// alone tries one event of a batch that failed.
func (g *gatherer) alone(it *handlerItem) error {
	err := g.h.call(it.batch.Context(), it.part.stop, g.kind, func(ctx context.Context) error { return g.do(ctx, []*schemas.Inbound{&it.in}) })
	if err != nil && it.batch.Context().Err() != nil {
		return errStopped
	}
	return err
}

func events(items []*handlerItem) []*schemas.Inbound {
	out := make([]*schemas.Inbound, len(items))
	for i, it := range items {
		out[i] = &it.in
	}
	return out
}

func idsOf(items []*handlerItem) []string {
	out := make([]string, len(items))
	for i, it := range items {
		out[i] = it.in.ID
	}
	return out
}
