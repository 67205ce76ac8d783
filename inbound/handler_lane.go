package inbound

// Lanes: the events of one key wait for one another, and for nobody else.

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/hookstream/hookstream/consumer"
	"github.com/hookstream/hookstream/schemas"
)

// itemOverhead is what a queued event costs beside its bytes.
const itemOverhead = 4 << 10

// handlerItem is one event on its way through.
type handlerItem struct {
	in     schemas.Inbound
	rec    *schemas.Record
	batch  *consumer.Batch
	part   *handlerPart
	kind   string // for metrics
	do     Handler
	gather *gatherer // instead of do
	cost   int64
}

// handlerLane is the queue of one key; it lives while it has events.
type handlerLane struct{ items []*handlerItem }

func (h *Handlers) enqueue(it *handlerItem) {
	key := it.in.Source + "\x00" + it.in.Key
	h.metrics.queued.Inc()
	h.mu.Lock()
	defer h.mu.Unlock()
	if l := h.lanes[key]; l != nil {
		l.items = append(l.items, it)
		return
	}
	l := &handlerLane{items: []*handlerItem{it}}
	h.lanes[key] = l
	h.work.Go(func() { h.serve(key, l) })
}

// serve handles a lane's events until there are none.
func (h *Handlers) serve(key string, l *handlerLane) {
	for {
		h.mu.Lock()
		if len(l.items) == 0 {
			delete(h.lanes, key)
			h.mu.Unlock()
			return
		}
		it := l.items[0]
		l.items = l.items[1:]
		h.mu.Unlock()
		if it.gather != nil {
			it.gather.take(it)
		} else {
			h.one(it)
		}
		h.metrics.queued.Dec()
		h.room.Release(it.cost)
	}
}

// one handles a single event to its end: done, parked, or left to the next owner.
func (h *Handlers) one(it *handlerItem) {
	retries, err := h.try(it.batch.Context(), it.part.stop, it.kind, about(&it.in), func(ctx context.Context) error { return it.do(ctx, &it.in) })
	h.settle(it, retries, err)
}

// settle writes down what became of an event.
func (h *Handlers) settle(it *handlerItem, retries int, err error) {
	switch {
	case errors.Is(err, errStopped):
		it.batch.Drop(it.rec.Offset)
	case err != nil:
		h.metrics.count(it.kind, resultParked)
		h.log.Error("webhook not handled; it is parked for review", append(about(&it.in), "retries", retries, "error", err)...)
		h.park(it, err, retries)
	default:
		h.metrics.count(it.kind, resultHandled)
		h.log.Info("webhook handled", append(about(&it.in), "retries", retries)...)
		it.batch.Done(it.rec.Offset)
	}
}

// errStopped says that the partition goes or the program ends: the event is
// neither handled nor failed.
var errStopped = errors.New("stopped")

// try runs a function until it succeeds or has failed its retries. A function
// that fails after its partition has gone has not failed: the next owner runs it.
func (h *Handlers) try(life, stop context.Context, kind string, who []any, run func(context.Context) error) (retries int, err error) {
	for {
		if err := h.await(stop, h.ending, 0); err != nil {
			return retries, err
		}
		if err = h.call(life, stop, kind, run); err == nil || errors.Is(err, errStopped) {
			return retries, err
		}
		if life.Err() != nil {
			return retries, errStopped
		}
		if retries == len(h.cfg.Retry) {
			return retries, err
		}
		wait := h.cfg.Retry[retries]
		retries++
		h.metrics.retries.WithLabelValues(kind).Inc()
		h.log.Warn(fmt.Sprintf("Retry %d/%d", retries, len(h.cfg.Retry)), append(who[:len(who):len(who)], "after", wait, "error", err)...)
		if err := h.await(stop, h.ending, wait); err != nil {
			return retries, err
		}
	}
}

// await waits, unless something ends that makes waiting useless.
func (h *Handlers) await(stop, ending context.Context, wait time.Duration) error {
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-stop.Done():
		case <-ending.Done():
		}
	}
	if stop.Err() != nil || ending.Err() != nil {
		return errStopped
	}
	return nil
}

// call runs a function once, when there is a slot for it.
func (h *Handlers) call(life, stop context.Context, kind string, run func(context.Context) error) (err error) {
	waiting, cancel := context.WithCancel(stop)
	defer context.AfterFunc(h.ending, cancel)()
	defer cancel()
	if h.slots.Acquire(waiting, 1) != nil {
		return errStopped
	}
	defer h.slots.Release(1)
	began := time.Now()
	defer func() {
		if p := recover(); p != nil {
			h.log.Error("a handler panicked", "type", kind, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
		}
		h.metrics.seconds.WithLabelValues(kind).Observe(time.Since(began).Seconds())
	}()
	return run(life)
}
