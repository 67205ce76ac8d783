package analytics

// Reading deliveries newest first: the rows of a delivery lie side by side, so
// a page is a short scan folded here. Time is cut into windows, because the
// newest day nearly always has the page.

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/hookstream/hookstream/schemas"
)

// key is a delivery's place in the order of lists: created_at descending, then
// delivery id descending. It never changes, so a cursor stays where it was.
type key struct {
	Created  int64  `json:"t"` // Unix ms
	Delivery string `json:"id"`
}

// clause is a piece of SQL with its bound arguments.
type clause struct {
	sql  []string
	args []any
}

func (c *clause) and(sql string, args ...any) {
	c.sql = append(c.sql, sql)
	c.args = append(c.args, args...)
}

func (c *clause) String() string { return strings.Join(c.sql, " AND ") }

// millisArg is a bound Unix-ms argument as a column's type.
const millisArg = "fromUnixTimestamp64Milli(toInt64(?), 'UTC')"

// scope is which deliveries a list is about.
type scope struct {
	tenant    string // empty: all
	endpoint  string // empty: all
	eventType string
	event     string
	lo, hi    int64 // created_at in [lo, hi), Unix ms
	after     *key  // only what comes after it in the list
}

// bounds are the conditions that attempts and events share. The plain bound on
// created_at is what prunes; the tuple only cuts the ties.
func (sc scope) bounds(c *clause, delivery string) {
	if sc.tenant != "" {
		c.and("tenant_id = ?", sc.tenant)
	}
	c.and("created_at >= "+millisArg, sc.lo)
	c.and("created_at < "+millisArg, sc.hi)
	if sc.after != nil {
		c.and("created_at <= "+millisArg, sc.after.Created)
		c.and("(created_at, "+delivery+") < ("+millisArg+", ?)", sc.after.Created, sc.after.Delivery)
	}
	if sc.eventType != "" {
		c.and("event_type = ?", sc.eventType)
	}
	if sc.event != "" {
		c.and("event_id = ?", sc.event)
	}
}

func (sc scope) attempts() *clause {
	c := &clause{}
	if sc.endpoint != "" {
		c.and("endpoint_id = ?", sc.endpoint)
	}
	sc.bounds(c, "delivery_id")
	return c
}

func (sc scope) made() *clause {
	c := &clause{}
	if sc.endpoint != "" {
		c.and("has(endpoint_ids, ?)", sc.endpoint)
		c.and("endpoint = ?", sc.endpoint)
	}
	sc.bounds(c, "delivery")
	return c
}

const fromMade = " FROM hookstream.events ARRAY JOIN endpoint_ids AS endpoint, delivery_ids AS delivery WHERE "

// records reads up to n rows of the scope in list order, the unattempted ones
// of events among them.
func (s *Store) records(ctx context.Context, sc scope, n int) ([]record, error) {
	a, m := sc.attempts(), sc.made()
	sql := fmt.Sprintf(`SELECT * FROM (
		SELECT * FROM (SELECT %s FROM hookstream.attempts WHERE %s ORDER BY created_at DESC, delivery_id DESC, attempt_no DESC LIMIT %d)
		UNION ALL
		SELECT * FROM (SELECT %s%s%s ORDER BY created_at DESC, delivery_id DESC LIMIT %d)
	) ORDER BY created_at DESC, delivery_id DESC, attempt_no DESC LIMIT %d`, recordColumns, a, n, madeColumns, fromMade, m, n, n)
	return s.scanAll(ctx, sql, append(a.args, m.args...))
}

// recordsOf reads every row of the given deliveries.
func (s *Store) recordsOf(ctx context.Context, sc scope, keys []key) ([]record, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	var tuples, times strings.Builder
	var tupleArgs, timeArgs, ids []any
	for i, k := range keys {
		if i > 0 {
			tuples.WriteString(", ")
			times.WriteString(", ")
		}
		tuples.WriteString("(" + millisArg + ", ?)")
		tupleArgs = append(tupleArgs, k.Created, k.Delivery)
		times.WriteString(millisArg)
		timeArgs = append(timeArgs, k.Created)
		ids = append(ids, k.Delivery)
	}
	a, m := &clause{}, &clause{}
	if sc.tenant != "" {
		a.and("tenant_id = ?", sc.tenant)
		m.and("tenant_id = ?", sc.tenant)
	}
	if sc.endpoint != "" {
		a.and("endpoint_id = ?", sc.endpoint)
		m.and("endpoint = ?", sc.endpoint)
	}
	a.and("(created_at, delivery_id) IN ("+tuples.String()+")", tupleArgs...)
	m.and("created_at IN ("+times.String()+")", timeArgs...)
	m.and("delivery IN ("+strings.TrimSuffix(strings.Repeat("?, ", len(ids)), ", ")+")", ids...)
	sql := fmt.Sprintf(`SELECT * FROM (SELECT %s FROM hookstream.attempts WHERE %s UNION ALL SELECT %s%s%s)
		ORDER BY created_at DESC, delivery_id DESC, attempt_no DESC`, recordColumns, a, madeColumns, fromMade, m)
	return s.scanAll(ctx, sql, append(a.args, m.args...))
}

// candidates lists up to n deliveries of the scope that may pass the filter, in
// list order. Whether they do, all of their rows decide.
func (s *Store) candidates(ctx context.Context, sc scope, f filter, n int) ([]key, error) {
	a := sc.attempts()
	if f.code > 0 {
		a.and("response_code = ?", f.code)
	}
	if f.kind != "" {
		a.and("error_kind = ?", f.kind)
	}
	var sql string
	args := a.args
	switch f.status {
	case schemas.StatePending:
		// Nothing but the absence of a terminal row makes a delivery pending.
		all, m := sc.attempts(), sc.made()
		args = append(all.args, m.args...)
		sql = fmt.Sprintf(`SELECT created_at, delivery_id FROM (
			SELECT created_at, delivery_id, toUInt8(state != 'pending') AS ends FROM hookstream.attempts WHERE %s
			UNION ALL
			SELECT created_at, delivery AS delivery_id, toUInt8(0) AS ends%s%s
		) GROUP BY created_at, delivery_id HAVING max(ends) = 0 ORDER BY created_at DESC, delivery_id DESC LIMIT %d`, all, fromMade, m, n)
	default:
		if f.status != "" {
			a.and("state = ?", string(f.status))
			args = a.args
		}
		sql = fmt.Sprintf(`SELECT DISTINCT created_at, delivery_id FROM hookstream.attempts WHERE %s ORDER BY created_at DESC, delivery_id DESC LIMIT %d`, a, n)
	}
	var out []key
	err := s.query(ctx, sql, args, func(r driver.Rows) error {
		var t time.Time
		var k key
		if err := r.Scan(&t, &k.Delivery); err != nil {
			return err
		}
		k.Created = t.UnixMilli()
		out = append(out, k)
		return nil
	})
	return out, err
}

func (s *Store) scanAll(ctx context.Context, sql string, args []any) ([]record, error) {
	var out []record
	err := s.query(ctx, sql, args, func(r driver.Rows) error {
		x, err := scanRecord(r)
		if err == nil {
			out = append(out, x)
		}
		return err
	})
	return out, err
}

// group splits rows in list order into deliveries.
func group(records []record) [][]record {
	var out [][]record
	for i, r := range records {
		if i == 0 || r.delivery != records[i-1].delivery || !r.created.Equal(records[i-1].created) {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], r)
	}
	return out
}

func keyOf(r record) key { return key{Created: r.created.UnixMilli(), Delivery: r.delivery} }
