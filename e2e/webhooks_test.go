package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestStanding: what an owner does to a webhook decides what happens to its
// events: paused, active again, deleted with a retry on its way.
func TestStanding(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := newSink(t, func(w http.ResponseWriter, r *http.Request, _ int) {
		if r.URL.Path == "/failing" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	id, _ := s.webhook(map[string]any{"url": r.URL + "/paused", "events": []string{"note.*"}})
	failing, _ := s.webhook(map[string]any{"url": r.URL + "/failing", "events": []string{"task.*"}, "retry": []float64{3, 3}})

	a := s.ask(http.MethodPatch, "/v1/webhooks/"+id, map[string]any{"active": false}, nil)
	if a.status != http.StatusOK || !strings.Contains(string(a.body), `"status":"inactive"`) {
		t.Fatalf("%d %s", a.status, a.body)
	}
	s.publish(`{"id":"while-paused","type":"note.made","data":1}`)
	s.wantSQL("SELECT state, error_kind, attempts FROM hookstream.deliveries WHERE event_id = 'while-paused'", "skipped\tinactive\t0")
	s.wantSQL("SELECT length(delivery_ids), arrayStringConcat(`skipped.endpoint_id`), arrayStringConcat(`skipped.reason`) FROM hookstream.events WHERE event_id = 'while-paused'", "0\t"+id+"\tinactive")
	var logs page
	s.call(http.MethodGet, "/v1/webhooks/"+id+"/logs", nil, http.StatusOK, &logs)
	if len(logs.Data) != 1 || logs.Data[0].Status != "skipped" || logs.Data[0].ErrorKind != "inactive" || logs.Data[0].ResponseCode != nil {
		t.Errorf("logs of a paused webhook: %+v", logs.Data)
	}

	// A test goes out all the same, and says what it is.
	var test struct {
		DeliveryID string `json:"delivery_id"`
		EventID    string `json:"event_id"`
		EventType  string `json:"event_type"`
	}
	s.call(http.MethodPost, "/v1/webhooks/"+id+"/test", map[string]any{"event_type": "invoice.paid"}, http.StatusAccepted, &test)
	if got := r.byEvent(t, "/paused", test.EventID); !strings.Contains(got.body, `"type":"invoice.paid"`) || !strings.Contains(got.body, "inv_8841") {
		t.Errorf("the test event is %s", got.body)
	}
	s.wantSQL("SELECT kind, state, endpoint_id FROM hookstream.deliveries WHERE delivery_id = '"+test.DeliveryID+"'", "test\tsuccess\t"+id)
	s.call(http.MethodGet, "/v1/webhooks/"+id+"/logs?status=success", nil, http.StatusOK, &logs)
	if len(logs.Data) != 1 || logs.Data[0].ID != test.DeliveryID {
		t.Errorf("the test is not in the logs: %+v", logs.Data)
	}
	var detail struct{ Kind string }
	s.call(http.MethodGet, "/v1/deliveries/"+test.DeliveryID, nil, http.StatusOK, &detail)
	if detail.Kind != "test" {
		t.Errorf("kind of a test delivery: %q", detail.Kind)
	}

	s.call(http.MethodPatch, "/v1/webhooks/"+id, map[string]any{"active": true}, http.StatusOK, nil)
	s.publish(`{"id":"active-again","type":"note.made","data":1}`)
	r.byEvent(t, "/paused", "active-again")

	// Deleted with a retry pending: the retry ends as skipped, nothing is sent.
	s.publish(`{"id":"doomed","type":"task.made","data":1}`)
	r.arrived(t, "/failing", 1)
	s.wantSQL("SELECT state, attempts FROM hookstream.deliveries WHERE event_id = 'doomed'", "pending\t1")
	if a := s.ask(http.MethodDelete, "/v1/webhooks/"+failing, nil, nil); a.status != http.StatusNoContent {
		t.Fatalf("deleting: %d %s", a.status, a.body)
	}
	refused(t, "a deleted webhook", s.ask(http.MethodGet, "/v1/webhooks/"+failing, nil, nil), http.StatusNotFound, "")
	s.wantSQL("SELECT state, error_kind FROM hookstream.deliveries WHERE event_id = 'doomed'", "skipped\tdeleted")
	if n := r.count("/failing"); n != 1 {
		t.Errorf("%d requests to a webhook that was deleted after the first", n)
	}
	s.publish(`{"id":"nobody","type":"task.made","data":1}`)
	s.wantSQL("SELECT state, error_kind FROM hookstream.deliveries WHERE event_id = 'nobody'", "skipped\tno_match")
	s.wantSQL("SELECT made, terminal, pending, difference FROM hookstream.conservation", "4\t4\t0\t0")
}

// TestVersions: If-Match guards an edit; refusals name the field and change
// nothing; secrets and header values are never shown again.
func TestVersions(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := newSink(t, nil)
	const credential = "Bearer planted-in-a-header"
	a := s.ask(http.MethodPost, "/v1/webhooks", map[string]any{"url": r.URL + "/x", "events": []string{"a.*"}, "headers": map[string]string{"X-Custom-Auth": credential}}, nil)
	var made struct {
		ID, Secret string
		Version    int64
		Headers    map[string]string
	}
	if err := json.Unmarshal(a.body, &made); err != nil || a.status != http.StatusCreated || made.Secret == "" || !strings.HasPrefix(made.ID, "wh_") {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if strings.Contains(string(a.body), credential) || made.Headers["X-Custom-Auth"] == "" {
		t.Errorf("the custom header is shown as %q", made.Headers)
	}
	path, etag := "/v1/webhooks/"+made.ID, a.header.Get("ETag")
	edit := func(ifMatch string, patch map[string]any) answer {
		return s.ask(http.MethodPatch, path, patch, map[string]string{"If-Match": ifMatch})
	}
	if a := edit(etag, map[string]any{"name": "one"}); a.status != http.StatusOK || a.header.Get("ETag") == etag {
		t.Errorf("with the right version: %d %s", a.status, a.body)
	}
	refused(t, "a stale edit", edit(etag, map[string]any{"name": "two"}), http.StatusPreconditionFailed, "")
	if a := s.ask(http.MethodDelete, path, nil, map[string]string{"If-Match": etag}); a.status != http.StatusPreconditionFailed {
		t.Errorf("a stale delete: %d %s", a.status, a.body)
	}
	if a := s.ask(http.MethodPost, path+"/rotate-secret", nil, map[string]string{"If-Match": etag}); a.status != http.StatusPreconditionFailed {
		t.Errorf("a stale rotation: %d %s", a.status, a.body)
	}
	for field, patch := range map[string]map[string]any{
		"url":        {"url": "ftp://example.com/"},
		"events":     {"events": []string{"not a type"}},
		"retry":      {"retry": []float64{-1}},
		"timeout_ms": {"timeout_ms": 1},
		"rate_limit": {"rate_limit": -5},
		"headers":    {"headers": map[string]string{"Webhook-Signature": "mine"}},
		"profile":    {"profile": "smartcv"},
		"secret":     {"secret": "whsec_x"},
	} {
		refused(t, field, edit("*", patch), http.StatusUnprocessableEntity, field)
	}
	if a := edit("*", map[string]any{"nmae": "typo"}); a.status != http.StatusUnprocessableEntity && a.status != http.StatusBadRequest {
		t.Errorf("a field that does not exist: %d %s", a.status, a.body)
	}
	var now struct {
		Name, Secret string
		Headers      map[string]string
	}
	s.call(http.MethodGet, path, nil, http.StatusOK, &now)
	if now.Name != "one" || now.Secret != "" || len(now.Headers) != 1 {
		t.Errorf("after refused edits: %+v", now)
	}
	// The mask, sent back, keeps the value.
	if a := edit("*", map[string]any{"headers": now.Headers}); a.status != http.StatusOK {
		t.Errorf("masked headers sent back: %d %s", a.status, a.body)
	}
	s.publish(`{"type":"a.b","data":1}`)
	if got := r.arrived(t, "/x", 1)[0].header.Get("X-Custom-Auth"); got != credential {
		t.Errorf("the custom header arrived as %q", got)
	}
	for _, bad := range []map[string]any{{"url": ""}, {"url": r.URL, "profile": "nosuch"}, {"url": r.URL, "secret": "no-whsec"}} {
		if a := s.ask(http.MethodPost, "/v1/webhooks", bad, nil); a.status != http.StatusUnprocessableEntity {
			t.Errorf("%v: %d %s", bad, a.status, a.body)
		}
	}
}

// TestRotation: while a rotation overlaps, the public library accepts what
// arrives under the old secret and under the new one.
func TestRotation(t *testing.T) {
	t.Parallel()
	s := start(t)
	var forward []string // receivers that verify
	r := newSink(t, nil)
	addr := [2]string{freePort(t), freePort(t)}
	id, old := s.webhook(map[string]any{"url": r.URL + "/"})
	var rotated struct {
		Secret   string
		Previous *time.Time `json:"previous_secret_until"`
	}
	s.call(http.MethodPost, "/v1/webhooks/"+id+"/rotate-secret", map[string]any{"overlap_seconds": 3600}, http.StatusOK, &rotated)
	if rotated.Secret == "" || rotated.Secret == old || rotated.Previous == nil {
		t.Fatalf("rotated to %+v", rotated)
	}
	verify := func(i int, secret string) <-chan nodeLine {
		forward = append(forward, addr[i])
		return newNodeReceiver(t, addr[i], secret)
	}
	withOld, withNew := verify(0, old), verify(1, rotated.Secret)
	pass := func(q request) {
		for _, to := range forward {
			req, err := http.NewRequest(http.MethodPost, "http://"+to+"/", strings.NewReader(q.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header = q.header.Clone()
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
	}
	verdicts := func(what, wantOld, wantNew string) {
		t.Helper()
		for secret, lines := range map[string]<-chan nodeLine{"old": withOld, "new": withNew} {
			select {
			case got := <-lines:
				want := wantOld
				if secret == "new" {
					want = wantNew
				}
				if (got.Verdict == "verified") != (want == "verified") || got.Tampered != "refused" {
					t.Errorf("%s: with the %s secret the library says %q (tampered: %q)", what, secret, got.Verdict, got.Tampered)
				}
			case <-time.After(time.Minute):
				t.Fatalf("%s: no verdict with the %s secret", what, secret)
			}
		}
	}
	s.publish(`{"id":"during","type":"a.b","data":` + nasty + `}`)
	pass(r.byEvent(t, "/", "during"))
	verdicts("during the overlap", "verified", "verified")

	// A rotation without overlap ends both.
	s.call(http.MethodPost, "/v1/webhooks/"+id+"/rotate-secret", map[string]any{"overlap_seconds": 0}, http.StatusOK, nil)
	s.publish(`{"id":"after","type":"a.b","data":1}`)
	pass(r.byEvent(t, "/", "after"))
	verdicts("after an immediate rotation", "refused", "refused")
}

// TestTenants: keys see and reach their own tenant only.
func TestTenants(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := newSink(t, nil)
	type key struct{ ID, Key, Secret string }
	keys := map[string]key{}
	ids := map[string]string{}
	for _, name := range []string{"red", "blue"} {
		s.call(http.MethodPost, "/v1/tenants", map[string]any{"id": name, "name": "Tenant " + name}, http.StatusCreated, nil)
		var k key
		s.call(http.MethodPost, "/v1/tenants/"+name+"/keys", map[string]any{"name": "first"}, http.StatusCreated, &k)
		if k.Key == "" || k.Secret == "" {
			t.Fatalf("the first key of a tenant: %+v", k)
		}
		keys[name] = k
	}
	as := func(name, method, path string, body any) answer {
		return s.ask(method, path, body, map[string]string{"Authorization": "Bearer " + keys[name].Key})
	}
	for _, name := range []string{"red", "blue"} {
		var made struct{ ID, Tenant string }
		a := as(name, http.MethodPost, "/v1/webhooks", map[string]any{"url": r.URL + "/" + name, "events": []string{"*"}})
		if err := json.Unmarshal(a.body, &made); err != nil || a.status != http.StatusCreated || made.Tenant != name {
			t.Fatalf("%d %s", a.status, a.body)
		}
		ids[name] = made.ID
		if a := as(name, http.MethodPost, "/v1/events", `{"id":"of-`+name+`","type":"a.b","data":1}`); a.status != http.StatusAccepted {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	r.byEvent(t, "/red", "of-red")
	r.byEvent(t, "/blue", "of-blue")
	s.wantSQL("SELECT count() FROM hookstream.deliveries WHERE state = 'success'", "2")
	delivery, err := s.sql("SELECT delivery_id FROM hookstream.deliveries WHERE tenant_id = 'blue'")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, path string
		body         any
		status       int
	}{
		{http.MethodGet, "/v1/webhooks/" + ids["blue"], nil, http.StatusNotFound},
		{http.MethodPatch, "/v1/webhooks/" + ids["blue"], map[string]any{"active": false}, http.StatusNotFound},
		{http.MethodDelete, "/v1/webhooks/" + ids["blue"], nil, http.StatusNotFound},
		{http.MethodPost, "/v1/webhooks/" + ids["blue"] + "/rotate-secret", nil, http.StatusNotFound},
		{http.MethodPost, "/v1/webhooks/" + ids["blue"] + "/test", nil, http.StatusNotFound},
		{http.MethodGet, "/v1/webhooks/" + ids["blue"] + "/logs", nil, http.StatusNotFound},
		{http.MethodGet, "/v1/deliveries/" + delivery, nil, http.StatusNotFound},
		{http.MethodPost, "/v1/deliveries/" + delivery + "/retry", nil, http.StatusNotFound},
		{http.MethodPost, "/v1/webhooks", map[string]any{"url": r.URL, "tenant": "blue"}, http.StatusForbidden},
		{http.MethodPost, "/v1/events", `{"type":"a.b","tenant":"blue","data":1}`, http.StatusForbidden},
		{http.MethodGet, "/v1/stats?tenant=blue", nil, http.StatusForbidden},
		{http.MethodGet, "/v1/dead?tenant=blue", nil, http.StatusForbidden},
		{http.MethodGet, "/v1/tenants", nil, http.StatusForbidden},
		{http.MethodPost, "/v1/tenants/blue/keys", nil, http.StatusForbidden},
	} {
		if a := as("red", c.method, c.path, c.body); a.status != c.status {
			t.Errorf("%s %s with a foreign key: %d, want %d: %.200s", c.method, c.path, a.status, c.status, a.body)
		}
	}
	var list struct{ Data []struct{ ID string } }
	a := as("red", http.MethodGet, "/v1/webhooks", nil)
	if err := json.Unmarshal(a.body, &list); err != nil || len(list.Data) != 1 || list.Data[0].ID != ids["red"] {
		t.Errorf("red sees %s", a.body)
	}

	// Keys: no key, a wrong one, by each way in, a further one, a deleted one.
	for _, h := range []map[string]string{{"Authorization": ""}, {"Authorization": "Bearer hsk_wrong"}} {
		if a := s.ask(http.MethodGet, "/v1/webhooks", nil, h); a.status != http.StatusUnauthorized {
			t.Errorf("%v: %d", h, a.status)
		}
	}
	if a := s.ask(http.MethodGet, "/v1/webhooks", nil, map[string]string{"Authorization": "", "X-API-Key": keys["red"].Key}); a.status != http.StatusOK {
		t.Errorf("X-API-Key: %d %s", a.status, a.body)
	}
	if a := s.ask(http.MethodGet, "/v1/webhooks?api_key="+keys["red"].Key, nil, map[string]string{"Authorization": ""}); a.status != http.StatusOK {
		t.Errorf("api_key: %d %s", a.status, a.body)
	}
	var second key
	s.call(http.MethodPost, "/v1/tenants/red/keys", nil, http.StatusCreated, &second)
	if second.Key == "" || second.Secret != "" {
		t.Errorf("a further key: %+v", second)
	}
	a = s.ask(http.MethodGet, "/v1/tenants/red/keys", nil, nil)
	if a.status != http.StatusOK || strings.Contains(string(a.body), second.Key) || strings.Contains(string(a.body), keys["red"].Secret) {
		t.Errorf("list of keys: %d %s", a.status, a.body)
	}
	if a := s.ask(http.MethodDelete, "/v1/tenants/red/keys/"+second.ID, nil, nil); a.status != http.StatusNoContent {
		t.Errorf("deleting a key: %d %s", a.status, a.body)
	}
	if a := s.ask(http.MethodGet, "/v1/webhooks", nil, map[string]string{"Authorization": "Bearer " + second.Key}); a.status != http.StatusUnauthorized {
		t.Errorf("a deleted key: %d", a.status)
	}
	s.wantSQL(fmt.Sprintf("SELECT count() FROM hookstream.audit WHERE tenant_id = 'red' AND action = 'key.delete' AND target = '%s'", second.ID), "1")
}
