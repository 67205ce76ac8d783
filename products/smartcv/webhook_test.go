package smartcv_test

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hookstream/hookstream/delivery/endpoint"
	"github.com/hookstream/hookstream/products/smartcv"
	"github.com/hookstream/hookstream/schemas"
)

const full = `{"url":"https://cv.example/hooks","events":["resume.created","ai.analysis_completed"],"secret":"chosen by its owner","active":true}`

func keysOf(m map[string]any) string { return strings.Join(slices.Sorted(maps.Keys(m)), " ") }

// secretOf is what the webhook signs with now.
func (b *bench) secretOf(wireID string) string {
	b.t.Helper()
	target, ok := b.registry.Target("wh_" + strings.TrimPrefix(wireID, "webhook_"))
	if !ok || len(target.Secrets) != 1 {
		b.t.Fatalf("%s: %d secrets, %v", wireID, len(target.Secrets), ok)
	}
	return string(target.Secrets[0])
}

func TestWebhooksOfSmartCV(t *testing.T) {
	b := newBench(t, nil)
	key := b.tenant("acme", "standard")
	made := b.call(key, "POST", "/api/webhooks", full).is(201)
	v := made.data()
	id := v["id"].(string)
	if keysOf(v) != "active createdAt events id secret url" || !schemas.IsMadeID("webhook_", id) || v["secret"] != "chosen by its owner" || v["active"] != true ||
		v["url"] != "https://cv.example/hooks" || fmt.Sprint(v["events"]) != "[resume.created ai.analysis_completed]" || made.header.Get("Location") != "/api/webhooks/"+id {
		t.Fatalf("%s", made.text)
	}
	if at := v["createdAt"].(string); !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z$`).MatchString(at) {
		t.Errorf("createdAt %s", at)
	}
	if got := b.secretOf(id); got != "chosen by its owner" {
		t.Errorf("signs with %q", got)
	}
	inner := "wh_" + strings.TrimPrefix(id, "webhook_")
	for _, form := range []string{id, inner} {
		if got := b.call(key, "GET", "/api/webhooks/"+form, "").is(200).data(); got["id"] != id || got["secret"] != endpoint.Mask {
			t.Errorf("%v", got)
		}
	}
	if list := b.call(key, "GET", "/api/webhooks", "").is(200).list(); len(list) != 1 || list[0]["id"] != id || list[0]["secret"] != endpoint.Mask {
		t.Errorf("%v", list)
	}

	// Only what is given changes.
	put := func(body string) map[string]any {
		t.Helper()
		return b.call(key, "PUT", "/api/webhooks/"+id, body).is(200).data()
	}
	if got := put(`{"active":false}`); got["active"] != false || got["url"] != v["url"] || fmt.Sprint(got["events"]) != fmt.Sprint(v["events"]) || got["secret"] != endpoint.Mask || got["createdAt"] != v["createdAt"] {
		t.Errorf("%v", got)
	}
	if got := put(`{"events":["resume.shared"],"url":"https://cv.example/other"}`); got["active"] != false || got["url"] != "https://cv.example/other" || fmt.Sprint(got["events"]) != "[resume.shared]" {
		t.Errorf("%v", got)
	}
	if b.secretOf(id) != "chosen by its owner" {
		t.Error("the secret changed along")
	}
	if got := put(`{"secret":"another"}`); got["secret"] != endpoint.Mask || b.secretOf(id) != "another" {
		t.Errorf("%v, signs with %q", got, b.secretOf(id))
	}
	// A webhook sent back as it was read, with one field changed.
	if got := put(fmt.Sprintf(`{"id":%q,"url":"https://cv.example/other","events":["resume.shared"],"secret":%q,"active":true,"createdAt":%q}`, id, endpoint.Mask, v["createdAt"])); got["active"] != true || b.secretOf(id) != "another" {
		t.Errorf("%v, signs with %q", got, b.secretOf(id))
	}
	if got := put(`{}`); got["active"] != true {
		t.Errorf("%v", got)
	}

	gone := b.call(key, "DELETE", "/api/webhooks/"+id, "").is(200)
	if gone.text != `{"success":true}`+"\n" {
		t.Errorf("%s", gone.text)
	}
	if list := b.call(key, "GET", "/api/webhooks", "").is(200).list(); len(list) != 0 {
		t.Errorf("%v", list)
	}
	b.call(key, "DELETE", "/api/webhooks/"+id, "").refused(404, id)

	// Without a secret one is made, and shown this once.
	v = b.call(key, "POST", "/api/webhooks", `{"url":"https://cv.example/hooks","events":["resume.created"]}`).is(201).data()
	if v["secret"] == "" || v["secret"] == endpoint.Mask || v["secret"] != b.secretOf(v["id"].(string)) || v["active"] != true {
		t.Errorf("%v", v)
	}
}

func TestRefusalsOfSmartCV(t *testing.T) {
	b := newBench(t, nil)
	key := b.tenant("acme", "smartcv")
	id := b.call(key, "POST", "/api/webhooks", full).is(201).data()["id"].(string)
	one, before := "/api/webhooks/"+id, len(b.records)
	for _, c := range []struct {
		key, method, path, body string
		status                  int
		word                    string
	}{
		{"", "GET", "/api/webhooks", "", 401, "key"},
		{"", "POST", "/api/webhooks", full, 401, "key"},
		{"", "PUT", one, `{"active":false}`, 401, "key"},
		{"", "DELETE", one, "", 401, "key"},
		{"", "POST", one + "/test", "", 401, "key"},
		{"", "GET", one + "/logs", "", 401, "key"},
		{"hsk_wrong", "GET", "/api/webhooks", "", 401, "not known"},
		{key, "POST", "/api/webhooks", "", 400, "empty"},
		{key, "POST", "/api/webhooks", "{", 400, "JSON"},
		{key, "POST", "/api/webhooks", `{"url":"https://a.example","events":["resume.created"],"colour":"red"}`, 400, "colour"},
		{key, "POST", "/api/webhooks", `{"url":1,"events":["resume.created"]}`, 400, "url"},
		{key, "POST", "/api/webhooks", `{"events":["resume.created"]}`, 400, "url"},
		{key, "POST", "/api/webhooks", `{"url":"https://forbidden.example","events":["resume.created"]}`, 400, "url"},
		{key, "POST", "/api/webhooks", `{"url":"https://a.example"}`, 400, "events"},
		{key, "POST", "/api/webhooks", `{"url":"https://a.example","events":[]}`, 400, "events"},
		{key, "POST", "/api/webhooks", `{"url":"https://a.example","events":["resume.created","resume.burnt"]}`, 400, "resume.burnt"},
		{key, "POST", "/api/webhooks", `{"url":"https://a.example","events":["resume.*"]}`, 400, "resume.*"},
		{key, "POST", "/api/webhooks", `{"url":"https://a.example","events":["*"]}`, 400, "events"},
		{key, "POST", "/api/webhooks", `{"url":"https://a.example","events":["resume.created"],"secret":"` + strings.Repeat("s", 2000) + `"}`, 400, "secret"},
		{key, "POST", "/api/webhooks", `{"url":"` + strings.Repeat("a", 2<<20) + `"}`, 413, "bytes"},
		{key, "PUT", one, `{"events":["resume.burnt"],"active":false}`, 400, "resume.burnt"},
		{key, "PUT", one, `{"events":[]}`, 400, "events"},
		{key, "PUT", one, `{"url":"https://forbidden.example","secret":"good"}`, 400, "url"},
		{key, "PUT", one, `{"active":false,"secret":""}`, 400, "secret"},
		{key, "PUT", one, `{"active":"no"}`, 400, "active"},
		{key, "PUT", one, `{"id":"webhook_other"}`, 400, "id"},
		{key, "PUT", "/api/webhooks/webhook_unknown", `{"active":false}`, 404, "webhook_unknown"},
		{key, "GET", "/api/webhooks/webhook_unknown", "", 404, "webhook_unknown"},
		{key, "POST", "/api/webhooks/webhook_unknown/test", "", 404, "webhook_unknown"},
		{key, "GET", "/api/webhooks/webhook_unknown/logs", "", 404, "webhook_unknown"},
		{key, "POST", one + "/test", `{"event_type":"resume.burnt"}`, 400, "resume.burnt"},
		{key, "POST", one + "/test", `{"type":"resume.created"}`, 400, "type"},
		{key, "GET", one + "/logs?limit=0", "", 400, "limit"},
		{key, "GET", one + "/logs?limit=201", "", 400, "limit"},
		{key, "GET", one + "/logs?limit=ten", "", 400, "limit"},
		{key, "GET", "/api/webhooks/a/b/c", "", 404, "/api/webhooks/a/b/c"},
		{key, "PATCH", one, `{}`, 405, "PUT"},
	} {
		b.call(c.key, c.method, c.path, c.body).refused(c.status, c.word)
	}
	if len(b.records) != before || len(b.events) != 0 {
		t.Errorf("%d records and %d events after refusals", len(b.records)-before, len(b.events))
	}
	for range 300 {
		if r := b.call(key, "GET", "/api/webhooks", ""); r.status == 429 {
			r.refused(429, "contact support")
			if r.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			return
		}
	}
	t.Error("300 requests at once and no 429")
}

// TestForeignWebhooksAreUnknown: what belongs to another tenant, or to another
// product, is answered as if it did not exist, and stays as it is.
func TestForeignWebhooksAreUnknown(t *testing.T) {
	b := newBench(t, nil)
	mine, theirs := b.tenant("mine", "smartcv"), b.tenant("theirs", "smartcv")
	foreign := b.call(theirs, "POST", "/api/webhooks", full).is(201).data()["id"].(string)
	other := b.call(mine, "POST", "/v1/webhooks", `{"url":"https://a.example","profile":"standard"}`).is(201).body["id"].(string)
	before := len(b.records)
	for _, id := range []string{foreign, "wh_" + strings.TrimPrefix(foreign, "webhook_"), other} {
		for _, call := range []struct{ method, path, body string }{
			{"GET", "", ""}, {"PUT", "", `{"active":false}`}, {"PUT", "", `{"secret":"stolen"}`}, {"DELETE", "", ""},
			{"POST", "/test", ""}, {"GET", "/logs", ""},
		} {
			b.call(mine, call.method, "/api/webhooks/"+id+call.path, call.body).refused(404, id)
		}
	}
	if list := b.call(mine, "GET", "/api/webhooks", "").is(200).list(); len(list) != 0 {
		t.Errorf("%v", list)
	}
	b.call(mine, "POST", "/api/webhooks?tenant=theirs", full).refused(403, "tenant")
	b.call(mine, "GET", "/api/webhooks?tenant=theirs", "").refused(403, "tenant")
	if len(b.records) != before || len(b.events) != 0 || len(b.queries) != 0 {
		t.Error("something was changed, sent or read")
	}
	// Root sees a tenant's when it names the tenant.
	if list := b.call(rootKey, "GET", "/api/webhooks?tenant=theirs", "").is(200).list(); len(list) != 1 || list[0]["id"] != foreign {
		t.Errorf("%v", list)
	}
	b.call(rootKey, "POST", "/api/webhooks?tenant=mine", full).is(201)
	if list := b.call(mine, "GET", "/api/webhooks", "").is(200).list(); len(list) != 1 {
		t.Errorf("%v", list)
	}
}

// TestListHasNoPages: all of a tenant's webhooks come in one answer, those of
// other products left out.
func TestListHasNoPages(t *testing.T) {
	b := newBench(t, nil)
	key := b.tenant("acme", "smartcv")
	for i := range 230 {
		b.call(rootKey, "POST", "/api/webhooks?tenant=acme", full).is(201)
		if i%10 == 0 {
			b.call(rootKey, "POST", "/v1/webhooks", `{"tenant":"acme","url":"https://a.example","profile":"standard"}`).is(201)
		}
	}
	seen := map[string]bool{}
	for _, v := range b.call(key, "GET", "/api/webhooks", "").is(200).list() {
		seen[v["id"].(string)] = true
	}
	if len(seen) != 230 {
		t.Errorf("%d of 230", len(seen))
	}
}

func TestTestsOfSmartCV(t *testing.T) {
	b := newBench(t, nil)
	key := b.tenant("acme", "smartcv")
	id := b.call(key, "POST", "/api/webhooks", strings.Replace(full, "true", "false", 1)).is(201).data()["id"].(string)
	got := b.call(key, "POST", "/api/webhooks/"+id+"/test", "").is(200).data()
	if keysOf(got) != "delivery_id event_id event_type" || got["event_type"] != "resume.created" ||
		!schemas.IsMadeID("delivery_", got["delivery_id"].(string)) || !schemas.IsMadeID("event_", got["event_id"].(string)) {
		t.Errorf("%v", got)
	}
	if got := b.call(key, "POST", "/api/webhooks/"+id+"/test", `{"event_type":"user.registered"}`).is(200).data(); got["event_type"] != "user.registered" {
		t.Errorf("%v", got)
	}
	if len(b.events) != 2 || b.events[0].Type != "resume.created" || b.events[0].Kind != schemas.KindTest || !strings.Contains(string(b.events[0].Data), `"resume"`) {
		t.Errorf("%+v", b.events)
	}
}

func TestConfigIsChecked(t *testing.T) {
	if _, err := smartcv.New(smartcv.Config{}); err == nil || !strings.Contains(err.Error(), "Registry") {
		t.Errorf("%v", err)
	}
}

// TestIfMatchGuardsTheSecret: a condition holds for every change, also for one
// of the secret alone, and for several changes in one request once.
func TestIfMatchGuardsTheSecret(t *testing.T) {
	b := newBench(t, nil)
	key := b.tenant("acme", "standard")
	id := b.call(key, "POST", "/api/webhooks", full).is(201).data()["id"].(string)
	for _, c := range []struct {
		tag, body string
		status    int
		secret    string
	}{
		{`"9"`, `{"secret":"of somebody else who was late"}`, 412, "chosen by its owner"},
		{`"1"`, `{"secret":"the second of its owner"}`, 200, "the second of its owner"},
		{`"2"`, `{"active":false,"secret":"the third of its owner"}`, 200, "the third of its owner"},
		{`"2"`, `{"active":true,"secret":"the fourth of its owner"}`, 412, "the third of its owner"},
	} {
		req, err := http.NewRequest(http.MethodPut, b.server.URL+"/api/webhooks/"+id, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+key)
		req.Header.Set("If-Match", c.tag)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if got := b.secretOf(id); resp.StatusCode != c.status || got != c.secret {
			t.Errorf("If-Match %s, %s: %d, signs with %q", c.tag, c.body, resp.StatusCode, got)
		}
	}
	b.call(key, "POST", "/api/webhooks", `{"url":"https://cv.example/hooks","events":["resume.created"],"secret":"********"}`).refused(400, "secret")
}
