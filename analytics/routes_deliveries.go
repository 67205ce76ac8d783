package analytics

// Handlers of the delivery log: lists, one delivery, doing it again.

import (
	"context"
	"net/http"
	"net/url"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/schemas"
)

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
	if err := knownParams(v, "limit", "cursor", "status", "event_type", "event_id", "since", "until", "response_code", "error_kind", "tenant"); err != nil {
		return err
	}
	q, err := h.logQuery(v)
	if err != nil {
		return err
	}
	if q.WebhookID, q.Tenant, err = h.webhook(r, r.PathValue("id")); err != nil {
		return err
	}
	return list(h, w, r, func(ctx context.Context) (LogPage, error) { return h.store.Logs(ctx, q) })
}

func (h *routes) logQuery(v url.Values) (LogQuery, error) {
	q, err := listParams(v)
	if err != nil {
		return q, err
	}
	if q.Status, err = statusParam(v); err != nil {
		return q, err
	}
	if q.ErrorKind, err = wordParam(v, "error_kind"); err != nil {
		return q, err
	}
	q.EventID = innerEventID(v.Get("event_id"))
	q.ResponseCode, err = intParam(v, "response_code", 100, 599, 0)
	return q, err
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
	if err := knownParams(v, "limit", "cursor", "webhook_id", "event_type", "event_id", "since", "until", "response_code", "error_kind", "tenant"); err != nil {
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
	return list(h, w, r, func(ctx context.Context) (LogPage, error) { return h.store.Logs(ctx, q) })
}

// deliveries lists what a tenant's webhooks got and did not get. A webhook that
// is gone keeps its log; a foreign one has none to show.
func (h *routes) deliveries(w http.ResponseWriter, r *http.Request) error {
	v := r.URL.Query()
	if err := knownParams(v, "limit", "cursor", "status", "event_type", "webhook_id", "event_id", "since", "until", "response_code", "error_kind", "tenant"); err != nil {
		return err
	}
	q, err := h.logQuery(v)
	if err != nil {
		return err
	}
	if q.Tenant, err = tenantParam(api.PrincipalOf(r.Context()), v); err != nil {
		return err
	}
	q.WebhookID = innerWebhookID(v.Get("webhook_id"))
	if owner, ok := h.cfg.Owner(q.WebhookID); ok && q.Tenant == "" {
		q.Tenant = owner // both lead the sort order
	}
	return list(h, w, r, func(ctx context.Context) (LogPage, error) { return h.store.Logs(ctx, q) })
}

// optionalWebhook is the webhook that a filter names, if any, and the tenant.
func (h *routes) optionalWebhook(r *http.Request, v url.Values) (endpoint, tenant string, err error) {
	if id := v.Get("webhook_id"); id != "" {
		return h.webhook(r, id)
	}
	tenant, err = tenantParam(api.PrincipalOf(r.Context()), v)
	return "", tenant, err
}
