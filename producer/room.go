package producer

// Room watches how much of a byte-bounded topic waits unread: where retention
// goes by bytes, a backlog that is too long would be eaten before it is read.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// RoomConfig says whose backlog counts against what bound.
type RoomConfig struct {
	Options []kgo.Opt
	Readers map[string][]string // consumer group → topics that it has to read
	Bound   int64               // bytes that retention keeps of one partition
	Every   time.Duration       // how often it looks
	Log     *slog.Logger        // nil: silent
}

// Validate names the field that is wrong and the cure.
func (c RoomConfig) Validate() error {
	switch {
	case c.Bound <= 0:
		return fmt.Errorf("room: Bound is %d; give the topics' retention in bytes", c.Bound)
	case c.Every <= 0:
		return fmt.Errorf("room: Every is %s; give a positive duration", c.Every)
	case len(c.Readers) == 0:
		return errors.New("room: Readers is empty; name a group and its topics")
	}
	return nil
}

// ErrNoRoom is what Check gives while a backlog is too long.
var ErrNoRoom = errors.New("the backlog has passed half of what the embedded broker keeps; events are taken again once deliveries have caught up")

// Room answers whether more may be taken in. It looks only while it runs.
type Room struct {
	cfg  RoomConfig
	full atomic.Bool
}

// NewRoom makes a Room that has room; Run looks.
func NewRoom(cfg RoomConfig) (*Room, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Room{cfg: cfg}, nil
}

// Check is nil, or ErrNoRoom while half of a partition's bound waits unread.
func (r *Room) Check() error {
	if r.full.Load() {
		return ErrNoRoom
	}
	return nil
}

// Run looks until ctx ends. What it cannot see changes nothing: a broker that
// does not answer takes no events either.
func (r *Room) Run(ctx context.Context) error {
	client, err := kgo.NewClient(r.cfg.Options...)
	if err != nil {
		return fmt.Errorf("connecting to watch the backlog: %w", err)
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	ticker := time.NewTicker(r.cfg.Every)
	defer ticker.Stop()
	for {
		full, err := r.look(ctx, adm)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			r.cfg.Log.Warn("the backlog cannot be seen", "error", err)
		case r.full.Swap(full) != full:
			r.cfg.Log.Warn("backlog", "full", full, "bound", r.cfg.Bound)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// look reports whether any partition's unread part passes half of the bound.
// The share of unread bytes is taken to be that of unread records.
func (r *Room) look(ctx context.Context, adm *kadm.Client) (full bool, err error) {
	for group, topics := range r.cfg.Readers {
		sizes, err := partitionSizes(ctx, adm, topics)
		if err != nil {
			return false, err
		}
		starts, err := adm.ListStartOffsets(ctx, topics...)
		if err == nil {
			err = starts.Error()
		}
		if err != nil {
			return false, fmt.Errorf("listing the starts of %v: %w", topics, err)
		}
		ends, err := adm.ListEndOffsets(ctx, topics...)
		if err == nil {
			err = ends.Error()
		}
		if err != nil {
			return false, fmt.Errorf("listing the ends of %v: %w", topics, err)
		}
		committed, err := adm.FetchOffsets(ctx, group)
		if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // a group that never committed has read nothing
			return false, fmt.Errorf("asking for the commits of %s: %w", group, err)
		}
		ends.Each(func(end kadm.ListedOffset) {
			start, _ := starts.Lookup(end.Topic, end.Partition)
			read := start.Offset
			if c, ok := committed.Lookup(end.Topic, end.Partition); ok && c.At > read {
				read = c.At
			}
			if all := end.Offset - start.Offset; all > 0 {
				unread := float64(sizes[end.Topic][end.Partition]) * float64(end.Offset-read) / float64(all)
				full = full || unread > float64(r.cfg.Bound)/2
			}
		})
	}
	return full, nil
}

// partitionSizes are the bytes on disk of each partition.
func partitionSizes(ctx context.Context, adm *kadm.Client, topics []string) (map[string]map[int32]int64, error) {
	set := kadm.TopicsSet{}
	for _, t := range topics {
		set.Add(t)
	}
	dirs, err := adm.DescribeAllLogDirs(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("asking for the sizes of %v: %w", topics, err)
	}
	out := map[string]map[int32]int64{}
	dirs.Each(func(d kadm.DescribedLogDir) {
		d.Topics.Each(func(p kadm.DescribedLogDirPartition) {
			if _, ok := set[p.Topic]; !ok {
				return
			}
			if out[p.Topic] == nil {
				out[p.Topic] = map[int32]int64{}
			}
			out[p.Topic][p.Partition] = max(out[p.Topic][p.Partition], p.Size)
		})
	})
	return out, nil
}
