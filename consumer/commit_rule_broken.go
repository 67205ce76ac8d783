//go:build brokencommit

package consumer

// The commit rule as it must not be. A test builds the program with it to show
// that the loss it causes is found.

// commitOffset is one past the highest offset read, done or not.
func commitOffset(l *Ledger) int64 { return l.Next() }
