package analytics

// The HTTP routes that read ClickHouse, and the one that repeats a delivery.

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/schemas"
)

// RoutesConfig are the seams to the rooms that know what ClickHouse does not.
type RoutesConfig struct {
	// Owner is the tenant of an endpoint; ok is false when there is none.
	Owner func(endpointID string) (tenant string, ok bool)
	// Payload reads an event's data again from its source record; nil: only the
	// table events has it.
	Payload func(ctx context.Context, source schemas.Position) ([]byte, error)
	// Publish puts an event onto the events topic, acknowledged.
	Publish func(ctx context.Context, ev schemas.Event) error
	// AsOf is the time up to which rows are complete, for example Sink.AsOf; nil
	// or not ok: the newest row's time.
	AsOf func() (time.Time, bool)
	Log  *slog.Logger // nil: the store's
}

// routes are the handlers with what they need.
type routes struct {
	store *Store
	cfg   RoutesConfig
	log   *slog.Logger
}

// Routes are the API's log, delivery, dead letter, statistics, event, breaker
// and audit routes.
func (s *Store) Routes(cfg RoutesConfig) []api.Route {
	h := &routes{store: s, cfg: cfg, log: cfg.Log}
	if h.log == nil {
		h.log = s.log
	}
	limit := api.Param{Name: "limit", Type: "integer", Doc: "rows of a page, 1 to 200; 50 when left out"}
	cursor := api.Param{Name: "cursor", Type: "string", Doc: "next_cursor of the page before"}
	since := api.Param{Name: "since", Type: "string", Doc: "created at or after, RFC 3339"}
	until := api.Param{Name: "until", Type: "string", Doc: "created before, RFC 3339"}
	eventType := api.Param{Name: "event_type", Type: "string", Doc: "exact event type"}
	tenant := api.Param{Name: "tenant", Type: "string", Doc: "root key only: one tenant; all when left out"}
	webhook := api.Param{Name: "webhook_id", Type: "string", Doc: "one webhook"}
	event := api.Param{Name: "event_id", Type: "string", Doc: "one event"}
	errorKind := api.Param{Name: "error_kind", Type: "string", Doc: "how the latest attempt failed, or why there was none: http_5xx, timeout, inactive, …"}
	status := api.Param{Name: "status", Type: "string", Doc: "pending, success, error or skipped"}
	responseCode := api.Param{Name: "response_code", Type: "integer", Doc: "of the latest attempt"}
	at := func(name, doc string) api.Param { return api.Param{Name: name, Type: "string", Doc: doc} }
	period := api.Param{Name: "period", Type: "string", Doc: "1h, 24h, 7d or 28d; 24h when left out"}
	read := func(pattern, summary string, handle func(http.ResponseWriter, *http.Request) error, answer any, query ...api.Param) api.Route {
		return api.Route{Method: http.MethodGet, Pattern: pattern, Auth: api.Key, Handle: h.reachable(handle),
			Doc: api.Doc{Summary: summary, Tag: "deliveries", Query: query, Response: answer}}
	}
	return []api.Route{
		read("/v1/webhooks/{id}/logs", "Deliveries of a webhook, newest first", h.logs, api.Page[LogRow]{},
			limit, cursor, status, eventType, event, since, until, responseCode, errorKind, tenant),
		read("/v1/deliveries", "Deliveries of every webhook, newest first", h.deliveries, api.Page[LogRow]{},
			limit, cursor, status, eventType, webhook, event, since, until, responseCode, errorKind, tenant),
		read("/v1/deliveries/{id}", "A delivery with all of its attempts", h.delivery, DeliveryDetail{}, tenant),
		{Method: http.MethodPost, Pattern: "/v1/deliveries/{id}/retry", Auth: api.Key, Handle: h.reachable(h.retry),
			Doc: api.Doc{Summary: "Deliver again now, as a new delivery", Tag: "deliveries", Query: []api.Param{tenant}, Response: Redelivery{}, Status: http.StatusAccepted}},
		read("/v1/dead", "Dead letters: deliveries that were given up, newest first", h.dead, api.Page[LogRow]{},
			limit, cursor, webhook, eventType, event, since, until, responseCode, errorKind, tenant),
		read("/v1/stats", "Rates, percentiles and errors by the hour", h.stats, Stats{}, period, webhook, tenant),
		read("/v1/events", "Events, newest first", h.events, api.Page[EventRow]{},
			limit, cursor, at("type", "exact event type"), eventType, since, until, at("q", "ids that begin so"), tenant),
		read("/v1/events/{id}", "An event with its data and its deliveries", h.event, EventDetail{},
			api.Param{Name: "tenant", Type: "string", Doc: "root key only: whose event; default when left out"}),
		read("/v1/breakers", "Circuit breakers that are not closed", h.breakers, api.Page[BreakerRow]{},
			limit, cursor, webhook, api.Param{Name: "all", Type: "boolean", Doc: "true: closed ones too"}, tenant),
		read("/v1/audit", "Who changed what, newest first", h.audit, api.Page[AuditRow]{},
			limit, cursor, at("since", "at or after, RFC 3339"), at("until", "before, RFC 3339"), at("actor", "id of the key, root, or hookstream"),
			at("action", "for example webhook.update"), at("target", "id of what it was done to"), tenant),
	}
}

// reachable answers 503 while ClickHouse does not answer; the cause is logged.
func (h *routes) reachable(handle func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		err := handle(w, r)
		var problem *api.Problem
		if err == nil || errors.As(err, &problem) || r.Context().Err() != nil {
			return err
		}
		_, deploy := deployCodes[serverCode(err)]
		if !fromClickHouse(err) || !deploy && !unreachable(err) {
			return err
		}
		h.log.Warn("clickhouse does not answer a query", "path", r.URL.Path, "error", err)
		problem = api.Fail(http.StatusServiceUnavailable, "analytics_unavailable", "", "the delivery log cannot be read now; deliveries go on, try again in a few seconds")
		problem.RetryAfter = 5
		return problem
	}
}

// list answers with one page. as_of is read before the rows, so that it never
// promises too much.
func list[T any](h *routes, w http.ResponseWriter, r *http.Request, query func(context.Context) (Page[T], error)) error {
	asOf, err := h.asOf(r.Context())
	if err != nil {
		return err
	}
	page, err := query(r.Context())
	if err != nil {
		return err
	}
	next := ""
	if page.Next != nil {
		if next, err = api.EncodeCursor(page.Next); err != nil {
			return err
		}
	}
	return api.WriteJSON(w, http.StatusOK, api.NewPage(page.Rows, next, asOf))
}

// asOf is the time up to which rows are complete.
func (h *routes) asOf(ctx context.Context) (time.Time, error) {
	if h.cfg.AsOf != nil {
		if t, ok := h.cfg.AsOf(); ok {
			return t.UTC().Truncate(time.Millisecond), nil
		}
	}
	return h.store.AsOf(ctx)
}
