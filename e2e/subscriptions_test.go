package e2e

// Who of a product's webhooks gets which event.

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

// catalogue is what a product publishes, one event of each type, each in an
// envelope that begins as given.
func catalogue(t *testing.T, product, envelope string) []string {
	t.Helper()
	set, err := profile.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	p, _ := set.Get(product)
	var lines []string
	for _, e := range p.Events() {
		lines = append(lines, fmt.Sprintf(`{%s,"type":%q,"data":%s}`, envelope, e.Type, e.Sample))
	}
	return lines
}

// TestSmartCVSubscriptions: every active webhook gets the types it subscribes
// to and no other, under one id that all attempts and webhooks share; one that
// is off gets nothing, and what comes once it is on again.
func TestSmartCVSubscriptions(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := newSink(t, func(w http.ResponseWriter, r *http.Request, n int) {
		if r.URL.Path == "/all" && n == 0 {
			w.WriteHeader(http.StatusBadRequest) // as its receivers say to everything
		}
	})
	s.webhook(map[string]any{"url": r.URL + "/all", "profile": "smartcv", "events": []string{"resume.*", "user.*", "ai.*"}})
	s.webhook(map[string]any{"url": r.URL + "/created", "profile": "smartcv", "events": []string{"resume.created"}})
	off, _ := s.webhook(map[string]any{"url": r.URL + "/off", "profile": "smartcv", "events": []string{"user.registered"}, "active": false})

	s.publish(`{"type":"resume.created","data":{"resume":{"id":"resume_1"}}}`)
	first := r.arrived(t, "/all", 2)
	alone := r.arrived(t, "/created", 1)[0]
	if first[0].body != first[1].body || first[0].body != alone.body {
		t.Errorf("attempts and webhooks differ:\n%s\n%s\n%s", first[0].body, first[1].body, alone.body)
	}
	id, _, _ := strings.Cut(strings.TrimPrefix(alone.body, `{"id":"`), `"`)
	if !schemas.IsMadeID("event_", id) {
		t.Errorf("the id is %q in %s", id, alone.body)
	}
	lines := catalogue(t, "smartcv", `"tenant":"default"`)
	s.publish(append(lines, `{"type":"resume.printed","data":{}}`, `{"id":"mark","type":"resume.created","data":{}}`)...)
	got := r.arrived(t, "/all", 2+len(lines)+1)
	ids, types := map[string]bool{}, map[string]bool{}
	for _, q := range got[2:] {
		_, rest, _ := strings.Cut(q.body, `"id":"`)
		id, rest, _ := strings.Cut(rest, `","type":"`)
		eventType, _, _ := strings.Cut(rest, `"`)
		ids[id], types[eventType] = true, true
	}
	if len(ids) != len(lines)+1 || len(types) != len(lines) || types["resume.printed"] {
		t.Errorf("%d ids, types %v", len(ids), types)
	}
	s.wantSQL("SELECT event_type, state, error_kind FROM hookstream.deliveries WHERE endpoint_id = '"+off+"'", "user.registered\tskipped\tinactive")
	s.call(http.MethodPatch, "/v1/webhooks/"+off, map[string]any{"active": true}, http.StatusOK, nil)
	s.publish(`{"id":"second","type":"user.registered","data":{"user":{"id":"user_2"}}}`)
	if q := r.arrived(t, "/off", 1); len(q) != 1 || !strings.HasPrefix(q[0].body, `{"id":"second"`) {
		t.Errorf("once it is on again: %v", q)
	}
	for _, q := range r.arrived(t, "/created", 3) {
		if !strings.Contains(q.body, `"type":"resume.created"`) {
			t.Errorf("not subscribed to: %s", q.body)
		}
	}
}

// TestSmartKYCWebhooks: without a list of events a webhook gets all eleven
// types, signed with the tenant's API Secret like every other of the tenant,
// with its own headers on each request, tests and retries too; one that is
// off gets nothing, which its log shows.
func TestSmartKYCWebhooks(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := newRawReceiver(t)
	var keys struct{ Secret string }
	s.call(http.MethodPost, "/v1/tenants", map[string]any{"id": "bank", "profile": "smartkyc"}, http.StatusCreated, nil)
	s.call(http.MethodPost, "/v1/tenants/bank/keys", map[string]any{"name": "k"}, http.StatusCreated, &keys)
	hook := func(path string, more map[string]any) string {
		fields := map[string]any{"tenant": "bank", "name": path, "url": r.URL + path}
		for k, v := range more {
			fields[k] = v
		}
		id, _ := s.webhook(fields)
		return id
	}
	own := map[string]string{"Authorization": "Bearer of the receiver", "X-rOUTE-To": "eu-1", "X-Request-ID": "planted-in-a-header"}
	all := hook("/all", map[string]any{"headers": own, "name": "all"})
	other := hook("/other", map[string]any{"events": []string{"submission.approved"}})
	off := hook("/off", map[string]any{"active": false})
	lines := catalogue(t, "smartkyc", `"tenant":"bank"`)
	s.publish(lines...)
	s.call(http.MethodPost, "/v1/webhooks/test", map[string]any{"webhook_id": all, "event_type": "aml.match.found"}, http.StatusAccepted, nil)
	signed := func(q rawRequest) {
		t.Helper()
		if got, n := q.line("X-SmartKYC-Signature"); n != 1 || got != hmacHex(keys.Secret, q.body) {
			t.Errorf("signature %q, %d times, over %s", got, n, q.body)
		}
	}
	for n := range len(lines) + 1 {
		q := r.wait(t, "/all", n)
		signed(q)
		for name, want := range own {
			if got, n := q.line(name); got != want || n != 1 {
				t.Errorf("%s is %q, %d times in %q", name, got, n, q.head)
			}
		}
	}
	q := r.wait(t, "/other", 0)
	signed(q)
	if _, n := q.line("X-rOUTE-To"); n != 0 || !strings.Contains(q.body, `"event":"submission.approved"`) || !strings.HasSuffix(q.body, `"tenantId":"tenant_bank"}`) {
		t.Errorf("%q %s", q.head, q.body)
	}
	s.wantSQL("SELECT count(), countIf(state = 'skipped' AND error_kind = 'inactive') FROM hookstream.deliveries WHERE endpoint_id = '"+off+"'", fmt.Sprintf("%d\t%[1]d", len(lines)))
	s.wantSQL("SELECT count(), uniqExact(event_type) FROM hookstream.deliveries WHERE endpoint_id = '"+all+"' AND kind = 'event'", fmt.Sprintf("%d\t%[1]d", len(lines)))
	var logs page
	s.call(http.MethodGet, "/v1/webhooks/"+off+"/logs", nil, http.StatusOK, &logs)
	if len(logs.Data) != len(lines) || logs.Data[0].Status != "skipped" || logs.Data[0].ErrorKind != "inactive" {
		t.Errorf("the log of one that is off: %+v", logs.Data)
	}
	s.call(http.MethodPatch, "/v1/webhooks/"+off, map[string]any{"active": true}, http.StatusOK, nil)
	s.publish(`{"tenant":"bank","type":"invitation.sent","data":{"invitationId":"next"}}`)
	if q := r.wait(t, "/off", 0); !strings.Contains(q.body, `"next"`) {
		t.Errorf("the next event is %s", q.body)
	}
	a := s.ask(http.MethodGet, "/v1/webhooks/"+all, nil, nil)
	for name, value := range own {
		if !strings.Contains(string(a.body), name) || strings.Contains(string(a.body), value) {
			t.Errorf("%s is not masked in %s", name, a.body)
		}
	}
	s.wantSQL("SELECT count() FROM hookstream.deliveries WHERE endpoint_id = '"+other+"'", "1")
}
