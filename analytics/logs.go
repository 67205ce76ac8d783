package analytics

// Lists of deliveries: the log of a webhook, dead letters.

import (
	"context"
	"fmt"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// LogQuery says which deliveries to list, newest first. Empty fields do not
// filter.
type LogQuery struct {
	Tenant       string
	WebhookID    string
	Status       schemas.State
	EventType    string
	EventID      string
	EventPrefix  string    // of lists of events: ids that begin so
	ResponseCode int       // of the latest attempt
	ErrorKind    string    // of the latest attempt, or why none was made
	Since, Until time.Time // of the delivery's creation; Until is left out itself
	After        *Cursor   // the page before
	Limit        int       // 0: DefaultPage; at most MaxPage
}

// LogPage is one page of deliveries.
type LogPage = Page[LogRow]

// filter is what only a delivery's folded state can answer.
type filter struct {
	status schemas.State
	code   int
	kind   string // error kind
}

func (f filter) passes(r LogRow) bool {
	switch {
	case f.status != "" && r.Status != f.status, f.kind != "" && r.ErrorKind != f.kind:
		return false
	}
	return f.code == 0 || r.ResponseCode != nil && *r.ResponseCode == f.code
}

// Logs lists deliveries newest first. A delivery that no attempt was made of
// yet is listed as pending.
func (s *Store) Logs(ctx context.Context, q LogQuery) (LogPage, error) {
	limit := pageSize(q.Limit)
	sc := scope{tenant: q.Tenant, endpoint: q.WebhookID, eventType: q.EventType, event: q.EventID, after: q.After}
	f := filter{status: q.Status, code: q.ResponseCode, kind: q.ErrorKind}
	var rows []LogRow
	for _, w := range windows(q, time.Now()) {
		sc.lo, sc.hi = w.lo, w.hi
		var more []LogRow
		var err error
		if f == (filter{}) {
			more, err = s.page(ctx, sc, limit+1-len(rows))
		} else {
			more, err = s.filtered(ctx, sc, f, limit+1-len(rows))
		}
		if err != nil {
			return LogPage{}, fmt.Errorf("listing deliveries: %w", err)
		}
		rows = append(rows, more...)
		if len(rows) > limit {
			break
		}
	}
	return pageOf(rows, limit, func(r LogRow) Cursor { return Cursor{Created: r.CreatedAt.UnixMilli(), Delivery: r.ID} }), nil
}

// window is a stretch of created_at, [lo, hi), Unix ms.
type window struct{ lo, hi int64 }

// windows cut what is asked for into the newest hour, the day before it, the
// week before that, the month before that, and the rest, newest first. An
// event's id needs no cutting: its index says where it is.
func windows(q LogQuery, now time.Time) []window {
	const hour = 60 * 60 * 1000
	const day = 24 * hour
	hi, lo := int64(maxMillis), int64(minMillis)
	top := now.UnixMilli()
	if !q.Until.IsZero() {
		hi = clampMillis(q.Until.UnixMilli())
		top = min(top, hi)
	}
	if q.After != nil {
		hi = min(hi, q.After.Created+1)
		top = min(top, hi)
	}
	if !q.Since.IsZero() {
		lo = clampMillis(q.Since.UnixMilli())
	}
	if q.EventID != "" || q.EventPrefix != "" {
		return []window{{lo, hi}}
	}
	var out []window
	for _, back := range []int64{hour, day, 7 * day, 30 * day} {
		from := max(top-back, lo)
		if from < hi {
			out = append(out, window{from, hi})
			hi = from
		}
	}
	if lo < hi {
		out = append(out, window{lo, hi})
	}
	return out
}

// page reads up to n deliveries without a filter.
func (s *Store) page(ctx context.Context, sc scope, n int) ([]LogRow, error) {
	var out []LogRow
	rows := 2*n + 50
	for len(out) < n {
		records, err := s.records(ctx, sc, rows)
		if err != nil {
			return nil, err
		}
		groups := group(records)
		if len(records) == rows {
			// The last delivery may go on beyond the cut.
			if len(groups) == 1 {
				rows *= 4
				continue
			}
			groups = groups[:len(groups)-1]
		}
		for _, g := range groups {
			out = append(out, fold(g))
		}
		if len(records) < rows {
			break
		}
		last := keyOf(groups[len(groups)-1][0])
		sc.after = &last
	}
	return out[:min(len(out), n)], nil
}

// filtered reads up to n deliveries that pass the filter.
func (s *Store) filtered(ctx context.Context, sc scope, f filter, n int) ([]LogRow, error) {
	var out []LogRow
	for len(out) < n {
		batch := max(n-len(out), DefaultPage)
		keys, err := s.candidates(ctx, sc, f, batch)
		if err != nil {
			return nil, err
		}
		records, err := s.recordsOf(ctx, sc, keys)
		if err != nil {
			return nil, err
		}
		for _, g := range group(records) {
			if row := fold(g); f.passes(row) {
				out = append(out, row)
			}
		}
		if len(keys) < batch {
			break
		}
		sc.after = &keys[len(keys)-1]
	}
	return out[:min(len(out), n)], nil
}
