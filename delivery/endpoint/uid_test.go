package endpoint_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/schemas"
)

// TestUIDNamesAWebhook: the owner's own id finds, changes, tests and deletes a
// webhook on every route, within its tenant only.
func TestUIDNamesAWebhook(t *testing.T) {
	l := newLoop(t, nil)
	acme, _ := l.tenantKey("acme", "standard")
	other, _ := l.tenantKey("other", "standard")
	made := l.call(acme, "POST", "/v1/webhooks", `{`+aURL+`,"uid":"order system/1","description":"two\nlines","metadata":{"team":"billing"}}`).is(201)
	id := made.str("id")
	const path = "/v1/webhooks/uid:order%20system%2F1"
	got := l.call(acme, "GET", path, "").is(200)
	if got.str("id") != id || got.str("uid") != "order system/1" || got.str("description") != "two\nlines" || fmt.Sprint(got.body["metadata"]) != "map[team:billing]" {
		t.Fatal(got.text)
	}
	got = l.call(acme, "PATCH", path, `{"description":"","metadata":{"a":"b"}}`).is(200)
	if got.str("id") != id || got.body["description"] != nil || fmt.Sprint(got.body["metadata"]) != "map[a:b]" {
		t.Error(got.text)
	}
	l.call(acme, "POST", path+"/rotate-secret", "").is(200)
	l.call(acme, "POST", path+"/test", "").is(202)
	l.call(acme, "POST", "/v1/webhooks/test", `{"webhook_id":"uid:order system/1"}`).is(202)
	if n := len(l.events); n != 2 || l.events[0].EndpointID != id || l.events[1].EndpointID != id {
		t.Errorf("%d tests, %+v", n, l.events)
	}
	l.call(acme, "POST", path+"/test", `{"webhook_id":"`+id+`"}`).is(202)
	l.call(acme, "POST", path+"/verify", "").is(409) // the profile has no challenge
	for _, method := range []string{"GET", "DELETE"} {
		l.call(other, method, path, "").is(404)
		l.call(acme, method, "/v1/webhooks/uid:nobody", "").is(404)
	}

	list := func(key, query string) int {
		return len(l.call(key, "GET", "/v1/webhooks?"+query, "").is(200).body["data"].([]any))
	}
	l.call(acme, "POST", "/v1/webhooks", `{`+aURL+`}`).is(201)
	if n := list(acme, "uid=order+system%2F1"); n != 1 {
		t.Errorf("%d webhooks with the uid", n)
	}
	if list(acme, "uid=nobody") != 0 || list(other, "uid=order+system%2F1") != 0 || list(acme, "") != 2 {
		t.Error("the filter lists others")
	}

	// Root sees all tenants: it says which one it means where several have the uid.
	l.call(rootKey, "GET", path, "").is(200)
	l.call(other, "POST", "/v1/webhooks", `{`+aURL+`,"uid":"order system/1"}`).is(201)
	l.call(rootKey, "GET", path, "").problem(409, "uid")
	if got := l.call(rootKey, "GET", path+"?tenant=acme", "").is(200); got.str("id") != id {
		t.Error(got.text)
	}
	if list(rootKey, "tenant=*&uid=order+system%2F1") != 2 || list(rootKey, "tenant=acme&uid=order+system%2F1") != 1 {
		t.Error("root's filter")
	}
	l.call(acme, "DELETE", path, "").is(204)
	l.call(acme, "GET", "/v1/webhooks/"+id, "").is(404)
}

// TestUIDIsUniqueWithinItsTenant: the refusal names the webhook that has it, and
// a uid is free again once its webhook gave it up or is gone.
func TestUIDIsUniqueWithinItsTenant(t *testing.T) {
	l := newLoop(t, nil)
	key, _ := l.tenantKey("acme", "standard")
	first := l.call(key, "POST", "/v1/webhooks", `{`+aURL+`,"uid":"one"}`).is(201).str("id")
	second := l.call(key, "POST", "/v1/webhooks", `{`+aURL+`,"uid":"two"}`).is(201).str("id")
	if r := l.call(key, "POST", "/v1/webhooks", `{`+aURL+`,"uid":"one"}`).problem(409, "uid"); !strings.Contains(r.str("detail"), first) {
		t.Error(r.text)
	}
	if r := l.call(key, "PATCH", "/v1/webhooks/"+second, `{"uid":"one"}`).problem(409, "uid"); !strings.Contains(r.str("detail"), first) {
		t.Error(r.text)
	}
	l.call(key, "PATCH", "/v1/webhooks/"+first, `{"uid":"one","name":"same uid"}`).is(200)
	l.call(key, "PATCH", "/v1/webhooks/"+first, `{"uid":""}`).is(200)
	l.call(key, "GET", "/v1/webhooks/uid:one", "").is(404)
	l.call(key, "PATCH", "/v1/webhooks/"+second, `{"uid":"one"}`).is(200)
	if r := l.call(key, "GET", "/v1/webhooks/uid:one", "").is(200); r.str("id") != second {
		t.Error(r.text)
	}
	l.call(key, "DELETE", "/v1/webhooks/uid:one", "").is(204)
	l.call(key, "POST", "/v1/webhooks", `{`+aURL+`,"uid":"one"}`).is(201)
	l.call(key, "POST", "/v1/webhooks", `{`+aURL+`,"uid":"`+strings.Repeat("x", 201)+`"}`).problem(422, "uid")
	l.call(key, "POST", "/v1/webhooks", `{`+aURL+`,"uid":"a\nb"}`).problem(422, "uid")
	l.call(key, "POST", "/v1/webhooks", `{`+aURL+`,"description":"`+strings.Repeat("x", 2001)+`"}`).problem(422, "description")
	l.call(key, "POST", "/v1/webhooks", `{`+aURL+`,"metadata":{"k":"`+strings.Repeat("x", 513)+`"}}`).problem(422, "metadata")
	var many []string
	for i := range 51 {
		many = append(many, fmt.Sprintf(`"k%d":"v"`, i))
	}
	l.call(key, "POST", "/v1/webhooks", `{`+aURL+`,"metadata":{`+strings.Join(many, ",")+`}}`).problem(422, "metadata")
	l.call(key, "POST", "/v1/webhooks", `{`+aURL+`,"metadata":{"k":1}}`).is(422)
}

// TestTwoNodesTakeOneUID: what both wrote in one moment names neither, and says
// which two to mend.
func TestTwoNodesTakeOneUID(t *testing.T) {
	l := newLoop(t, nil)
	for _, id := range []string{"wh_a", "wh_b"} {
		row := schemas.Endpoint{ID: id, Tenant: "acme", Version: 1, UID: "twice", URL: "https://example.com", Profile: "standard", Active: true, Verified: true}
		rec, err := row.Record(l.topology)
		if err != nil {
			t.Fatal(err)
		}
		l.registry.Apply(&rec)
	}
	by := api.Principal{Tenant: "acme", KeyID: "k"}
	_, err := l.registry.WebhookID(by, "", "uid:twice")
	if err == nil || !strings.Contains(err.Error(), "wh_a") || !strings.Contains(err.Error(), "wh_b") {
		t.Errorf("%v", err)
	}
	gone := schemas.EndpointTombstone(l.topology, "wh_a")
	l.registry.Apply(&gone)
	if id, err := l.registry.WebhookID(by, "", "uid:twice"); err != nil || id != "wh_b" {
		t.Errorf("%q %v", id, err)
	}
}
