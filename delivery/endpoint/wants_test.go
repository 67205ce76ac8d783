package endpoint_test

import (
	"slices"
	"testing"

	"github.com/hookstream/hookstream/schemas"
)

// What hookstream says about itself goes to whoever names it: not to those that
// take everything, and not under a closed catalogue that does not list it.
func TestOwnEventsGoToSubscriptionsThatNameThem(t *testing.T) {
	l := newLoop(t, nil)
	key, _ := l.tenantKey("acme", "standard")
	webhook := func(fields string) string {
		return l.call(key, "POST", "/v1/webhooks", `{`+aURL+fields+`}`).is(201).str("id")
	}
	webhook("")
	webhook(`,"events":["*"]`)
	webhook(`,"events":["*"],"profile":"smartcv"`)
	webhook(`,"profile":"smartkyc"`)
	webhook(`,"events":["*"],"profile":"ihateppt","skip_verification":true`)
	l.call(key, "POST", "/v1/webhooks", `{`+aURL+`,"events":["endpoint.disabled"],"profile":"smartcv"}`).is(422)
	system := []string{schemas.EventEndpointDisabled, schemas.EventDeliveryExhausted}
	for _, eventType := range append(system, "webhook.retry") {
		if l.registry.Wants("acme", eventType) {
			t.Errorf("%s is wanted by nobody", eventType)
		}
	}
	byPattern, byType := webhook(`,"events":["endpoint.*"]`), webhook(`,"events":["*","endpoint.disabled"]`)
	retries := webhook(`,"events":["webhook.retry"],"profile":"ihateppt","skip_verification":true`)
	idle := webhook(`,"events":["delivery.exhausted"],"active":false`)
	for _, c := range []struct {
		kind, eventType string
		wanted          bool
		ids             []string
	}{
		{schemas.KindSystem, schemas.EventEndpointDisabled, true, []string{byPattern, byType}},
		{schemas.KindSystem, schemas.EventEndpointRecovered, true, []string{byPattern}},
		{schemas.KindSystem, schemas.EventDeliveryExhausted, false, []string{idle}},
		{schemas.KindNotice, "webhook.retry", true, []string{retries}},
	} {
		if l.registry.Wants("acme", c.eventType) != c.wanted || l.registry.Wants("nobody", c.eventType) {
			t.Errorf("%s: wanted is not %v", c.eventType, c.wanted)
		}
		matches, err := l.registry.Match(t.Context(), &schemas.Event{ID: "e", Tenant: "acme", Type: c.eventType, Kind: c.kind})
		if err != nil || len(matches) != len(c.ids) {
			t.Errorf("%s: %+v, %v; want %v", c.eventType, matches, err, c.ids)
			continue
		}
		for _, m := range matches {
			if !slices.Contains(c.ids, m.EndpointID) {
				t.Errorf("%s: %+v; want %v", c.eventType, matches, c.ids)
			}
		}
	}
	// A publisher's own event of that name is an event like any other.
	if m, _ := l.registry.Match(t.Context(), &schemas.Event{ID: "e", Tenant: "acme", Type: schemas.EventEndpointDisabled, Kind: schemas.KindEvent}); len(m) != 4 {
		t.Errorf("a publisher's event: %+v", m)
	}
}
