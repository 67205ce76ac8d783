package consumer

import (
	"testing"

	"pgregory.net/rapid"
)

// TestLedgerModel drives a ledger and a plain set of open offsets with the
// same random acks: the commit offset may never pass an open record.
func TestLedgerModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := rapid.Int64Range(0, 1<<40).Draw(t, "first")
		l, open, next := NewLedger(first), map[int64]bool{}, first
		var added []int64
		low := first
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				gap := rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, 3), rapid.Int64Range(0, 1<<34)).Draw(t, "gap")
				n := rapid.Int64Range(1, 700).Draw(t, "n")
				for i := range n {
					at := next + gap + i
					if !l.Add(at) {
						t.Fatalf("Add(%d) refused", at)
					}
					open[at] = true
					added = append(added, at)
				}
				next += gap + n
			},
			"done": func(t *rapid.T) {
				if len(added) == 0 {
					t.Skip()
				}
				for range rapid.IntRange(1, 400).Draw(t, "n") {
					at := added[rapid.IntRange(0, len(added)-1).Draw(t, "i")]
					if got := l.Done(at); got != open[at] {
						t.Fatalf("Done(%d) = %v, open was %v", at, got, open[at])
					}
					delete(open, at)
				}
			},
			"done in order": func(t *rapid.T) {
				n := rapid.IntRange(0, len(added)).Draw(t, "n")
				for _, at := range added[:n] {
					l.Done(at)
					delete(open, at)
				}
				added = added[n:]
			},
			"done of what was never added": func(t *rapid.T) {
				at := rapid.Int64Range(0, next+2000).Draw(t, "at")
				if !open[at] && l.Done(at) {
					t.Fatalf("Done(%d) of an offset that is not open", at)
				}
			},
			"add of the past": func(t *rapid.T) {
				if next > 0 && l.Add(rapid.Int64Range(0, next-1).Draw(t, "at")) {
					t.Fatal("an offset of the past was added")
				}
			},
			"": func(t *rapid.T) {
				want := next
				for at := range open {
					want = min(want, at)
				}
				if got := l.Low(); got != want || l.Pending() != len(open) || l.Next() != next {
					t.Fatalf("Low %d Pending %d Next %d, want %d %d %d", got, l.Pending(), l.Next(), want, len(open), next)
				}
				if l.Low() < low {
					t.Fatalf("Low fell from %d to %d", low, l.Low())
				}
				low = l.Low()
				blocks := map[int64]bool{}
				for at := range open {
					blocks[at/blockOffsets] = true
				}
				if len(l.blocks) > 2*len(blocks)+10 {
					t.Fatalf("%d blocks for open offsets in %d", len(l.blocks), len(blocks))
				}
			},
		})
	})
}

// TestLedgerHeadOfLine: one open record at the head must not make the memory
// follow the span of what was done behind it.
func TestLedgerHeadOfLine(t *testing.T) {
	l := NewLedger(0)
	for at := range int64(1_000_000) {
		l.Add(at)
		if at > 0 {
			l.Done(at)
		}
	}
	if l.Low() != 0 || l.Pending() != 1 || len(l.blocks) > 20 {
		t.Fatalf("Low %d Pending %d with %d blocks", l.Low(), l.Pending(), len(l.blocks))
	}
	l.Done(0)
	if l.Low() != 1_000_000 {
		t.Fatalf("Low %d at the end", l.Low())
	}
}

func BenchmarkLedger(b *testing.B) {
	l := NewLedger(0)
	for i := range int64(b.N) {
		l.Add(i)
		if i >= 1000 {
			l.Done(i - 1000 + i%3 - 1)
		}
		if i%200 == 0 {
			l.Low()
		}
	}
}
