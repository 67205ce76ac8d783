package endpoint_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/delivery/endpoint"
	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

// TestCallbackURLIsCheckedLikeAWebhooks: a callback URL that a webhook could not
// have is refused by HTTP, and by Kafka is no event; nothing is written for it.
func TestCallbackURLIsCheckedLikeAWebhooks(t *testing.T) {
	l := newLoop(t, nil)
	for url, field := range map[string]string{
		"https://forbidden.example.com/cb":                 "callback_url",
		"https://example.com/" + strings.Repeat("x", 3000): "callback_url",
		"https://example.com/cb":                           "",
		"https://example.com/cb#a fragment is left out":    "",
	} {
		ev := schemas.Event{ID: "e", Type: "a", Tenant: "acme", Kind: schemas.KindEvent, CallbackURL: url, Profile: "standard", Data: []byte(`{}`)}
		problem := problemOf(t, l.registry.Check(t.Context(), &ev))
		if (problem != nil) != (field != "") || problem != nil && (problem.Status != 422 || problem.Field != field) {
			t.Errorf("%.60s: %v", url, problem)
		}
		written := len(l.records)
		matches, err := l.registry.Match(t.Context(), &ev)
		var invalid *schemas.InvalidEvent
		if errors.As(err, &invalid) != (field != "") || field != "" && (invalid.Field != field || len(l.records) != written) || field == "" && len(matches) != 1 {
			t.Errorf("%.60s: %v, %v, %d records", url, matches, err, len(l.records)-written)
		}
	}
	ev := schemas.Event{ID: "e", Type: "a", Tenant: "acme", Kind: schemas.KindEvent, CallbackURL: "https://example.com/cb", Profile: "nope", Data: []byte(`{}`)}
	var invalid *schemas.InvalidEvent
	if _, err := l.registry.Match(t.Context(), &ev); !errors.As(err, &invalid) || invalid.Field != "profile" {
		t.Error(err)
	}
	if p := problemOf(t, l.registry.Check(t.Context(), &ev)); p == nil || p.Field != "profile" {
		t.Error(p)
	}
}

// TestProfileWithoutCallbackKnowsNothing: an event that names a profile without
// a callback URL does not widen what its tenant allows.
func TestProfileWithoutCallbackKnowsNothing(t *testing.T) {
	l := newLoop(t, nil)
	l.tenantKey("acme", "standard")
	l.call(rootKey, "PATCH", "/v1/tenants/acme", `{"enforce_event_types":"known"}`).is(200)
	p, _ := builtin(t).Get("smartcv")
	ev := schemas.Event{ID: "e", Type: p.Events()[0].Type, Tenant: "acme", Kind: schemas.KindEvent, Profile: "smartcv", Data: []byte(p.Events()[0].Sample)}
	if problem := problemOf(t, l.registry.Check(t.Context(), &ev)); problem == nil || problem.Code != "unknown_event_type" {
		t.Errorf("%v", problem)
	}
	ev.CallbackURL = "https://example.com/cb"
	if problem := problemOf(t, l.registry.Check(t.Context(), &ev)); problem != nil {
		t.Errorf("with the callback URL: %v", problem)
	}
}

// TestMaskIsNoSecret: the mask that answers show in place of a secret is known
// to everybody, so nothing is ever signed with it.
func TestMaskIsNoSecret(t *testing.T) {
	l := newLoop(t, nil)
	key, _ := l.tenantKey("acme", "ihateppt")
	l.call(key, "POST", "/v1/webhooks", `{`+aURL+`,"secret":"********"}`).problem(422, "secret")
	id := l.call(key, "POST", "/v1/webhooks", `{`+aURL+`}`).is(201).str("id")
	l.call(key, "POST", "/v1/webhooks/"+id+"/rotate-secret", `{"secret":"********"}`).problem(422, "secret")
}

// TestIfMatchOnAMissingType: a condition on a type that is not there fails, and
// leaves no trace.
func TestIfMatchOnAMissingType(t *testing.T) {
	l := newLoop(t, nil)
	for _, tag := range []string{"*", `"0"`, `"1"`} {
		l.call(rootKey, "PUT", "/v1/event-types/order.paid?tenant=new", `{}`, "If-Match", tag).is(412)
	}
	if len(l.records) != 0 {
		t.Errorf("%d records written", len(l.records))
	}
}

// TestTestByUIDOfATenant: root names the tenant whose uid it means, on every
// route that takes one.
func TestTestByUIDOfATenant(t *testing.T) {
	l := newLoop(t, nil)
	for _, tenant := range []string{"one", "two"} {
		key, _ := l.tenantKey(tenant, "standard")
		l.call(key, "POST", "/v1/webhooks", `{`+aURL+`,"uid":"shared"}`).is(201)
	}
	l.call(rootKey, "POST", "/v1/webhooks/test", `{"webhook_id":"uid:shared"}`).problem(409, "uid")
	l.call(rootKey, "POST", "/v1/webhooks/test?tenant=two", `{"webhook_id":"uid:shared"}`).is(202)
	l.call(rootKey, "POST", "/v1/webhooks/uid:shared/test?tenant=two", `{"webhook_id":"uid:shared"}`).is(202)
	if n := len(l.events); n != 2 || l.events[0].Tenant != "two" || l.events[1].Tenant != "two" {
		t.Errorf("%+v", l.events)
	}
}

// TestTextIsUTF8: text that is no UTF-8 would make every later answer invalid
// JSON, so it is refused wherever text is kept.
func TestTextIsUTF8(t *testing.T) {
	l := newLoop(t, nil)
	l.call(rootKey, "POST", "/v1/tenants", "{\"id\":\"acme\",\"name\":\"a\xff\"}").problem(400, "")
	key, _ := l.tenantKey("acme", "standard")
	l.call(rootKey, "POST", "/v1/tenants/acme/keys", "{\"name\":\"a\xff\"}").problem(400, "")
	l.call(rootKey, "PATCH", "/v1/tenants/acme", "{\"name\":\"a\xff\"}").problem(400, "")
	l.call(key, "POST", "/v1/webhooks", "{"+aURL+",\"metadata\":{\"a\":\"\xff\"}}").problem(400, "")
	l.call(key, "POST", "/v1/webhooks", "{"+aURL+",\"metadata\":{\"\xff\":\"a\"}}").problem(400, "")
	l.call(key, "POST", "/v1/webhooks", "{"+aURL+",\"uid\":\"\xff\"}").problem(400, "")
	l.call(key, "POST", "/v1/webhooks", "{\"url\":\"https://example.com/\xff\"}").problem(400, "")
	l.call(key, "PUT", "/v1/event-types/a", "{\"description\":\"\xff\"}").problem(400, "")
	l.call(key, "PUT", "/v1/event-types/a", "{\"sample\":\"\xff\"}").problem(400, "")
	l.call(key, "PUT", "/v1/event-types/a", "{\"schema\":{\"title\":\"\xff\"}}").problem(400, "")
}

// TestEventNamesItsWebhookByUID: endpoint_id takes a uid as every webhook id
// does, of the event's own tenant only.
func TestEventNamesItsWebhookByUID(t *testing.T) {
	l := newLoop(t, nil)
	key, _ := l.tenantKey("acme", "standard")
	l.tenantKey("other", "standard")
	id := l.call(key, "POST", "/v1/webhooks", `{`+aURL+`,"uid":"orders"}`).is(201).str("id")
	for tenant, want := range map[string]int{"acme": 1, "other": 0} {
		ev := schemas.Event{ID: "e", Type: "a", Tenant: tenant, Kind: schemas.KindEvent, EndpointID: "uid:orders", Data: []byte(`{}`)}
		matches, err := l.registry.Match(t.Context(), &ev)
		if err != nil || len(matches) != want || want == 1 && matches[0].EndpointID != id {
			t.Errorf("%s: %+v %v", tenant, matches, err)
		}
	}
}

// problemOf is the problem that an error is; nil for none.
func problemOf(t *testing.T, err error) *api.Problem {
	t.Helper()
	var problem *api.Problem
	if err != nil && !errors.As(err, &problem) {
		t.Fatal(err)
	}
	return problem
}

// TestEventForAnUnknownWebhook: by HTTP an event that names a webhook which its
// tenant does not have is refused, another tenant's included; one that was made
// on another node just now is found.
func TestEventForAnUnknownWebhook(t *testing.T) {
	l := newLoop(t, nil)
	key, _ := l.tenantKey("acme", "standard")
	other, _ := l.tenantKey("other", "standard")
	id := l.call(key, "POST", "/v1/webhooks", `{`+aURL+`}`).is(201).str("id")
	foreign := l.call(other, "POST", "/v1/webhooks", `{`+aURL+`,"uid":"theirs"}`).is(201).str("id")
	row := schemas.Endpoint{ID: "wh_elsewhere", Tenant: "acme", Version: 1, URL: "https://example.com/", Profile: "standard", Active: true, Verified: true}
	rec, err := row.Record(l.topology)
	if err != nil {
		t.Fatal(err)
	}
	l.records = append(l.records, rec) // not applied here yet
	for _, c := range []struct {
		named string
		known bool
	}{{"wh_elsewhere", true}, {id, true}, {"webhook_" + strings.TrimPrefix(id, "wh_"), true}, {foreign, false}, {"uid:theirs", false}, {"wh_nope", false}, {"", true}} {
		named, known := c.named, c.known
		ev := schemas.Event{ID: "e", Type: "a", Tenant: "acme", Kind: schemas.KindEvent, EndpointID: named, Data: []byte(`{}`)}
		problem := problemOf(t, l.registry.Check(t.Context(), &ev))
		if (problem == nil) != known || problem != nil && (problem.Status != 422 || problem.Field != "endpoint_id") {
			t.Errorf("%s: %v", named, problem)
		}
	}
}

// TestFilterByUID: what a query filters by may be a uid; the handler sees the id.
func TestFilterByUID(t *testing.T) {
	l := newLoop(t, nil)
	key, _ := l.tenantKey("acme", "standard")
	id := l.call(key, "POST", "/v1/webhooks", `{`+aURL+`,"uid":"a&b"}`).is(201).str("id")
	var seen string
	route := api.Route{Pattern: "/v1/deliveries", Doc: api.Doc{Query: []api.Param{{Name: "webhook_id"}}},
		Handle: func(_ http.ResponseWriter, r *http.Request) error { seen = r.URL.RawQuery; return nil }}
	handle := l.registry.TakeUIDs([]api.Route{route})[0].Handle
	for query, want := range map[string]string{
		"limit=3&webhook_id=uid:a%26b": "limit=3&webhook_id=" + id,
		"webhook_id=wh_x&limit=3":      "webhook_id=wh_x&limit=3",
	} {
		req := httptest.NewRequest(http.MethodGet, "/v1/deliveries?"+query, nil)
		req = req.WithContext(api.WithPrincipal(req.Context(), api.Principal{Tenant: "acme"}))
		if err := handle(nil, req); err != nil || seen != want || req.URL.RawQuery != query {
			t.Errorf("%s: %s %v", query, seen, err)
		}
	}
	req := httptest.NewRequest(http.MethodGet, "/v1/deliveries?webhook_id=uid:nope", nil)
	if p := problemOf(t, handle(nil, req.WithContext(api.WithPrincipal(req.Context(), api.Principal{Tenant: "acme"})))); p == nil || p.Status != 404 {
		t.Error(p)
	}
}

// TestManyUnknownWebhooksCatchUpSeldom: a batch that names nothing but unknown
// webhooks does not ask Kafka once for each of them.
func TestManyUnknownWebhooksCatchUpSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		barriers := 0
		set, err := profile.Builtin()
		if err != nil {
			t.Fatal(err)
		}
		l := &loop{t: t, topology: schemas.DevTopology()}
		c := l.config(set)
		c.Barrier = func(context.Context) error { barriers++; return nil }
		r, err := endpoint.NewRegistry(c)
		if err != nil {
			t.Fatal(err)
		}
		ev := schemas.Event{ID: "e", Type: "a", Tenant: "acme", Kind: schemas.KindEvent, EndpointID: "wh_nope", Data: []byte(`{}`)}
		for round := 1; round <= 2; round++ {
			for range 1000 {
				if problem := problemOf(t, r.Check(t.Context(), &ev)); problem == nil || problem.Field != "endpoint_id" {
					t.Fatal(problem)
				}
			}
			if barriers != round {
				t.Errorf("round %d: %d barriers", round, barriers)
			}
			time.Sleep(time.Second)
		}
	})
}
