package consumer

// What a new owner of slots reads before anything is fetched for it: lane
// rows, and the end of park that they do not tell about yet.

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/schemas"
)

const (
	// laneTail is how many records from the end of lanes are looked through for
	// a checkpoint that says where to begin.
	laneTail = 2000
	// rereadSpan is how many records from the end of park are remembered, to
	// recognise their source records when these are read again.
	rereadSpan = 50_000
	// rereadFor is how long they are remembered: what is read again is read
	// again at once.
	rereadFor = 10 * time.Minute
)

// laneLog is what lanes says about one slot.
type laneLog struct {
	owner int64
	rows  map[string]schemas.LaneRow
	ckpt  schemas.Checkpoint
}

func newLaneLog() *laneLog {
	return &laneLog{rows: map[string]schemas.LaneRow{}, ckpt: schemas.Checkpoint{Park: -1, Snapshot: -1}}
}

// apply takes one record, in log order. What an earlier owner wrote after a
// later one began does not count.
func (g *laneLog) apply(rec *schemas.Record) error {
	key := string(rec.Key)
	if len(rec.Value) == 0 {
		text, _ := rec.Header(hdrOwner)
		if owner, err := strconv.ParseInt(text, 10, 64); err != nil || owner >= g.owner {
			delete(g.rows, key)
		}
		return nil
	}
	if key == schemas.CheckpointKey {
		c, err := schemas.ParseCheckpoint(rec)
		if err != nil {
			return err
		}
		if c.Owner >= g.owner {
			g.owner, g.ckpt = c.Owner, c
		}
		return nil
	}
	row, err := schemas.ParseLane(rec)
	if err != nil {
		return err
	}
	if row.Owner >= g.owner {
		g.owner, g.rows[key] = row.Owner, row
	}
	return nil
}

// recoverLanes restores the lanes of new slots.
func (d *Dispatcher) recoverLanes(ctx context.Context, slots []*slot) error {
	t := d.cfg.Topology
	lanes, park, err := d.bounds(ctx)
	if err != nil {
		return err
	}
	logs := map[int32]*laneLog{}
	tails, wholes := map[int32]stretch{}, map[int32]stretch{}
	for _, s := range slots {
		logs[s.n] = newLaneLog()
		whole := lanes[s.n]
		wholes[s.n] = whole
		tails[s.n] = stretch{from: max(whole.from, whole.to-laneTail), to: whole.to}
	}
	var bad error
	apply := func(r *kgo.Record) {
		rec := FromKafka(r)
		if err := logs[r.Partition].apply(&rec); err != nil && bad == nil {
			bad = err
		}
	}
	if err := readStretches(ctx, d.cfg.Options, t.LanesTopic(), tails, apply); err != nil {
		return err
	}
	for n, g := range logs {
		whole := wholes[n]
		if from := max(whole.from, g.ckpt.Snapshot); from < tails[n].from {
			// The rows began before the tail: read them from there.
			wholes[n] = stretch{from: from, to: whole.to}
			logs[n] = newLaneLog()
		} else {
			wholes[n] = stretch{} // all seen
		}
	}
	if err := readStretches(ctx, d.cfg.Options, t.LanesTopic(), wholes, apply); err != nil {
		return err
	}
	if bad != nil {
		return bad
	}
	parks := map[int32]stretch{}
	for _, s := range slots {
		parks[s.n] = s.restore(logs[s.n], park[s.n], time.Now())
	}
	bySlot := map[int32]*slot{}
	for _, s := range slots {
		bySlot[s.n] = s
	}
	return readStretches(ctx, d.cfg.Options, t.ParkTopic(), parks, func(r *kgo.Record) {
		bySlot[r.Partition].found(r, logs[r.Partition])
	})
}

// bounds lists where lanes and park begin and end.
func (d *Dispatcher) bounds(ctx context.Context) (lanes, park map[int32]stretch, err error) {
	t := d.cfg.Topology
	client, err := kgo.NewClient(d.cfg.Options...)
	if err != nil {
		return nil, nil, fmt.Errorf("connecting: %w", err)
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	starts, err := adm.ListStartOffsets(ctx, t.LanesTopic(), t.ParkTopic())
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("listing start offsets: %w", err)
	}
	ends, err := adm.ListEndOffsets(ctx, t.LanesTopic(), t.ParkTopic())
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("listing end offsets: %w", err)
	}
	of := func(topic string) map[int32]stretch {
		out := map[int32]stretch{}
		for p, o := range ends[topic] {
			out[p] = stretch{from: starts[topic][p].Offset, to: o.Offset}
		}
		return out
	}
	return of(t.LanesTopic()), of(t.ParkTopic()), nil
}

// restore makes the lanes that have a row, and says which part of park is
// still to be looked at.
func (s *slot) restore(g *laneLog, park stretch, now time.Time) stretch {
	s.owner = max(now.UnixMilli(), g.owner+1)
	s.parkEnd, s.checkpointed = park.to-1, -2
	from, lowest := max(park.from, g.ckpt.Park+1), park.to
	for id, row := range g.rows {
		l := s.lane(id, now)
		l.hasRow, l.halted = true, row.Halted
		if row.Hi >= row.Lo {
			l.park.next, l.park.hi, l.park.count = row.Lo, row.Hi, row.Parked
			lowest = min(lowest, row.Lo)
		}
		if row.HoldUntil > 0 {
			l.hold = time.UnixMilli(row.HoldUntil)
		}
		if row.FailSince > 0 {
			l.failing = failing{since: time.UnixMilli(row.FailSince), attempts: row.FailCount}
		}
		if h := row.Head; h != nil {
			s.done.mark(doneMark{id: h.DeliveryID, no: h.Attempts, held: true, due: h.Due})
		}
		if row.Breaker != (schemas.BreakerState{}) {
			s.cfg.Restore(id, row.Breaker)
		}
		if row.Told > 0 {
			l.told = time.UnixMilli(row.Told)
			l.toldRow = l.told
		}
		switch {
		case row.State == schemas.LaneOpen:
			s.setMode(l, open)
		case l.park.unread() > 0 || row.State == schemas.LaneSpilled:
			s.setMode(l, spilled)
		}
		if l.mode != live {
			s.blocked[l] = true
		}
		s.metrics.parked.Add(float64(l.park.count))
		s.soil(l)
	}
	if span := park.to - rereadSpan; lowest < from {
		from = max(park.from, min(from, max(lowest, span)))
	}
	return stretch{from: from, to: park.to}
}

// found takes one record of park: it belongs to a lane's backlog if the
// checkpoint does not cover it, or if its row says so.
func (s *slot) found(r *kgo.Record, g *laneLog) {
	id := string(r.Key)
	row, known := g.rows[id]
	switch {
	case known && r.Offset < row.Lo:
		return
	case r.Offset > g.ckpt.Park && (!known || r.Offset > row.Hi):
		l := s.lane(id, time.Now())
		l.park.landed(r.Offset, false)
		if l.mode == live {
			s.setMode(l, spilled)
		}
		s.blocked[l] = true
		s.metrics.parked.Inc()
		s.soil(l)
	case !known || r.Offset > row.Hi:
		return
	}
	rec := FromKafka(r)
	src, okSrc := rec.Header(schemas.HdrParkSrc)
	delivery, okID := rec.Header(schemas.HdrDelivery)
	if pos, err := schemas.ParsePosition(src); okSrc && okID && err == nil {
		s.reread[pos] = delivery
	}
}
