package analytics

// Rates, percentiles and errors by the hour, from the rollups that ClickHouse
// keeps inside the table attempts.

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/hookstream/hookstream/schemas"
)

// Numbers are what happened in a stretch of time. A percentile is null, and so
// is the rate, when no attempt was made.
type Numbers struct {
	Attempts    int64    `json:"attempts"`     // HTTP exchanges
	Success     int64    `json:"success"`      // deliveries that succeeded
	Error       int64    `json:"error"`        // deliveries given up: dead letters
	Skipped     int64    `json:"skipped"`      // deliveries never attempted
	SuccessRate *float64 `json:"success_rate"` // successes per attempt, 0 to 1
	P50         *float64 `json:"p50_ms"`
	P95         *float64 `json:"p95_ms"`
	P99         *float64 `json:"p99_ms"`
}

// HourNumbers are the numbers of one hour, UTC.
type HourNumbers struct {
	Hour time.Time `json:"hour"`
	Numbers
}

// WebhookNumbers are the numbers of one webhook.
type WebhookNumbers struct {
	WebhookID string `json:"webhook_id"`
	Tenant    string `json:"tenant"`
	Numbers
}

// MaxStatsWebhooks bounds Stats.Webhooks.
const MaxStatsWebhooks = 100

// ErrorCount is how often attempts ended in one way other than success.
type ErrorCount struct {
	Status       schemas.State `json:"status"` // pending: it was retried
	ErrorKind    string        `json:"error_kind"`
	ResponseCode *int          `json:"response_code"`
	Count        int64         `json:"count"`
}

// HourErrors are the errors of one hour, UTC.
type HourErrors struct {
	Hour time.Time `json:"hour"`
	ErrorCount
}

// Stats answers GET /v1/stats.
type Stats struct {
	Tenant    string        `json:"tenant,omitempty"`
	WebhookID string        `json:"webhook_id,omitempty"`
	Period    string        `json:"period"`
	Since     time.Time     `json:"since"` // a full hour
	Total     Numbers       `json:"total"`
	Hours     []HourNumbers `json:"hours"` // hours without a row are left out
	// Webhooks are those with most failed attempts first, at most MaxStatsWebhooks.
	Webhooks []WebhookNumbers `json:"webhooks"`
	Errors   []ErrorCount     `json:"errors"` // most frequent first
	ByHour   []HourErrors     `json:"errors_by_hour"`
	AsOf     time.Time        `json:"as_of"`
}

// Periods that statistics are made for.
var periods = map[string]time.Duration{"1h": time.Hour, "24h": 24 * time.Hour, "7d": 7 * 24 * time.Hour, "28d": 28 * 24 * time.Hour}

// numbersSQL has to be spelled as the projections are, or they are not used.
const numbersSQL = `countIf(attempt_no > 0), countIf(state = 'success'), countIf(state = 'error'), countIf(state = 'skipped'),
	quantilesTDigestIf(0.5, 0.95, 0.99)(duration_ms, attempt_no > 0)`

// Stats counts since the full hour in which the period began. Empty names do
// not filter.
func (s *Store) Stats(ctx context.Context, tenant, webhook, period string) (Stats, error) {
	length, ok := periods[period]
	if !ok {
		return Stats{}, fmt.Errorf("counting: period %q is none of 1h, 24h, 7d, 28d", period)
	}
	since := time.Now().UTC().Add(-length).Truncate(time.Hour)
	st := Stats{Tenant: tenant, WebhookID: webhook, Period: period, Since: since, Hours: []HourNumbers{}, Webhooks: []WebhookNumbers{}, Errors: []ErrorCount{}, ByHour: []HourErrors{}}
	where := &clause{}
	where.and("toStartOfHour(attempted_at) >= toDateTime(?, 'UTC')", since.Unix())
	if tenant != "" {
		where.and("tenant_id = ?", tenant)
	}
	if webhook != "" {
		where.and("endpoint_id = ?", webhook)
	}
	err := s.query(ctx, "SELECT "+numbersSQL+" FROM hookstream.attempts WHERE "+where.String(), where.args, func(r driver.Rows) error {
		return scanNumbers(r, &st.Total)
	})
	if err != nil {
		return Stats{}, fmt.Errorf("counting attempts: %w", err)
	}
	err = s.query(ctx, "SELECT toStartOfHour(attempted_at) AS hour, "+numbersSQL+" FROM hookstream.attempts WHERE "+where.String()+" GROUP BY hour ORDER BY hour", where.args, func(r driver.Rows) error {
		var h HourNumbers
		if err := scanNumbers(r, &h.Numbers, &h.Hour); err != nil {
			return err
		}
		h.Hour = h.Hour.UTC()
		st.Hours = append(st.Hours, h)
		return nil
	})
	if err != nil {
		return Stats{}, fmt.Errorf("counting attempts by hour: %w", err)
	}
	if st.Webhooks, err = s.webhookNumbers(ctx, where); err != nil {
		return Stats{}, err
	}
	where.and("state != 'success'")
	err = s.query(ctx, `SELECT toStartOfHour(attempted_at) AS hour, toString(state), toString(error_kind), response_code, count()
		FROM hookstream.attempts WHERE `+where.String()+` GROUP BY hour, state, error_kind, response_code ORDER BY hour, count() DESC`, where.args, func(r driver.Rows) error {
		var h HourErrors
		var state string
		var c uint16
		var n uint64
		if err := r.Scan(&h.Hour, &state, &h.ErrorKind, &c, &n); err != nil {
			return err
		}
		h.Hour, h.Status, h.ResponseCode, h.Count = h.Hour.UTC(), schemas.State(state), code(c), int64(n)
		st.ByHour = append(st.ByHour, h)
		kind := ErrorCount{Status: h.Status, ErrorKind: h.ErrorKind}
		for i := range st.Errors {
			if e := &st.Errors[i]; e.Status == kind.Status && e.ErrorKind == kind.ErrorKind && sameCode(e.ResponseCode, h.ResponseCode) {
				e.Count += h.Count
				return nil
			}
		}
		kind.ResponseCode, kind.Count = h.ResponseCode, h.Count
		st.Errors = append(st.Errors, kind)
		return nil
	})
	if err != nil {
		return Stats{}, fmt.Errorf("counting errors: %w", err)
	}
	slices.SortStableFunc(st.Errors, func(a, b ErrorCount) int { return int(b.Count - a.Count) })
	return st, nil
}

func (s *Store) webhookNumbers(ctx context.Context, where *clause) ([]WebhookNumbers, error) {
	out := []WebhookNumbers{}
	err := s.query(ctx, fmt.Sprintf(`SELECT toString(tenant_id), toString(endpoint_id), %s FROM hookstream.attempts WHERE %s AND endpoint_id != ''
		GROUP BY tenant_id, endpoint_id ORDER BY countIf(attempt_no > 0) - countIf(state = 'success') DESC, countIf(attempt_no > 0) DESC, endpoint_id LIMIT %d`,
		numbersSQL, where, MaxStatsWebhooks), where.args, func(r driver.Rows) error {
		var w WebhookNumbers
		err := scanNumbers(r, &w.Numbers, &w.Tenant, &w.WebhookID)
		out = append(out, w)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("counting attempts by webhook: %w", err)
	}
	return out, nil
}

func scanNumbers(r driver.Rows, n *Numbers, first ...any) error {
	var attempts, ok, failed, skipped uint64
	var q []float32
	if err := r.Scan(append(first, &attempts, &ok, &failed, &skipped, &q)...); err != nil {
		return err
	}
	*n = Numbers{Attempts: int64(attempts), Success: int64(ok), Error: int64(failed), Skipped: int64(skipped)}
	if attempts > 0 {
		rate := float64(ok) / float64(attempts)
		n.SuccessRate = &rate
	}
	if len(q) == 3 {
		n.P50, n.P95, n.P99 = number(q[0]), number(q[1]), number(q[2])
	}
	return nil
}

func number(f float32) *float64 {
	x := float64(f)
	if math.IsNaN(x) {
		return nil
	}
	return &x
}

func sameCode(a, b *int) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
