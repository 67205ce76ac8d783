package smartcv

// The delivery log, in the product's rows.

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/hookstream/hookstream/analytics"
	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/schemas"
)

// AsOfHeader says up to which time a log is complete, RFC 3339.
const AsOfHeader = "X-As-Of"

// Bounds of limit.
const (
	defaultLimit = 50
	maxLimit     = 200
)

// maxPages bounds how far a log is read for rows that show: a webhook that is
// paused makes deliveries that do not.
const maxPages = 50

// LogRow is one delivery, kept up to date as attempts are made. The product
// knows two kinds of rows, those that arrived and those that failed so far, so a
// delivery shows from its first attempt on; what waits for that, or was skipped,
// is in GET /v1/webhooks/{id}/logs.
type LogRow struct {
	ID           string `json:"id"`
	EventID      string `json:"event_id"`
	EventType    string `json:"event_type"`
	URL          string `json:"url"`
	StatusCode   *int   `json:"status_code" doc:"of the latest attempt; null: no answer came"`
	ResponseTime int64  `json:"response_time" doc:"of the latest attempt, in milliseconds"`
	Attempts     int    `json:"attempts" doc:"requests made"`
	*Arrived
	*Failed
}

// Arrived is what a row has of a success.
type Arrived struct {
	DeliveredAt *time.Time `json:"delivered_at" doc:"successes only"`
}

// Failed is what a row has of a failure.
type Failed struct {
	LastAttemptAt *time.Time `json:"last_attempt_at" doc:"failures only"`
	NextRetryAt   *time.Time `json:"next_retry_at" doc:"failures only; null: given up"`
	Error         string     `json:"error" doc:"failures only"`
}

func (a *API) logs(w http.ResponseWriter, r *http.Request) error {
	v, err := a.find(r)
	if err != nil {
		return err
	}
	limit, err := limitOf(r.URL.Query().Get("limit"))
	if err != nil {
		return err
	}
	if a.cfg.Logs == nil {
		return unreadable("this server keeps no delivery log: it runs without ClickHouse", 0)
	}
	asOf, err := a.cfg.AsOf(r.Context()) // before the rows, so that it never promises too much
	if err != nil {
		return a.failed(r, err)
	}
	rows := []LogRow{}
	q := analytics.LogQuery{Tenant: v.Tenant, WebhookID: v.ID, Limit: limit}
	for range maxPages {
		page, err := a.cfg.Logs(r.Context(), q)
		if err != nil {
			return a.failed(r, err)
		}
		for _, d := range page.Rows {
			if shown(d) && len(rows) < limit {
				rows = append(rows, a.row(d, v.URL))
			}
		}
		if page.Next == nil || len(rows) == limit {
			break
		}
		q.After, q.Limit = page.Next, analytics.MaxPage
	}
	w.Header().Set(AsOfHeader, asOf.UTC().Format(time.RFC3339Nano))
	return give(w, http.StatusOK, rows)
}

func limitOf(text string) (int, error) {
	if text == "" {
		return defaultLimit, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxLimit {
		return 0, refuse("limit", "is %.20q; give a whole number from 1 to %d", text, maxLimit)
	}
	return n, nil
}

// shown says whether a delivery is one that arrived or failed: one was
// attempted, or given up before it could be.
func shown(d analytics.LogRow) bool { return d.Attempts > 0 || d.Status == schemas.StateError }

func (a *API) row(d analytics.LogRow, webhookURL string) LogRow {
	row := LogRow{ID: a.deliveryID(d.ID), EventID: a.eventID(d.EventID), EventType: d.EventType, URL: d.URL,
		StatusCode: d.ResponseCode, ResponseTime: d.DurationMS, Attempts: d.Attempts}
	if row.URL == "" {
		row.URL = webhookURL // given up without an attempt
	}
	if d.Status == schemas.StateSuccess {
		row.Arrived = &Arrived{d.LastAttemptAt}
		return row
	}
	row.Failed = &Failed{LastAttemptAt: d.LastAttemptAt, NextRetryAt: d.NextRetryAt, Error: reason(d)}
	if d.ErrorKind == schemas.ErrTimeout {
		row.StatusCode = nil // headers may have come, an answer did not
	}
	return row
}

// reason is why a delivery failed; there is always one.
func reason(d analytics.LogRow) string {
	switch {
	case d.Error != "":
		return d.Error
	case d.ErrorKind == schemas.ErrTimeout:
		return "Connection timeout"
	case d.ErrorKind == schemas.SkipInactive:
		return "Given up: the webhook was set inactive"
	case d.ErrorKind != "":
		return "Given up: " + d.ErrorKind
	}
	return "Not delivered"
}

// failed answers 503 when the log cannot be read; what the store refused is
// answered as it is.
func (a *API) failed(r *http.Request, err error) error {
	var problem *api.Problem
	if errors.As(err, &problem) || r.Context().Err() != nil {
		return err
	}
	a.cfg.Log.Warn("the delivery log cannot be read", "path", r.URL.Path, "error", err)
	return unreadable("the delivery log cannot be read now; deliveries go on, try again in a few seconds", 5)
}

func unreadable(detail string, retryAfter int) error {
	problem := api.Fail(http.StatusServiceUnavailable, "analytics_unavailable", "", "%s", detail)
	problem.RetryAfter = retryAfter
	return problem
}
