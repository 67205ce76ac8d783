package consumer

// What one event becomes: deliveries, skipped rows, the routed record.

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/schemas"
)

// routedPart bounds how many endpoints one routed record names. An event with
// more gets several, each with its own part of the ids.
const routedPart = 5000

// event fans one record out. The error is ctx's: everything else is either an
// outcome of the record, or ends the group.
func (f *Fanout) event(ctx context.Context, b *Batch, r *kgo.Record) error {
	started := time.Now()
	source := f.sources[b.Topic]
	rec := FromKafka(r)
	ev, err := schemas.ParseEvent(source, &rec)
	if err == nil {
		err = f.checkBounds(&ev)
	}
	if err != nil {
		return f.invalid(ctx, b, r, &rec, err)
	}
	if ev.ID == "" {
		ev.ID = schemas.EventIDAt(topicID(b), r.Partition, r.Offset)
	}
	created := f.createdAt(b, r, &ev)
	hash := hashEvent(&ev)
	if f.recent.repeat(hash, created) {
		f.metrics.events.WithLabelValues(resultDuplicate).Inc()
		b.Done(r.Offset)
		return nil
	}
	var matches []schemas.Match
	err = f.retry(ctx, "matching", func() (err error) {
		matches, err = f.cfg.Match(ctx, &ev)
		return err
	})
	if invalid := (*schemas.InvalidEvent)(nil); errors.As(err, &invalid) {
		return f.invalid(ctx, b, r, &rec, err)
	}
	if err != nil {
		return err
	}
	w := f.begin(ctx, b, r.Offset, func() {
		f.recent.note(hash, created)
		f.metrics.latency.Observe(time.Since(started).Seconds())
	})
	f.write(w, &ev, created, r, matches)
	return w.finish()
}

// write appends all that the event makes, in the order of the matches.
func (f *Fanout) write(w *work, ev *schemas.Event, created time.Time, r *kgo.Record, matches []schemas.Match) {
	pos := schemas.Position{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}
	routed := schemas.Routed{EventID: ev.ID, Tenant: ev.Tenant, Type: ev.Type, Time: ev.Time.UnixMilli(), CreatedAt: created.UnixMilli(),
		Kind: ev.Kind, ReplayOf: ev.ReplayOf, Source: pos, Data: ev.Data}
	delivery := schemas.Delivery{EventID: ev.ID, EventType: ev.Type, Tenant: ev.Tenant, Kind: ev.Kind, EventTime: ev.Time, CreatedAt: created,
		ReplayOf: ev.ReplayOf, Trace: ev.Trace, Source: pos, Data: ev.Data}
	named := 0
	for _, m := range matches {
		d := delivery
		d.EndpointID, d.Profile, d.ProfileVersion = m.EndpointID, m.Profile, m.ProfileVersion
		d.ID = schemas.DeliveryID(ev.Tenant, ev.ID, m.EndpointID, ev.ReplayID)
		if m.Skip != "" {
			f.skip(w, &d, m.Skip)
			routed.Skipped = append(routed.Skipped, schemas.Skip{EndpointID: m.EndpointID, DeliveryID: d.ID, Reason: m.Skip})
		} else {
			refused := w.append(d.Record(f.cfg.Topology.DeliveriesTopic(), f.cfg.Topology.Slot(m.EndpointID)))
			if refused != nil {
				f.reject(w, &d, refused)
			} else {
				f.metrics.deliveries.Inc()
			}
			routed.DeliveryIDs = append(routed.DeliveryIDs, d.ID)
			routed.EndpointIDs = append(routed.EndpointIDs, m.EndpointID)
		}
		if named++; named%routedPart == 0 && named < len(matches) {
			f.routed(w, &routed, r)
			routed.DeliveryIDs, routed.EndpointIDs, routed.Skipped = nil, nil, nil
		}
	}
	if len(matches) == 0 {
		d := delivery
		d.ID = schemas.DeliveryID(ev.Tenant, ev.ID, "", ev.ReplayID)
		f.skip(w, &d, schemas.SkipNoMatch)
		f.metrics.events.WithLabelValues(resultNoMatch).Inc()
	} else {
		f.metrics.events.WithLabelValues(resultRouted).Inc()
	}
	f.routed(w, &routed, r)
}

// routed appends what became of the event, beside the event's own partition.
func (f *Fanout) routed(w *work, routed *schemas.Routed, r *kgo.Record) {
	rec, err := routed.Record(f.cfg.Topology, r.Partition%f.cfg.Topology.Events)
	if err != nil {
		w.fail(err)
		return
	}
	if refused := w.append(rec); refused != nil {
		w.fail(refused)
	}
}

// skip appends the row of a delivery that is not attempted. Its time is the
// delivery's, so that a re-run makes the same row.
func (f *Fanout) skip(w *work, d *schemas.Delivery, reason string) {
	row := schemas.AttemptOf(d, 0, d.CreatedAt)
	row.State, row.ErrorKind = schemas.StateSkipped, reason
	f.metrics.skipped.WithLabelValues(reason).Inc()
	f.row(w, &row)
}

// reject appends the row of a delivery that can never be produced.
func (f *Fanout) reject(w *work, d *schemas.Delivery, cause error) {
	row := schemas.AttemptOf(d, 0, d.CreatedAt)
	row.State, row.ErrorKind, row.Error = schemas.StateError, schemas.ErrTooLarge, cause.Error()
	f.metrics.skipped.WithLabelValues(schemas.ErrTooLarge).Inc()
	f.log.Error("a delivery does not fit its topic; raise max.message.bytes", "delivery", d.ID, "error", cause)
	f.row(w, &row)
}

func (f *Fanout) row(w *work, row *schemas.Attempt) {
	rec, err := row.Record(f.cfg.Topology)
	if err != nil {
		w.fail(err)
		return
	}
	if refused := w.append(rec); refused != nil {
		w.fail(refused)
	}
}

// maxTrace is more than any traceparent has; a longer header is none.
const maxTrace = 256

// checkBounds keeps what the event brings within what our topics take.
func (f *Fanout) checkBounds(ev *schemas.Event) error {
	if n, limit := len(ev.Data), f.cfg.Topology.DataLimit; n > limit {
		return &schemas.InvalidEvent{Field: "data", Reason: fmt.Sprintf("has %d bytes; at most %d are delivered", n, limit)}
	}
	if len(ev.ReplayID) > schemas.MaxIDBytes || len(ev.ReplayOf) > schemas.MaxIDBytes {
		return &schemas.InvalidEvent{Field: schemas.HdrReplayID, Reason: fmt.Sprintf("or %s is longer than %d bytes", schemas.HdrReplayOf, schemas.MaxIDBytes)}
	}
	if len(ev.Trace) > maxTrace {
		ev.Trace = ""
	}
	return nil
}

// topicID is the topic's id; on brokers without such, one made from its name.
func topicID(b *Batch) [16]byte {
	if b.TopicID != ([16]byte{}) {
		return b.TopicID
	}
	sum := sha256.Sum256([]byte(b.Topic))
	return [16]byte(sum[:16])
}
