package consumer

// Lane rows: the slot writes what changed at intervals, then a checkpoint that
// says up to where in park the rows tell everything.

import (
	"strconv"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

const (
	// failingRow is how long an endpoint fails before its row says so: a single
	// failure needs no row.
	failingRow = time.Minute
	// snapshotEvery and snapshotRows: how often every row is written again. It
	// bounds what has to be read where the topic is not compacted, and what a
	// late write of an earlier owner can spoil.
	snapshotEvery = time.Minute
	snapshotRows  = 5000
)

// soil marks a lane whose row has to be written.
func (s *slot) soil(l *lane) {
	l.dirty = true
	s.dirty[l] = true
}

// rowOf is the lane's row; ok is false when a row has nothing to say.
func (s *slot) rowOf(l *lane, now time.Time) (row schemas.LaneRow, ok bool) {
	row = schemas.LaneRow{EndpointID: l.id, Owner: s.owner, State: l.mode.state(), Lo: l.park.lo(), Hi: l.park.hi, Parked: l.park.count, Halted: l.halted}
	ok = l.mode != live || l.halted || !l.park.empty()
	if l.park.empty() {
		row.Lo, row.Hi, row.Parked = 0, -1, 0
	}
	if l.hold.After(now.Add(time.Second)) {
		row.HoldUntil, ok = l.hold.UnixMilli(), true
	}
	if l.info.Ordered && len(l.queue) > 0 && l.queue[0].d.Attempts > 0 {
		j := l.queue[0]
		row.Head, ok = &schemas.LaneHead{DeliveryID: j.d.ID, Attempts: j.d.Attempts, Due: j.d.Due.UnixMilli()}, true
	}
	if !l.failing.since.IsZero() && now.Sub(l.failing.since) >= failingRow {
		row.FailSince, row.FailCount, ok = l.failing.since.UnixMilli(), l.failing.attempts, true
	}
	if row.Breaker = s.cfg.Breaker(l.id); row.Breaker.Open {
		ok = true
	}
	if !l.toldRow.IsZero() { // the event that it opened wants one that it closed
		row.Told, ok = l.toldRow.UnixMilli(), true
	}
	return row, ok
}

// writeRows writes the rows of all lanes that changed, then the checkpoint;
// one round at a time.
func (s *slot) writeRows(now time.Time) {
	if s.writing > 0 {
		return
	}
	if s.sinceSnapshot >= snapshotRows || now.Sub(s.snapshotAt) >= snapshotEvery {
		s.snapshotAt = now
		first := true
		for _, l := range s.lanes {
			if l.hasRow || l.dirty {
				s.soil(l)
				first = false
			}
		}
		s.marking = !first
	}
	if len(s.dirty) == 0 && s.checkpointed == s.parkEnd {
		return
	}
	for l := range s.dirty {
		row, ok := s.rowOf(l, now)
		rec, err := row.Record(s.cfg.Topology)
		if err != nil {
			s.fail(err)
			return
		}
		l.dirty = false
		if !ok && !l.hasRow {
			continue
		}
		if l.hasRow = ok; !ok {
			rec = laneTombstone(s.cfg.Topology, l.id, s.owner)
		}
		s.sinceSnapshot++
		s.writeLane(rec)
	}
	clear(s.dirty)
	ckpt := schemas.Checkpoint{Owner: s.owner, Park: s.parkEnd, Snapshot: s.snapshot}
	rec, err := ckpt.Record(s.cfg.Topology, s.n)
	if err != nil {
		s.fail(err)
		return
	}
	s.checkpointed = s.parkEnd
	s.orders, s.ordersCarried = nil, append(s.ordersCarried, s.orders...)
	s.writeLane(rec)
}

// hdrOwner says who removed a row, as the row itself does.
const hdrOwner = "hs-owner"

func laneTombstone(t schemas.Topology, endpointID string, owner int64) schemas.Record {
	rec := schemas.LaneTombstone(t, endpointID)
	rec.Headers = append(rec.Headers, schemas.Header{Key: hdrOwner, Value: strconv.AppendInt(nil, owner, 10)})
	return rec
}

// writeLane appends one record to lanes. The first of a round that writes
// every row is where reading may begin from the next checkpoint on.
func (s *slot) writeLane(rec schemas.Record) {
	s.writing++
	marking := s.marking
	s.marking = false
	s.append(rec, func(offset int64) {
		s.writing--
		if marking {
			s.snapshot, s.sinceSnapshot = offset, 0
		}
		if s.writing == 0 {
			for _, done := range s.ordersCarried {
				done()
			}
			s.ordersCarried = nil
		}
	})
}
