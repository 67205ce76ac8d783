package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestEventTypesEnforced: a tenant's own event type with its schema holds by
// HTTP and by Kafka and over a restart, its sample is the test's, and the
// webhook answers to its owner's own id on every route.
func TestEventTypesEnforced(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := newSink(t, nil)
	schema := map[string]any{"type": "object", "required": []string{"amount"}, "properties": map[string]any{"amount": map[string]any{"type": "number"}}}
	s.call(http.MethodPut, "/v1/event-types/order.paid", map[string]any{"description": "an order was paid", "schema": schema, "sample": map[string]any{"amount": 8841}}, http.StatusCreated, nil)
	s.call(http.MethodPatch, "/v1/tenants/default", map[string]any{"enforce_event_types": "schema"}, http.StatusOK, nil)
	id, _ := s.webhook(map[string]any{"url": r.URL + "/orders", "events": []string{"*", "not.yet.known"}, "uid": "order-system", "description": "orders", "metadata": map[string]string{"team": "billing"}})

	s.kill()
	s.up()
	p := refused(t, "data against the schema", s.ask(http.MethodPost, "/v1/events", map[string]any{"type": "order.paid", "data": map[string]any{"amount": "8841"}}, nil), http.StatusUnprocessableEntity, "data/amount")
	for _, want := range []string{`"order.paid"`, "/amount", "got string, want number"} {
		if !strings.Contains(p.Detail, want) {
			t.Errorf("the refusal does not name %s: %s", want, p.Detail)
		}
	}
	refused(t, "an unknown type", s.ask(http.MethodPost, "/v1/events", map[string]any{"type": "order.piad", "data": 1}, nil), http.StatusUnprocessableEntity, "type")

	s.publish(`{"id":"good","type":"order.paid","data":{"amount":25.0}}`)
	if got := r.byEvent(t, "/orders", "good"); !strings.Contains(got.body, `{"amount":25.0}`) {
		t.Errorf("body %s", got.body)
	}
	// By Kafka nobody can be answered: the delivery is rejected, on record.
	s.record(s.prefix+"events", `{"id":"bad-data","type":"order.paid","data":{"amount":"8841"}}`)
	s.record(s.prefix+"events", `{"id":"bad-type","type":"order.piad","data":1}`)
	s.wantSQL("SELECT event_id, state, error_kind, attempts FROM hookstream.deliveries WHERE event_id LIKE 'bad-%' ORDER BY event_id", "bad-data\terror\trejected\t0\nbad-type\terror\trejected\t0")
	s.wantSQL("SELECT event_id FROM hookstream.attempts WHERE position(error_message, 'data at /amount: got string, want number') > 0", "bad-data")
	if n := r.count("/orders"); n != 1 {
		t.Errorf("%d requests; what is rejected is not sent", n)
	}

	var test struct {
		EventID string `json:"event_id"`
	}
	s.call(http.MethodPost, "/v1/webhooks/uid:order-system/test", map[string]any{"event_type": "order.paid"}, http.StatusAccepted, &test)
	if got := r.byEvent(t, "/orders", test.EventID); !strings.Contains(got.body, `{"amount":8841}`) {
		t.Errorf("the test's body is %s", got.body)
	}
	eventually(t, "logs by uid", func() error {
		var logs page
		s.call(http.MethodGet, "/v1/webhooks/uid:order-system/logs", nil, http.StatusOK, &logs)
		if len(logs.Data) != 4 {
			return fmt.Errorf("%d rows: %+v", len(logs.Data), logs.Data)
		}
		return nil
	})
	var shown struct {
		ID, UID, Description string
		Metadata             map[string]string
	}
	s.call(http.MethodGet, "/v1/webhooks/uid:order-system", nil, http.StatusOK, &shown)
	if shown.ID != id || shown.UID != "order-system" || shown.Description != "orders" || shown.Metadata["team"] != "billing" {
		t.Errorf("%+v", shown)
	}
	var types struct {
		Data []struct{ Type, Source string }
	}
	s.call(http.MethodGet, "/v1/event-types", nil, http.StatusOK, &types)
	if len(types.Data) < 40 || types.Data[0].Type != "order.paid" || types.Data[0].Source != "tenant" {
		t.Errorf("%+v", types.Data)
	}
	s.wantSQL("SELECT action, target, detail FROM hookstream.audit WHERE action IN ('event_type.put', 'tenant.update', 'webhook.create', 'webhook.test') ORDER BY action",
		"event_type.put\torder.paid\tdescription, schema, sample\ntenant.update\tdefault\tenforce_event_types\nwebhook.create\t"+id+"\turl, events, description, uid, metadata\nwebhook.test\t"+id+"\tevent_type")
}
