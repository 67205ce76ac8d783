package inbound

// The deduper's decision, as a pure state machine over what inbound.raw and the
// topic written to hold.

import (
	"fmt"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// decider decides for one partition of inbound.raw and one topic that takes
// webhooks from it.
//
// Copies are written in the order of their originals, by each owner of the
// partition without a gap from where it began, and each began after what the
// topic had then. So a topic that has the copy of an offset has those of all
// firsts below it, and the highest offset it has says what is left to do. An
// owner that was replaced and does not know it yet can still add repeats; they
// show, because their offsets are not above the highest before them: repeats
// is the rule for readers.
type decider struct {
	window *Window
	last   int64  // the highest offset of inbound.raw that the topic has, or will have; -1 for none
	lastID string // whose it is
	fed    int64  // the highest offset that copies was asked about; -1 for none
}

func newDecider(keys int) *decider { return &decider{window: NewWindow(keys), last: -1, fed: -1} }

// written takes in what the topic has. Its records are exactly the keys' first
// ones, so that the window comes out as the last owner's was.
func (d *decider) written(in *schemas.Inbound, keep time.Duration, at time.Time) {
	if in.Raw.Offset <= d.last {
		return
	}
	d.window.First(in.Source, in.Key, keep, at, in.Raw.Offset)
	d.last, d.lastID = in.Raw.Offset, in.ID
}

// copies reports whether the record at offset is to be written. Records come
// in the order of the log.
func (d *decider) copies(in *schemas.Inbound, keep time.Duration, at time.Time, offset int64) (bool, error) {
	if offset <= d.fed {
		return false, fmt.Errorf("offset %d comes again after offset %d: %w", offset, d.fed, errWentBack)
	}
	d.fed = offset
	if offset <= d.last || !d.window.First(in.Source, in.Key, keep, at, offset) {
		return false, nil
	}
	d.last, d.lastID = offset, in.ID
	return true, nil
}

// growth is the readers' rule: within a partition the offsets of inbound.raw
// that copies name only grow.
type growth struct {
	highest int64
	any     bool
}

// repeats reports whether a copy was there before, and takes it in.
func (g *growth) repeats(in *schemas.Inbound) bool {
	if in.Raw == (schemas.Position{}) {
		return false
	}
	if g.any && in.Raw.Offset <= g.highest {
		return true
	}
	g.highest, g.any = in.Raw.Offset, true
	return false
}
