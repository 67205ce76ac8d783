package analytics

// Circuit breakers as the table breaker_events tells them.

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// BreakerRow is the breaker of one webhook.
type BreakerRow struct {
	WebhookID string     `json:"webhook_id"`
	Tenant    string     `json:"tenant"`
	State     string     `json:"state"`      // open, half_open or closed
	Since     time.Time  `json:"since"`      // it opened then and has not closed; or, closed, it closed then
	OpenUntil *time.Time `json:"open_until"` // open: when the next probe may go out
	Failures  int        `json:"failures"`   // in a row
	Reason    string     `json:"reason"`
}

// BreakerQuery says which breakers to list, in the order of webhook ids: times
// change while somebody pages. Empty fields do not filter.
type BreakerQuery struct {
	Tenant    string
	WebhookID string
	All       bool                               // closed ones too
	Known     func(tenant, endpoint string) bool // leaves out webhooks that are gone; nil: all stay
	After     *Cursor                            // the page before
	Limit     int                                // 0: DefaultPage; at most MaxPage
}

// A breaker goes from open to half-open and back with each failed probe; the
// trouble began when it opened after it had last closed.
const breakersSQL = `SELECT tenant, endpoint, toString(now_state), if(now_state = 'closed', last, began), until, row_failures, row_reason FROM (
	SELECT toString(tenant_id) AS tenant, toString(endpoint_id) AS endpoint, argMax(state, (at, kafka_offset)) AS now_state, max(at) AS last,
		minIf(at, state != 'closed' AND at >= closed_at) AS began, argMax(open_until, (at, kafka_offset)) AS until,
		argMax(failures, (at, kafka_offset)) AS row_failures, toString(argMax(reason, (at, kafka_offset))) AS row_reason
	FROM (SELECT *, maxIf(at, state = 'closed') OVER (PARTITION BY tenant_id, endpoint_id) AS closed_at FROM hookstream.breaker_events WHERE %s)
	GROUP BY tenant_id, endpoint_id
) WHERE %s ORDER BY endpoint, tenant LIMIT %d`

// Breakers lists breakers that ever changed, by default those that are not
// closed.
func (s *Store) Breakers(ctx context.Context, q BreakerQuery) (Page[BreakerRow], error) {
	limit := pageSize(q.Limit)
	events := &clause{}
	events.and("endpoint_id != ''")
	if q.Tenant != "" {
		events.and("tenant_id = ?", q.Tenant)
	}
	if q.WebhookID != "" {
		events.and("endpoint_id = ?", q.WebhookID)
	}
	var rows []BreakerRow
	for after := q.After; ; {
		if after != nil {
			events.and("endpoint_id > ?", after.Delivery)
		}
		state := "1"
		if !q.All {
			state = "now_state != 'closed'"
		}
		read := 0
		err := s.query(ctx, fmt.Sprintf(breakersSQL, events, state, limit+1), events.args, func(r driver.Rows) error {
			var b BreakerRow
			var until time.Time
			var failures uint32
			if err := r.Scan(&b.Tenant, &b.WebhookID, &b.State, &b.Since, &until, &failures, &b.Reason); err != nil {
				return err
			}
			b.Since, b.Failures = b.Since.UTC(), int(failures)
			if b.State == "open" {
				b.OpenUntil = moment(until)
			}
			read++
			after = &Cursor{Delivery: b.WebhookID}
			if q.Known == nil || q.Known(b.Tenant, b.WebhookID) {
				rows = append(rows, b)
			}
			return nil
		})
		if err != nil {
			return Page[BreakerRow]{}, fmt.Errorf("listing breakers: %w", err)
		}
		if read <= limit || len(rows) > limit {
			return pageOf(rows, limit, func(b BreakerRow) Cursor { return Cursor{Delivery: b.WebhookID} }), nil
		}
	}
}
