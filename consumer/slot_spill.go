package consumer

// Spilling: a lane that holds the ledger up moves its records to park, in
// order, so that the partition can be committed and the others go on. Requests
// in flight go on too; only their place moves.

import (
	"container/heap"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// relieve spills every lane that is stuck, and while the slot holds too many
// bytes, the lane with the oldest head.
func (s *slot) relieve(now time.Time) {
	for _, l := range s.lanes {
		if l.mode == live && len(l.sourced) > 0 && l.stuck(now, s.cfg.Limits.SpillAfter) {
			s.block(l, spilled)
		}
	}
	for left := s.bytes - s.spillingBytes; left > s.cfg.Limits.SlotBytes; {
		var oldest *lane
		var head *job
		for _, l := range s.lanes {
			if l.mode != live {
				continue
			}
			for _, j := range l.openSources() {
				if j.state == waiting && (head == nil || j.received.Before(head.received)) {
					oldest, head = l, j
				}
				if j.state == waiting {
					break
				}
			}
		}
		if oldest == nil {
			return
		}
		before := s.spillingBytes
		s.block(oldest, spilled)
		left -= s.spillingBytes - before
	}
}

// block moves everything of a lane whose place is a source record to park and
// sends what comes later there too.
func (s *slot) block(l *lane, mode laneMode) {
	s.setMode(l, mode)
	s.blocked[l] = true
	for _, j := range l.openSources() {
		if !j.parking {
			s.toPark(j)
		}
	}
	kept := l.queue[:0]
	for _, j := range l.queue {
		if j.state == waiting {
			kept = append(kept, j)
		}
	}
	clear(l.queue[len(kept):])
	l.queue = kept
	later := l.later
	l.later = nil
	for _, j := range later {
		if j.state == waiting {
			heap.Push(&l.later, j)
		}
	}
}

func (s *slot) setMode(l *lane, mode laneMode) {
	if l.mode == mode {
		return
	}
	s.metrics.mode(l.mode, -1)
	s.metrics.mode(mode, 1)
	l.mode = mode
	s.soil(l)
}

// toPark gives a job a place in park. One that waits leaves memory: it is read
// back when its turn comes.
func (s *slot) toPark(j *job) {
	l := j.lane
	rec := j.d.Record(s.cfg.Topology.ParkTopic(), s.n)
	rec.Headers = append(rec.Headers, schemas.Header{Key: schemas.HdrParkSrc, Value: []byte(j.src.String())})
	j.parking, j.told = true, j.d.Attempts
	l.park.appending++
	if j.state == waiting {
		j.state = spilling
		s.spillingBytes += j.bytes
		s.metrics.waiting.Dec()
	}
	s.append(rec, func(offset int64) {
		l.park.appending--
		j.parking, j.parkOff = false, offset
		s.parkEnd = max(s.parkEnd, offset)
		l.park.landed(offset, j.state != spilling)
		s.metrics.parked.Inc()
		j.ack(j.src.Offset)
		j.ack = nil
		switch j.state {
		case spilling:
			s.spillingBytes -= j.bytes
			s.drop(j)
		case finished:
			s.parkDone(j)
		default:
			l.park.keep(offset, j)
		}
		s.soil(l)
		s.wakes.set(l, l.lookAgain(time.Now())) // there is something to read back now, after a hold perhaps
		s.scan()
	})
}

// drop takes a job that waits out of memory; its record carries it on.
func (s *slot) drop(j *job) {
	if s.active[j.d.ID] == j {
		delete(s.active, j.d.ID)
	}
	s.release(j.bytes)
}

// parkDone notes that a record of park is done.
func (s *slot) parkDone(j *job) {
	before := j.lane.park.count
	j.lane.park.finish(j.parkOff)
	s.metrics.parked.Add(float64(j.lane.park.count - before))
	s.soil(j.lane)
}

// unread gives jobs that wait back to park: an open lane keeps none in memory
// but those that were attempted since, which park knows nothing of.
func (s *slot) unread(l *lane) {
	for _, j := range l.park.takenWaiting() {
		if j.parking || j.d.Attempts > j.told {
			continue
		}
		l.park.back(j.parkOff, s.passes)
		j.state = finished
		s.metrics.waiting.Dec()
		s.drop(j)
	}
	keep := func(jobs []*job) []*job {
		kept := jobs[:0]
		for _, j := range jobs {
			if j.state == waiting {
				kept = append(kept, j)
			}
		}
		clear(jobs[len(kept):])
		return kept
	}
	l.queue = keep(l.queue)
	later := keep(l.later)
	l.later = nil
	for _, j := range later {
		heap.Push(&l.later, j)
	}
}

// revive lets a lane take records from their topics again once nothing of it
// is left to be read from park. What it has in memory keeps its place there.
func (s *slot) revive(l *lane) {
	if l.park.appending > 0 || l.park.unread() > 0 || l.waitingJobs() > l.limit {
		return
	}
	// An open lane whose endpoint is gone never sees a probe succeed.
	if l.mode == spilled || l.mode == open && !s.cfg.Breaker(l.id).Open {
		s.setMode(l, live)
		delete(s.blocked, l)
		l.ramp = 0
	}
}

// opened blocks a lane because its breaker is open until then.
func (s *slot) opened(l *lane, until, now time.Time) {
	s.block(l, open)
	s.unread(l)
	l.hold = time.Time{}
	l.holdUntil(until, now)
	s.soil(l)
}
