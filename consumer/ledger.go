package consumer

// Ledger keeps which records of one partition are still open, so that acks may
// come in any order while only the contiguous prefix is ever committed.

import (
	"math/bits"
	"slices"
	"sort"
)

// blockOffsets is how many offsets one block covers.
const blockOffsets = 512

// block has one bit for each open offset of an aligned range.
type block struct {
	base int64 // first offset, a multiple of blockOffsets
	open int   // bits set
	bits [blockOffsets / 64]uint64
}

// Ledger is a sparse bitmap over the offsets of one partition: offsets that
// were never added (control records, compacted ones) count as done and cost
// nothing. It is a plain data structure without a lock: its owner guards it.
type Ledger struct {
	blocks  []*block // ascending; the open offsets are all in here
	empty   int      // blocks without an open offset
	next    int64    // one past the highest offset added
	pending int
}

// NewLedger starts a ledger whose partition is read from offset first on.
func NewLedger(first int64) *Ledger { return &Ledger{next: first} }

// Add opens an offset. Offsets come in ascending order; one that is not above
// all earlier ones is refused with false and changes nothing: the log was cut
// off and rewritten, and the owner needs a new ledger.
func (l *Ledger) Add(offset int64) bool {
	if offset < l.next {
		return false
	}
	base := offset - offset%blockOffsets
	last := len(l.blocks) - 1
	if last < 0 || l.blocks[last].base != base {
		if last >= 0 && l.blocks[last].open == 0 {
			*l.blocks[last] = block{base: base} // reuse: it was counted as empty
			l.empty--
		} else {
			l.blocks = append(l.blocks, &block{base: base})
			last++
		}
	} else if l.blocks[last].open == 0 {
		l.empty--
	}
	b := l.blocks[last]
	i := offset - base
	b.bits[i/64] |= 1 << (i % 64)
	b.open++
	l.pending++
	l.next = offset + 1
	return true
}

// Done closes an offset and reports whether it was open. Repeats and offsets
// that were never added change nothing.
func (l *Ledger) Done(offset int64) bool {
	base := offset - offset%blockOffsets
	at := sort.Search(len(l.blocks), func(i int) bool { return l.blocks[i].base >= base })
	if at == len(l.blocks) || l.blocks[at].base != base {
		return false
	}
	b := l.blocks[at]
	i := offset - base
	if b.bits[i/64]&(1<<(i%64)) == 0 {
		return false
	}
	b.bits[i/64] &^= 1 << (i % 64)
	b.open--
	l.pending--
	if b.open == 0 {
		l.empty++
		l.shrink()
	}
	return true
}

// shrink drops empty blocks: those in front at once, those behind an open
// offset when they are the majority. So memory follows the open offsets, not
// their span, and dropping costs a constant per block.
func (l *Ledger) shrink() {
	front := 0
	for front < len(l.blocks)-1 && l.blocks[front].open == 0 {
		front++
	}
	if front > 0 {
		l.blocks = slices.Delete(l.blocks, 0, front)
		l.empty -= front
	}
	if l.empty > 8 && l.empty > len(l.blocks)/2 {
		l.blocks = slices.DeleteFunc(l.blocks, func(b *block) bool { return b.open == 0 })
		l.empty = 0
	}
}

// Low is the lowest open offset, or one past the highest added when none is
// open: the offset to commit.
func (l *Ledger) Low() int64 {
	if l.pending == 0 {
		return l.next
	}
	for _, b := range l.blocks {
		if b.open == 0 {
			continue
		}
		for w, word := range b.bits {
			if word != 0 {
				return b.base + int64(w*64+bits.TrailingZeros64(word))
			}
		}
	}
	return l.next
}

// Next is one past the highest offset added.
func (l *Ledger) Next() int64 { return l.next }

// Pending is how many offsets are open.
func (l *Ledger) Pending() int { return l.pending }
