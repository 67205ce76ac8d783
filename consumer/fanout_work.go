package consumer

// The records that one event makes, on their way: the event is done when the
// last of them is acked.

import (
	"context"
	"fmt"
	"sync"

	"github.com/hookstream/hookstream/producer"
	"github.com/hookstream/hookstream/schemas"
)

// recordCost is what a record in flight costs beside its bytes.
const recordCost = 512

// work counts the open records of one event. Appends come from Handle's
// goroutine, acks from the writer's.
type work struct {
	f      *Fanout
	ctx    context.Context
	batch  *Batch
	offset int64
	acked  func() // runs once everything is acked, just before the event is done

	stopped error // ctx's, of Handle's goroutine: the event is given up

	mu     sync.Mutex
	open   int // one for each record in flight, and one until finish
	broken bool
}

func (f *Fanout) begin(ctx context.Context, b *Batch, offset int64, acked func()) *work {
	return &work{f: f, ctx: ctx, batch: b, offset: offset, acked: acked, open: 1}
}

// append hands one record to the writer. It returns an error only when the
// record can never be produced. When ctx ends it gives the event up instead of
// waiting for room.
func (w *work) append(rec schemas.Record) (refused error) {
	if w.stopped != nil {
		return nil
	}
	cost := min(int64(producer.RecordSize(&rec)+recordCost), w.f.cfg.MaxInFlight)
	if err := w.f.room.Acquire(w.ctx, cost); err != nil {
		w.stopped = err
		return nil
	}
	w.f.metrics.inFlight.Add(float64(cost))
	w.mu.Lock()
	w.open++
	w.mu.Unlock()
	called := make(chan error, 1) // a record that is refused at once is reported before Append returns
	w.f.cfg.Append(w.ctx, rec, func(_ int64, err error) {
		w.f.room.Release(cost)
		w.f.metrics.inFlight.Sub(float64(cost))
		switch {
		case err == nil:
		case producer.Refused(err):
			called <- err
		case w.ctx.Err() != nil:
			// The partition goes or the process ends; either way the event is
			// read again.
			w.breakOff()
			w.batch.Drop(w.offset)
		default:
			w.fail(fmt.Errorf("appending to %s: %w", rec.Topic, err))
		}
		w.settle()
	})
	select {
	case refused = <-called:
	default:
	}
	return refused
}

// fail ends the group: the event must be read again by a new process.
func (w *work) fail(err error) {
	w.breakOff()
	w.f.group.Fail(err)
}

func (w *work) breakOff() {
	w.mu.Lock()
	w.broken = true
	w.mu.Unlock()
}

// finish says that no record follows. It returns ctx's error when the event
// was given up half-way; its acks then count for nothing.
func (w *work) finish() error {
	if w.stopped != nil {
		w.breakOff()
	}
	w.settle()
	return w.stopped
}

// settle closes one open record, and with the last one the event.
func (w *work) settle() {
	w.mu.Lock()
	w.open--
	done := w.open == 0 && !w.broken
	w.mu.Unlock()
	if done {
		w.acked()
		w.batch.Done(w.offset)
	}
}
