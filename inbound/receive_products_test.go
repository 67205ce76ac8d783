package inbound

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hookstream/hookstream/internal/kafkatest"
)

// variant is a request and what it is answered. ID in the body is replaced by a
// fresh one.
type variant struct {
	name   string
	body   string
	change func(h map[string]string, body string)
	status int
	answer string
}

// try sends each variant, and each accepted one again.
func (x *running) try(path string, sign func(body string) map[string]string, again string, variants []variant) {
	x.t.Helper()
	before := len(x.raw())
	for i, v := range variants {
		body := strings.ReplaceAll(v.body, "ID", fmt.Sprintf("id_%d", i))
		h := sign(body)
		if v.change != nil {
			v.change(h, body)
		}
		x.want(v.name, x.post(path, body, h), v.status, v.answer)
		taken := 0
		if v.status == 200 {
			taken = 1
			x.want(v.name+", again", x.post(path, body, h), 200, again)
		}
		after := len(x.raw())
		if after-before != taken {
			x.t.Errorf("%s: %d records, want %d", v.name, after-before, taken)
		}
		before = after
	}
}

func smartcv(body string) map[string]string {
	at := ts(0)
	return map[string]string{"X-SmartCV-Signature": "sha256=" + hexMAC(testSecret, at+"."+body), "X-SmartCV-Timestamp": at}
}

func TestReceiveSmartCV(t *testing.T) {
	const right = `{"id":"event_ID","type":"resume.created","created":"2025-03-04T05:06:07Z","data":{"resume":{"title":"é <&> 🙂"}},"api_version":"2024-12-30"}`
	json := map[string]string{"ok": `{"status":"success"}`, "stale": `{"error":"Webhook timestamp too old"}`, "signature": `{"error":"Invalid webhook signature"}`, "payload": `{"error":"Invalid webhook"}`}
	text := map[string]string{"ok": "OK", "stale": "Invalid webhook", "signature": "Invalid webhook", "payload": "Invalid webhook"}
	cluster := kafkatest.Start(t)
	for form, words := range map[string]map[string]string{"json": json, "text": text} {
		t.Run(form, func(t *testing.T) {
			x := receive(t, cluster, nil, form+"=smartcv,secret-env=SECRET,path=/webhooks/smartcv,answers="+form)
			x.try("/webhooks/smartcv", smartcv, words["ok"], []variant{
				{"right", right, nil, 200, words["ok"]},
				{"without the prefix", right, func(h map[string]string, _ string) {
					h["X-SmartCV-Signature"] = strings.TrimPrefix(h["X-SmartCV-Signature"], "sha256=")
				}, 200, words["ok"]},
				{"names in lower case", right, rename(strings.ToLower), 200, words["ok"]},
				{"white space and escapes", `{ "id" : "event_ID", "type":"resume\u002eupdated", "data" : { } }`, nil, 200, words["ok"]},
				{"a type that is not listed", `{"id":"event_ID","type":"resume.archived","data":{}}`, nil, 200, words["ok"]},
				{"almost too old", right, resign(-295 * time.Second), 200, words["ok"]},
				{"too old", right, resign(-302 * time.Second), 400, words["stale"]},
				{"too far ahead", right, resign(302 * time.Second), 400, words["stale"]},
				{"a timestamp that is NaN", right, resignAt("NaN"), 400, words["stale"]},
				{"junk after the digits", right, resignAt(ts(0) + "abc"), 400, words["stale"]},
				{"body changed", right, func(h map[string]string, b string) {
					h["X-SmartCV-Signature"] = "sha256=" + hexMAC(testSecret, h["X-SmartCV-Timestamp"]+"."+b+"\n")
				}, 400, words["signature"]},
				{"timestamp changed", right, func(h map[string]string, _ string) { h["X-SmartCV-Timestamp"] = ts(-3 * time.Second) }, 400, words["signature"]},
				{"another secret", right, func(h map[string]string, b string) {
					h["X-SmartCV-Signature"] = "sha256=" + hexMAC("other", h["X-SmartCV-Timestamp"]+"."+b)
				}, 400, words["signature"]},
				{"upper-case hex", right, upper("X-SmartCV-Signature"), 400, words["signature"]},
				{"another prefix", right, func(h map[string]string, _ string) {
					h["X-SmartCV-Signature"] = "SHA256=" + h["X-SmartCV-Signature"][7:]
				}, 400, words["signature"]},
				{"one digit less", right, shorten("X-SmartCV-Signature"), 400, words["signature"]},
				{"no signature", right, without("X-SmartCV-Signature"), 400, words["signature"]},
				{"an empty signature", right, empty("X-SmartCV-Signature"), 400, words["signature"]},
				{"no timestamp", right, without("X-SmartCV-Timestamp"), 400, words["signature"]},
				{"no headers", right, func(h map[string]string, _ string) { clear(h) }, 400, words["signature"]},
				{"no id", `{"type":"resume.created","data":{}}`, nil, 400, words["payload"]},
				{"no data", `{"id":"event_ID","type":"resume.created"}`, nil, 400, words["payload"]},
				{"data that is text", `{"id":"event_ID","type":"resume.created","data":"x"}`, nil, 400, words["payload"]},
				{"no JSON", `id=event_ID`, nil, 400, words["payload"]},
			})
			if line := x.log.last("event=resume.archived", "unlisted=true", "verdict=accepted"); line == "" {
				t.Error("no log line of the type that is not listed")
			}
			if line := x.log.last("event=resume.created", "verdict=stale", "reason="); line == "" {
				t.Error("no log line of a refused request")
			}
		})
	}
}

func ihateppt(body string) map[string]string {
	at := ts(0)
	return map[string]string{"X-Webhook-Signature": "sha256=" + hexMAC(testSecret, at+"."+body), "X-Webhook-Timestamp": at, "X-Webhook-Event": "ppt.generation.completed"}
}

func TestReceiveIHatePPT(t *testing.T) {
	const right = `{"id":"evt_ID","type":"ppt.generation.completed","created":"2025-03-04T05:06:07Z","data":{"ppt_id":"ppt_1","download_url":"https://files.example.com/1"}}`
	const success, refused = `{"status":"success"}`, `{"error":"Invalid signature"}`
	x := receive(t, kafkatest.Start(t), nil, "ppt=ihateppt,secret-env=SECRET,path=/webhook")
	challenge := `{"type":"webhook.verification","data":{"challenge":"c0ffee0123456789c0ffee0123456789"}}`
	unsigned := func(h map[string]string, _ string) { clear(h) }
	x.try("/webhook", ihateppt, success, []variant{
		{"right", right, nil, 200, success},
		{"names in lower case", right, rename(strings.ToLower), 200, success},
		{"white space", "{\n \"id\": \"evt_ID\", \"type\": \"ppt.generation.failed\", \"data\": {\"error\": \"e\"} }", nil, 200, success},
		{"a type that is not listed", `{"id":"evt_ID","type":"ppt.slides.shuffled","data":{}}`, nil, 200, success},
		{"a retry notice", `{"id":"evt_ID","type":"webhook.retry","data":{"original_event_id":"evt_0","retry_count":2,"next_retry_at":"2025-03-04T05:06:37Z"}}`, nil, 200, success},
		{"without the prefix", right, func(h map[string]string, _ string) {
			h["X-Webhook-Signature"] = strings.TrimPrefix(h["X-Webhook-Signature"], "sha256=")
		}, 400, refused},
		{"too old", right, resign(-302 * time.Second), 400, refused},
		{"too far ahead", right, resign(302 * time.Second), 400, refused},
		{"body changed", right, func(h map[string]string, b string) {
			h["X-Webhook-Signature"] = "sha256=" + hexMAC(testSecret, h["X-Webhook-Timestamp"]+"."+b+" ")
		}, 400, refused},
		{"timestamp changed", right, func(h map[string]string, _ string) { h["X-Webhook-Timestamp"] = ts(-3 * time.Second) }, 400, refused},
		{"upper-case hex", right, upper("X-Webhook-Signature"), 400, refused},
		{"one digit less", right, shorten("X-Webhook-Signature"), 400, refused},
		{"no signature", right, without("X-Webhook-Signature"), 400, refused},
		{"an empty timestamp", right, empty("X-Webhook-Timestamp"), 400, refused},
		{"no headers", right, unsigned, 400, refused},
		{"a challenge, not signed", challenge, unsigned, 400, refused},
		{"a challenge, wrongly signed", challenge, upper("X-Webhook-Signature"), 400, refused},
	})
	before := len(x.raw())
	a := x.post("/webhook", challenge, ihateppt(challenge))
	if x.want("a challenge", a, 200, `{"challenge":"c0ffee0123456789c0ffee0123456789"}`); a.ctype != "application/json" || len(x.raw()) != before {
		t.Errorf("the challenge was answered as %q, and %d records were written", a.ctype, len(x.raw())-before)
	}
	for _, in := range x.raw() {
		// The header said ppt.generation.completed each time: nobody signed that.
		var body struct{ Type string }
		if err := json.Unmarshal(in.Body, &body); err != nil || in.Type != body.Type {
			t.Errorf("the record's type is %q, the signed body's is %q", in.Type, body.Type)
		}
	}
	if line := x.log.last("event=ppt.slides.shuffled", "header_claims=ppt.generation.completed", "level=WARN"); line == "" {
		t.Errorf("no log line of the header that differs:\n%s", x.log)
	}
	if line := x.log.last("event=webhook.retry", "verdict=accepted"); line == "" {
		t.Error("no log line of the retry notice")
	}
}

func smartkyc(body string) map[string]string {
	return map[string]string{"X-SmartKYC-Signature": hexMAC(testSecret, body)}
}

func TestReceiveSmartKYC(t *testing.T) {
	const success, refused, payload = `{"status":"success"}`, `{"error":"Invalid signature"}`, `{"error":"Invalid payload"}`
	const right = `{"event":"aml.match.found","timestamp":"2025-03-04T05:06:07Z","data":{"submissionId":"sub_ID","matchScore":0.81},"tenantId":"tenant_2"}`
	x := receive(t, kafkatest.Start(t), nil, "kyc=smartkyc,secret-env=SECRET,path=/webhooks/kyc")
	x.try("/webhooks/kyc", smartkyc, success, []variant{
		{"right", right, nil, 200, success},
		{"names in lower case", right, rename(strings.ToLower), 200, success},
		{"no timestamp and tenant", `{"event":"submission.completed","data":{"submissionId":"sub_ID"}}`, nil, 200, success},
		{"an invitation", `{"event":"invitation.sent","timestamp":"2025-03-04T05:06:07Z","data":{"invitationId":"inv_ID"}}`, nil, 200, success},
		{"no main id", `{"event":"submission.updated","data":{"note":"ID \u00e9"}}` + "\n", nil, 200, success},
		{"body changed", right, func(h map[string]string, b string) { h["X-SmartKYC-Signature"] = hexMAC(testSecret, b+" ") }, 401, refused},
		{"another secret", right, func(h map[string]string, b string) { h["X-SmartKYC-Signature"] = hexMAC("other", b) }, 401, refused},
		{"upper-case hex", right, upper("X-SmartKYC-Signature"), 401, refused},
		{"a prefix", right, prefix("X-SmartKYC-Signature"), 401, refused},
		{"one digit less", right, shorten("X-SmartKYC-Signature"), 401, refused},
		{"no signature", right, without("X-SmartKYC-Signature"), 401, refused},
		{"an empty signature", right, empty("X-SmartKYC-Signature"), 401, refused},
		{"an event that is not listed", `{"event":"submission.archived","data":{"submissionId":"sub_ID"}}`, nil, 422, payload},
		{"no event", `{"data":{"submissionId":"sub_ID"}}`, nil, 422, payload},
		{"no data", `{"event":"aml.match.found"}`, nil, 422, payload},
		{"data that is a list", `{"event":"aml.match.found","data":[]}`, nil, 422, payload},
		{"no JSON", `hello ID`, nil, 422, payload},
	})
	// The key is event, main id and timestamp; else the body's hash.
	same := `{"tenantId":"tenant_2","event":"aml.match.found","data":{"submissionId":"sub_id_0"},"timestamp":"2025-03-04T05:06:07Z"}`
	before := len(x.raw())
	x.want("the same event in other words", x.post("/webhooks/kyc", same, smartkyc(same)), 200, success)
	if got := len(x.raw()); got != before {
		t.Errorf("the same event in other words made %d records", got-before)
	}
	later := strings.Replace(same, "05:06:07Z", "05:06:08Z", 1)
	x.want("a later one", x.post("/webhooks/kyc", later, smartkyc(later)), 200, success)
	if got := len(x.raw()); got != before+1 {
		t.Errorf("a later event made %d records, want 1", got-before)
	}
	x.want("an unknown path", x.post("/in/kyb", right, smartkyc(right)), 404, `{"error":"Not found"}`)
	if line := x.log.last("event=aml.match.found", "verdict=accepted", "data.submissionId=sub_id_0"); line == "" {
		t.Errorf("no log line of an accepted delivery:\n%s", x.log)
	}
}
