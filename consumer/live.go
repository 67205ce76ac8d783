package consumer

// Live shows attempts as they are made: one reader of the attempts topic, from
// its end, while anybody watches.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/schemas"
)

// LiveConfig says what to read and what a watcher may cost.
type LiveConfig struct {
	Options  []kgo.Opt        // producer.Options
	Topology schemas.Topology // names the attempts topic
	// Owner is the tenant of an endpoint; ok is false when there is none.
	Owner func(endpointID string) (tenant string, ok bool)
	// WebhookID is the id of a webhook in any form that clients may use; nil:
	// ids only.
	WebhookID func(by api.Principal, tenant, id string) (string, error)
	// Known reports whether a key that began to watch is a key still; it is asked
	// every Heartbeat. nil: a watcher stays until it goes.
	Known     func(by api.Principal) bool
	Watchers  int           // at most so many at a time
	Buffer    int           // rows that wait for one watcher; those beyond it are lost to it
	Heartbeat time.Duration // a comment when nothing else was written for so long
	Patience  time.Duration // a watcher that takes nothing for so long is cut off
	Log       *slog.Logger  // nil: silent
}

// DefaultLiveConfig takes 64 watchers.
func DefaultLiveConfig() LiveConfig {
	return LiveConfig{Watchers: 64, Buffer: 512, Heartbeat: 15 * time.Second, Patience: 30 * time.Second}
}

// Validate names the field that is wrong.
func (c LiveConfig) Validate() error {
	switch {
	case c.Owner == nil:
		return errors.New("live: Owner is nil; give the registry's")
	case c.Watchers < 1:
		return fmt.Errorf("live: Watchers is %d; give at least 1", c.Watchers)
	case c.Buffer < 1:
		return fmt.Errorf("live: Buffer is %d; give at least 1", c.Buffer)
	case c.Heartbeat <= 0 || c.Patience <= 0:
		return fmt.Errorf("live: Heartbeat is %v and Patience %v; give times above 0", c.Heartbeat, c.Patience)
	}
	return c.Topology.Validate()
}

// Live fans the attempts topic out to those who watch it by HTTP.
type Live struct {
	cfg  LiveConfig
	feed *feed
}

// NewLive makes a live view; Run reads for it.
func NewLive(cfg LiveConfig) (*Live, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Live{cfg: cfg, feed: newFeed(cfg.Watchers, cfg.Buffer)}, nil
}

// liveRetry is how long the reader waits before it tries again.
const liveRetry = time.Second

// Run reads while somebody watches, until ctx ends; then it sends every
// watcher away.
func (l *Live) Run(ctx context.Context) error {
	defer l.feed.end()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.feed.wake:
		}
		// next is where a reading goes on that broke off under its watchers: they
		// miss nothing. Once nobody watches, the next one begins at the end.
		next := map[int32]int64{}
		for ctx.Err() == nil {
			reading, stop := context.WithCancel(ctx)
			if !l.feed.begin(stop) {
				stop()
				break
			}
			err := l.read(reading, next)
			if reading.Err() != nil {
				stop()
				break
			}
			stop()
			l.cfg.Log.Warn("reading attempts for those who watch, trying again", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(liveRetry):
			}
		}
	}
}

// read hands attempts to the feed until ctx ends or an error that the client
// does not get over.
func (l *Live) read(ctx context.Context, next map[int32]int64) error {
	topic := l.cfg.Topology.AttemptsTopic()
	if len(next) == 0 {
		if err := l.ends(ctx, topic, next); err != nil {
			return fmt.Errorf("finding the end of %s: %w", topic, err)
		}
	}
	from := map[int32]kgo.Offset{}
	for p, offset := range next {
		from[p] = kgo.NewOffset().At(offset)
	}
	client, err := kgo.NewClient(append(l.cfg.Options[:len(l.cfg.Options):len(l.cfg.Options)],
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()), // what retention took is not shown
		kgo.FetchMaxWait(500*time.Millisecond),
		kgo.AlwaysRetryEOF(),
	)...)
	if err != nil {
		return fmt.Errorf("opening a reader: %w", err)
	}
	defer client.Close()
	l.feed.settle()
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		var fatal error
		fetches.EachError(func(_ string, partition int32, err error) {
			var ke *kerr.Error
			if errors.As(err, &ke) && !ke.Retriable || errors.Is(err, kerr.UnknownTopicID) {
				clear(next) // the topic is another one: its offsets mean nothing
				fatal = fmt.Errorf("reading %s/%d: %w", topic, partition, err)
			}
		})
		if fatal != nil {
			return fatal
		}
		fetches.EachRecord(func(r *kgo.Record) {
			next[r.Partition] = r.Offset + 1
			rec := FromKafka(r)
			a, err := schemas.ParseAttempt(&rec)
			if err != nil {
				l.cfg.Log.Debug("an attempt is not shown", "err", err)
				return
			}
			l.feed.publish(&a)
		})
	}
}

// ends fills in the end of every partition.
func (l *Live) ends(ctx context.Context, topic string, next map[int32]int64) error {
	client, err := kgo.NewClient(l.cfg.Options...)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return err
	}
	ends.Each(func(o kadm.ListedOffset) { next[o.Partition] = o.Offset })
	return nil
}
