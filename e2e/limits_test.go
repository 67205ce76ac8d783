package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestEndpointLimits: a webhook's own rate and concurrency hold, and nothing
// is lost to them.
func TestEndpointLimits(t *testing.T) {
	t.Parallel()
	s := start(t)
	var flying, most atomic.Int64
	r := newSink(t, func(_ http.ResponseWriter, r *http.Request, _ int) {
		if r.URL.Path != "/narrow" {
			return
		}
		n := flying.Add(1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		time.Sleep(20 * time.Millisecond)
		flying.Add(-1)
	})
	const perSecond, events = 5, 20
	s.webhook(map[string]any{"url": r.URL + "/slowly", "rate_limit": perSecond})
	s.webhook(map[string]any{"url": r.URL + "/narrow", "concurrency": 3})
	var lines []string
	for i := range events {
		lines = append(lines, fmt.Sprintf(`{"type":"a.b","data":%d}`, i))
	}
	s.publish(lines...)
	slowly := r.arrived(t, "/slowly", events)
	if took, least := slowly[events-1].at.Sub(slowly[0].at), (events-2)*time.Second/perSecond; took < least {
		t.Errorf("%d requests within %v, want at least %v at %d a second", events, took, least, perSecond)
	}
	r.arrived(t, "/narrow", events)
	if n := most.Load(); n > 3 {
		t.Errorf("%d requests at once, want at most 3", n)
	}
	s.wantSQL("SELECT count(), countIf(state = 'success'), max(attempts) FROM hookstream.deliveries", fmt.Sprintf("%d\t%d\t1", 2*events, 2*events))
}

// TestProfileRules: by Kafka, an event that a webhook's profile refuses is
// that webhook's loss alone, with a row and a dead letter.
func TestProfileRules(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := newSink(t, nil)
	strict, _ := s.webhook(map[string]any{"url": r.URL + "/strict", "profile": "smartcv", "events": []string{"resume.created"}})
	s.webhook(map[string]any{"url": r.URL + "/easy", "events": []string{"resume.*"}})
	s.record(s.prefix+"events", `{"id":"bad","type":"resume.created","data":[1]}`)
	s.record(s.prefix+"events", `{"id":"good","type":"resume.created","data":{}}`)
	r.byEvent(t, "/easy", "bad")
	r.byEvent(t, "/easy", "good")
	s.wantSQL("SELECT state, error_kind, attempts FROM hookstream.deliveries WHERE event_id = 'bad' AND endpoint_id = '"+strict+"'", "error\trejected\t0")
	s.wantSQL("SELECT state FROM hookstream.deliveries WHERE event_id = 'good' AND endpoint_id = '"+strict+"'", "success")
	var dead page
	s.call(http.MethodGet, "/v1/dead?webhook_id="+strict, nil, http.StatusOK, &dead)
	if len(dead.Data) != 1 || dead.Data[0].EventID != "bad" || dead.Data[0].Error == "" {
		t.Errorf("dead letters: %+v", dead.Data)
	}
	if letters := readAll(t, s, s.prefix+"dead"); len(letters) != 1 || letters[0] != "[1]" {
		t.Errorf("the topic of dead letters holds %q", letters)
	}
	if got := r.arrived(t, "/strict", 1); len(got) != 1 || !strings.Contains(got[0].body, `"good"`) {
		t.Errorf("%d requests: %+v", len(got), got)
	}
	s.wantSQL("SELECT made, terminal, difference FROM hookstream.conservation", "4\t4\t0")
}

// TestCallback: an event may bring the URL that it is for; it is signed with
// the tenant's API Secret, and its webhook is in no list.
func TestCallback(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := newSink(t, nil)
	s.call(http.MethodPost, "/v1/tenants", map[string]any{"id": "caller"}, http.StatusCreated, nil)
	var key struct{ Key, Secret string }
	s.call(http.MethodPost, "/v1/tenants/caller/keys", nil, http.StatusCreated, &key)
	event := func(id, path string) string {
		return fmt.Sprintf(`{"id":"%s","type":"resume.created","tenant":"caller","callback_url":"%s","profile":"smartcv","data":{}}`, id, r.URL+path)
	}
	s.record(s.prefix+"events", event("one", "/back"))
	s.publish(event("two", "/back"))
	for _, q := range r.arrived(t, "/back", 2) {
		if want := "sha256=" + hmacHex(key.Secret, q.header.Get("X-SmartCV-Timestamp")+"."+q.body); q.header.Get("X-SmartCV-Signature") != want {
			t.Errorf("signed %q over %s", q.header.Get("X-SmartCV-Signature"), q.body)
		}
	}
	s.wantSQL("SELECT count(), uniqExact(endpoint_id), any(startsWith(endpoint_id, 'wh_')), countIf(state = 'success') FROM hookstream.deliveries", "2\t1\t1\t2")
	var list struct{ Data []json.RawMessage }
	s.call(http.MethodGet, "/v1/webhooks?tenant=*", nil, http.StatusOK, &list)
	if len(list.Data) != 0 {
		t.Errorf("listed: %s", list.Data)
	}
}

// TestEgress: without leave to send to private addresses, none is sent to,
// neither by a new webhook nor by one that was made before.
func TestEgress(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := newSink(t, nil)
	s.webhook(map[string]any{"url": r.URL + "/before", "retry": []float64{}})
	s.stop()
	s.args = append(s.args, "--allow-private=false")
	s.up()
	for _, url := range []string{r.URL + "/x", "http://[::ffff:127.0.0.1]/", "http://2130706433/", "http://169.254.169.254/latest", "http://10.0.0.1/"} {
		refused(t, url, s.ask(http.MethodPost, "/v1/webhooks", map[string]any{"url": url}, nil), http.StatusUnprocessableEntity, "url")
	}
	s.publish(`{"id":"guarded","type":"a.b","data":1}`)
	s.wantSQL("SELECT state, error_kind, response_code FROM hookstream.deliveries WHERE event_id = 'guarded'", "error\tblocked\t0")
	if n := r.count("/before") + r.count("/x"); n != 0 {
		t.Errorf("%d requests left to a private address", n)
	}
}
