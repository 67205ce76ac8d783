package consumer

// Fanout turns events into deliveries: one record for each endpoint that an
// event is for, and one routed record that says what became of the event.

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/hookstream/hookstream/schemas"
)

// Fanout is one member of the fan-out's group. An event is done only when
// every record that it made is acked; acks are not waited for between events.
type Fanout struct {
	cfg     FanoutConfig
	log     *slog.Logger
	group   *Group
	sources map[string]schemas.EventSource
	metrics *fanoutMetrics
	room    *semaphore.Weighted
	recent  *dedupe

	barrierPoll int64 // the poll that the registry has caught up with; of Handle's goroutine

	mu    sync.Mutex
	clock map[topicPartition]time.Time // see createdAt
}

// NewFanout checks the configuration and starts nothing.
func NewFanout(cfg FanoutConfig) (*Fanout, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	f := &Fanout{cfg: cfg, log: cfg.Log, sources: cfg.sources(), room: semaphore.NewWeighted(cfg.MaxInFlight),
		recent: newDedupe(cfg.DedupeWindow, cfg.DedupeSize), clock: map[topicPartition]time.Time{}}
	gc := DefaultGroupConfig()
	gc.Options, gc.Group, gc.Instance, gc.LeaveOnClose = cfg.Options, cfg.Group, cfg.Instance, cfg.LeaveOnClose
	gc.Topics = slices.Sorted(maps.Keys(f.sources))
	gc.ReadCommitted = true // an aborted event is never delivered
	gc.Assigned, gc.Handle, gc.Log, gc.Registerer = f.assigned, f.handle, cfg.Log, cfg.Registerer
	var err error
	if f.group, err = NewGroup(gc); err != nil {
		return nil, err
	}
	f.metrics = newFanoutMetrics()
	return f, nil
}

// Run consumes until ctx ends, then waits for what is in flight and commits.
// An append that fails ends it with the error: its event is not done and will
// be read again.
func (f *Fanout) Run(ctx context.Context) error {
	if err := f.metrics.register(f.cfg.Registerer); err != nil {
		return err
	}
	defer f.metrics.unregister(f.cfg.Registerer)
	return f.group.Run(ctx)
}

// Assignment lists the partitions that this member reads now.
func (f *Fanout) Assignment() map[string][]int32 { return f.group.Assignment() }

func (f *Fanout) assigned(_ context.Context, a map[string][]int32) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for topic, partitions := range a {
		for _, p := range partitions {
			delete(f.clock, topicPartition{topic, p})
		}
	}
	return nil
}

// handle fans one partition's records out, in their order.
func (f *Fanout) handle(ctx context.Context, b *Batch) error {
	if err := f.catchUp(ctx, b.Poll); err != nil {
		b.Drop(b.Records[0].Offset)
		return err
	}
	for _, r := range b.Records {
		err := ctx.Err()
		if err == nil {
			err = f.event(ctx, b, r)
		}
		if err != nil {
			b.Drop(r.Offset)
			return err
		}
	}
	return nil
}

// catchUp is the read barrier: an endpoint that was acked before an event was
// produced gets that event. One barrier after a poll covers all of its batches.
func (f *Fanout) catchUp(ctx context.Context, poll int64) error {
	if f.barrierPoll == poll {
		return nil
	}
	if err := f.retry(ctx, "waiting for the registry", func() error { return f.cfg.Barrier(ctx) }); err != nil {
		return err
	}
	f.barrierPoll = poll
	return nil
}

// retry calls until it succeeds, with growing pauses; it gives up when ctx
// ends or the error says that the record is no event.
func (f *Fanout) retry(ctx context.Context, doing string, call func() error) error {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := call()
		var invalid *schemas.InvalidEvent
		if err == nil || errors.As(err, &invalid) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		f.log.Warn(doing+" failed; trying again", "error", err, "pause", pause)
		wait := time.NewTimer(pause)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return ctx.Err()
		}
	}
}
