package endpoint

// Test deliveries: a sample event, for one webhook, through the real pipeline.

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

// TestRequest is the body of POST /v1/webhooks/test, and of
// /v1/webhooks/{id}/test, where it may be empty.
type TestRequest struct {
	WebhookID string `json:"webhook_id,omitempty"`
	EventType string `json:"event_type,omitempty" doc:"absent: the first type that the webhook subscribes to"`
}

// TestReceipt says what to look for in the logs.
type TestReceipt struct {
	DeliveryID string `json:"delivery_id"`
	EventID    string `json:"event_id"`
	EventType  string `json:"event_type"`
}

// Test publishes a sample event for one webhook, paused and unverified ones
// included.
func (r *Registry) Test(ctx context.Context, by api.Principal, req TestRequest) (TestReceipt, error) {
	if req.WebhookID == "" {
		return TestReceipt{}, refuse("webhook_id", "is missing; give the id of a webhook")
	}
	id, err := r.WebhookID(by, "", req.WebhookID)
	if err != nil {
		return TestReceipt{}, err
	}
	if _, err := r.visible(by, id); err != nil {
		return TestReceipt{}, err
	}
	row, standing, ok := r.rowNow(id)
	if !ok {
		return TestReceipt{}, api.NotFound("webhook", id)
	}
	if standing == Disabled {
		return TestReceipt{}, api.Fail(http.StatusConflict, "disabled", "", "hookstream disabled this webhook; PATCH it with {\"active\":true} first")
	}
	p, err := r.profileNamed(row.Profile)
	if err != nil {
		return TestReceipt{}, err
	}
	eventType := req.EventType
	if eventType == "" {
		eventType = sampleType(p, row.Events)
	}
	data, ok := r.sample(row.Tenant, p, eventType)
	if !ok {
		return TestReceipt{}, refuse("event_type", "the profile %s has no sample of %.128q; see /v1/event-types", p.Name(), eventType)
	}
	ev := schemas.Event{ID: randomID(schemas.EventPrefix), Type: eventType, Tenant: row.Tenant, Time: time.Now().UTC(), EndpointID: id,
		Data: data, Kind: schemas.KindTest, ReplayID: randomID("")}
	if err := r.cfg.Publish(ctx, ev); err != nil {
		return TestReceipt{}, r.unavailable("publishing a test event", err)
	}
	r.audit(ctx, by.KeyID, "webhook.test", row.Tenant, id, id, "event_type")
	return TestReceipt{DeliveryID: schemas.DeliveryID(row.Tenant, ev.ID, id, ev.ReplayID), EventID: ev.ID, EventType: eventType}, nil
}

// sample is the data of a test event: what the tenant gave for a type of its
// own, or hookstream for its events, where the profile takes them; else the
// profile's.
func (r *Registry) sample(owner string, p *profile.Profile, eventType string) ([]byte, bool) {
	data, ok := p.Sample(eventType)
	if !ok {
		return nil, false
	}
	own := []byte(nil)
	if t := r.ownType(owner, eventType); t != nil {
		own = t.Sample
	} else if i := slices.IndexFunc(schemas.SystemEvents(), func(e schemas.SystemEvent) bool { return e.Type == eventType }); i >= 0 && !p.Listed(eventType) {
		own = []byte(schemas.SystemEvents()[i].Sample)
	}
	if len(own) > 0 && p.CheckData(eventType, own) == nil {
		return own, true
	}
	return data, true
}

// sampleType is the first type that a webhook subscribes to, taken from the
// catalogue where the subscription is a pattern.
func sampleType(p *profile.Profile, subscriptions []string) string {
	catalogue := p.Events()
	for _, s := range subscriptions {
		if !strings.HasSuffix(s, "*") {
			return s
		}
		i := slices.IndexFunc(catalogue, func(e profile.EventType) bool { return schemas.MatchType(s, e.Type) })
		if i >= 0 {
			return catalogue[i].Type
		}
	}
	if len(catalogue) > 0 {
		return catalogue[0].Type
	}
	return "test"
}
