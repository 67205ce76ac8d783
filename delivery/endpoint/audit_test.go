package endpoint_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/hookstream/hookstream/delivery/endpoint"
	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

func quoted(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// TestAuditNamesFieldsNeverValues: every change of webhooks, secrets, keys,
// tenants and event types, every test and every order to verify leaves one
// entry: who, what, to what, which fields; what they were set to is not in it.
func TestAuditNamesFieldsNeverValues(t *testing.T) {
	l := newLoop(t, func(c *endpoint.Config) {
		c.Challenged = func(p *profile.Profile) bool { return p.Name() == "ihateppt" }
	})
	key, _ := l.tenantKey("acme", "ihateppt")
	p, _ := l.registry.Authenticate(key)
	l.notices = nil
	step := func(actor, action, tenant, target, fields string, _ reply) {
		t.Helper()
		if len(l.notices) != 1 {
			t.Fatalf("%s: %d entries: %+v", action, len(l.notices), l.notices)
		}
		n := l.notices[0]
		l.notices = nil
		if n.Kind != schemas.NoticeAudit || n.Actor != actor || n.Action != action || n.Tenant != tenant || n.Target != target || n.Detail != fields || n.At == 0 {
			t.Errorf("%s by %s to %q, fields %q: %+v", action, actor, target, fields, n)
		}
		if text := fmt.Sprintf("%+v", n); strings.Contains(text, "planted") {
			t.Errorf("a value is in the entry: %s", text)
		}
	}
	made := l.call(key, "POST", "/v1/webhooks", `{"url":"https://planted.example.com","secret":"planted-secret-1234","headers":{"X-A":"planted"},"uid":"planted","metadata":{"planted":"planted"}}`).is(201)
	id := made.str("id")
	step(p.KeyID, "webhook.create", "acme", id, "url, secret, uid, metadata, headers", made)
	step(p.KeyID, "webhook.update", "acme", id, "name, description, url, events", l.call(key, "PATCH", "/v1/webhooks/"+id, `{"name":"planted","description":"planted","events":["ppt.*"],"url":"https://example.com/planted"}`).is(200))
	step("root", "webhook.rotate_secret", "acme", id, "secrets", l.call(rootKey, "POST", "/v1/webhooks/"+id+"/rotate-secret", `{"secret":"planted-secret-5678"}`).is(200))
	step(p.KeyID, "webhook.test", "acme", id, "event_type", l.call(key, "POST", "/v1/webhooks/"+id+"/test", `{}`).is(202))
	step(p.KeyID, "webhook.verify", "acme", id, "", l.call(key, "POST", "/v1/webhooks/"+id+"/verify", "").is(202))
	step(p.KeyID, "event_type.put", "acme", "order.paid", "description, schema, sample", l.call(key, "PUT", "/v1/event-types/order.paid", `{"description":"planted","schema":{"const":"planted"},"sample":"planted"}`).is(201))
	step(p.KeyID, "event_type.put", "acme", "order.paid", "schema, sample", l.call(key, "PUT", "/v1/event-types/order.paid", `{"description":"planted"}`).is(200))
	step(p.KeyID, "event_type.delete", "acme", "order.paid", "", l.call(key, "DELETE", "/v1/event-types/order.paid", "").is(204))
	step(p.KeyID, "webhook.delete", "acme", id, "", l.call(key, "DELETE", "/v1/webhooks/"+id, "").is(204))
	step("root", "tenant.create", "other", "other", "id, name, enforce_event_types", l.call(rootKey, "POST", "/v1/tenants", `{"id":"other","name":"planted","enforce_event_types":"known"}`).is(201))
	step("root", "tenant.update", "other", "other", "name, enforce_event_types", l.call(rootKey, "PATCH", "/v1/tenants/other", `{"name":"planted 2","enforce_event_types":"off"}`).is(200))
	first := l.call(rootKey, "POST", "/v1/tenants/other/keys", `{"name":"planted"}`).is(201)
	step("root", "key.create", "other", first.str("id"), "secrets, revealed, keys", first)
	rotated := l.call(rootKey, "POST", "/v1/tenants/other/rotate", "").is(200)
	step("root", "tenant.rotate", "other", rotated.str("id"), "secrets, keys", rotated)
	step("root", "key.update", "other", first.str("id"), "keys", l.call(rootKey, "PATCH", "/v1/tenants/other/keys/"+first.str("id"), `{"name":"planted 3","rate_limit":7000}`).is(200))
	step("root", "key.delete", "other", first.str("id"), "keys", l.call(rootKey, "DELETE", "/v1/tenants/other/keys/"+first.str("id"), "").is(204))
	step("root", "tenant.delete", "other", "other", "", l.call(rootKey, "DELETE", "/v1/tenants/other", "").is(204))

	// What was refused or only read leaves none.
	l.call(key, "POST", "/v1/webhooks", `{"url":""}`).is(422)
	l.call(key, "GET", "/v1/webhooks", "").is(200)
	l.call(key, "DELETE", "/v1/webhooks/"+id, "").is(404)
	if len(l.notices) != 0 {
		t.Errorf("%+v", l.notices)
	}
}

// TestEditKeepsFieldsOfNewerVersions: a change by this version keeps what a
// newer node wrote into the row.
func TestEditKeepsFieldsOfNewerVersions(t *testing.T) {
	l := newLoop(t, nil)
	key, _ := l.tenantKey("acme", "standard")
	id := l.call(key, "POST", "/v1/webhooks", `{`+aURL+`}`).is(201).str("id")
	l.call(key, "PUT", "/v1/event-types/a", "").is(201)
	for _, rec := range l.records {
		if rec.Topic == l.topology.EndpointsTopic() || rec.Topic == l.topology.TenantsTopic() {
			rec.Value = append([]byte(`{"from_the_future":[1,{"a":25.0}],`), rec.Value[1:]...)
			l.registry.Apply(&rec)
		}
	}
	before := len(l.records)
	l.call(key, "PATCH", "/v1/webhooks/"+id, `{"name":"x"}`).is(200)
	l.call(rootKey, "PATCH", "/v1/tenants/acme", `{"name":"x"}`).is(200)
	l.call(rootKey, "POST", "/v1/tenants/acme/keys", "").is(201)
	l.call(key, "PUT", "/v1/event-types/a", `{"description":"x"}`).is(200)
	for _, rec := range l.records[before:] {
		if !strings.HasSuffix(string(rec.Value), `,"from_the_future":[1,{"a":25.0}]}`) {
			t.Errorf("%s lost it: %s", rec.Key, rec.Value)
		}
	}
	if n := len(l.records) - before; n != 4 {
		t.Errorf("%d rows", n)
	}
}
