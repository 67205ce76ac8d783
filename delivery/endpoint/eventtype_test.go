package endpoint_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/delivery/endpoint"
	"github.com/hookstream/hookstream/schemas"
)

const amountSchema = `{"type":"object","required":["amount"],"properties":{"amount":{"type":"number","minimum":0},"lines":{"type":"array","items":{"$ref":"#/$defs/line"}}},"$defs":{"line":{"type":"object","properties":{"sku":{"type":"string"}}}}}`

// TestEventTypeLife: a tenant's own type is made, shown, replaced under
// If-Match, and deleted; other tenants see nothing of it.
func TestEventTypeLife(t *testing.T) {
	l := newLoop(t, nil)
	key, _ := l.tenantKey("acme", "standard")
	other, _ := l.tenantKey("other", "standard")
	made := l.call(key, "PUT", "/v1/event-types/order.paid", `{"description":"an order was paid","schema":`+amountSchema+`,"sample":{"amount":25.0}}`).is(201)
	if made.str("source") != "tenant" || made.str("tenant") != "acme" || made.header.Get("ETag") != `"1"` || !strings.Contains(made.text, `"sample":{"amount":25.0}`) {
		t.Fatal(made.text)
	}
	got := l.call(key, "GET", "/v1/event-types/order.paid", "").is(200)
	if got.text != made.text || got.header.Get("ETag") != `"1"` {
		t.Errorf("%s\n%s", got.text, made.text)
	}
	l.call(other, "GET", "/v1/event-types/order.paid", "").is(404)
	l.call(other, "DELETE", "/v1/event-types/order.paid", "").is(404)
	l.call(other, "GET", "/v1/event-types?tenant=acme", "").problem(403, "tenant")
	l.call(rootKey, "GET", "/v1/event-types/order.paid?tenant=acme", "").is(200)
	l.call(key, "PUT", "/v1/event-types/order.paid", `{"description":"x"}`, "If-Match", `"7"`).is(412)
	replaced := l.call(key, "PUT", "/v1/event-types/order.paid", `{"description":"x"}`, "If-Match", `"1"`).is(200)
	if replaced.body["schema"] != nil || replaced.body["sample"] != nil || replaced.header.Get("ETag") != `"2"` {
		t.Error(replaced.text)
	}
	l.call(key, "DELETE", "/v1/event-types/order.paid", "", "If-Match", `"1"`).is(412)
	l.call(key, "DELETE", "/v1/event-types/order.paid", "").is(204)
	l.call(key, "GET", "/v1/event-types/order.paid", "").is(404)
	l.call(key, "DELETE", "/v1/event-types/invoice.paid", "").is(404) // the profile's cannot be deleted

	// A tenant's types go with it.
	l.call(key, "PUT", "/v1/event-types/order.paid", "").is(201)
	l.call(rootKey, "DELETE", "/v1/tenants/acme", "").is(204)
	l.call(rootKey, "POST", "/v1/tenants", `{"id":"acme"}`).is(201)
	l.call(rootKey, "GET", "/v1/event-types/order.paid?tenant=acme", "").is(404)
	for n := range 2 {
		if _, tenants := l.registry.Len(); tenants != 2-n {
			t.Errorf("%d tenants, want %d", tenants, 2-n)
		}
		l.call(rootKey, "DELETE", "/v1/tenants/"+[]string{"acme", "other"}[n], "").is(204)
	}
}

// TestCatalogue lists every profile's types with samples that are the ones the
// profile takes, hookstream's own, and the tenant's, a page at a time.
func TestCatalogue(t *testing.T) {
	l := newLoop(t, nil)
	key, _ := l.tenantKey("acme", "smartcv")
	l.call(key, "PUT", "/v1/event-types/resume.created", `{"description":"mine"}`).is(201)
	l.call(key, "PUT", "/v1/event-types/zz.own", "").is(201)
	set := builtin(t)
	want := 2 + len(schemas.SystemEvents())
	for _, name := range set.Names() {
		p, _ := set.Get(name)
		want += len(p.Events())
	}
	var sources []string
	seen, cursor := map[string]bool{}, ""
	for {
		page := l.call(key, "GET", "/v1/event-types?limit=7&cursor="+cursor, "").is(200)
		for _, row := range page.body["data"].([]any) {
			row := row.(object)
			id := fmt.Sprint(row["source"], row["profile"], row["type"])
			if seen[id] || row["source"] != "tenant" && (row["sample"] == nil || row["description"] == "") {
				t.Errorf("%v", row)
			}
			if s := row["source"].(string); len(sources) == 0 || sources[len(sources)-1] != s {
				sources = append(sources, s)
			}
			seen[id] = true
		}
		if cursor = page.str("next_cursor"); cursor == "" {
			break
		}
	}
	if len(seen) != want || fmt.Sprint(sources) != "[tenant hookstream profile]" {
		t.Errorf("%d types, want %d; sources %v", len(seen), want, sources)
	}
	if r := l.call(key, "GET", "/v1/event-types?profile=kidsmart", "").is(200); len(r.body["data"].([]any)) != 3 {
		t.Error(r.text)
	}
	l.call(key, "GET", "/v1/event-types?profile=nope", "").problem(422, "profile")
	l.call(key, "GET", "/v1/event-types?limit=0", "").problem(400, "limit")
	l.call(key, "GET", "/v1/event-types?cursor=x", "").problem(400, "cursor")
	// One type: the tenant's own stands over the profile's, which can be asked for.
	if r := l.call(key, "GET", "/v1/event-types/resume.created", "").is(200); r.str("description") != "mine" {
		t.Error(r.text)
	}
	if r := l.call(key, "GET", "/v1/event-types/resume.created?profile=smartcv", "").is(200); r.str("source") != "profile" {
		t.Error(r.text)
	}
	if r := l.call(key, "GET", "/v1/event-types/endpoint.disabled", "").is(200); r.str("source") != "hookstream" {
		t.Error(r.text)
	}
}

// TestEventTypesRefused: what cannot be enforced is not taken, and the reason
// is given.
func TestEventTypesRefused(t *testing.T) {
	l := newLoop(t, nil)
	key, _ := l.tenantKey("acme", "standard")
	before := len(l.records)
	deep := strings.Repeat(`{"a":`, 70) + `1` + strings.Repeat(`}`, 70)
	var bomb strings.Builder // each level is checked twice by the one above it
	for i := range 9 {
		fmt.Fprintf(&bomb, `"l%d":{"allOf":[{"$ref":"#/$defs/l%d"},{"$ref":"#/$defs/l%d"}]},`, i, i+1, i+1)
	}
	for _, c := range []struct{ path, body, field, reason string }{
		{"a%20b", `{}`, "type", "visible ASCII"},
		{"endpoint.disabled", `{}`, "type", "hookstream"},
		{"a", `{"description":"` + strings.Repeat("x", 2001) + `"}`, "description", "2000"},
		{"a", `{"schema":true}`, "schema", "object"},
		{"a", `{"schema":{"type":"nothing"}}`, "schema", "/type"},
		{"a", `{"schema":{"properties":{"x":{"minimum":"1"}}}}`, "schema", "/properties/x/minimum"},
		{"a", `{"schema":{"$ref":"#/$defs/none"}}`, "schema", "none"},
		{"a", `{"schema":{"$ref":"https://example.com/schema.json"}}`, "schema", "own parts only"},
		{"a", `{"schema":{"$ref":"file:///etc/passwd"}}`, "schema", "own parts only"},
		{"a", `{"schema":{"$id":"file:///etc/","$ref":"passwd"}}`, "schema", "own parts only"},
		{"a", `{"schema":{"$schema":"http://json-schema.org/draft-07/schema#"}}`, "schema", "2020-12"},
		{"a", `{"schema":{"$schema":"https://example.com/dialect"}}`, "schema", "2020-12"},
		{"a", `{"schema":{"properties":{"x":{"$id":"https://e.com/x","$schema":"http://json-schema.org/draft-07/schema#","type":"string"}}}}`, "schema", "2020-12"},
		{"a", `{"schema":{"$ref":"https://json-schema.org/draft/2020-12/schema"}}`, "schema", "dynamicRef"},
		{"a", `{"schema":{"$ref":"#"}}`, "schema", "itself"},
		{"a", `{"schema":{"pattern":"(?=x)"}}`, "schema", "pattern"},
		{"a", `{"schema":{"pattern":"(a{500}){2}b{900}"}}`, "schema", "smaller repetitions"},
		{"a", `{"schema":{"maximum":1e99999}}`, "schema", "exponent"},
		{"a", `{"schema":{"$ref":"#/$defs/l0","$defs":{` + bomb.String() + `"l9":{"type":"string"}}}}`, "schema", "times"},
		{"a", `{"schema":{"properties":{"x":{"allOf":[{"$ref":"#"},{"$ref":"#"}]}}}}`, "schema", "times"},
		{"a", `{"schema":{"description":"` + strings.Repeat("x", 33<<10) + `"}}`, "schema", "32768"},
		{"a", `{"sample":` + deep + `}`, "sample", "deeper"},
		{"a", `{"sample":"` + strings.Repeat("x", 33<<10) + `"}`, "sample", "32768"},
		{"a", `{"schema":` + amountSchema + `,"sample":{"amount":-1}}`, "sample", "/amount"},
		{"a", `{"schema":` + amountSchema + `,"sample":{}}`, "sample", "amount"},
		{"a", `{"schmea":{}}`, "schmea", ""},
	} {
		r := l.call(key, "PUT", "/v1/event-types/"+c.path, c.body).problem(422, c.field)
		if !strings.Contains(r.str("detail"), c.reason) || strings.Contains(r.text, "/work") || strings.Contains(r.text, "root:") {
			t.Errorf("%.90s: %s", c.body, r.text)
		}
	}
	if n := len(l.records); n != before {
		t.Errorf("%d records written", n-before)
	}
	l.call(key, "PUT", "/v1/event-types/a", `{"sample":`).is(400)
	// Recursion through the data is bounded by the data, and taken.
	tree := `{"type":"object","properties":{"left":{"$ref":"#"},"right":{"$ref":"#"},"kids":{"type":"array","items":{"$ref":"#"}}}}`
	l.call(key, "PUT", "/v1/event-types/tree", `{"schema":`+tree+`,"sample":{"left":{"kids":[{},{"right":{}}]}}}`).is(201)
	l.call(key, "PUT", "/v1/event-types/null", `{"schema":null,"sample":null}`).is(201)
}

// TestEventTypesAreBounded: a tenant has so many and no more, but may replace
// those that it has.
func TestEventTypesAreBounded(t *testing.T) {
	l := newLoop(t, nil)
	by := api.Principal{KeyID: "root", Root: true}
	for i := range 500 {
		if _, made, err := l.registry.PutEventType(t.Context(), by, "acme", fmt.Sprintf("t%d", i), "", endpoint.EventTypeDraft{}); err != nil || !made {
			t.Fatal(i, err)
		}
	}
	var problem *api.Problem
	if _, _, err := l.registry.PutEventType(t.Context(), by, "acme", "t500", "", endpoint.EventTypeDraft{}); !errors.As(err, &problem) || problem.Status != 409 {
		t.Errorf("%v", err)
	}
	if _, made, err := l.registry.PutEventType(t.Context(), by, "acme", "t7", "", endpoint.EventTypeDraft{Description: "x"}); err != nil || made {
		t.Error(made, err)
	}
}

// TestEnforcedEventTypes: what a tenant asks of its event types is asked of
// events by HTTP and, before their first attempt, of deliveries.
func TestEnforcedEventTypes(t *testing.T) {
	l := newLoop(t, nil)
	key, _ := l.tenantKey("acme", "standard")
	l.call(key, "PUT", "/v1/event-types/order.paid", `{"schema":`+amountSchema+`}`).is(201)
	l.call(key, "PUT", "/v1/event-types/free.form", "").is(201)
	l.call(key, "POST", "/v1/webhooks", `{`+aURL+`,"profile":"smartcv","events":["user.registered"]}`).is(201)
	// A subscription to a type that nobody knows yet stays allowed.
	l.call(key, "POST", "/v1/webhooks", `{`+aURL+`,"events":["later.*"]}`).is(201)
	for _, c := range []struct {
		enforce, eventType, data string
		field, detail            string // of the refusal; empty: it passes
	}{
		{"off", "order.paid", `{"amount":-1}`, "", ""},
		{"off", "no.such", `1`, "", ""},
		{"known", "order.paid", `{"amount":-1}`, "", ""},
		{"known", "no.such", `1`, "type", `"no.such" is not among the event types of tenant acme`},
		{"known", "free.form", `1`, "", ""},
		{"known", "invoice.paid", `1`, "", ""},               // of the tenant's profile
		{"known", "resume.created", `{"id":"r_1"}`, "", ""},  // of the profile of one of its webhooks
		{"known", "fluency", `{}`, "type", "fluency"},        // of a profile that it does not use
		{"known", "endpoint.disabled", `{"a":1}`, "", ""},    // hookstream's
		{"schema", "free.form", `1`, "", ""},                 // has no schema
		{"schema", "invoice.paid", `1`, "", ""},              // nor has the profile's
		{"schema", "order.paid", `{"amount":25.00}`, "", ""}, //
		{"schema", "order.paid", `{"amount":"25"}`, "data/amount", `event type "order.paid" (schema version 1): data at /amount: got string, want number`},
		{"schema", "order.paid", `{"amount":1,"lines":[{},{"sku":7}]}`, "data/lines/1/sku", "/lines/1/sku"},
		{"schema", "order.paid", `{}`, "data", "amount"},
		{"schema", "order.paid", `{"amount":1e999999}`, "data", "exponent"},
		{"schema", "order.paid", strings.Repeat("[", 70) + strings.Repeat("]", 70), "data", "deeper"},
		{"schema", "order.paid", `{"amount":12345678901234567890123}`, "", ""},
	} {
		l.call(rootKey, "PATCH", "/v1/tenants/acme", `{"enforce_event_types":"`+c.enforce+`"}`).is(200)
		ev := schemas.Event{ID: "e", Type: c.eventType, Tenant: "acme", Kind: schemas.KindEvent, Data: []byte(c.data)}
		err := l.registry.Check(context.Background(), &ev)
		var problem *api.Problem
		switch {
		case c.field == "" && err != nil:
			t.Errorf("%s %s %s: %v", c.enforce, c.eventType, c.data, err)
		case c.field != "" && (!errors.As(err, &problem) || problem.Status != 422 || problem.Field != c.field || !strings.Contains(problem.Detail, c.detail)):
			t.Errorf("%s %s %.60s: %v, want %s: %s", c.enforce, c.eventType, c.data, err, c.field, c.detail)
		}
		d := schemas.Delivery{Tenant: "acme", EventType: c.eventType, Kind: schemas.KindEvent, Data: []byte(c.data)}
		if err := l.registry.CheckType(&d); (err != nil) != (c.field != "") || err != nil && !strings.Contains(err.Error(), c.detail) {
			t.Errorf("delivery: %s %s %.60s: %v", c.enforce, c.eventType, c.data, err)
		}
		for _, kind := range []string{schemas.KindTest, schemas.KindReplay, schemas.KindChallenge, schemas.KindNotice, schemas.KindSystem} {
			d.Kind = kind
			if err := l.registry.CheckType(&d); err != nil {
				t.Errorf("a %s is judged: %v", kind, err)
			}
		}
	}
	// The newest version of a schema counts.
	l.call(key, "PUT", "/v1/event-types/order.paid", `{"schema":{"type":"string"}}`).is(200)
	ev := schemas.Event{ID: "e", Type: "order.paid", Tenant: "acme", Kind: schemas.KindEvent, Data: []byte(`{"amount":1}`)}
	if err := l.registry.Check(t.Context(), &ev); err == nil || !strings.Contains(err.Error(), "schema version 2") {
		t.Errorf("%v", err)
	}
	l.call(key, "DELETE", "/v1/event-types/order.paid", "").is(204)
	if err := l.registry.Check(t.Context(), &ev); err == nil || !strings.Contains(err.Error(), "not among") {
		t.Errorf("%v", err)
	}
	if err := l.registry.Check(t.Context(), &schemas.Event{ID: "e", Type: "no.such", Tenant: "elsewhere", Kind: schemas.KindEvent, Data: []byte(`1`)}); err != nil {
		t.Errorf("another tenant: %v", err)
	}
}

// TestTenantPatch changes what is given, under If-Match, and refuses the rest.
func TestTenantPatch(t *testing.T) {
	l := newLoop(t, nil)
	key, _ := l.tenantKey("acme", "standard")
	got := l.call(rootKey, "GET", "/v1/tenants/acme", "").is(200)
	if got.str("enforce_event_types") != "off" {
		t.Error(got.text)
	}
	etag := got.header.Get("ETag")
	got = l.call(rootKey, "PATCH", "/v1/tenants/acme", `{"name":"Acme","profile":"smartcv","enforce_event_types":"known"}`, "If-Match", etag).is(200)
	if got.str("name") != "Acme" || got.str("profile") != "smartcv" || got.str("enforce_event_types") != "known" || got.header.Get("ETag") == etag {
		t.Error(got.text)
	}
	l.call(rootKey, "PATCH", "/v1/tenants/acme", `{"name":"x"}`, "If-Match", etag).is(412)
	if got = l.call(rootKey, "PATCH", "/v1/tenants/acme", `{"enforce_event_types":"off"}`).is(200); got.str("name") != "Acme" || got.str("enforce_event_types") != "off" {
		t.Error(got.text)
	}
	l.call(key, "GET", "/v1/webhooks", "").is(200) // its keys are still its keys
	l.call(rootKey, "PATCH", "/v1/tenants/acme", `{"enforce_event_types":"sometimes"}`).problem(422, "enforce_event_types")
	l.call(rootKey, "PATCH", "/v1/tenants/acme", `{"profile":"nope"}`).problem(422, "profile")
	l.call(rootKey, "PATCH", "/v1/tenants/acme", `{"name":"a\nb"}`).problem(422, "name")
	l.call(rootKey, "PATCH", "/v1/tenants/nobody", `{}`).is(404)
	l.call(key, "PATCH", "/v1/tenants/acme", `{}`).is(403)
	if got = l.call(rootKey, "POST", "/v1/tenants", `{"id":"strict","enforce_event_types":"schema"}`).is(201); got.str("enforce_event_types") != "schema" {
		t.Error(got.text)
	}
}

// TestTestsUseTheTenantsSample: a test of a type of the tenant's own carries its
// sample, one of hookstream's own types its example.
func TestTestsUseTheTenantsSample(t *testing.T) {
	l := newLoop(t, nil)
	key, _ := l.tenantKey("acme", "standard")
	id := l.call(key, "POST", "/v1/webhooks", `{`+aURL+`}`).is(201).str("id")
	l.call(key, "PUT", "/v1/event-types/order.paid", `{"sample":{"mine":25.0}}`).is(201)
	for eventType, want := range map[string]string{"order.paid": `{"mine":25.0}`, schemas.EventEndpointDisabled: `"reason":"failing"`} {
		l.call(key, "POST", "/v1/webhooks/"+id+"/test", `{"event_type":"`+eventType+`"}`).is(202)
		if got := string(l.events[len(l.events)-1].Data); !strings.Contains(got, want) || !json.Valid([]byte(got)) {
			t.Errorf("%s: %s", eventType, got)
		}
	}
	// A profile with a closed catalogue sends none but its own.
	closed := l.call(key, "POST", "/v1/webhooks", `{`+aURL+`,"profile":"smartcv"}`).is(201).str("id")
	l.call(key, "POST", "/v1/webhooks/"+closed+"/test", `{"event_type":"order.paid"}`).problem(422, "event_type")
}

// TestNoEnforcementCostsNoAllocation: the check of a published event of a tenant
// that asks nothing of its types is a look-up.
func TestNoEnforcementCostsNoAllocation(t *testing.T) {
	l := newLoop(t, nil)
	l.tenantKey("acme", "standard")
	d := schemas.Delivery{Tenant: "acme", EventType: "a", Kind: schemas.KindEvent, Data: []byte(`{"a":1}`)}
	if n := testing.AllocsPerRun(100, func() {
		if err := l.registry.CheckType(&d); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
