package endpoint_test

// What the products' own webhooks ask of the registry.

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hookstream/hookstream/delivery/endpoint"
	"github.com/hookstream/hookstream/schemas"
)

// matched is whom an event goes to, and why some get nothing.
func (l *loop) matched(tenant, eventType string) map[string]string {
	l.t.Helper()
	m, err := l.registry.Match(l.t.Context(), &schemas.Event{ID: "e", Type: eventType, Tenant: tenant, Kind: schemas.KindEvent})
	if err != nil {
		l.t.Fatal(err)
	}
	skips := map[string]string{}
	for _, one := range m {
		skips[one.EndpointID] = one.Skip
	}
	return skips
}

// TestSmartCVSubscriptions: a webhook gets the types in its events and no other,
// nothing while it is inactive, and the next event once it is active again.
func TestSmartCVSubscriptions(t *testing.T) {
	l := newLoop(t, nil)
	key, _ := l.tenantKey("cv", "smartcv")
	id := l.call(key, "POST", "/v1/webhooks", `{`+aURL+`,"events":["resume.created","ai.analysis_completed"]}`).is(201).str("id")
	p, _ := builtin(t).Get("smartcv")
	for _, e := range p.Events() {
		skip, found := l.matched("cv", e.Type)[id]
		if want := e.Type == "resume.created" || e.Type == "ai.analysis_completed"; found != want || skip != "" {
			t.Errorf("%s: matched %v, skip %q", e.Type, found, skip)
		}
	}
	l.call(key, "PATCH", "/v1/webhooks/"+id, `{"active":false}`).is(200)
	if got := l.matched("cv", "resume.created"); got[id] != schemas.SkipInactive {
		t.Errorf("inactive: %v", got)
	}
	l.call(key, "PATCH", "/v1/webhooks/"+id, `{"active":true}`).is(200)
	if got, found := l.matched("cv", "resume.created")[id]; !found || got != "" {
		t.Errorf("active again: %q %v", got, found)
	}
	if r := l.call(key, "POST", "/v1/webhooks", `{`+aURL+`,"events":["resume.created","resume.printed"]}`).problem(422, "events"); !strings.Contains(r.str("detail"), "resume.printed") {
		t.Error(r.text)
	}
}

// TestIHatePPTWebhookByKey: a Bearer key, a URL and events make a webhook with a
// wh_ id; a secret that is left out is made and shown that once.
func TestIHatePPTWebhookByKey(t *testing.T) {
	l := newLoop(t, nil)
	key, _ := l.tenantKey("ppt", "ihateppt")
	given := l.call(key, "POST", "/v1/webhooks", `{`+aURL+`,"events":["ppt.generation.completed"],"secret":"your_webhook_secret"}`).is(201)
	if !strings.HasPrefix(given.str("id"), "wh_") || given.str("profile") != "ihateppt" || strings.Contains(given.text, "your_webhook_secret") {
		t.Error(given.text)
	}
	if target, _ := l.registry.Target(given.str("id")); len(target.Secrets) != 1 || string(target.Secrets[0]) != "your_webhook_secret" {
		t.Error("the given secret does not sign")
	}
	made := l.call(key, "POST", "/v1/webhooks", `{`+aURL+`,"events":["ppt.generation.completed"]}`).is(201)
	secret := made.str("secret")
	if target, _ := l.registry.Target(made.str("id")); secret == "" || string(target.Secrets[0]) != secret {
		t.Errorf("made secret %q", secret)
	}
	for _, path := range []string{"/v1/webhooks/" + made.str("id"), "/v1/webhooks"} {
		if r := l.call(key, "GET", path, "").is(200); strings.Contains(r.text, secret) {
			t.Errorf("%s shows the secret again", path)
		}
	}
}

// TestSmartKYCWebhookLife: name, URL, status and headers by API: made, read,
// changed, switched off and on, deleted; name and URL are needed.
func TestSmartKYCWebhookLife(t *testing.T) {
	l := newLoop(t, nil)
	key, _ := l.tenantKey("bank", "smartkyc")
	l.call(key, "POST", "/v1/webhooks", `{"name":"KYC"}`).problem(422, "url")
	l.call(key, "POST", "/v1/webhooks", `{`+aURL+`}`).problem(422, "name")
	made := l.call(key, "POST", "/v1/webhooks", `{"name":"KYC",`+aURL+`,"headers":{"Authorization":"Bearer planted","X-Team":"risk"}}`).is(201)
	path := "/v1/webhooks/" + made.str("id")
	if made.str("name") != "KYC" || made.str("status") != "active" || fmt.Sprint(made.body["headers"]) != "map[Authorization:"+endpoint.Mask+" X-Team:"+endpoint.Mask+"]" {
		t.Error(made.text)
	}
	p, _ := builtin(t).Get("smartkyc")
	if len(p.Events()) != 11 {
		t.Fatalf("%d types", len(p.Events()))
	}
	for _, e := range p.Events() {
		if skip, found := l.matched("bank", e.Type)[made.str("id")]; !found || skip != "" {
			t.Errorf("%s does not go to a webhook without a list: %q", e.Type, skip)
		}
	}
	l.call(key, "PATCH", path, `{"name":""}`).problem(422, "name")
	if r := l.call(key, "PATCH", path, `{"name":"KYC 2","active":false}`).is(200); r.str("name") != "KYC 2" || r.str("status") != "inactive" {
		t.Error(r.text)
	}
	if got := l.matched("bank", "submission.completed"); got[made.str("id")] != schemas.SkipInactive {
		t.Errorf("inactive: %v", got)
	}
	if r := l.call(key, "PATCH", path, `{"active":true}`).is(200); r.str("status") != "active" {
		t.Error(r.text)
	}
	if got := l.matched("bank", "submission.completed"); got[made.str("id")] != "" {
		t.Errorf("active again: %v", got)
	}
	l.call(key, "DELETE", path, "").is(204)
	l.call(key, "PATCH", path, `{"active":true}`).is(404)
	if got := l.matched("bank", "submission.completed"); len(got) != 0 {
		t.Errorf("deleted: %v", got)
	}
}

// TestSmartKYCSecretOfTheTenant: one API Secret signs all webhooks of a tenant;
// once it is rotated, the new one signs alone and at once.
func TestSmartKYCSecretOfTheTenant(t *testing.T) {
	l := newLoop(t, nil)
	key, secret := l.tenantKey("bank", "smartkyc")
	ids := []string{l.call(key, "POST", "/v1/webhooks", `{"name":"a",`+aURL+`}`).is(201).str("id"), l.call(key, "POST", "/v1/webhooks", `{"name":"b",`+aURL+`}`).is(201).str("id")}
	p, _ := builtin(t).Get("smartkyc")
	signedBy := func(secret string) {
		t.Helper()
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(`{"a":1}`))
		want := hex.EncodeToString(mac.Sum(nil))
		for _, id := range ids {
			target, _ := l.registry.Target(id)
			headers, err := p.Headers(&schemas.Delivery{EventID: "evt_1", EventType: "submission.completed", Tenant: "bank"}, []byte(`{"a":1}`), target.Secrets, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			found := 0
			for _, h := range headers {
				if h.Key == "X-SmartKYC-Signature" {
					found++
					if string(h.Value) != want {
						t.Errorf("%s is signed with another secret", id)
					}
				}
			}
			if found != 1 {
				t.Errorf("%d signatures", found)
			}
		}
	}
	signedBy(secret)
	signedBy(l.call(rootKey, "POST", "/v1/tenants/bank/rotate", "").is(200).str("secret"))
}

// TestAPISecretBroughtAlong: a tenant that comes from elsewhere keeps the API
// Secret that its receivers have; nobody is shown it again.
func TestAPISecretBroughtAlong(t *testing.T) {
	l := newLoop(t, nil)
	l.call(rootKey, "POST", "/v1/tenants", `{"id":"bank","profile":"smartkyc","secret":"their-old-secret"}`).is(201)
	first := l.call(rootKey, "POST", "/v1/tenants/bank/keys", "").is(201)
	if strings.Contains(first.text, "secret") {
		t.Errorf("the first key shows a secret: %s", first.text)
	}
	id := l.call(first.str("key"), "POST", "/v1/webhooks", `{"name":"a",`+aURL+`}`).is(201).str("id")
	if target, _ := l.registry.Target(id); len(target.Secrets) != 1 || string(target.Secrets[0]) != "their-old-secret" {
		t.Fatalf("%d secrets, or another one, sign", len(target.Secrets))
	}
	for name, body := range map[string]string{
		"of another form": `{"id":"x","secret":"no-whsec"}`,
		"the mask":        `{"id":"x","profile":"smartkyc","secret":"` + endpoint.Mask + `"}`,
		"too long":        `{"id":"x","profile":"smartkyc","secret":"` + strings.Repeat("s", 1025) + `"}`,
	} {
		if r := l.call(rootKey, "POST", "/v1/tenants", body); r.status != 422 {
			t.Errorf("%s: %d %s", name, r.status, r.text)
		} else {
			r.problem(422, "secret")
		}
	}
	l.call(rootKey, "GET", "/v1/tenants/x", "").is(404)
}

// TestKeyBroughtAlong: customers go on with the key that they have.
func TestKeyBroughtAlong(t *testing.T) {
	l := newLoop(t, nil)
	l.tenantKey("deck", "ihateppt")
	l.tenantKey("other", "ihateppt")
	const key = "ihp_live_4f1a77c2d09b"
	made := l.call(rootKey, "POST", "/v1/tenants/deck/keys", `{"name":"theirs","key":"`+key+`"}`).is(201)
	if strings.Contains(made.text, key) {
		t.Errorf("a key that was brought along is shown: %s", made.text)
	}
	if p, ok := l.registry.Authenticate(key); !ok || p.Tenant != "deck" || p.KeyID != made.str("id") || p.Root {
		t.Errorf("%+v %v", p, ok)
	}
	l.call(rootKey, "POST", "/v1/tenants/other/keys", `{"key":"`+key+`"}`).problem(409, "key")
	for _, bad := range []string{"short", strings.Repeat("k", 257), "with a blank in it", strings.Repeat("*", 20), "ümlaut-in-the-key-1"} {
		l.call(rootKey, "POST", "/v1/tenants/other/keys", `{"key":"`+bad+`"}`).problem(422, "key")
	}
	l.call(rootKey, "DELETE", "/v1/tenants/deck/keys/"+made.str("id"), "").is(204)
	if _, ok := l.registry.Authenticate(key); ok {
		t.Error("a deleted key counts")
	}
	l.call(rootKey, "POST", "/v1/tenants/other/keys", `{"key":"`+key+`"}`).is(201)
}

// TestCustomHeadersRefusedAtSave: reserved names of HTTP and of every profile,
// names that are no tokens, and values that could end the header's line.
func TestCustomHeadersRefusedAtSave(t *testing.T) {
	l := newLoop(t, nil)
	key, _ := l.tenantKey("bank", "smartkyc")
	id := l.call(key, "POST", "/v1/webhooks", `{"name":"KYC",`+aURL+`,"headers":{"X-Auth":"kept"}}`).is(201).str("id")
	var names []string
	set := builtin(t)
	for _, name := range set.Names() {
		p, _ := set.Get(name)
		headers, err := p.Headers(&schemas.Delivery{EventID: "evt_1", EventType: "a", Tenant: "t"}, []byte(`{}`), [][]byte{[]byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range headers {
			names = append(names, h.Key, strings.ToUpper(h.Key))
		}
	}
	if len(names) < 16 {
		t.Fatalf("profiles name only %v", names)
	}
	names = append(names, "Content-Type", "content-length", "HOST", "Connection", "Keep-Alive", "Transfer-Encoding", "Upgrade", "Trailer", "TE", "Expect",
		"", " ", "X Auth", "X-Auth:", "X-Äuth", "X\tA", "X\nA", "(x)", "X\x00")
	type pair struct{ name, value string }
	var bad []pair
	for _, name := range names {
		bad = append(bad, pair{name, "v"})
	}
	for _, value := range []string{"a\rb", "a\nb", "a\r\nX-Evil: 1", "a\x00b", "\x7f"} {
		bad = append(bad, pair{"X-Auth", value})
	}
	for _, b := range bad {
		headers := `"headers":` + quoted(map[string]string{b.name: b.value})
		l.call(key, "POST", "/v1/webhooks", `{"name":"KYC",`+aURL+`,`+headers+`}`).problem(422, "headers")
		l.call(key, "PATCH", "/v1/webhooks/"+id, `{`+headers+`}`).problem(422, "headers")
	}
	if target, _ := l.registry.Target(id); len(target.Headers) != 1 || string(target.Headers[0].Value) != "kept" {
		t.Error("a refused change changed the headers")
	}
}
