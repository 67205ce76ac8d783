package analytics

// Handlers of everything else that the record tells: statistics, events,
// breakers, the audit log.

import (
	"context"
	"net/http"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/schemas"
)

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
	if err := knownParams(v, "limit", "cursor", "type", "event_type", "since", "until", "q", "tenant"); err != nil {
		return err
	}
	q, err := listParams(v)
	if err != nil {
		return err
	}
	if q.Tenant, err = tenantParam(api.PrincipalOf(r.Context()), v); err != nil {
		return err
	}
	if kind := v.Get("type"); kind != "" {
		if q.EventType != "" && q.EventType != kind {
			return badParam("type", "is not event_type, which means the same; give one of them")
		}
		if q.EventType, err = eventTypeParam(v, "type"); err != nil {
			return err
		}
	}
	q.EventPrefix = v.Get("q")
	return list(h, w, r, func(ctx context.Context) (EventPage, error) { return h.store.Events(ctx, q) })
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
	d, ok, err := h.store.Event(r.Context(), tenant, innerEventID(r.PathValue("id")))
	if err != nil {
		return err
	}
	if !ok {
		return api.NotFound("event", r.PathValue("id"))
	}
	return api.WriteJSON(w, http.StatusOK, d)
}

func (h *routes) breakers(w http.ResponseWriter, r *http.Request) error {
	v := r.URL.Query()
	if err := knownParams(v, "limit", "cursor", "webhook_id", "all", "tenant"); err != nil {
		return err
	}
	// Everything that is now: a deleted webhook's breaker never closes.
	q := BreakerQuery{Known: func(tenant, endpoint string) bool {
		owner, ok := h.cfg.Owner(endpoint)
		return ok && owner == tenant
	}}
	var err error
	if q.Limit, err = intParam(v, "limit", 1, MaxPage, DefaultPage); err != nil {
		return err
	}
	if q.After, err = cursorParam(v); err != nil {
		return err
	}
	if q.All, err = boolParam(v, "all"); err != nil {
		return err
	}
	if q.WebhookID, q.Tenant, err = h.optionalWebhook(r, v); err != nil {
		return err
	}
	return list(h, w, r, func(ctx context.Context) (Page[BreakerRow], error) { return h.store.Breakers(ctx, q) })
}

func (h *routes) audit(w http.ResponseWriter, r *http.Request) error {
	v := r.URL.Query()
	if err := knownParams(v, "limit", "cursor", "since", "until", "actor", "action", "target", "tenant"); err != nil {
		return err
	}
	span, err := listParams(v)
	if err != nil {
		return err
	}
	q := AuditQuery{Actor: v.Get("actor"), Action: v.Get("action"), Target: innerWebhookID(v.Get("target")),
		Since: span.Since, Until: span.Until, After: span.After, Limit: span.Limit}
	if q.Tenant, err = tenantParam(api.PrincipalOf(r.Context()), v); err != nil {
		return err
	}
	return list(h, w, r, func(ctx context.Context) (Page[AuditRow], error) { return h.store.Audit(ctx, q) })
}
