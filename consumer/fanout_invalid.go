package consumer

// Records that are no event: kept in events.invalid, verbatim as far as they
// fit, with the reason and where they came from.

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/producer"
	"github.com/hookstream/hookstream/schemas"
)

const (
	maxReason  = 512     // bytes of the reason header
	maxExcerpt = 4 << 10 // bytes kept of a value, and of a key, that is too large
)

// invalid sets a record aside. The error is ctx's.
func (f *Fanout) invalid(ctx context.Context, b *Batch, r *kgo.Record, rec *schemas.Record, reason error) error {
	f.metrics.events.WithLabelValues(resultInvalid).Inc()
	pos := schemas.Position{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}
	f.log.Warn("a record is no event; it is kept in the topic of invalid events", "position", pos.String(), "reason", reason)
	w := f.begin(ctx, b, r.Offset, func() {})
	limit := 0
	for _, t := range f.cfg.Topology.Topics() {
		if t.Name == f.cfg.Topology.EventsInvalidTopic() {
			limit = t.MaxMessage
		}
	}
	out := invalidRecord(f.cfg.Topology, rec, pos, reason, limit)
	if refused := w.append(out); refused != nil {
		// The broker's limit is below the topology's.
		out = invalidRecord(f.cfg.Topology, rec, pos, reason, 0)
		if refused := w.append(out); refused != nil {
			w.fail(refused)
		}
	}
	return w.finish()
}

// invalidRecord is rec with two more headers, or, above limit bytes, an excerpt
// of it without its own headers.
func invalidRecord(t schemas.Topology, rec *schemas.Record, pos schemas.Position, reason error, limit int) schemas.Record {
	ours := func(reason string) []schemas.Header {
		return []schemas.Header{{Key: schemas.HdrReason, Value: []byte(schemas.Shorten(reason, maxReason))}, {Key: schemas.HdrSource, Value: []byte(pos.String())}}
	}
	out := schemas.Record{Topic: t.EventsInvalidTopic(), Partition: rec.Partition % t.Events, Key: rec.Key, Value: rec.Value,
		Headers: append(rec.Headers[:len(rec.Headers):len(rec.Headers)], ours(reason.Error())...)}
	if size := producer.RecordSize(&out); size > limit {
		out.Key, out.Value = rec.Key[:min(len(rec.Key), maxExcerpt)], rec.Value[:min(len(rec.Value), maxExcerpt)]
		out.Headers = ours(fmt.Sprintf("(excerpt of a record of %d bytes with %d headers) %s", size, len(rec.Headers), reason))
	}
	return out
}
