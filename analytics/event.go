package analytics

// Events and what they made.

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/hookstream/hookstream/schemas"
)

// EventRow is one event in a list. A replay of an event is a row of its own.
type EventRow struct {
	ID         string    `json:"id"`
	Type       string    `json:"type"`
	Tenant     string    `json:"tenant"`
	Kind       string    `json:"kind"`
	Time       time.Time `json:"time"`
	CreatedAt  time.Time `json:"created_at"`
	Deliveries int       `json:"deliveries"` // made of it
	Skipped    int       `json:"skipped"`    // endpoints that matched and did not get it
}

// Skipped is an endpoint that matched an event and did not get it.
type Skipped struct {
	WebhookID  string `json:"webhook_id"`
	DeliveryID string `json:"delivery_id"`
	Reason     string `json:"reason"`
}

// EventDetail is an event with its data and everything it made, replays
// included.
type EventDetail struct {
	EventRow
	Data           json.RawMessage `json:"data"`
	DeliveriesList []LogRow        `json:"deliveries_list"` // newest first; at most MaxPage
	SkippedList    []Skipped       `json:"skipped_list"`
}

// EventPage is one page of events.
type EventPage = Page[EventRow]

// A fan-out that was cut off writes the same event again, so its rows are
// grouped: they carry the same time and the same ids.
const eventsSQL = `SELECT toString(tenant_id) AS tenant, created_at, event_id, any(toString(event_type)), any(time), any(toString(kind)),
	length(groupUniqArrayArray(delivery_ids)), length(groupUniqArrayArray(` + "`skipped.delivery_id`" + `))
	FROM hookstream.events WHERE %s GROUP BY tenant, created_at, event_id ORDER BY created_at DESC, event_id DESC LIMIT %d`

// Events lists events newest first. Of the query, what an attempt made does not
// apply: status, webhook, response code, error kind.
func (s *Store) Events(ctx context.Context, q LogQuery) (EventPage, error) {
	limit := pageSize(q.Limit)
	sc := scope{tenant: q.Tenant, eventType: q.EventType, event: q.EventID, after: q.After}
	var rows []EventRow
	for _, w := range windows(q, time.Now()) {
		sc.lo, sc.hi = w.lo, w.hi
		c := &clause{}
		sc.bounds(c, "event_id")
		if q.EventPrefix != "" {
			// An id that we made goes out with its profile's prefix.
			either := []any{q.EventPrefix, q.EventPrefix}
			if rest, ok := strings.CutPrefix(q.EventPrefix, "event_"); ok {
				either[1] = schemas.EventPrefix + rest
			}
			c.and("(startsWith(event_id, ?) OR startsWith(event_id, ?))", either...)
		}
		err := s.query(ctx, fmt.Sprintf(eventsSQL, c, limit+1-len(rows)), c.args, func(r driver.Rows) error {
			var e EventRow
			var made, skipped uint64
			if err := r.Scan(&e.Tenant, &e.CreatedAt, &e.ID, &e.Type, &e.Time, &e.Kind, &made, &skipped); err != nil {
				return err
			}
			e.CreatedAt, e.Time, e.Deliveries, e.Skipped = e.CreatedAt.UTC(), e.Time.UTC(), int(made), int(skipped)
			rows = append(rows, e)
			return nil
		})
		if err != nil {
			return EventPage{}, fmt.Errorf("listing events: %w", err)
		}
		if len(rows) > limit {
			break
		}
	}
	return pageOf(rows, limit, func(e EventRow) Cursor { return Cursor{Created: e.CreatedAt.UnixMilli(), Delivery: e.ID} }), nil
}

// Event finds an event of a tenant by its id. ok is false when there is none.
func (s *Store) Event(ctx context.Context, tenant, id string) (d EventDetail, ok bool, err error) {
	d = EventDetail{DeliveriesList: []LogRow{}, SkippedList: []Skipped{}}
	made, seen := map[string]bool{}, map[string]bool{}
	err = s.query(ctx, `SELECT toString(event_type), toString(kind), time, created_at, data, delivery_ids,
		`+"`skipped.endpoint_id`, `skipped.delivery_id`, `skipped.reason`"+`
		FROM hookstream.events WHERE tenant_id = ? AND event_id = ? ORDER BY created_at`, []any{tenant, id}, func(r driver.Rows) error {
		var e EventRow
		var data string
		var ids, endpoints, deliveries, reasons []string
		if err := r.Scan(&e.Type, &e.Kind, &e.Time, &e.CreatedAt, &data, &ids, &endpoints, &deliveries, &reasons); err != nil {
			return err
		}
		if !ok {
			ok = true
			e.ID, e.Tenant, e.CreatedAt, e.Time = id, tenant, e.CreatedAt.UTC(), e.Time.UTC()
			d.EventRow, d.Data = e, json.RawMessage(data)
		}
		for _, m := range ids {
			made[m] = true
		}
		for i, m := range deliveries {
			if !seen[m] && i < len(endpoints) && i < len(reasons) {
				seen[m] = true
				d.SkippedList = append(d.SkippedList, Skipped{WebhookID: endpoints[i], DeliveryID: m, Reason: reasons[i]})
			}
		}
		return nil
	})
	if err != nil || !ok {
		return d, false, wrap("finding event "+id, err)
	}
	d.Deliveries, d.Skipped = len(made), len(d.SkippedList)
	if !json.Valid(d.Data) {
		d.Data = nil
	}
	page, err := s.Logs(ctx, LogQuery{Tenant: tenant, EventID: id, Limit: MaxPage})
	if err != nil {
		return d, false, err
	}
	for _, row := range page.Rows {
		if row.Status != schemas.StateSkipped {
			d.DeliveriesList = append(d.DeliveriesList, row)
		}
	}
	return d, true, nil
}

func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}
