package consumer

// doneSet remembers which attempts of which deliveries were made, so that a
// record that is read again after a crash or a rebalance is not sent again.

import "container/list"

// known is what the done-set says about a record.
type known uint8

const (
	fresh  known = iota // never seen: attempt it
	repeat              // its attempt was made and its successor exists, or the delivery has ended: drop it
	behind              // its attempt was made, but this very record carries the delivery on: go on at a later attempt
)

// doneMark is the newest thing known of one delivery.
type doneMark struct {
	id       string
	no       int   // attempts made
	terminal bool  // no attempt follows, whatever the number
	held     bool  // the retry has no record of its own: the record that was attempted carries on
	due      int64 // with held: when the next attempt may start, Unix ms
}

// doneSet keeps at most max deliveries, the least recently marked one goes
// first. It belongs to one goroutine.
type doneSet struct {
	max   int
	marks map[string]*list.Element // of *doneMark
	order *list.List               // oldest first
}

func newDoneSet(max int) *doneSet {
	return &doneSet{max: max, marks: map[string]*list.Element{}, order: list.New()}
}

// mark records an attempt. A terminal mark is never undone, and an older
// attempt never hides a newer one.
func (s *doneSet) mark(m doneMark) {
	if e, ok := s.marks[m.id]; ok {
		old := e.Value.(*doneMark)
		if !old.terminal && (m.terminal || m.no >= old.no) {
			*old = m
		}
		s.order.MoveToBack(e)
		return
	}
	s.marks[m.id] = s.order.PushBack(&m)
	if s.order.Len() > s.max {
		oldest := s.order.Front()
		s.order.Remove(oldest)
		delete(s.marks, oldest.Value.(*doneMark).id)
	}
}

// check says what is known of a record that has made `attempts` attempts. With
// behind it also gives the attempts made and the due time to go on with.
func (s *doneSet) check(id string, attempts int) (k known, made int, due int64) {
	e, ok := s.marks[id]
	if !ok {
		return fresh, 0, 0
	}
	m := e.Value.(*doneMark)
	switch {
	case m.terminal:
		return repeat, 0, 0
	case attempts >= m.no:
		return fresh, 0, 0
	case m.held:
		return behind, m.no, m.due
	default:
		return repeat, 0, 0
	}
}

func (s *doneSet) len() int { return s.order.Len() }
