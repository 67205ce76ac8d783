package analytics

// The HTTP routes that read ClickHouse, and the one that repeats a delivery.

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
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

// Routes are the API's log, delivery, dead letter, statistics and event routes.
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
	status := api.Param{Name: "status", Type: "string", Doc: "pending, success, error or skipped"}
	responseCode := api.Param{Name: "response_code", Type: "integer", Doc: "of the latest attempt"}
	period := api.Param{Name: "period", Type: "string", Doc: "1h, 24h, 7d or 28d; 24h when left out"}
	read := func(pattern, summary string, handle func(http.ResponseWriter, *http.Request) error, answer any, query ...api.Param) api.Route {
		return api.Route{Method: http.MethodGet, Pattern: pattern, Auth: api.Key, Handle: h.reachable(handle),
			Doc: api.Doc{Summary: summary, Tag: "deliveries", Query: query, Response: answer}}
	}
	return []api.Route{
		read("/v1/webhooks/{id}/logs", "Deliveries of a webhook, newest first", h.logs, api.Page[LogRow]{},
			limit, cursor, status, eventType, since, until, responseCode, tenant),
		read("/v1/deliveries/{id}", "A delivery with all of its attempts", h.delivery, DeliveryDetail{}, tenant),
		{Method: http.MethodPost, Pattern: "/v1/deliveries/{id}/retry", Auth: api.Key, Handle: h.reachable(h.retry),
			Doc: api.Doc{Summary: "Deliver again now, as a new delivery", Tag: "deliveries", Query: []api.Param{tenant}, Response: Redelivery{}, Status: http.StatusAccepted}},
		read("/v1/dead", "Dead letters: deliveries that were given up, newest first", h.dead, api.Page[LogRow]{},
			limit, cursor, webhook, eventType, since, until, responseCode, tenant),
		read("/v1/stats", "Rates, percentiles and errors by the hour", h.stats, Stats{}, period, webhook, tenant),
		read("/v1/events", "Events, newest first", h.events, api.Page[EventRow]{}, limit, cursor, eventType, since, until, tenant),
		read("/v1/events/{id}", "An event with its data and its deliveries", h.event, EventDetail{},
			api.Param{Name: "tenant", Type: "string", Doc: "root key only: whose event; default when left out"}),
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

// webhook is the endpoint of a request and its tenant, or a 404: a foreign
// endpoint looks like one that does not exist.
func (h *routes) webhook(r *http.Request, id string) (endpoint, tenant string, err error) {
	endpoint = innerWebhookID(id)
	tenant, err = tenantParam(api.PrincipalOf(r.Context()), r.URL.Query())
	if err != nil {
		return "", "", err
	}
	owner, ok := h.cfg.Owner(endpoint)
	if !ok || tenant != "" && owner != tenant {
		return "", "", api.NotFound("webhook", id)
	}
	return endpoint, owner, nil
}

func (h *routes) logs(w http.ResponseWriter, r *http.Request) error {
	v := r.URL.Query()
	if err := knownParams(v, "limit", "cursor", "status", "event_type", "since", "until", "response_code", "tenant"); err != nil {
		return err
	}
	q, err := h.logQuery(v)
	if err != nil {
		return err
	}
	if q.WebhookID, q.Tenant, err = h.webhook(r, r.PathValue("id")); err != nil {
		return err
	}
	return h.list(w, r, q)
}

func (h *routes) logQuery(v url.Values) (LogQuery, error) {
	q, err := listParams(v)
	if err != nil {
		return q, err
	}
	if q.Status, err = statusParam(v); err != nil {
		return q, err
	}
	q.ResponseCode, err = intParam(v, "response_code", 100, 599, 0)
	return q, err
}

func (h *routes) list(w http.ResponseWriter, r *http.Request, q LogQuery) error {
	asOf, err := h.asOf(r.Context())
	if err != nil {
		return err
	}
	page, err := h.store.Logs(r.Context(), q)
	if err != nil {
		return err
	}
	next, err := nextCursor(page.Next)
	if err != nil {
		return err
	}
	return api.WriteJSON(w, http.StatusOK, api.NewPage(page.Rows, next, asOf))
}

func nextCursor(c *Cursor) (string, error) {
	if c == nil {
		return "", nil
	}
	return api.EncodeCursor(c)
}

func (h *routes) delivery(w http.ResponseWriter, r *http.Request) error {
	if err := knownParams(r.URL.Query(), "tenant"); err != nil {
		return err
	}
	tenant, err := tenantParam(api.PrincipalOf(r.Context()), r.URL.Query())
	if err != nil {
		return err
	}
	d, ok, err := h.store.Delivery(r.Context(), tenant, innerDeliveryID(r.PathValue("id")))
	if err != nil {
		return err
	}
	if !ok {
		return api.NotFound("delivery", r.PathValue("id"))
	}
	return api.WriteJSON(w, http.StatusOK, d)
}

func (h *routes) retry(w http.ResponseWriter, r *http.Request) error {
	if err := knownParams(r.URL.Query(), "tenant"); err != nil {
		return err
	}
	tenant, err := tenantParam(api.PrincipalOf(r.Context()), r.URL.Query())
	if err != nil {
		return err
	}
	id := innerDeliveryID(r.PathValue("id"))
	d, ok, err := h.store.Delivery(r.Context(), tenant, id)
	if err != nil {
		return err
	}
	if !ok {
		return api.NotFound("delivery", r.PathValue("id"))
	}
	if owner, ok := h.cfg.Owner(d.WebhookID); !ok || owner != d.Tenant {
		return api.Fail(http.StatusConflict, "webhook_deleted", "", "the webhook %q of this delivery is deleted; there is nowhere to deliver to", d.WebhookID)
	}
	made, err := h.store.Redeliver(r.Context(), d.Tenant, id, h.cfg.Payload, h.cfg.Publish)
	if err != nil {
		return err
	}
	return api.WriteJSON(w, http.StatusAccepted, made)
}

func (h *routes) dead(w http.ResponseWriter, r *http.Request) error {
	v := r.URL.Query()
	if err := knownParams(v, "limit", "cursor", "webhook_id", "event_type", "since", "until", "response_code", "tenant"); err != nil {
		return err
	}
	q, err := h.logQuery(v)
	if err != nil {
		return err
	}
	q.Status = schemas.StateError
	if q.WebhookID, q.Tenant, err = h.optionalWebhook(r, v); err != nil {
		return err
	}
	return h.list(w, r, q)
}

// optionalWebhook is the webhook that a filter names, if any, and the tenant.
func (h *routes) optionalWebhook(r *http.Request, v url.Values) (endpoint, tenant string, err error) {
	if id := v.Get("webhook_id"); id != "" {
		return h.webhook(r, id)
	}
	tenant, err = tenantParam(api.PrincipalOf(r.Context()), v)
	return "", tenant, err
}

func (h *routes) stats(w http.ResponseWriter, r *http.Request) error {
	v := r.URL.Query()
	if err := knownParams(v, "period", "webhook_id", "tenant"); err != nil {
		return err
	}
	period := v.Get("period")
	if period == "" {
		period = "24h"
	}
	if _, ok := periods[period]; !ok {
		return badParam("period", "is %q; use 1h, 24h, 7d or 28d", period)
	}
	endpoint, tenant, err := h.optionalWebhook(r, v)
	if err != nil {
		return err
	}
	asOf, err := h.asOf(r.Context())
	if err != nil {
		return err
	}
	st, err := h.store.Stats(r.Context(), tenant, endpoint, period)
	if err != nil {
		return err
	}
	st.AsOf = asOf
	return api.WriteJSON(w, http.StatusOK, st)
}

func (h *routes) events(w http.ResponseWriter, r *http.Request) error {
	v := r.URL.Query()
	if err := knownParams(v, "limit", "cursor", "event_type", "since", "until", "tenant"); err != nil {
		return err
	}
	q, err := listParams(v)
	if err != nil {
		return err
	}
	if q.Tenant, err = tenantParam(api.PrincipalOf(r.Context()), v); err != nil {
		return err
	}
	asOf, err := h.asOf(r.Context())
	if err != nil {
		return err
	}
	page, err := h.store.Events(r.Context(), q)
	if err != nil {
		return err
	}
	next, err := nextCursor(page.Next)
	if err != nil {
		return err
	}
	return api.WriteJSON(w, http.StatusOK, api.NewPage(page.Rows, next, asOf))
}

func (h *routes) event(w http.ResponseWriter, r *http.Request) error {
	v := r.URL.Query()
	if err := knownParams(v, "tenant"); err != nil {
		return err
	}
	p := api.PrincipalOf(r.Context())
	tenant, err := tenantParam(p, v)
	if err != nil {
		return err
	}
	if tenant == "" {
		tenant = schemas.DefaultTenant // ids of events are a tenant's own
	}
	id := schemas.InnerID(r.PathValue("id"), schemas.EventPrefix, "event_")
	d, ok, err := h.store.Event(r.Context(), tenant, id)
	if err != nil {
		return err
	}
	if !ok {
		return api.NotFound("event", r.PathValue("id"))
	}
	return api.WriteJSON(w, http.StatusOK, d)
}

// asOf is read before the rows, so that it never promises too much.
func (h *routes) asOf(ctx context.Context) (time.Time, error) {
	if h.cfg.AsOf != nil {
		if t, ok := h.cfg.AsOf(); ok {
			return t.UTC().Truncate(time.Millisecond), nil
		}
	}
	return h.store.AsOf(ctx)
}
