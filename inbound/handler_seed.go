package inbound

// What a handlers' member knows of a partition when it gets it.

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/consumer"
	"github.com/hookstream/hookstream/schemas"
)

// again reports whether a record repeats an earlier one of its partition. What
// somebody asked to be handled again is no repeat.
func (g *growth) again(rec *schemas.Record, in *schemas.Inbound) bool {
	if _, ok := rec.Header(hdrRequeued); ok {
		return false
	}
	return g.repeats(in)
}

// assigned looks at the last records that the group has done, so that repeats
// of them are known.
func (h *Handlers) assigned(ctx context.Context, a map[string][]int32) error {
	ctx, cancel := context.WithTimeout(ctx, seedTimeout)
	defer cancel()
	parts := map[int32]*handlerPart{}
	for _, p := range a[h.cfg.Topic] {
		part := &handlerPart{}
		part.stop, part.release = context.WithCancel(h.life)
		parts[p] = part
	}
	if err := patiently(ctx, func() error { return h.seed(ctx, parts) }); err != nil {
		return fmt.Errorf("reading back what the group %s has handled: %w", h.cfg.Group, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for p, part := range parts {
		h.parts[p] = part
	}
	return nil
}

func (h *Handlers) seed(ctx context.Context, parts map[int32]*handlerPart) error {
	client, err := kgo.NewClient(h.cfg.Options...)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	committed, err := adm.FetchOffsetsForTopics(ctx, h.cfg.Group, h.cfg.Topic)
	if err == nil {
		err = committed.Error()
	}
	if err != nil {
		return fmt.Errorf("reading the group's offsets: %w", err)
	}
	starts, err := listed(adm.ListStartOffsets(ctx, h.cfg.Topic))
	if err != nil {
		return fmt.Errorf("listing the start of %s: %w", h.cfg.Topic, err)
	}
	ends, err := listed(adm.ListEndOffsets(ctx, h.cfg.Topic))
	if err != nil {
		return fmt.Errorf("listing the end of %s: %w", h.cfg.Topic, err)
	}
	want := map[int32]span{}
	for p := range parts {
		at, ok := committed.Lookup(h.cfg.Topic, p)
		start, _ := starts.Lookup(h.cfg.Topic, p)
		end, _ := ends.Lookup(h.cfg.Topic, p)
		if ok && at.At <= end.Offset {
			want[p] = span{from: max(start.Offset, at.At-seedTail), to: at.At}
		}
	}
	return readBack(ctx, h.cfg.Options, h.cfg.Topic, want, func(r *kgo.Record) {
		rec := consumer.FromKafka(r)
		if in, err := schemas.ParseInbound(&rec); err == nil {
			parts[r.Partition].seen.again(&rec, &in)
		}
	})
}
