package e2e

// Events that hookstream makes itself: notices of retries, and what happens to
// webhooks and deliveries, at webhooks that asked for them.

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"testing"
	"time"
)

// flatEvent is the body of an I Hate PPT event.
type flatEvent struct {
	ID      string
	Type    string
	Created time.Time
	Data    struct {
		Original string    `json:"original_event_id"`
		Count    *int      `json:"retry_count"`
		Next     time.Time `json:"next_retry_at"`
	}
}

// TestWebhookRetryNotices: beside each scheduled retry goes a webhook.retry
// event, to webhooks that subscribe to it and to no others, signed, once, though
// it is answered 500, and it makes no further one.
func TestWebhookRetryNotices(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := newSink(t, func(w http.ResponseWriter, q *http.Request, n int) {
		if q.URL.Path != "/all" && n < 2 || q.URL.Path == "/notices" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	ihateppt := func(path string, events ...string) (id, secret string) {
		return s.webhook(map[string]any{"url": r.URL + path, "events": events, "profile": "ihateppt", "skip_verification": true})
	}
	ihateppt("/failing", "ppt.generation.failed")
	ihateppt("/all", "*")
	told, secret := ihateppt("/notices", "webhook.retry")
	s.call(http.MethodPost, "/v1/events", `{"id":"evt_70a","type":"ppt.generation.failed","data":{"error":"no topics"}}`, http.StatusAccepted, nil)

	ids := map[string]bool{}
	for i, q := range r.arrived(t, "/notices", 2) {
		var ev flatEvent
		if err := json.Unmarshal([]byte(q.body), &ev); err != nil {
			t.Fatalf("%v in %s", err, q.body)
		}
		gap := []time.Duration{time.Second, 5 * time.Second}[i]
		if ev.Type != "webhook.retry" || ev.Data.Original != "evt_70a" || ev.Data.Count == nil || *ev.Data.Count != i || ev.Data.Next.Sub(ev.Created) != gap {
			t.Errorf("notice %d: %s", i, q.body)
		}
		ids[ev.ID] = true
		mac := hmac.New(sha256.New, []byte(secret))
		fmt.Fprintf(mac, "%s.%s", q.header.Get("X-Webhook-Timestamp"), q.body)
		if got, want := q.header.Get("X-Webhook-Signature"), "sha256="+hex.EncodeToString(mac.Sum(nil)); got != want || q.header.Get("X-Webhook-Event") != ev.Type {
			t.Errorf("notice %d: signature %s, want %s; %v", i, got, want, q.header)
		}
	}
	if len(ids) != 2 || ids["evt_70a"] {
		t.Errorf("ids %v", ids)
	}
	r.arrived(t, "/failing", 3) // 1 s and 5 s later: notices that were tried again would have come by now
	if n := r.count("/notices"); n != 2 {
		t.Errorf("%d requests for 2 notices", n)
	}
	if got := r.arrived(t, "/all", 1); len(got) != 1 {
		t.Errorf("a webhook that takes everything got %d requests", len(got))
	}
	s.wantSQL(fmt.Sprintf("SELECT count(), countIf(state = 'error' AND attempt_no = 1 AND kind = 'notice') FROM hookstream.attempts WHERE endpoint_id = '%s'", told), "2\t2")
	s.wantSQL("SELECT count() FROM hookstream.events WHERE event_type = 'webhook.retry'", "2")
}

// ownEvent is the body of an event about a webhook or a delivery, in the
// standard envelope.
type ownEvent struct {
	Type string
	Data struct {
		EndpointID   string `json:"endpoint_id"`
		URL          string
		Reason       string
		Since        time.Time
		EventID      string `json:"event_id"`
		EventType    string `json:"event_type"`
		DeliveryID   string `json:"delivery_id"`
		Attempts     int
		ResponseCode int `json:"response_code"`
	}
}

// TestOwnEventsOfWebhooksInTrouble: a 410 makes delivery.exhausted and
// endpoint.disabled for those that name them; that they fail too makes nothing
// further; switching the webhook on again makes endpoint.recovered. A breaker
// makes one event when it opens and one when a probe has closed it.
func TestOwnEventsOfWebhooksInTrouble(t *testing.T) {
	t.Parallel()
	s := start(t, "--breaker-consecutive", "6", "--breaker-deliveries", "3", "--breaker-cooldown", "1s")
	r := newSink(t, func(w http.ResponseWriter, q *http.Request, n int) {
		switch {
		case q.URL.Path == "/gone":
			w.WriteHeader(http.StatusGone)
		case q.URL.Path == "/ops", q.URL.Path == "/sick" && n < 7:
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	ops, _ := s.webhook(map[string]any{"url": r.URL + "/ops", "events": []string{"delivery.exhausted", "endpoint.disabled"}, "retry": []int{}})
	s.webhook(map[string]any{"url": r.URL + "/conditions", "events": []string{"endpoint.*"}})
	s.webhook(map[string]any{"url": r.URL + "/all", "events": []string{"*"}})
	var events []string
	for round := range 2 {
		gone, _ := s.webhook(map[string]any{"url": r.URL + "/gone", "events": []string{"order.*"}})
		id := fmt.Sprint("order-", round)
		s.publish(fmt.Sprintf(`{"id":%q,"type":"order.paid","data":{"n":1}}`, id))
		for _, q := range r.arrived(t, "/ops", 2*round+2)[2*round:] {
			var ev ownEvent
			if err := json.Unmarshal([]byte(q.body), &ev); err != nil {
				t.Fatalf("%v in %s", err, q.body)
			}
			if ev.Data.EndpointID != gone || ev.Data.URL != r.URL+"/gone" || ev.Data.Reason != "gone" || ev.Data.Since.IsZero() {
				t.Errorf("%s", q.body)
			}
			if ev.Type == "delivery.exhausted" && (ev.Data.EventID != id || ev.Data.EventType != "order.paid" || ev.Data.DeliveryID == "" || ev.Data.Attempts != 1 || ev.Data.ResponseCode != 410) {
				t.Errorf("%s", q.body)
			}
			events = append(events, ev.Type)
		}
		// The failures of ops are on record before the next round goes through the
		// whole pipeline: what they made, if anything, would come before its events.
		s.wantSQL(fmt.Sprintf("SELECT count(), countIf(state = 'error' AND kind = 'system') FROM hookstream.attempts WHERE endpoint_id = '%s'", ops), fmt.Sprintf("%d\t%d", 2*round+2, 2*round+2))
		if round == 1 {
			s.call(http.MethodPatch, "/v1/webhooks/"+gone, map[string]any{"active": true}, http.StatusOK, nil)
		}
	}
	times := map[string]int{}
	for _, name := range events {
		times[name]++
	}
	if want := map[string]int{"delivery.exhausted": 2, "endpoint.disabled": 2}; !maps.Equal(times, want) || r.count("/ops") != 4 {
		t.Errorf("told %v in %d requests; want %v", times, r.count("/ops"), want)
	}
	s.webhook(map[string]any{"url": r.URL + "/sick", "events": []string{"pulse"}, "retry": []int{1, 1, 1, 1}})
	s.publish(`{"type":"pulse","data":1}`, `{"type":"pulse","data":2}`, `{"type":"pulse","data":3}`)
	conditions := map[string]int{}
	for _, q := range r.arrived(t, "/conditions", 5) {
		var ev ownEvent
		if err := json.Unmarshal([]byte(q.body), &ev); err != nil {
			t.Fatalf("%v in %s", err, q.body)
		}
		conditions[ev.Type+" "+ev.Data.Reason]++
	}
	if want := map[string]int{"endpoint.disabled gone": 2, "endpoint.recovered enabled": 1, "endpoint.breaker_opened http_5xx": 1, "endpoint.recovered probe": 1}; !maps.Equal(conditions, want) {
		t.Errorf("told %v; want %v", conditions, want)
	}
	if got := r.arrived(t, "/all", 5); len(got) != 5 {
		t.Errorf("a webhook that takes everything got %d requests for 5 events", len(got))
	}
	s.wantSQL("SELECT sum(difference) FROM hookstream.conservation", "0")
}
