package inbound

// Seeding: what earlier owners of a partition wrote, read back before the first
// of its records is decided.

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/consumer"
	"github.com/hookstream/hookstream/schemas"
)

const (
	// seedTimeout bounds reading back; the other members may have to wait for it.
	seedTimeout = 45 * time.Second
	// seedTail is read of each partition however old it is: it has the highest
	// offset, also when an owner that was replaced wrote a few repeats last.
	seedTail = 256
)

// errWentBack says that inbound.raw has other records at offsets that were
// copied: it was recreated, or the brokers lost its end.
var errWentBack = errors.New("inbound.raw went back behind what was copied from it, so that copies cannot be told from repeats; " +
	"let the handlers finish, then delete inbound.raw and the topics that take webhooks from it, and start again: they are made anew")

// assigned learns what the topics that take webhooks have from new partitions.
func (d *Deduper) assigned(ctx context.Context, a map[string][]int32) error {
	ctx, cancel := context.WithTimeout(ctx, seedTimeout)
	defer cancel()
	parts := map[int32]map[string]*decider{}
	for _, p := range a[d.cfg.Topology.InboundRawTopic()] {
		parts[p] = map[string]*decider{}
		for _, topic := range d.cfg.targets() {
			parts[p][topic] = newDecider(d.cfg.Keys)
		}
	}
	began := time.Now()
	copies := 0
	err := patiently(ctx, func() (err error) {
		copies, err = d.seed(ctx, parts)
		return err
	})
	if err != nil {
		return fmt.Errorf("reading back what was copied from %s: %w", d.cfg.Topology.InboundRawTopic(), err)
	}
	d.mu.Lock()
	for p, deciders := range parts {
		d.parts[p] = deciders
	}
	d.mu.Unlock()
	d.log.Info("deduper knows what earlier owners wrote", "partitions", len(parts), "records", copies, "took", time.Since(began).Round(time.Millisecond))
	return nil
}

func (d *Deduper) seed(ctx context.Context, parts map[int32]map[string]*decider) (copies int, err error) {
	client, err := kgo.NewClient(d.cfg.Options...)
	if err != nil {
		return 0, fmt.Errorf("connecting: %w", err)
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	oldest, err := d.resumesAt(ctx, adm, parts)
	if err != nil {
		return 0, err
	}
	raw := d.cfg.Topology.InboundRawTopic()
	for _, topic := range d.cfg.targets() {
		want, err := tails(ctx, adm, topic, parts, oldest.Add(-d.cfg.longest()))
		if err != nil {
			return copies, err
		}
		err = readBack(ctx, d.cfg.Options, topic, want, func(r *kgo.Record) {
			rec := consumer.FromKafka(r)
			in, err := schemas.ParseInbound(&rec)
			if _, again := rec.Header(hdrRequeued); err != nil || again || in.Raw.Topic != raw || in.Raw.Partition != r.Partition {
				return
			}
			text, _ := rec.Header(hdrRawTime)
			ms, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return // the deduper did not write it
			}
			copies++
			parts[r.Partition][topic].written(&in, d.cfg.rule(in.Source).Keep, time.UnixMilli(ms))
		})
		if err != nil {
			return copies, err
		}
	}
	return copies, d.checkOriginals(ctx, adm, parts)
}

// checkOriginals compares the newest copy with the record that it names. Were
// the log another one, new records would be taken for copied ones.
func (d *Deduper) checkOriginals(ctx context.Context, adm *kadm.Client, parts map[int32]map[string]*decider) error {
	raw := d.cfg.Topology.InboundRawTopic()
	ends, err := listed(adm.ListEndOffsets(ctx, raw))
	if err != nil {
		return fmt.Errorf("listing the end of %s: %w", raw, err)
	}
	want, ids := map[int32]span{}, map[int32]string{}
	for p, deciders := range parts {
		end, _ := ends.Lookup(raw, p)
		for topic, dec := range deciders {
			if dec.last >= end.Offset {
				return fmt.Errorf("%s has the copy of offset %d of %s/%d, which ends at %d: %w", topic, dec.last, raw, p, end.Offset, errWentBack)
			}
			if dec.last >= want[p].from && dec.lastID != "" {
				want[p], ids[p] = span{from: dec.last, to: dec.last + 1}, dec.lastID
			}
		}
	}
	var wrong error
	err = readBack(ctx, d.cfg.Options, raw, want, func(r *kgo.Record) {
		rec := consumer.FromKafka(r)
		if id, _ := rec.Header(schemas.HdrInbound); id != ids[r.Partition] {
			wrong = fmt.Errorf("offset %d of %s/%d has webhook %q where %q was copied from: %w", r.Offset, raw, r.Partition, id, ids[r.Partition], errWentBack)
		}
	})
	return errors.Join(err, wrong)
}

// resumesAt is the time of the oldest record that will be decided next: keys
// that were forgotten by then need not be known.
func (d *Deduper) resumesAt(ctx context.Context, adm *kadm.Client, parts map[int32]map[string]*decider) (time.Time, error) {
	raw := d.cfg.Topology.InboundRawTopic()
	committed, err := adm.FetchOffsetsForTopics(ctx, d.cfg.Group, raw)
	if err == nil {
		err = committed.Error()
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("reading the group's offsets: %w", err)
	}
	starts, err := listed(adm.ListStartOffsets(ctx, raw))
	if err != nil {
		return time.Time{}, fmt.Errorf("listing the start of %s: %w", raw, err)
	}
	ends, err := listed(adm.ListEndOffsets(ctx, raw))
	if err != nil {
		return time.Time{}, fmt.Errorf("listing the end of %s: %w", raw, err)
	}
	want := map[int32]span{}
	for p := range parts {
		start, _ := starts.Lookup(raw, p)
		end, _ := ends.Lookup(raw, p)
		next := start.Offset
		if at, ok := committed.Lookup(raw, p); ok && at.At > next {
			next = at.At
		}
		want[p] = span{from: next, to: min(next+1, end.Offset)}
	}
	oldest := time.Now()
	err = readBack(ctx, d.cfg.Options, raw, want, func(r *kgo.Record) {
		if r.Timestamp.Before(oldest) {
			oldest = r.Timestamp
		}
	})
	return oldest, err
}

// tails is what to read of a topic: since a time, and the last records in any case.
func tails(ctx context.Context, adm *kadm.Client, topic string, parts map[int32]map[string]*decider, since time.Time) (map[int32]span, error) {
	after, err := listed(adm.ListOffsetsAfterMilli(ctx, since.UnixMilli(), topic))
	if err != nil {
		return nil, fmt.Errorf("listing offsets of %s by time: %w", topic, err)
	}
	starts, err := listed(adm.ListStartOffsets(ctx, topic))
	if err != nil {
		return nil, fmt.Errorf("listing the start of %s: %w", topic, err)
	}
	ends, err := listed(adm.ListEndOffsets(ctx, topic))
	if err != nil {
		return nil, fmt.Errorf("listing the end of %s: %w", topic, err)
	}
	want := map[int32]span{}
	for p := range parts {
		start, _ := starts.Lookup(topic, p)
		end, _ := ends.Lookup(topic, p)
		from := end.Offset - seedTail
		if o, ok := after.Lookup(topic, p); ok && o.Offset >= 0 {
			from = min(from, o.Offset)
		}
		want[p] = span{from: max(from, start.Offset), to: end.Offset}
	}
	return want, nil
}

// listed joins a listing's errors, its own and those of its partitions.
func listed(offsets kadm.ListedOffsets, err error) (kadm.ListedOffsets, error) {
	if err == nil {
		err = offsets.Error()
	}
	return offsets, err
}
