package smartcv

// Webhooks: created, listed, changed, deleted, in the product's form.

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/delivery/endpoint"
	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

// Draft is the body of POST /api/webhooks.
type Draft struct {
	URL    string   `json:"url" doc:"where deliveries are POSTed to"`
	Events []string `json:"events" doc:"event types"`
	Secret string   `json:"secret,omitempty" doc:"what signs; absent: one is made"`
	Active *bool    `json:"active,omitempty" doc:"absent: true"`
}

// Changes is the body of PUT /api/webhooks/{id}: absent fields stay. A webhook
// may be sent back as it was read: its id, its createdAt and the masked secret
// change nothing.
type Changes struct {
	URL       *string   `json:"url,omitempty"`
	Events    *[]string `json:"events,omitempty"`
	Secret    *string   `json:"secret,omitempty"`
	Active    *bool     `json:"active,omitempty"`
	ID        *string   `json:"id,omitempty" doc:"may be repeated"`
	CreatedAt *string   `json:"createdAt,omitempty" doc:"may be repeated"`
}

// Webhook is a webhook as this API shows it.
type Webhook struct {
	ID        string    `json:"id"`
	URL       string    `json:"url"`
	Events    []string  `json:"events"`
	Secret    string    `json:"secret" doc:"masked but in the answer that created the webhook"`
	Active    bool      `json:"active"`
	CreatedAt time.Time `json:"createdAt"`
}

// Receipt says what to look for in the logs.
type Receipt struct {
	DeliveryID string `json:"delivery_id"`
	EventID    string `json:"event_id"`
	EventType  string `json:"event_type"`
}

// Trial is the body of a test, which may be empty.
type Trial struct {
	EventType string `json:"event_type,omitempty" doc:"absent: the first type that the webhook subscribes to"`
}

func (a *API) show(v endpoint.Webhook) Webhook {
	return Webhook{ID: a.webhookID(v.ID), URL: v.URL, Events: v.Events, Secret: endpoint.Mask, Active: v.Active,
		CreatedAt: v.CreatedAt.UTC().Truncate(time.Millisecond)}
}

func (a *API) webhookID(id string) string {
	return schemas.WireID(id, schemas.WebhookPrefix, a.cfg.Profile.WirePrefixes().Webhook)
}

func (a *API) eventID(id string) string {
	return schemas.WireID(id, schemas.EventPrefix, a.cfg.Profile.WirePrefixes().Event)
}

func (a *API) deliveryID(id string) string {
	return schemas.WireID(id, schemas.DeliveryPrefix, a.cfg.Profile.WirePrefixes().Delivery)
}

func by(r *http.Request) api.Principal { return api.PrincipalOf(r.Context()) }

// find is the webhook of a request. One of another profile is as unknown here
// as another tenant's; the answer names it as the client did.
func (a *API) find(r *http.Request) (endpoint.Webhook, error) {
	id := r.PathValue("id")
	v, err := a.cfg.Registry.Get(by(r), id)
	var problem *api.Problem
	if err == nil && v.Profile != ProfileName || errors.As(err, &problem) && problem.Status == http.StatusNotFound {
		return v, api.NotFound("webhook", id)
	}
	return v, err
}

func (a *API) create(w http.ResponseWriter, r *http.Request) error {
	var draft Draft
	if err := api.ReadJSON(r, &draft); err != nil {
		return err
	}
	if err := a.checkEvents(draft.Events); err != nil {
		return err
	}
	v, err := a.cfg.Registry.Create(r.Context(), by(r), endpoint.Draft{Tenant: r.URL.Query().Get("tenant"),
		URL: draft.URL, Events: draft.Events, Secret: draft.Secret, Active: draft.Active, Profile: ProfileName})
	if err != nil {
		return err
	}
	made := a.show(v)
	if made.Secret = draft.Secret; draft.Secret == "" {
		made.Secret = v.Secret
	}
	w.Header().Set("Location", path+"/"+made.ID)
	return give(w, http.StatusCreated, made)
}

// checkEvents takes the product's own types only: its clients know no patterns.
func (a *API) checkEvents(types []string) error {
	if len(types) == 0 {
		return refuse("events", "is empty; give at least one of %s", a.types())
	}
	for _, t := range types {
		if !a.cfg.Profile.Listed(t) {
			return refuse("events", "%.128q is no event type; use %s", t, a.types())
		}
	}
	return nil
}

func (a *API) types() string {
	var names []string
	for _, e := range a.cfg.Profile.Events() {
		names = append(names, e.Type)
	}
	return strings.Join(names, ", ")
}

func refuse(field, detail string, args ...any) error {
	return api.Fail(http.StatusBadRequest, "invalid_field", field, detail, args...)
}

// list gives all of them: the product has no pages.
func (a *API) list(w http.ResponseWriter, r *http.Request) error {
	query := url.Values{"limit": {"200"}, "tenant": {r.URL.Query().Get("tenant")}}
	all := []Webhook{}
	for {
		page, err := a.cfg.Registry.List(by(r), query)
		if err != nil {
			return err
		}
		for _, v := range page.Data {
			if v.Profile == ProfileName {
				all = append(all, a.show(v))
			}
		}
		if page.NextCursor == nil {
			return give(w, http.StatusOK, all)
		}
		query.Set("cursor", *page.NextCursor)
	}
}

func (a *API) get(w http.ResponseWriter, r *http.Request) error {
	v, err := a.find(r)
	if err != nil {
		return err
	}
	return give(w, http.StatusOK, a.show(v))
}

// update changes the fields first and the secret after, because a new secret
// is a write of its own. Both are checked before either is written, and to
// repeat a request that was cut off between them does no harm.
func (a *API) update(w http.ResponseWriter, r *http.Request) error {
	var c Changes
	if err := api.ReadJSON(r, &c); err != nil {
		return err
	}
	v, err := a.find(r)
	if err != nil {
		return err
	}
	secret, err := a.check(&c, v)
	if err != nil {
		return err
	}
	ifMatch := r.Header.Get("If-Match")
	if c.URL != nil || c.Events != nil || c.Active != nil {
		v, err = a.cfg.Registry.Update(r.Context(), by(r), v.ID, ifMatch, endpoint.Patch{URL: c.URL, Events: c.Events, Active: c.Active})
		if err != nil {
			return err
		}
		ifMatch = "" // it held, and the version is another one now
	}
	if secret != "" {
		v, err = a.cfg.Registry.RotateSecret(r.Context(), by(r), v.ID, ifMatch, endpoint.RotateRequest{Secret: secret, OverlapSeconds: new(int)})
		if err != nil {
			return err
		}
	}
	return give(w, http.StatusOK, a.show(v))
}

// check judges changes and returns the secret to change to, if any.
func (a *API) check(c *Changes, v endpoint.Webhook) (secret string, err error) {
	if c.ID != nil && *c.ID != v.ID && *c.ID != a.webhookID(v.ID) {
		return "", refuse("id", "differs from the path and cannot change; leave it out")
	}
	if c.Events != nil {
		if err := a.checkEvents(*c.Events); err != nil {
			return "", err
		}
	}
	if c.Secret == nil || *c.Secret == endpoint.Mask {
		return "", nil
	}
	if err := a.cfg.Profile.CheckSecret(*c.Secret); err != nil {
		var fault *profile.Fault
		if errors.As(err, &fault) {
			return "", refuse(fault.Field, "%s", fault.Reason)
		}
		return "", err
	}
	return *c.Secret, nil
}

func (a *API) delete(w http.ResponseWriter, r *http.Request) error {
	v, err := a.find(r)
	if err != nil {
		return err
	}
	if err := a.cfg.Registry.Delete(r.Context(), by(r), v.ID, r.Header.Get("If-Match")); err != nil {
		return err
	}
	return api.WriteJSON(w, http.StatusOK, done{Success: true})
}

func (a *API) test(w http.ResponseWriter, r *http.Request) error {
	b, err := api.ReadBody(r)
	if err != nil {
		return err
	}
	var trial Trial
	if len(b) > 0 {
		if err := api.ParseJSON(b, &trial); err != nil {
			return err
		}
	}
	v, err := a.find(r)
	if err != nil {
		return err
	}
	got, err := a.cfg.Registry.Test(r.Context(), by(r), endpoint.TestRequest{WebhookID: v.ID, EventType: trial.EventType})
	if err != nil {
		return err
	}
	return give(w, http.StatusOK, Receipt{DeliveryID: a.deliveryID(got.DeliveryID), EventID: a.eventID(got.EventID), EventType: got.EventType})
}
