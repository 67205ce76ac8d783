package analytics

// Pages: what every list ends in.

// Bounds of a list's page.
const (
	DefaultPage = 50
	MaxPage     = 200
)

// Cursor is where a page ended: the place of its last row.
type Cursor = key

// Page is one page of a list. Next is nil on the last one.
type Page[T any] struct {
	Rows []T
	Next *Cursor
}

// pageSize is how many rows a page has that asks for limit.
func pageSize(limit int) int {
	if limit <= 0 {
		return DefaultPage
	}
	return min(limit, MaxPage)
}

// pageOf makes a page of rows, of which there is one more than limit when another
// page follows.
func pageOf[T any](rows []T, limit int, at func(T) Cursor) Page[T] {
	if len(rows) <= limit {
		return Page[T]{Rows: rows}
	}
	next := at(rows[limit-1])
	return Page[T]{Rows: rows[:limit], Next: &next}
}
