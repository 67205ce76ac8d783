package consumer

// Seeding done-sets from the tail of the attempts topic: what an earlier owner
// of a slot did and wrote down before it went.

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/schemas"
)

// seed fills the done-sets of new slots, and says from how many rows.
func (d *Dispatcher) seed(ctx context.Context, slots []*slot) (rows int, err error) {
	t := d.cfg.Topology
	bySlot := map[int32]*slot{}
	byPartition := map[int32]int64{} // how many rows at most
	for _, s := range slots {
		bySlot[s.n] = s
		byPartition[t.AttemptsPartition(s.n)] += int64(d.cfg.Limits.DoneCount)
	}
	client, err := kgo.NewClient(d.cfg.Options...)
	if err != nil {
		return 0, fmt.Errorf("connecting: %w", err)
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	since, err := adm.ListOffsetsAfterMilli(ctx, time.Now().Add(-d.cfg.Limits.SeedAge).UnixMilli(), t.AttemptsTopic())
	if err == nil {
		err = since.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("listing offsets by time: %w", err)
	}
	starts, err := adm.ListStartOffsets(ctx, t.AttemptsTopic())
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("listing start offsets: %w", err)
	}
	ends, err := adm.ListEndOffsets(ctx, t.AttemptsTopic())
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("listing end offsets: %w", err)
	}
	want := map[int32]stretch{}
	for p, count := range byPartition {
		end, _ := ends.Lookup(t.AttemptsTopic(), p)
		from := end.Offset
		if o, ok := since.Lookup(t.AttemptsTopic(), p); ok {
			from = o.Offset
		}
		// However long ago they were written: after an outage, what was not
		// committed before it is read again.
		from = min(from, end.Offset-int64(d.cfg.Limits.DoneCount))
		start, _ := starts.Lookup(t.AttemptsTopic(), p)
		// Rows of other slots lie between; the count bounds time and memory, no more.
		perPartition := int64(t.Slots/t.Attempts) + 1
		want[p] = stretch{from: max(from, start.Offset, end.Offset-count*perPartition), to: end.Offset}
	}
	err = readStretches(ctx, d.cfg.Options, t.AttemptsTopic(), want, func(r *kgo.Record) {
		rec := FromKafka(r)
		n, m, ok := seedMark(&rec)
		if s := bySlot[n]; ok && s != nil {
			s.done.mark(m)
			rows++
		}
	})
	return rows, err
}

// seedMark reads a mark from a row's headers, without its value. Rows without
// them were not written by a dispatcher.
func seedMark(rec *schemas.Record) (slot int32, m doneMark, ok bool) {
	number := func(key string) (int64, bool) {
		text, ok := rec.Header(key)
		n, err := strconv.ParseInt(text, 10, 64)
		return n, ok && err == nil
	}
	n, okSlot := number(schemas.HdrSlot)
	no, okNo := number(schemas.HdrAttempts)
	id, okID := rec.Header(schemas.HdrDelivery)
	state, okState := rec.Header(schemas.HdrState)
	if !okSlot || !okNo || !okID || !okState {
		return 0, m, false
	}
	due, held := number(schemas.HdrDue)
	return int32(n), doneMark{id: id, no: int(no), terminal: schemas.State(state).Terminal(), held: held, due: due}, true
}
