package consumer

// Tail reads a whole topic, from its start and for ever, without a group: how a
// node keeps the registry in memory, and how it knows that it is up to date.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/schemas"
)

// TailConfig says what to read and who gets it.
type TailConfig struct {
	Options []kgo.Opt             // producer.Options; kprom and the like may follow
	Topic   string                // every partition of it, new ones included
	Apply   func(*schemas.Record) // in offset order per partition, from one goroutine; the record is its own
	Since   time.Duration         // read only what is at most this old at the start; 0: everything
	Log     *slog.Logger          // nil: silent
}

// Validate names the field that is wrong.
func (c TailConfig) Validate() error {
	switch {
	case c.Topic == "":
		return errors.New("tail: topic is empty; name one")
	case c.Apply == nil:
		return errors.New("tail: apply is nil; give the function that takes the records")
	case c.Since < 0:
		return fmt.Errorf("tail: since is %v; give 0 (everything) or more", c.Since)
	}
	return nil
}

// Tail is a reader of one topic. Barrier and Ready may be called from anywhere,
// also before Run.
type Tail struct {
	cfg  TailConfig
	asks asks

	mu      sync.Mutex
	next    map[int32]int64 // per partition: everything below is applied
	goal    map[int32]int64 // per partition: the highest end that a barrier waited for
	changed chan struct{}   // closed and replaced when next moves
	ready   bool
	ended   error // set once Run has returned
}

// NewTail makes a tail; Run starts it.
func NewTail(cfg TailConfig) *Tail {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Tail{cfg: cfg, asks: newAsks(), next: map[int32]int64{}, goal: map[int32]int64{}, changed: make(chan struct{})}
}

// Ready reports whether the tail has applied, once, everything that the topic
// had when it started.
func (t *Tail) Ready() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ready
}

// errTailEnded is what a barrier gets when Run ended without an error.
var errTailEnded = errors.New("tail has ended")

// Barrier waits until everything that the topic held when it was called is
// applied. Concurrent callers share listings of the topic's end, each only one
// that began after its call. It fails with ctx, or when Run has ended.
func (t *Tail) Barrier(ctx context.Context) error {
	ends, err := t.asks.ends(ctx)
	if err != nil {
		return fmt.Errorf("waiting for the end of %s: %w", t.cfg.Topic, err)
	}
	t.mu.Lock()
	for p, end := range ends {
		t.goal[p] = max(t.goal[p], end)
	}
	t.mu.Unlock()
	for {
		t.mu.Lock()
		behind := t.behind(ends)
		changed, ended := t.changed, t.ended
		t.mu.Unlock()
		if len(behind) == 0 {
			return nil
		}
		if ended != nil {
			return fmt.Errorf("reading %s: %w", t.cfg.Topic, ended)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s is applied (partition %d is at %d of %d): %w", t.cfg.Topic,
				behind[0].Partition, behind[0].Offset, ends[behind[0].Partition], ctx.Err())
		}
	}
}

// behind lists the partitions not applied up to ends. The caller holds mu.
func (t *Tail) behind(ends map[int32]int64) (out []schemas.Position) {
	for p, end := range ends {
		if t.next[p] < end {
			out = append(out, schemas.Position{Topic: t.cfg.Topic, Partition: p, Offset: t.next[p]})
		}
	}
	return out
}

// advance moves partitions forward, never back, and wakes the barriers.
func (t *Tail) advance(to map[int32]int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	moved := false
	for p, n := range to {
		if n > t.next[p] {
			t.next[p], moved = n, true
		}
	}
	if moved {
		close(t.changed)
		t.changed = make(chan struct{})
	}
}

// skipTo counts as applied what is older than since (Unix ms), for nothing of it
// will come. It tries until it is told, and is false when ctx ended first.
func (t *Tail) skipTo(ctx context.Context, client *kgo.Client, since int64) bool {
	for {
		starts, err := kadm.NewClient(client).ListOffsetsAfterMilli(ctx, since, t.cfg.Topic)
		if err == nil {
			err = starts.Error()
		}
		if err == nil {
			to := map[int32]int64{}
			starts.Each(func(o kadm.ListedOffset) { to[o.Partition] = o.Offset })
			t.advance(to)
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		t.cfg.Log.Warn("looking for where to start, trying again", "topic", t.cfg.Topic, "err", err)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// Run reads until ctx ends (then nil) or the topic can no longer be trusted:
// records that were there are lost (kgo.ErrDataLoss), the topic was recreated,
// or reading it is not allowed. It runs once.
func (t *Tail) Run(ctx context.Context) (err error) {
	defer func() {
		t.mu.Lock()
		t.ended = err
		if err == nil {
			t.ended = errTailEnded
		}
		close(t.changed)
		t.changed = make(chan struct{})
		t.mu.Unlock()
		t.asks.end(t.ended)
	}()
	if err := t.cfg.Validate(); err != nil {
		return err
	}
	start, since := kgo.NewOffset().AtStart(), time.Now().Add(-t.cfg.Since).UnixMilli()
	if t.cfg.Since > 0 {
		start = start.AfterMilli(since)
	}
	client, err := kgo.NewClient(append(t.cfg.Options[:len(t.cfg.Options):len(t.cfg.Options)],
		kgo.ConsumeTopics(t.cfg.Topic),
		kgo.ConsumeStartOffset(start),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(500*time.Millisecond),
		kgo.MetadataMaxAge(30*time.Second), // new partitions show within this
		kgo.AlwaysRetryEOF(),               // a broker that restarts may hang up on a fresh connection
	)...)
	if err != nil {
		return fmt.Errorf("opening kafka tail: %w", err)
	}
	defer client.Close()
	if t.cfg.Since > 0 && !t.skipTo(ctx, client, since) {
		return nil
	}
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() {
		t.asks.serve(ctx, func(ctx context.Context) (map[int32]int64, error) { return t.list(ctx, client) })
	})
	wg.Go(func() { t.fillGaps(ctx, client) })
	wg.Go(func() {
		if t.Barrier(ctx) == nil {
			t.mu.Lock()
			t.ready = true
			t.mu.Unlock()
		}
	})
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err := t.trouble(fetches); err != nil {
			return err
		}
		t.apply(fetches)
	}
}

func (t *Tail) apply(fetches kgo.Fetches) {
	to := map[int32]int64{}
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		for _, r := range p.Records {
			rec := FromKafka(r)
			t.cfg.Apply(&rec)
			to[p.Partition] = r.Offset + 1
		}
	})
	t.advance(to)
}

// trouble tells errors that end the tail from those that the client gets over.
func (t *Tail) trouble(fetches kgo.Fetches) (fatal error) {
	fetches.EachError(func(topic string, partition int32, err error) {
		var loss *kgo.ErrDataLoss
		var ke *kerr.Error
		switch {
		case errors.As(err, &loss):
			fatal = fmt.Errorf("reading %s/%d: %w", topic, partition, err)
		case errors.As(err, &ke) && !ke.Retriable, errors.Is(err, kerr.UnknownTopicID):
			fatal = fmt.Errorf("reading %s/%d: %w", topic, partition, err)
		default:
			t.cfg.Log.Warn("reading a topic, trying again", "topic", topic, "partition", partition, "err", err)
		}
	})
	return fatal
}

// list is the high watermark of every partition. It lists read-uncommitted, as
// the tail reads: what is in the log counts.
func (t *Tail) list(ctx context.Context, client *kgo.Client) (map[int32]int64, error) {
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, t.cfg.Topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, err
	}
	out := make(map[int32]int64, len(ends[t.cfg.Topic]))
	ends.Each(func(o kadm.ListedOffset) { out[o.Partition] = o.Offset })
	return out, nil
}

// FromKafka is a record that a client read, without the client. It copies no
// bytes: kgo gives each record its own.
func FromKafka(r *kgo.Record) schemas.Record {
	rec := schemas.Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value, Time: r.Timestamp}
	if len(r.Headers) > 0 {
		rec.Headers = make([]schemas.Header, len(r.Headers))
		for i, h := range r.Headers {
			rec.Headers[i] = schemas.Header{Key: h.Key, Value: h.Value}
		}
	}
	return rec
}
