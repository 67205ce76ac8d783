package inbound

// The parked topic: what could not be handled, kept for review, and the way
// back from there.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/consumer"
	"github.com/hookstream/hookstream/producer"
	"github.com/hookstream/hookstream/schemas"
)

// Headers of the way to the parked topic and back.
const (
	// hdrGroup is whose handler failed: only that group handles it again.
	hdrGroup = "hs-group"
	// hdrRequeued marks an event that is to be handled again with where it was
	// parked. It is no repeat, although its original was there before. On the
	// parked topic itself, it says that the event at that place was requeued.
	hdrRequeued = "hs-requeued"
)

// park writes an event to the parked topic, its body as it came; it is done
// once that is acked.
func (h *Handlers) park(it *handlerItem, cause error, retries int) {
	text := schemas.Shorten(strings.ToValidUTF8(cause.Error(), "�"), maxErrorText)
	ours := []schemas.Header{
		{Key: schemas.HdrError, Value: []byte(text)},
		{Key: schemas.HdrRetries, Value: strconv.AppendInt(nil, int64(retries), 10)},
		{Key: schemas.HdrParkSrc, Value: []byte(schemas.Position{Topic: it.rec.Topic, Partition: it.rec.Partition, Offset: it.rec.Offset}.String())},
		{Key: hdrGroup, Value: []byte(h.cfg.Group)},
	}
	headers := slices.DeleteFunc(slices.Clone(it.rec.Headers), func(h schemas.Header) bool {
		return slices.Contains([]string{schemas.HdrError, schemas.HdrRetries, schemas.HdrParkSrc, hdrGroup, hdrRequeued}, h.Key)
	})
	rec := schemas.Record{Topic: h.cfg.Parked, Partition: -1, Key: it.rec.Key, Value: it.rec.Value, Headers: append(headers, ours...)}
	refused := make(chan error, 1)
	done := func(_ int64, err error) {
		switch {
		case err == nil:
			it.batch.Done(it.rec.Offset)
		case producer.Refused(err):
			refused <- err
		case !it.batch.Owned():
		default:
			h.group.Fail(fmt.Errorf("parking webhook %s: %w", it.in.ID, err))
		}
	}
	h.writer.Append(it.batch.Context(), rec, done)
	select {
	case err := <-refused:
		h.log.Error("a parked webhook does not fit its topic; its body stays where it was received only", "id", it.in.ID, "parked_from", it.rec.Topic, "error", err)
		rec.Value = nil
		h.writer.Append(it.batch.Context(), rec, func(offset int64, err error) {
			if producer.Refused(err) {
				h.group.Fail(fmt.Errorf("parking a note of webhook %s: %w", it.in.ID, err))
				return
			}
			done(offset, err)
		})
	default:
	}
}

// Parked is an event that could not be handled.
type Parked struct {
	schemas.Inbound
	Error   string
	Retries int
	Group   string           // whose handler failed; empty: the deduper could not hand it on
	From    schemas.Position // where the handler had it from
	At      schemas.Position // where it is parked
	Since   time.Time
}

// ParkedConfig says where parked events are.
type ParkedConfig struct {
	Options []kgo.Opt // from producer.Options
	Parked  string    // the topic; empty: inbound.parked under the default prefix
}

// ListParked reads the events that are parked and were not requeued since, in
// the order in which each partition took them.
func ListParked(ctx context.Context, cfg ParkedConfig) ([]Parked, error) {
	if cfg.Parked == "" {
		cfg.Parked = schemas.DefaultTopology().InboundParkedTopic()
	}
	client, err := kgo.NewClient(cfg.Options...)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	starts, err := listed(adm.ListStartOffsets(ctx, cfg.Parked))
	if err != nil {
		return nil, fmt.Errorf("listing the start of %s: %w", cfg.Parked, err)
	}
	ends, err := listed(adm.ListEndOffsets(ctx, cfg.Parked))
	if err != nil {
		return nil, fmt.Errorf("listing the end of %s: %w", cfg.Parked, err)
	}
	want := map[int32]span{}
	ends.Each(func(o kadm.ListedOffset) {
		start, _ := starts.Lookup(cfg.Parked, o.Partition)
		want[o.Partition] = span{from: start.Offset, to: o.Offset}
	})
	var out []Parked
	gone := map[string]bool{}
	err = readBack(ctx, cfg.Options, cfg.Parked, want, func(r *kgo.Record) {
		rec := consumer.FromKafka(r)
		if at, ok := rec.Header(hdrRequeued); ok {
			gone[at] = true
			return
		}
		out = append(out, parseParked(&rec))
	})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(out, func(p Parked) bool { return gone[p.At.String()] }), nil
}

// parseParked reads what it can: what is parked may be no webhook at all.
func parseParked(rec *schemas.Record) Parked {
	p := Parked{At: schemas.Position{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset}, Since: rec.Time}
	in, err := schemas.ParseInbound(rec)
	if err == nil {
		p.Inbound = in
	} else {
		p.Body = rec.Value
	}
	p.Error, _ = rec.Header(schemas.HdrError)
	p.Group, _ = rec.Header(hdrGroup)
	if n, ok := rec.Header(schemas.HdrRetries); ok {
		p.Retries, _ = strconv.Atoi(n)
	}
	if from, ok := rec.Header(schemas.HdrParkSrc); ok {
		p.From, _ = schemas.ParsePosition(from)
	}
	return p
}

// Requeue has parked events handled again, by the group whose handler failed:
// each is written to the topic it came from, then marked as requeued. It
// returns how many it wrote. After an error, or a crash in between, running it
// again with what ListParked says then repeats one event at most.
func Requeue(ctx context.Context, cfg ParkedConfig, events ...Parked) (n int, err error) {
	w, err := producer.NewWriter(cfg.Options)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, w.Close(ctx)) }()
	for i := range events {
		p := &events[i]
		if p.From.Topic == "" || p.ID == "" {
			return n, fmt.Errorf("requeueing what is parked at %s: it is no webhook that a handler had", p.At)
		}
		rec := p.Inbound.Record(schemas.DefaultTopology(), p.From.Topic)
		rec.Partition = p.From.Partition
		rec.Headers = append(rec.Headers, schemas.Header{Key: hdrRequeued, Value: []byte(p.At.String())}, schemas.Header{Key: hdrGroup, Value: []byte(p.Group)})
		mark := schemas.Record{Topic: p.At.Topic, Partition: p.At.Partition, Key: rec.Key, Headers: []schemas.Header{{Key: hdrRequeued, Value: []byte(p.At.String())}}}
		for _, rec := range []schemas.Record{rec, mark} {
			if err := w.AppendAll(ctx, rec); err != nil {
				return n, fmt.Errorf("requeueing webhook %s: %w", p.ID, err)
			}
		}
		n++
	}
	return n, nil
}
