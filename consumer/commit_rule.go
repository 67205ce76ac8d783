//go:build !brokencommit

package consumer

// The commit rule: the one place that says which offset of a partition may be
// committed.

// commitOffset is the end of the contiguous prefix: everything below is done.
func commitOffset(l *Ledger) int64 { return l.Low() }
