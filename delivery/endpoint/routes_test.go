package endpoint_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/delivery/endpoint"
	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

const aURL = `"url":"https://example.com/hook"`

func TestWebhookLife(t *testing.T) {
	l := newLoop(t, nil)
	key, _ := l.tenantKey("acme", "standard")
	made := l.call(key, "POST", "/v1/webhooks", `{`+aURL+`,"events":["invoice.*","invoice.paid","invoice.*"],"headers":{"X-Auth":"planted-header"},"rate_limit":2.5,"retry":[1,2,4],"timeout_ms":5000,"metadata":{"a":"b"},"uid":"u1","name":"first"}`).is(201)
	id, secret := made.str("id"), made.str("secret")
	if !strings.HasPrefix(id, "wh_") || !strings.HasPrefix(secret, "whsec_") || made.header.Get("ETag") != `"1"` || made.header.Get("Location") != "/v1/webhooks/"+id {
		t.Fatalf("%s %v", made.text, made.header)
	}
	if made.str("tenant") != "acme" || made.str("profile") != "standard" || made.str("status") != "active" || made.body["verified"] != true || fmt.Sprint(made.body["events"]) != "[invoice.* invoice.paid]" {
		t.Fatal(made.text)
	}
	target, ok := l.registry.Target(id)
	if !ok || string(target.Secrets[0]) != secret || target.Timeout != 5*time.Second || fmt.Sprint(target.Retry) != "[1s 2s 4s]" || target.RateLimit != 2.5 ||
		len(target.Headers) != 1 || target.Headers[0].Key != "X-Auth" || string(target.Headers[0].Value) != "planted-header" || target.Standing != endpoint.Active || target.Fault != "" {
		t.Fatalf("%#v %v", target, ok)
	}

	got := l.call(key, "GET", "/v1/webhooks/"+id, "").is(200)
	if got.str("secret") != "" || fmt.Sprint(got.body["headers"]) != "map[X-Auth:"+endpoint.Mask+"]" {
		t.Fatal(got.text)
	}

	edited := l.call(key, "PATCH", "/v1/webhooks/"+id, `{"active":false,"retry":[],"headers":{"x-auth":"`+endpoint.Mask+`","X-More":"m"}}`, "If-Match", `"1"`).is(200)
	if edited.str("status") != "inactive" || edited.header.Get("ETag") != `"2"` || fmt.Sprint(edited.body["retry"]) != "[]" || edited.str("name") != "first" {
		t.Fatal(edited.text)
	}
	target, _ = l.registry.Target(id)
	if target.Retry == nil || len(target.Retry) != 0 || target.Standing != endpoint.Inactive || len(target.Headers) != 2 || string(target.Headers[1].Value) != "planted-header" {
		t.Fatalf("%#v %q", target, target.Headers)
	}
	l.call(key, "PATCH", "/v1/webhooks/"+id, `{"name":"x"}`, "If-Match", `"1"`).is(412)
	l.call(key, "DELETE", "/v1/webhooks/"+id, "", "If-Match", `"1"`).is(412)
	l.call(key, "POST", "/v1/webhooks", `{`+aURL+`,"uid":"u1"}`).problem(409, "uid")

	l.call(key, "DELETE", "/v1/webhooks/"+id, "", "If-Match", `"2"`).is(204)
	l.call(key, "GET", "/v1/webhooks/"+id, "").is(404)
	l.call(key, "DELETE", "/v1/webhooks/"+id, "").is(404)
	if target, ok := l.registry.Target(id); ok || target.Standing != endpoint.Deleted {
		t.Errorf("%#v", target)
	}
	var actions []string
	for _, n := range l.notices {
		if n.Kind != schemas.NoticeAudit || n.Actor == "" || n.Tenant != "acme" || n.At == 0 {
			t.Errorf("notice %+v", n)
		}
		actions = append(actions, n.Action+":"+n.Detail)
	}
	if got := strings.Join(actions, " "); got != "tenant.create:id, profile key.create:secrets, revealed, keys "+
		"webhook.create:url, events, name, uid, metadata, headers, rate_limit, retry, timeout_ms webhook.update:active, headers, retry, no_retry webhook.delete:" {
		t.Error(got)
	}
}

func TestRefusedWebhooks(t *testing.T) {
	l := newLoop(t, nil)
	key, _ := l.tenantKey("acme", "standard")
	before := len(l.records)
	for _, c := range []struct {
		body, field string
		status      int
	}{
		{`{}`, "url", 422},
		{`{"url":"https://forbidden.example"}`, "url", 422},
		{`{"url":"https://e.com/` + strings.Repeat("x", 2048) + `"}`, "url", 422},
		{`{` + aURL + `,"evnts":["a"]}`, "evnts", 422},
		{`{` + aURL + `,"events":"a"}`, "events", 422},
		{`{` + aURL + `,"events":["a b"]}`, "events", 422},
		{`{` + aURL + `,"events":["a.*.b"]}`, "events", 422},
		{`{` + aURL + `,"profile":"nope"}`, "profile", 422},
		{`{` + aURL + `,"secret":"short"}`, "secret", 422},
		{`{` + aURL + `,"profile":"smartkyc","secret":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}`, "secret", 422},
		{`{` + aURL + `,"profile":"smartcv","events":["no.such.type"]}`, "events", 422},
		{`{` + aURL + `,"rate_limit":-1}`, "rate_limit", 422},
		{`{` + aURL + `,"retry":[0]}`, "retry", 422},
		{`{` + aURL + `,"retry":["1s"]}`, "retry.0", 422},
		{`{` + aURL + `,"timeout_ms":5}`, "timeout_ms", 422},
		{`{` + aURL + `,"on_exhausted":"halt"}`, "on_exhausted", 422},
		{`{` + aURL + `,"ordered":true,"on_exhausted":"stop"}`, "on_exhausted", 422},
		{`{` + aURL + `,"ordered":true,"concurrency":2}`, "concurrency", 422},
		{`{` + aURL + `,"name":"a\nb"}`, "name", 422},
		{`{` + aURL + `,"metadata":{"":"x"}}`, "metadata", 422},
		{`{` + aURL + `,"headers":{"Content-Type":"x"}}`, "headers", 422},
		{`{` + aURL + `,"headers":{"content-length":"x"}}`, "headers", 422},
		{`{` + aURL + `,"headers":{"Connection":"x"}}`, "headers", 422},
		{`{` + aURL + `,"headers":{"Webhook-Signature":"x"}}`, "headers", 422},
		{`{` + aURL + `,"headers":{"X-SmartCV-Signature":"x"}}`, "headers", 422},
		{`{` + aURL + `,"headers":{"x-smartkyc-signature":"x"}}`, "headers", 422},
		{`{` + aURL + `,"headers":{"X-A":"a\r\nX-B: b"}}`, "headers", 422},
		{`{` + aURL + `,"headers":{"X A":"a"}}`, "headers", 422},
		{`{` + aURL + `,"headers":{"X-A":"a","x-a":"b"}}`, "headers", 422},
		{`{` + aURL + `,"headers":{"X-A":"` + endpoint.Mask + `"}}`, "headers", 422},
		{`{` + aURL + `,"tenant":"other"}`, "tenant", 403},
	} {
		l.call(key, "POST", "/v1/webhooks", c.body).problem(c.status, c.field)
	}
	if n := len(l.records); n != before {
		t.Errorf("%d records written", n-before)
	}
	l.call(rootKey, "POST", "/v1/webhooks", `{`+aURL+`,"tenant":"a/b"}`).problem(422, "tenant")
	id := l.call(key, "POST", "/v1/webhooks", `{`+aURL+`}`).is(201).str("id")
	for body, field := range map[string]string{`{"profile":"smartcv"}`: "profile", `{"secret":"x"}`: "secret", `{"url":""}`: "url", `{"retry":[1],"default_retry":true}`: "default_retry", `{"nmae":"x"}`: "nmae"} {
		l.call(key, "PATCH", "/v1/webhooks/"+id, body).problem(422, field)
	}
}

func TestTenantsAreApart(t *testing.T) {
	l := newLoop(t, nil)
	alice, _ := l.tenantKey("alice", "standard")
	bob, _ := l.tenantKey("bob", "smartcv")
	id := l.call(alice, "POST", "/v1/webhooks", `{`+aURL+`}`).is(201).str("id")
	for _, c := range [][3]string{
		{"GET", "/v1/webhooks/" + id, ""}, {"PATCH", "/v1/webhooks/" + id, `{"name":"x"}`}, {"DELETE", "/v1/webhooks/" + id, ""},
		{"POST", "/v1/webhooks/" + id + "/rotate-secret", ""}, {"POST", "/v1/webhooks/" + id + "/test", ""}, {"POST", "/v1/webhooks/" + id + "/verify", ""},
		{"POST", "/v1/webhooks/test", `{"webhook_id":"` + id + `"}`},
	} {
		l.call(bob, c[0], c[1], c[2]).is(404)
	}
	l.call(bob, "GET", "/v1/webhooks?tenant=alice", "").is(403)
	l.call(bob, "GET", "/v1/webhooks?tenant=*", "").is(403)
	if r := l.call(bob, "GET", "/v1/webhooks", "").is(200); !strings.Contains(r.text, `"data":[]`) {
		t.Error(r.text)
	}
	for _, r := range l.registry.Routes() {
		if r.Auth == api.Root {
			l.call(alice, r.Method, strings.NewReplacer("{id}", "alice", "{key}", "x").Replace(r.Pattern), "{}").is(403)
		}
	}
	if got := l.call(bob, "POST", "/v1/webhooks", `{`+aURL+`}`).is(201).str("profile"); got != "smartcv" {
		t.Errorf("profile %q, want the tenant's", got)
	}
	// Root makes a tenant by naming it, and reads them all.
	l.call(rootKey, "POST", "/v1/webhooks", `{`+aURL+`,"tenant":"carol"}`).is(201)
	l.call(rootKey, "GET", "/v1/tenants/carol", "").is(200)
	if r := l.call(rootKey, "GET", "/v1/webhooks?tenant=*", "").is(200); len(r.body["data"].([]any)) != 3 {
		t.Error(r.text)
	}
	if r := l.call(rootKey, "POST", "/v1/webhooks", `{`+aURL+`}`).is(201); r.str("tenant") != "default" {
		t.Error(r.text)
	}
	l.call(rootKey, "GET", "/v1/webhooks/"+id, "").is(200)
	// The target of an event is never another tenant's endpoint.
	m, err := l.registry.Match(t.Context(), &schemas.Event{ID: "e", Type: "a", Tenant: "bob", EndpointID: id, Kind: schemas.KindEvent})
	if err != nil || len(m) != 0 {
		t.Errorf("%v %v", m, err)
	}
}

func TestEveryRouteNeedsAKeyAndIsDocumented(t *testing.T) {
	l := newLoop(t, nil)
	doc := l.call("", "GET", "/openapi.json", "").is(200)
	paths := doc.body["paths"].(object)
	for _, r := range l.registry.Routes() {
		path := strings.NewReplacer("{id}", "wh_x", "{key}", "x").Replace(r.Pattern)
		for _, key := range []string{"", "foreign", "hsk_" + strings.Repeat("0", 52)} {
			l.call(key, r.Method, path, "{}").is(401)
		}
		item, _ := paths[r.Pattern].(object)
		if op, _ := item[strings.ToLower(r.Method)].(object); op == nil || op["summary"] == nil {
			t.Errorf("%s %s is not in the document", r.Method, r.Pattern)
		}
	}
}

func TestRotateSecret(t *testing.T) {
	l := newLoop(t, nil)
	key, _ := l.tenantKey("acme", "standard")
	made := l.call(key, "POST", "/v1/webhooks", `{`+aURL+`}`).is(201)
	id := made.str("id")
	next := l.call(key, "POST", "/v1/webhooks/"+id+"/rotate-secret", `{"overlap_seconds":60}`).is(200)
	target, _ := l.registry.Target(id)
	if len(target.Secrets) != 2 || string(target.Secrets[0]) != next.str("secret") || string(target.Secrets[1]) != made.str("secret") || next.str("previous_secret_until") == "" {
		t.Fatalf("%d secrets, %s", len(target.Secrets), next.text)
	}
	given := "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	last := l.call(key, "POST", "/v1/webhooks/"+id+"/rotate-secret", `{"overlap_seconds":0,"secret":"`+given+`"}`).is(200)
	if target, _ = l.registry.Target(id); len(target.Secrets) != 1 || string(target.Secrets[0]) != given || last.body["previous_secret_until"] != nil {
		t.Fatalf("%d secrets, %s", len(target.Secrets), last.text)
	}
	l.call(key, "POST", "/v1/webhooks/"+id+"/rotate-secret", `{"secret":"x"}`).problem(422, "secret")
	l.call(key, "POST", "/v1/webhooks/"+id+"/rotate-secret", `{"overlap_seconds":-1}`).problem(422, "overlap_seconds")
	kyc := l.call(key, "POST", "/v1/webhooks", `{`+aURL+`,"profile":"smartkyc"}`).is(201)
	if kyc.str("secret") != "" {
		t.Error("a webhook of a tenant-secret profile shows a secret")
	}
	l.call(key, "POST", "/v1/webhooks/"+kyc.str("id")+"/rotate-secret", "").is(409)
}

func TestTenantSecretAndKeys(t *testing.T) {
	l := newLoop(t, nil)
	key, secret := l.tenantKey("acme", "smartkyc")
	if !strings.HasPrefix(key, "hsk_") || secret == "" {
		t.Fatalf("%q %q", key, secret)
	}
	id := l.call(key, "POST", "/v1/webhooks", `{"name":"KYC",`+aURL+`}`).is(201).str("id")
	if target, _ := l.registry.Target(id); len(target.Secrets) != 1 || string(target.Secrets[0]) != secret {
		t.Fatalf("%v", target)
	}
	second := l.call(rootKey, "POST", "/v1/tenants/acme/keys", `{"name":"second","rate_limit":60}`).is(201)
	if second.str("secret") != "" {
		t.Error("the second key shows the secret again")
	}
	if p, ok := l.registry.Authenticate(second.str("key")); !ok || p.Tenant != "acme" || p.Rate != 60 || p.Root {
		t.Errorf("%+v %v", p, ok)
	}
	list := l.call(rootKey, "GET", "/v1/tenants/acme/keys", "").is(200)
	if len(list.body["data"].([]any)) != 2 || strings.Contains(list.text, key) {
		t.Error(list.text)
	}
	l.call(rootKey, "DELETE", "/v1/tenants/acme/keys/"+second.str("id"), "").is(204)
	l.call(rootKey, "DELETE", "/v1/tenants/acme/keys/"+second.str("id"), "").is(404)
	l.call(second.str("key"), "GET", "/v1/webhooks", "").is(401)
	rotated := l.call(rootKey, "POST", "/v1/tenants/acme/rotate", `{"overlap_seconds":0}`).is(200)
	if target, _ := l.registry.Target(id); len(target.Secrets) != 1 || string(target.Secrets[0]) != rotated.str("secret") || rotated.str("secret") == secret {
		t.Fatal("the rotated secret does not sign alone")
	}
	l.call(rotated.str("key"), "GET", "/v1/webhooks/"+id, "").is(200)
	l.call(rootKey, "POST", "/v1/tenants", `{"id":"acme"}`).problem(409, "id")
	l.call(rootKey, "POST", "/v1/tenants", `{"id":"a b"}`).problem(422, "id")
	l.call(rootKey, "POST", "/v1/tenants", `{"id":"x","profile":"nope"}`).problem(422, "profile")
	l.call(rootKey, "POST", "/v1/tenants/nobody/keys", "").is(404)
	l.call(rootKey, "DELETE", "/v1/tenants/acme", "").is(204)
	l.call(rootKey, "GET", "/v1/tenants/acme", "").is(404)
	l.call(key, "GET", "/v1/webhooks", "").is(401)
	if _, ok := l.registry.Target(id); ok {
		t.Error("the tenant's webhook is still there")
	}
	if e, n := l.registry.Len(); e != 0 || n != 0 {
		t.Errorf("%d endpoints and %d tenants left", e, n)
	}
}

func TestTestDelivery(t *testing.T) {
	l := newLoop(t, nil)
	key, _ := l.tenantKey("acme", "smartcv")
	id := l.call(key, "POST", "/v1/webhooks", `{`+aURL+`,"active":false}`).is(201).str("id")
	set := builtin(t)
	p, _ := set.Get("smartcv")
	wire := schemas.WireID(id, schemas.WebhookPrefix, p.WirePrefixes().Webhook)
	for _, c := range [][2]string{{"/v1/webhooks/test", `{"webhook_id":"` + id + `"}`}, {"/v1/webhooks/test", `{"webhook_id":"` + wire + `"}`}, {"/v1/webhooks/" + wire + "/test", ""}, {"/v1/webhooks/" + id + "/test", `{}`}} {
		r := l.call(key, "POST", c[0], c[1]).is(202)
		ev := l.events[len(l.events)-1]
		if ev.Kind != schemas.KindTest || ev.EndpointID != id || ev.ReplayID == "" || r.str("event_id") != ev.ID || r.str("event_type") != ev.Type || ev.Tenant != "acme" ||
			r.str("delivery_id") != schemas.DeliveryID("acme", ev.ID, id, ev.ReplayID) {
			t.Fatalf("%+v %s", ev, r.text)
		}
		if err := ev.Check(); err != nil {
			t.Fatal(err)
		}
		if err := p.CheckData(ev.Type, ev.Data); err != nil {
			t.Fatal(err)
		}
		m, err := l.registry.Match(t.Context(), &ev)
		if err != nil || len(m) != 1 || m[0].Skip != "" || m[0].EndpointID != id {
			t.Fatalf("a test to a paused webhook: %+v %v", m, err)
		}
	}
	l.call(key, "POST", "/v1/webhooks/"+id+"/test", `{"event_type":"no.such"}`).problem(422, "event_type")
	l.call(key, "POST", "/v1/webhooks/"+id+"/test", `{"webhook_id":"wh_other"}`).problem(422, "webhook_id")
	l.call(key, "POST", "/v1/webhooks/test", `{}`).problem(422, "webhook_id")
	l.call(key, "POST", "/v1/webhooks/test", `{"webhook_id":"wh_nobody"}`).is(404)
}

func TestDisabledIsEnabledByItsOwner(t *testing.T) {
	l := newLoop(t, nil)
	key, _ := l.tenantKey("acme", "standard")
	id := l.call(key, "POST", "/v1/webhooks", `{`+aURL+`}`).is(201).str("id")
	status := schemas.EndpointStatus{ID: id, ForVersion: 1, Disabled: true, Reason: "gone"}
	rec, err := status.Record(l.topology)
	if err != nil {
		t.Fatal(err)
	}
	l.registry.Apply(&rec)
	if r := l.call(key, "GET", "/v1/webhooks/"+id, "").is(200); r.str("status") != "disabled" || r.str("disabled_reason") != "gone" {
		t.Fatal(r.text)
	}
	l.call(key, "POST", "/v1/webhooks/"+id+"/test", "").is(409)
	if r := l.call(key, "PATCH", "/v1/webhooks/"+id, `{"active":true}`).is(200); r.str("status") != "active" {
		t.Fatal(r.text)
	}
	last := l.records[len(l.records)-1]
	if c, err := schemas.ParseControl(&last); err != nil || c.Action != schemas.ControlEnable || c.EndpointID != id || !c.Disabled {
		t.Errorf("%+v %v", c, err)
	}
	l.registry.Apply(&rec) // the status of the older version comes late
	if target, _ := l.registry.Target(id); target.Standing != endpoint.Active {
		t.Error(target.Standing)
	}
}

func TestChallengedProfiles(t *testing.T) {
	l := newLoop(t, func(c *endpoint.Config) {
		c.Challenged = func(p *profile.Profile) bool { return p.Name() == "standard" }
	})
	key, _ := l.tenantKey("acme", "standard")
	made := l.call(key, "POST", "/v1/webhooks", `{`+aURL+`}`).is(201)
	id := made.str("id")
	if made.str("status") != "pending" || made.body["verified"] != false {
		t.Fatal(made.text)
	}
	orders := func() (n int) {
		for _, rec := range l.records {
			if c, err := schemas.ParseControl(&rec); rec.Topic == l.topology.ControlTopic() && err == nil && c.Action == schemas.ControlVerify && c.EndpointID == id {
				n++
			}
		}
		return n
	}
	ev := schemas.Event{ID: "e", Type: "a", Tenant: "acme", Kind: schemas.KindEvent}
	if m, _ := l.registry.Match(t.Context(), &ev); len(m) != 1 || m[0].Skip != schemas.SkipUnverified {
		t.Errorf("%+v", m)
	}
	l.call(key, "POST", "/v1/webhooks/"+id+"/verify", "").is(202)
	if n := orders(); n != 2 {
		t.Errorf("%d challenges ordered, want 2", n)
	}
	status := schemas.EndpointStatus{ID: id, ForVersion: 1, Verified: true}
	rec, _ := status.Record(l.topology)
	l.registry.Apply(&rec)
	// Being verified survives an edit, but not another URL.
	if r := l.call(key, "PATCH", "/v1/webhooks/"+id, `{"name":"n"}`).is(200); r.str("status") != "active" {
		t.Error(r.text)
	}
	if r := l.call(key, "PATCH", "/v1/webhooks/"+id, `{"url":"https://example.com/other"}`).is(200); r.str("status") != "pending" || orders() != 3 {
		t.Error(r.text, orders())
	}
	if r := l.call(key, "PATCH", "/v1/webhooks/"+id, `{"skip_verification":true}`).is(200); r.str("status") != "active" {
		t.Error(r.text)
	}
	other := l.call(key, "POST", "/v1/webhooks", `{`+aURL+`,"profile":"smartcv"}`).is(201)
	l.call(key, "POST", "/v1/webhooks/"+other.str("id")+"/verify", "").is(409)
}

func TestListPages(t *testing.T) {
	l := newLoop(t, nil)
	key, _ := l.tenantKey("acme", "standard")
	var want []string
	for range 7 {
		id := l.call(key, "POST", "/v1/webhooks", `{`+aURL+`}`).is(201).str("id")
		want = append([]string{id}, want...)
		time.Sleep(2 * time.Millisecond) // rows keep whole milliseconds, and the order is by time
	}
	var got []string
	cursor := ""
	for {
		r := l.call(key, "GET", "/v1/webhooks?limit=3&cursor="+cursor, "").is(200)
		if r.str("as_of") == "" {
			t.Fatal(r.text)
		}
		for _, row := range r.body["data"].([]any) {
			got = append(got, row.(object)["id"].(string))
		}
		if cursor = r.str("next_cursor"); cursor == "" {
			break
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	l.call(key, "GET", "/v1/webhooks?cursor=xxx", "").problem(400, "cursor")
	l.call(key, "GET", "/v1/webhooks?limit=0", "").problem(400, "limit")
	if r := l.call(rootKey, "GET", "/v1/tenants?limit=1", "").is(200); len(r.body["data"].([]any)) != 1 {
		t.Error(r.text)
	}
}

func TestUnreachableLogIs503(t *testing.T) {
	l := newLoop(t, nil)
	key, _ := l.tenantKey("acme", "standard")
	l.mu.Lock()
	l.fail = errors.New("broker is away")
	l.mu.Unlock()
	r := l.call(key, "POST", "/v1/webhooks", `{`+aURL+`}`).is(http.StatusServiceUnavailable)
	if r.header.Get("Retry-After") == "" || strings.Contains(r.text, "whsec_") || strings.Contains(r.text, "broker") {
		t.Error(r.text)
	}
}

// TestKeysLimitIsRaisedInPlace: the operator changes a key that is in use; its
// text stays, and its very next request is under the new limit.
func TestKeysLimitIsRaisedInPlace(t *testing.T) {
	l := newLoop(t, nil)
	other, _ := l.tenantKey("acme", "standard")
	made := l.call(rootKey, "POST", "/v1/tenants/acme/keys", `{"name":"app","rate_limit":1}`).is(201)
	key, path := made.str("key"), "/v1/tenants/acme/keys/"+made.str("id")
	pass := func() (n int) {
		for n <= 30 && l.call(key, "GET", "/v1/webhooks", "").status == 200 {
			n++
		}
		return n
	}
	if n := pass(); n != 2 {
		t.Errorf("%d requests pass at 1 a minute", n)
	}
	l.call(other, "PATCH", path, `{"rate_limit":10}`).is(403)
	l.call(rootKey, "PATCH", path, `{"rate_limit":0.5}`).problem(422, "rate_limit")
	l.call(rootKey, "PATCH", path, `{"name":"a\nb"}`).problem(422, "name")
	l.call(rootKey, "PATCH", "/v1/tenants/acme/keys/key_nobody", `{}`).is(404)
	l.call(rootKey, "PATCH", "/v1/tenants/nobody/keys/"+made.str("id"), `{}`).is(404)
	raised := l.call(rootKey, "PATCH", path, `{"rate_limit":10}`).is(200)
	if raised.body["rate_limit"] != 10.0 || raised.str("name") != "app" || strings.Contains(raised.text, key) {
		t.Errorf("%s", raised.text)
	}
	if n := pass(); n < 18 || n > 20 {
		t.Errorf("%d requests pass at 10 a minute after the 2 before", n)
	}
	if named := l.call(rootKey, "PATCH", path, `{"name":"new","rate_limit":0}`).is(200); named.body["rate_limit"] != nil || named.str("name") != "new" {
		t.Errorf("%s", named.text)
	}
	if p, ok := l.registry.Authenticate(key); !ok || p.Rate != 0 || p.Tenant != "acme" {
		t.Errorf("%+v %v", p, ok)
	}
}
