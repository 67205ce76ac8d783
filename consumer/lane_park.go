package consumer

// parked is a lane's part of park: which of its records there are in memory,
// which are done, and from where on none was looked at. Pure bookkeeping.

import (
	"math"
	"slices"

	"github.com/hookstream/hookstream/schemas"
)

// laneMode says where new records of a lane go.
type laneMode uint8

const (
	live    laneMode = iota // into memory
	spilled                 // into park, and back as fast as the endpoint takes them
	open                    // into park; the breaker is open and only its probe goes out
)

func (m laneMode) state() schemas.LaneState {
	return [...]schemas.LaneState{schemas.LaneLive, schemas.LaneSpilled, schemas.LaneOpen}[m]
}

// parked keeps these invariants: every record of the lane in park below next
// is either done or in taken; one at or above next is done only if in ahead;
// nothing above hi is ours to read yet.
type parked struct {
	next      int64          // no record of the lane below was left unlooked at
	hi        int64          // highest offset that is known to be acked; −1: none
	appending int            // records on their way to park
	taken     map[int64]*job // in memory
	ahead     map[int64]bool // done, at or above next
	count     int64          // records in park that are not done
	pass      int            // the reading pass that left a record out: nothing more is taken in it
}

func newParked() parked {
	return parked{next: math.MaxInt64, hi: -1, taken: map[int64]*job{}, ahead: map[int64]bool{}}
}

// landed counts a record that is in park now. Offsets come ascending. inMemory
// says that it need not be read back: its job is being attempted, or done.
func (p *parked) landed(offset int64, inMemory bool) {
	if p.unread() == 0 {
		p.next = offset
		if inMemory {
			p.next++
		}
	}
	p.hi = max(p.hi, offset)
	p.count++
}

// looked is what to do with a record of the lane that was read.
type looked uint8

const (
	passOver looked = iota // not ours to attempt: done, in memory, or not acked yet
	attempt                // not looked at before
	ackFirst               // its ack has not come in yet: wait for it
)

// look judges a record by its offset and the pass that read it. When it says
// attempt, take or leave must follow.
func (p *parked) look(offset int64, pass int, from int64) looked {
	switch {
	case p.pass == pass, offset < p.next:
		return passOver
	case from > p.next: // it began behind records that were not looked at
		p.pass = pass
		return passOver
	case offset > p.hi && p.appending > 0:
		return ackFirst
	case offset > p.hi: // written by an owner that lost the slot; its record is ours by its source
		return passOver
	case p.ahead[offset]:
		delete(p.ahead, offset)
		p.next = offset + 1
		return passOver
	case p.taken[offset] != nil:
		p.next = offset + 1
		return passOver
	}
	return attempt
}

// take puts a record that look has let through into memory.
func (p *parked) take(offset int64, j *job) {
	p.taken[offset] = j
	p.next = offset + 1
}

// leave leaves the record out, and with it all that follow in this pass.
func (p *parked) leave(pass int) { p.pass = pass }

// keep notes a job in memory that got a place in park while it was attempted.
func (p *parked) keep(offset int64, j *job) { p.taken[offset] = j }

// back forgets a job in memory that was not attempted: it is read again, in a
// later pass, because the one under way has gone by.
func (p *parked) back(offset int64, pass int) {
	delete(p.taken, offset)
	p.next = min(p.next, offset)
	p.pass = pass
}

// finish notes that a record is done.
func (p *parked) finish(offset int64) {
	delete(p.taken, offset)
	if offset >= p.next {
		p.ahead[offset] = true
	}
	p.count = max(0, p.count-1)
	if p.next > p.hi && len(p.taken) == 0 {
		p.count = 0
		clear(p.ahead)
	}
}

// unread reports whether records are left to be read: 0 means none.
func (p *parked) unread() int64 { return max(0, p.hi-p.next+1) }

// empty reports that nothing of the lane is in park any more, nor on its way.
func (p *parked) empty() bool { return p.appending == 0 && p.unread() == 0 && len(p.taken) == 0 }

// lo is the offset below which everything of the lane is done.
func (p *parked) lo() int64 {
	lo := min(p.next, p.hi+1)
	for offset := range p.taken {
		lo = min(lo, offset)
	}
	return lo
}

// takenWaiting are the jobs in memory that are not being attempted, by offset.
func (p *parked) takenWaiting() []*job {
	var out []*job
	for _, j := range p.taken {
		if j.state == waiting {
			out = append(out, j)
		}
	}
	slices.SortFunc(out, func(a, b *job) int { return int(a.parkOff - b.parkOff) })
	return out
}
