package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// batchAnswer is what POST /v1/events/batch says of each line.
type batchAnswer struct {
	Accepted, Rejected int
	Results            []struct {
		Line  int
		ID    string
		Error *struct {
			Status              int
			Code, Field, Detail string
		}
	}
}

// TestIntake: an id stands for one event; a refusal names the field, and
// nothing of what was refused is delivered.
func TestIntake(t *testing.T) {
	t.Parallel()
	s := start(t, "--data-limit", "4KiB")
	r := newSink(t, nil)
	s.webhook(map[string]any{"url": r.URL + "/"})
	smart, _ := s.webhook(map[string]any{"url": r.URL + "/smart", "profile": "smartcv", "events": []string{"resume.created"}, "tenant": "cv", "secret": "s"})
	post := func(body string, header ...string) answer {
		h := map[string]string{}
		for i := 0; i+1 < len(header); i += 2 {
			h[header[i]] = header[i+1]
		}
		return s.ask(http.MethodPost, "/v1/events", body, h)
	}
	id := func(a answer) string {
		var x struct{ ID string }
		if err := json.Unmarshal(a.body, &x); err != nil || a.status != http.StatusAccepted {
			t.Fatalf("%d %s", a.status, a.body)
		}
		return x.ID
	}

	// One id, one delivery: by field, by header, by Kafka.
	const once = `{"id":"once","type":"a.b","data":{"n":1}}`
	if a, b := id(post(once)), id(post(once)); a != "once" || b != "once" {
		t.Errorf("ids %q and %q", a, b)
	}
	if a, b := id(post(`{"type":"a.b","data":1}`, "Idempotency-Key", "by-header")), id(post(`{"type":"a.b","data":1}`, "Idempotency-Key", "by-header")); a != "by-header" || b != a {
		t.Errorf("ids %q and %q of one Idempotency-Key", a, b)
	}
	r.arrived(t, "/", 2)
	s.record(s.prefix+"events", once) // comes behind a delivery that is done

	// Another body under the id.
	refused(t, "the id with another body", post(`{"id":"once","type":"a.b","data":{"n":2}}`), http.StatusConflict, "id")
	refused(t, "the key with another body", post(`{"type":"a.b","data":2}`, "Idempotency-Key", "by-header"), http.StatusConflict, "id")

	// What cannot be taken, and which field is to blame.
	big := strings.Repeat("x", 5000)
	for _, c := range []struct {
		body, field string
		status      int
	}{
		{`{"type":"a.b","data":"` + big + `"}`, "data", http.StatusRequestEntityTooLarge},
		{`{"type":"a.b"}`, "data", http.StatusUnprocessableEntity},
		{`{"data":1}`, "type", http.StatusUnprocessableEntity},
		{`{"type":"no spaces","data":1}`, "type", http.StatusUnprocessableEntity},
		{`{"type":"a.b","data":1,"time":"yesterday"}`, "time", http.StatusUnprocessableEntity},
		{`{"type":"a.b","data":1,"tenant":"a/b"}`, "tenant", http.StatusUnprocessableEntity},
		{`{"type":"a.b","data":1,"callback_url":"http://127.0.0.1/"}`, "profile", http.StatusUnprocessableEntity},
		{`{"type":"a.b","data":1`, "", http.StatusBadRequest},
		{`[1]`, "", http.StatusBadRequest},
		{``, "", http.StatusBadRequest},
		{`{"type":"resume.created","tenant":"cv","data":[1]}`, "data", http.StatusUnprocessableEntity},
	} {
		p := refused(t, fmt.Sprintf("%.60s", c.body), post(c.body), c.status, c.field)
		if strings.Contains(c.body, "resume.created") && !strings.Contains(p.Detail, smart) {
			t.Errorf("the detail %q does not name the webhook whose profile refuses", p.Detail)
		}
	}
	if a := post(strings.Repeat(`{"type":"a.b","data":"`+big+`"}`, 100)); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a huge body: %d %.100s", a.status, a.body)
	}

	// A batch: every line has its result, in order, whatever its neighbours are.
	lines := []string{`{"id":"b1","type":"a.b","data":1}`, `nonsense`, ``, `{"type":"a.b"}`, `{"id":"b5","type":"a.b","data":5}`,
		`{"id":"once","type":"a.b","data":"other"}`, `{"type":"a.b","data":"` + big + `"}`, `{"id":"b5","type":"a.b","data":5}`}
	a := s.ask(http.MethodPost, "/v1/events/batch", strings.Join(lines, "\n"), map[string]string{"Content-Type": "application/x-ndjson"})
	var batch batchAnswer
	if err := json.Unmarshal(a.body, &batch); err != nil || a.status != http.StatusMultiStatus {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if batch.Accepted != 3 || batch.Rejected != 4 || len(batch.Results) != 7 {
		t.Errorf("%s", a.body)
	}
	want := map[int]int{2: 400, 4: 422, 6: 409, 7: 413}
	for _, res := range batch.Results {
		switch {
		case want[res.Line] == 0 && (res.Error != nil || res.ID == ""):
			t.Errorf("line %d was refused: %+v", res.Line, res.Error)
		case want[res.Line] != 0 && (res.Error == nil || res.Error.Status != want[res.Line] || res.Error.Code == "" || res.ID != ""):
			t.Errorf("line %d: %+v, want status %d", res.Line, res.Error, want[res.Line])
		}
	}
	if a := s.ask(http.MethodPost, "/v1/events/batch", "nonsense\nmore of it", nil); a.status != http.StatusBadRequest {
		t.Errorf("a batch of nothing but refused lines: %d %s", a.status, a.body)
	}
	if a := s.ask(http.MethodPost, "/v1/events/batch", "\n\n", nil); a.status != http.StatusBadRequest {
		t.Errorf("an empty batch: %d %s", a.status, a.body)
	}

	id(post(`{"id":"last","type":"a.b","data":1}`))
	r.byEvent(t, "/", "last")
	s.wantSQL("SELECT arrayStringConcat(arraySort(groupUniqArray(event_id)), ' ') FROM hookstream.deliveries", "b1 b5 by-header last once")
	s.wantSQL("SELECT count() - uniqExact(delivery_id, attempt_no) FROM hookstream.attempts WHERE attempt_no > 0", "0")
	for id, n := range map[string]int{"once": 1, "by-header": 1, "b1": 1, "b5": 1, "last": 1} {
		got := 0
		for _, q := range r.requests("/") {
			if q.header.Get("webhook-id") == id {
				got++
			}
		}
		if got != n {
			t.Errorf("event %s arrived %d times, want %d", id, got, n)
		}
	}
}

// TestFreshWebhook: a webhook that the API acknowledged gets the next event,
// every time.
func TestFreshWebhook(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := newSink(t, nil)
	const n = 50
	for i := range n {
		s.webhook(map[string]any{"url": fmt.Sprintf("%s/%d", r.URL, i), "events": []string{fmt.Sprintf("fresh%d.made", i)}})
		if i%2 == 0 {
			s.call(http.MethodPost, "/v1/events", fmt.Sprintf(`{"type":"fresh%d.made","data":%d}`, i, i), http.StatusAccepted, nil)
		} else {
			s.record(s.prefix+"events", fmt.Sprintf(`{"type":"fresh%d.made","data":%d}`, i, i))
		}
	}
	for i := range n {
		r.arrived(t, fmt.Sprintf("/%d", i), 1)
	}
	s.wantSQL("SELECT countIf(state = 'success'), countIf(state = 'skipped') FROM hookstream.deliveries", "50\t0")
}

// TestRateLimit: a key that asks too much is told when to come back; root is
// not limited.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.call(http.MethodPost, "/v1/tenants", map[string]any{"id": "busy"}, http.StatusCreated, nil)
	var made struct{ Key string }
	s.call(http.MethodPost, "/v1/tenants/busy/keys", map[string]any{"rate_limit": 30}, http.StatusCreated, &made)
	limited := 0
	for range 70 {
		a := s.ask(http.MethodGet, "/v1/webhooks", nil, map[string]string{"Authorization": "Bearer " + made.Key})
		switch {
		case a.status == http.StatusTooManyRequests && a.header.Get("Retry-After") != "":
			limited++
		case a.status != http.StatusOK:
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	if limited == 0 {
		t.Error("70 requests of a key with 30 a minute and bursts of 60: none was refused")
	}
	for range 300 {
		s.call(http.MethodGet, "/v1/webhooks", nil, http.StatusOK, nil)
	}
}
