package consumer

// Handing what is read from park to the lanes that want it.

import (
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/schemas"
)

// scan offers the records at hand, and decides how reading goes on: with more,
// from further back, or not at all. It is called whenever a lane may want more.
func (s *slot) scan() {
	if s.scanning {
		s.rescan = true
		return
	}
	s.scanning = true
	defer func() { s.scanning = false }()
	for again := true; again && !s.closing && len(s.blocked) > 0; again = s.rescan {
		s.rescan = false
		touched := s.offerAll(time.Now())
		for l := range touched {
			s.pump(l)
		}
	}
	if !s.closing && (s.pass == nil || len(s.pass.chunk) == 0) {
		s.steer(time.Now())
	}
}

// tight reports that the slot holds as much as it should.
func (s *slot) tight() bool { return s.bytes > s.cfg.Limits.SlotBytes }

// offerAll offers the records at hand until one has to wait.
func (s *slot) offerAll(now time.Time) (touched map[*lane]bool) {
	p := s.pass
	if p == nil {
		return nil
	}
	touched = map[*lane]bool{}
	for len(p.chunk) > 0 {
		r := p.chunk[0]
		l, ok := s.offer(p, r, now)
		if !ok {
			if p.waited.IsZero() {
				p.waited = now
			}
			break
		}
		if l != nil {
			touched[l] = true
		}
		p.chunk[0] = nil
		p.chunk = p.chunk[1:]
		p.cursor = r.Offset + 1
	}
	return touched
}

// offer gives one record to its lane, which is returned if it took it. False
// means that the record has to wait, and all behind it.
func (s *slot) offer(p *parkPass, r *kgo.Record, now time.Time) (*lane, bool) {
	l := s.lanes[string(r.Key)]
	if l == nil {
		return nil, true
	}
	switch l.park.look(r.Offset, p.no, p.from) {
	case passOver:
		return nil, true
	case ackFirst:
		return nil, false
	}
	if !l.room(now, s.tight()) {
		if l.mode == spilled && l.running > 0 && !s.othersWant(l, r.Offset, now) {
			return nil, false // the only one that reads: go on when it has room
		}
		l.park.leave(p.no)
		return nil, true
	}
	return s.fromPark(l, r, now), true
}

// passTurn is how long lanes that a pass has left out wait for the ones that it
// waits for.
const passTurn = time.Second

// takeTurns reads anew for lanes that were left out, or whose records lie before
// where the pass began, and that have room now, when the pass has been held up
// by others for a while: one endpoint that hangs, or is slow, must not keep the
// rest of park waiting.
func (s *slot) takeTurns(now time.Time) {
	p := s.pass
	if p == nil || p.waited.IsZero() || now.Sub(p.waited) < passTurn {
		return
	}
	lowest := int64(math.MaxInt64)
	for l := range s.blocked {
		if (l.park.pass == p.no || l.park.next < p.cursor) && l.wants(now, s.tight()) {
			lowest = min(lowest, l.park.next)
		}
	}
	if lowest < math.MaxInt64 {
		s.endPass()
		s.startPass(lowest)
	}
}

func (s *slot) othersWant(but *lane, from int64, now time.Time) bool {
	for l := range s.blocked {
		if l != but && l.park.pass != s.pass.no && l.park.hi > from && l.wants(now, s.tight()) {
			return true
		}
	}
	return false
}

// fromPark takes a record into memory; the lane is nil if it was a repeat.
func (s *slot) fromPark(l *lane, r *kgo.Record, now time.Time) *lane {
	rec := FromKafka(r)
	bytes := recordBytes(r)
	s.bytes += bytes
	s.budget.hold(bytes)
	d, err := schemas.ParseDelivery(&rec)
	j := &job{d: d, lane: l, parkOff: r.Offset, told: d.Attempts, received: now, bytes: bytes}
	l.park.take(r.Offset, j)
	if err != nil {
		s.malformed(rec, err, func(int64) { s.parkDone(j) }, bytes)
		return nil
	}
	return s.enter(j, now)
}

// missed notices records that retention took before they were delivered: a
// pass that left nothing of the lane out went past all of its offsets.
func (s *slot) missed(l *lane) {
	p := s.pass
	if p == nil || l.park.pass == p.no || l.park.unread() == 0 || p.from > l.park.next || p.cursor <= l.park.hi {
		return
	}
	s.cfg.Logger.Error("parked deliveries were deleted before they could be sent; raise the retention of park", "endpoint", l.id, "from", l.park.next, "to", l.park.hi)
	l.park.next = l.park.hi + 1
	s.soil(l)
}

// steer decides how reading goes on once every record at hand was offered.
func (s *slot) steer(now time.Time) {
	lowest, forward := int64(math.MaxInt64), false
	for l := range s.blocked {
		s.missed(l)
		s.revive(l)
		if !l.wants(now, s.tight()) {
			continue
		}
		lowest = min(lowest, l.park.next)
		if s.pass != nil && l.park.pass != s.pass.no && l.park.hi >= s.pass.cursor {
			forward = true
		}
	}
	switch p := s.pass; {
	case p != nil && forward:
		p.ask()
	case lowest == math.MaxInt64:
		s.endPass()
	default:
		s.endPass()
		s.startPass(lowest)
	}
}
