package analytics

// The audit log: who did what to which webhook, key, tenant or secret, and when.

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// AuditRow is one change.
type AuditRow struct {
	ID        string    `json:"id"`
	At        time.Time `json:"at"`
	Tenant    string    `json:"tenant"`
	Actor     string    `json:"actor"`  // id of the key, "root", or "hookstream"
	Action    string    `json:"action"` // webhook.create, webhook.update, …
	Target    string    `json:"target"` // what it was done to
	WebhookID string    `json:"webhook_id"`
	Reason    string    `json:"reason"` // why hookstream disabled a webhook
	Detail    string    `json:"detail"` // which fields changed, never what is in them
}

// AuditQuery says which changes to list, newest first. Empty fields do not
// filter.
type AuditQuery struct {
	Tenant                string
	Actor, Action, Target string
	Since, Until          time.Time // Until is left out itself
	After                 *Cursor   // the page before
	Limit                 int       // 0: DefaultPage; at most MaxPage
}

// auditID names a row by its record: partitions are written by one owner, so a
// millisecond, a partition and an offset name one record even if the topic was
// made anew.
const auditID = "concat(toString(kafka_partition), '-', toString(kafka_offset))"

// Audit lists changes newest first.
func (s *Store) Audit(ctx context.Context, q AuditQuery) (Page[AuditRow], error) {
	limit := pageSize(q.Limit)
	c := &clause{}
	c.and("1")
	if q.Tenant != "" {
		c.and("tenant_id = ?", q.Tenant)
	}
	for _, f := range []struct{ column, value string }{{"actor", q.Actor}, {"action", q.Action}, {"target", q.Target}} {
		if f.value != "" {
			c.and(f.column+" = ?", f.value)
		}
	}
	if !q.Since.IsZero() {
		c.and("at >= "+millisArg, clampMillis(q.Since.UnixMilli()))
	}
	if !q.Until.IsZero() {
		c.and("at < "+millisArg, clampMillis(q.Until.UnixMilli()))
	}
	if q.After != nil {
		c.and("at <= "+millisArg, q.After.Created)
		c.and("(at, "+auditID+") < ("+millisArg+", ?)", q.After.Created, q.After.Delivery)
	}
	var rows []AuditRow
	err := s.query(ctx, fmt.Sprintf(`SELECT %s AS id, at, toString(tenant_id), toString(actor), toString(action), target, toString(endpoint_id), toString(reason), detail
		FROM hookstream.audit WHERE %s ORDER BY at DESC, id DESC LIMIT %d`, auditID, c, limit+1), c.args, func(r driver.Rows) error {
		var a AuditRow
		if err := r.Scan(&a.ID, &a.At, &a.Tenant, &a.Actor, &a.Action, &a.Target, &a.WebhookID, &a.Reason, &a.Detail); err != nil {
			return err
		}
		a.At = a.At.UTC()
		rows = append(rows, a)
		return nil
	})
	if err != nil {
		return Page[AuditRow]{}, fmt.Errorf("listing the audit log: %w", err)
	}
	return pageOf(rows, limit, func(a AuditRow) Cursor { return Cursor{Created: a.At.UnixMilli(), Delivery: a.ID} }), nil
}
