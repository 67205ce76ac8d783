package inbound

// Handlers is what a program that handles webhooks runs: a member of a consumer
// group that gives each event to the function registered for its type.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/hookstream/hookstream/consumer"
	"github.com/hookstream/hookstream/producer"
	"github.com/hookstream/hookstream/schemas"
)

// Handler does the work of one event. An error or a panic makes it run again
// after a while, and after the last retry the event is parked. Its context ends
// when another process has taken the event's partition over.
//
// An event is handled at least once: after a crash, or when a partition moves
// while the function runs, again. So what it does has to bear a repetition, for
// example by a unique key on in.Source and in.Key.
type Handler func(ctx context.Context, in *schemas.Inbound) error

// BatchHandler does the work of several events of one type. When it has failed
// its retries, each event is tried once more in a batch of its own, so that one
// bad event takes no others with it.
type BatchHandler func(ctx context.Context, ins []*schemas.Inbound) error

// Handlers runs handlers. Events of one key are handled one after another, in
// their order; those of different keys at the same time. Register everything
// before Run.
type Handlers struct {
	cfg     HandlersConfig
	log     *slog.Logger
	metrics *handlerMetrics
	single  map[string]Handler
	batches map[string]*gatherer
	rest    Handler
	wrong   []error // of registering

	group  *consumer.Group
	writer *producer.Writer
	room   *semaphore.Weighted // bytes queued
	slots  *semaphore.Weighted // handlers running
	life   context.Context     // of everything that Run started; ends after the drain
	ending context.Context     // ends when the drain begins
	end    context.CancelFunc

	mu    sync.Mutex
	parts map[int32]*handlerPart
	lanes map[string]*handlerLane
	work  sync.WaitGroup
}

// handlerPart is one assigned partition.
type handlerPart struct {
	stop    context.Context // nothing of the partition is begun any more
	release context.CancelFunc
	seen    growth // of Handle's goroutine
}

// NewHandlers checks the configuration and starts nothing.
func NewHandlers(cfg HandlersConfig) (*Handlers, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	h := &Handlers{cfg: cfg, log: cfg.Log.With("group", cfg.Group), single: map[string]Handler{}, batches: map[string]*gatherer{},
		room: semaphore.NewWeighted(cfg.MaxQueued), slots: semaphore.NewWeighted(int64(cfg.Concurrency)),
		parts: map[int32]*handlerPart{}, lanes: map[string]*handlerLane{}}
	g := consumer.DefaultGroupConfig()
	g.Options, g.Group, g.Instance, g.LeaveOnClose = cfg.Options, cfg.Group, cfg.Instance, cfg.LeaveOnClose
	g.Topics, g.MaxPoll = []string{cfg.Topic}, 500
	g.Assigned, g.Handle = h.assigned, h.handle
	g.Revoked = func(_ context.Context, a map[string][]int32) { h.release(a) }
	g.Lost = h.release
	g.Drain = func(context.Context) { h.end() }
	g.Log, g.Registerer = cfg.Log, cfg.Registerer
	var err error
	if h.group, err = consumer.NewGroup(g); err != nil {
		return nil, fmt.Errorf("handlers: %w", err)
	}
	h.metrics = newHandlerMetrics(cfg.Group)
	return h, nil
}

// On registers the function for an event type. A second one for the same type
// makes Run fail.
func (h *Handlers) On(eventType string, do Handler) {
	h.check(eventType, do != nil)
	h.single[eventType] = do
}

// OnBatch registers a function that takes events of a type together: as soon as
// there are size of them, or wait after the first. Events of one key are never
// in the same batch. It is the hook for writes that are cheaper together.
func (h *Handlers) OnBatch(eventType string, size int, wait time.Duration, do BatchHandler) {
	h.check(eventType, do != nil)
	if size < 1 || wait <= 0 || wait > time.Minute {
		h.wrong = append(h.wrong, fmt.Errorf("batch handler for %s: size is %d and wait %s; give at least 1, and up to 1m", eventType, size, wait))
	}
	h.batches[eventType] = &gatherer{h: h, kind: eventType, size: size, wait: wait, do: do}
}

// Otherwise registers the function for all types that have none. Without it,
// they are logged as unhandled.
func (h *Handlers) Otherwise(do Handler) { h.rest = do }

func (h *Handlers) check(eventType string, given bool) {
	_, single := h.single[eventType]
	_, batch := h.batches[eventType]
	switch {
	case !given:
		h.wrong = append(h.wrong, fmt.Errorf("the handler for %q is nil", eventType))
	case single || batch:
		h.wrong = append(h.wrong, fmt.Errorf("there are two handlers for %q; an event goes to one", eventType))
	}
}

// Run handles events until ctx ends, then lets the handlers under way finish
// and commits. It may be called once.
func (h *Handlers) Run(ctx context.Context) (err error) {
	if len(h.wrong) > 0 {
		return fmt.Errorf("handlers: %w", errors.Join(h.wrong...))
	}
	if h.writer, err = producer.NewWriter(h.cfg.Options); err != nil {
		return fmt.Errorf("handlers: %w", err)
	}
	if err := h.metrics.register(h.cfg.Registerer); err != nil {
		return err
	}
	defer h.metrics.unregister(h.cfg.Registerer)
	life, kill := context.WithCancel(context.WithoutCancel(ctx))
	h.life = life
	h.ending, h.end = context.WithCancel(life)
	err = h.group.Run(ctx)
	h.end()
	kill()
	h.work.Wait()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(err, h.writer.Close(closing))
}

// Joined reports whether this member is in its group.
func (h *Handlers) Joined() bool { return h.group.Joined() }

// handle queues one partition's records, in their order.
func (h *Handlers) handle(ctx context.Context, b *consumer.Batch) error {
	h.mu.Lock()
	part := h.parts[b.Partition]
	h.mu.Unlock()
	for _, r := range b.Records {
		rec := consumer.FromKafka(r)
		it := &handlerItem{rec: &rec, batch: b, part: part}
		var err error
		if it.in, err = schemas.ParseInbound(&rec); err != nil {
			h.metrics.count(otherTypes, resultInvalid)
			h.log.Error("a record is no received webhook; it is parked", "error", err)
			h.park(it, err, 0)
			continue
		}
		if part.seen.again(&rec, &it.in) {
			h.metrics.count(otherTypes, resultRepeat)
			b.Done(r.Offset)
			continue
		}
		if !h.wants(it) {
			b.Done(r.Offset)
			continue
		}
		it.cost = min(int64(producer.RecordSize(&rec)+itemOverhead), h.cfg.MaxQueued)
		if err := h.room.Acquire(ctx, it.cost); err != nil {
			b.Drop(r.Offset)
			return err
		}
		h.enqueue(it)
	}
	return nil
}

// wants picks the function for an event; false when there is nothing to do.
func (h *Handlers) wants(it *handlerItem) bool {
	in := &it.in
	if group, ok := it.rec.Header(hdrGroup); ok && group != h.cfg.Group {
		return false // another group asked for it again
	}
	if len(h.cfg.Sources) > 0 && !slices.Contains(h.cfg.Sources, in.Source) {
		return false
	}
	it.kind = in.Type
	if do, ok := h.single[in.Type]; ok {
		it.do = do
		return true
	}
	if g, ok := h.batches[in.Type]; ok {
		it.gather = g
		return true
	}
	it.kind = otherTypes
	switch {
	case slices.Contains(h.cfg.Notices, in.Type):
		h.metrics.count(otherTypes, resultNotice)
		h.log.Info("the sender announces a retry", append(about(in), "body", schemas.Shorten(string(in.Body), 512))...)
		return false
	case h.rest == nil:
		h.metrics.count(otherTypes, resultUnhandled)
		h.log.Info("webhook unhandled: no handler for its type", about(in)...)
		return false
	}
	it.do = h.rest
	return true
}

// release begins nothing more of partitions that go.
func (h *Handlers) release(a map[string][]int32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range a[h.cfg.Topic] {
		if part := h.parts[p]; part != nil {
			part.release()
			delete(h.parts, p)
		}
	}
}

// about is what a log line says of an event. The key of some products is the
// event's id, that of others its type and session.
func about(in *schemas.Inbound) []any {
	out := []any{"id", in.ID, "source", in.Source, "type", in.Type, "key", in.Key}
	if session, ok := strings.CutPrefix(in.Key, in.Type+":"); ok {
		out = append(out, "session", session)
	}
	return out
}
