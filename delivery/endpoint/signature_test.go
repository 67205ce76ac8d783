package endpoint_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"
	"testing"
)

// TestSignatureHelper: what the API says the signature is, an HMAC computed
// here is; the secret is in no answer.
func TestSignatureHelper(t *testing.T) {
	l := newLoop(t, nil)
	key, _ := l.tenantKey("acme", "standard")
	foreign, _ := l.tenantKey("other", "standard")
	const planted = "planted-secret-for-kids"
	kids := l.call(key, "POST", "/v1/webhooks", `{`+aURL+`,"profile":"kidsmart","secret":"`+planted+`"}`).is(201).str("id")
	body := `{"type":"fluency","assessment_id":"as_1","x":"é<&>"}`
	got := l.call(key, "POST", "/v1/webhooks/"+kids+"/signature", `{"body":`+strconv.Quote(body)+`,"timestamp":1741064767}`).is(200)
	mac := hmac.New(sha256.New, []byte(planted))
	mac.Write([]byte("1741064767." + body))
	want := `"headers":[{"name":"Content-Type","value":"application/json"},{"name":"X-KidSmart-Signature","value":"` + hex.EncodeToString(mac.Sum(nil)) +
		`"},{"name":"X-KidSmart-Timestamp","value":"1741064767"}]`
	if !strings.Contains(got.text, want) || got.str("signing_text") != "1741064767."+body || got.str("webhook_id") != kids {
		t.Errorf("%s\nlacks %s", got.text, want)
	}
	if strings.Contains(got.text, planted) {
		t.Error("the secret is in the answer")
	}

	made := l.call(key, "POST", "/v1/webhooks", `{`+aURL+`}`).is(201)
	standard, secret := made.str("id"), made.str("secret")
	got = l.call(key, "POST", "/v1/webhooks/"+standard+"/signature", `{"body":"{}","timestamp":1741064767,"event_id":"e-1"}`).is(200)
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	mac = hmac.New(sha256.New, raw)
	mac.Write([]byte("e-1.1741064767.{}"))
	if !strings.Contains(got.text, `"v1,`+base64.StdEncoding.EncodeToString(mac.Sum(nil))+`"`) || strings.Contains(got.text, strings.TrimPrefix(secret, "whsec_")) {
		t.Error(got.text)
	}
	// Two secrets sign while a rotation overlaps.
	l.call(key, "POST", "/v1/webhooks/"+standard+"/rotate-secret", "").is(200)
	if got = l.call(key, "POST", "/v1/webhooks/"+standard+"/signature", `{"body":"{}"}`).is(200); got.body["signatures"] != 2.0 {
		t.Error(got.text)
	}

	l.call(foreign, "POST", "/v1/webhooks/"+kids+"/signature", `{"body":"{}"}`).is(404)
	l.call("", "POST", "/v1/webhooks/"+kids+"/signature", `{"body":"{}"}`).is(401)
	l.call(key, "POST", "/v1/webhooks/"+kids+"/signature", `{"body":{}}`).problem(422, "body")
	l.call(key, "POST", "/v1/webhooks/"+kids+"/signature", `{"body":"","timestamp":1741064767000}`).problem(422, "timestamp")
	l.call(key, "POST", "/v1/webhooks/"+kids+"/signature", `{"body":"","event_id":"a b\n"}`).problem(422, "event_id")
	hub := l.call(key, "POST", "/v1/webhooks", `{`+aURL+`,"profile":"github"}`).is(201).str("id")
	l.call(key, "POST", "/v1/webhooks/"+hub+"/signature", `{"body":"{}"}`).problem(422, "event_type")
	if n := len(l.notices); n != 0 && strings.Contains(l.notices[n-1].Action, "signature") {
		t.Error("reading is audited")
	}
}
