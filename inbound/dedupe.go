package inbound

// Deduper copies the first record of each key from inbound.raw to the topic
// that handlers read: the one step that makes an event out of its deliveries.

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/consumer"
	"github.com/hookstream/hookstream/producer"
	"github.com/hookstream/hookstream/schemas"
)

// hdrRawTime is when inbound.raw has had a webhook since, Unix ms, on what the
// deduper writes: its window begins there, also for the next owner.
const hdrRawTime = "hs-raw-time"

// Deduper is one member of the dedupers' group. A record of inbound.raw is done
// once its copy is acked, or at once when it repeats another one.
type Deduper struct {
	cfg     DeduperConfig
	log     *slog.Logger
	group   *consumer.Group
	metrics *dedupeMetrics

	mu    sync.Mutex
	parts map[int32]map[string]*decider // by partition, then by the topic written to
}

// NewDeduper checks the configuration and starts nothing.
func NewDeduper(cfg DeduperConfig) (*Deduper, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	d := &Deduper{cfg: cfg, log: cfg.Log, parts: map[int32]map[string]*decider{}}
	g := consumer.DefaultGroupConfig()
	g.Options, g.Group, g.Instance, g.LeaveOnClose = cfg.Options, cfg.Group, cfg.Instance, cfg.LeaveOnClose
	g.Topics = []string{cfg.Topology.InboundRawTopic()}
	g.Assigned, g.Handle = d.assigned, d.handle
	g.Revoked = func(_ context.Context, a map[string][]int32) { d.forget(a) }
	g.Lost = d.forget
	g.Log, g.Registerer = cfg.Log, cfg.Registerer
	var err error
	if d.group, err = consumer.NewGroup(g); err != nil {
		return nil, fmt.Errorf("deduper: %w", err)
	}
	d.metrics = newDedupeMetrics(d)
	return d, nil
}

// Run makes the sources' topics where they are missing and copies until ctx
// ends, then waits for what is in flight and commits. An append that fails ends
// it with the error: what was not acked is read again.
func (d *Deduper) Run(ctx context.Context) error {
	if err := d.provision(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("deduper: %w", err)
	}
	if err := d.metrics.register(d.cfg.Registerer); err != nil {
		return err
	}
	defer d.metrics.unregister(d.cfg.Registerer)
	return d.group.Run(ctx)
}

// Joined reports whether this member is in the dedupers' group and knows what
// earlier owners of its partitions wrote.
func (d *Deduper) Joined() bool { return d.group.Joined() }

// forget drops what is known of partitions that may have another owner now.
func (d *Deduper) forget(a map[string][]int32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range a[d.cfg.Topology.InboundRawTopic()] {
		delete(d.parts, p)
	}
}

// handle decides on one partition's records, in their order.
func (d *Deduper) handle(ctx context.Context, b *consumer.Batch) error {
	for _, r := range b.Records {
		err := ctx.Err()
		if err == nil {
			err = d.record(ctx, b, r)
		}
		if err != nil {
			b.Drop(r.Offset)
			return err
		}
	}
	return nil
}

// record copies one record, or says that it repeats another one.
func (d *Deduper) record(ctx context.Context, b *consumer.Batch, r *kgo.Record) error {
	rec := consumer.FromKafka(r)
	in, err := schemas.ParseInbound(&rec)
	if err != nil {
		d.setAside(ctx, b, &rec, err)
		return nil
	}
	rule := d.cfg.rule(in.Source)
	d.mu.Lock()
	first, err := d.parts[r.Partition][rule.Topic].copies(&in, rule.Keep, r.Timestamp, r.Offset)
	d.mu.Unlock()
	switch {
	case err != nil:
		return err
	case !first:
		d.metrics.records.WithLabelValues(resultRepeat).Inc()
		d.log.Debug("a webhook repeats an earlier one", "id", in.ID, "source", in.Source, "key", in.Key)
		b.Done(r.Offset)
		return nil
	}
	in.Raw = schemas.Position{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}
	out := in.Record(d.cfg.Topology, rule.Topic)
	out.Partition = r.Partition // the topics are co-partitioned, whoever placed the record
	out.Headers = append(out.Headers, schemas.Header{Key: hdrRawTime, Value: strconv.AppendInt(nil, r.Timestamp.UnixMilli(), 10)})
	d.append(ctx, b, r.Offset, out, resultCopied, func(refused error) { d.setAside(ctx, b, &rec, refused) })
	return nil
}

// append writes one record; the record at offset is done with its ack. refused
// is called instead when it can never be written.
func (d *Deduper) append(ctx context.Context, b *consumer.Batch, offset int64, out schemas.Record, result string, refused func(error)) {
	called := make(chan error, 1) // a record that is refused at once is reported before Append returns
	d.cfg.Append(ctx, out, func(_ int64, err error) {
		switch {
		case err == nil:
			d.metrics.records.WithLabelValues(result).Inc()
			b.Done(offset)
		case producer.Refused(err):
			called <- err
		case ctx.Err() != nil: // the partition goes; the next owner reads it again
			b.Drop(offset)
		default:
			d.group.Fail(fmt.Errorf("copying a webhook to %s: %w", out.Topic, err))
		}
	})
	select {
	case err := <-called:
		refused(err)
	default:
	}
}

// setAside keeps what cannot be copied where a human looks. The body stays out:
// it may be what does not fit, and inbound.raw has it.
func (d *Deduper) setAside(ctx context.Context, b *consumer.Batch, rec *schemas.Record, cause error) {
	pos := schemas.Position{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset}
	d.log.Error("a received webhook cannot be handed on; a note of it is parked", "position", pos.String(), "error", cause)
	note := schemas.Record{Topic: d.cfg.Topology.InboundParkedTopic(), Partition: rec.Partition, Key: rec.Key[:min(len(rec.Key), 1<<10)],
		Headers: []schemas.Header{
			{Key: schemas.HdrRaw, Value: []byte(pos.String())},
			{Key: schemas.HdrError, Value: []byte(schemas.Shorten(cause.Error(), maxErrorText))},
			{Key: schemas.HdrRetries, Value: []byte("0")}}}
	d.append(ctx, b, rec.Offset, note, resultRefused, func(err error) {
		d.group.Fail(fmt.Errorf("parking a note of the webhook at %s: %w", pos, err))
	})
}
