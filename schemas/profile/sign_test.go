package profile_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

func hexMAC(key, text string) string {
	m := hmac.New(sha256.New, []byte(key))
	m.Write([]byte(text))
	return hex.EncodeToString(m.Sum(nil))
}

func httpHeader(headers []schemas.Header) http.Header {
	h := http.Header{}
	for _, x := range headers {
		h.Set(x.Key, string(x.Value))
	}
	return h
}

// TestStandardWebhooksLibrary lets the scheme's own library judge.
func TestStandardWebhooksLibrary(t *testing.T) {
	p := builtin(t, "standard")
	old, young := p.NewSecret([]byte("0123456789abcdef01234567")), p.NewSecret([]byte("fedcba98765432100123456789abcdef"))
	for _, data := range append(nasty, `"text"`, `25.0`) {
		d := delivery("invoice.paid", []byte(data))
		body, err := p.Body(d)
		if err != nil {
			t.Fatal(err)
		}
		headers, err := p.Headers(d, body, [][]byte{[]byte(young), []byte(old)}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{old, young} {
			wh, err := standardwebhooks.NewWebhook(secret)
			if err != nil {
				t.Fatal(err)
			}
			if err := wh.Verify(body, httpHeader(headers)); err != nil {
				t.Errorf("%s: %v", data, err)
			}
			if wh.Verify(append(body, ' '), httpHeader(headers)) == nil {
				t.Errorf("%s: a changed body verifies", data)
			}
		}
		stranger, err := standardwebhooks.NewWebhook(p.NewSecret(make([]byte, 24)))
		if err != nil {
			t.Fatal(err)
		}
		if stranger.Verify(body, httpHeader(headers)) == nil {
			t.Error("a foreign secret verifies")
		}
	}
}

// TestLibrarySignsForUs: what the library signs, we verify.
func TestLibrarySignsForUs(t *testing.T) {
	p := builtin(t, "standard")
	secret := string(secretFor(p))
	wh, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	body := []byte(`{"type":"a","data":{}}`)
	signed, err := wh.Sign("msg_1", sentAt, body)
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	h.Set("webhook-id", "msg_1")
	h.Set("webhook-timestamp", "1741064999")
	h.Set("webhook-signature", "v1a,AAAA v1,bm90 "+signed)
	if err := p.Verify(h.Get, body, [][]byte{[]byte(secret)}, sentAt); err != nil {
		t.Error(err)
	}
}

// TestProductSignatures computes what the products' own receivers compute.
func TestProductSignatures(t *testing.T) {
	cv, kyc := builtin(t, "smartcv"), builtin(t, "smartkyc")
	d := delivery("resume.created", []byte(`{"a":"<&>"}`))
	body, err := cv.Body(d)
	if err != nil {
		t.Fatal(err)
	}
	got, err := cv.Headers(d, body, [][]byte{[]byte("clé"), []byte("old")}, sentAt)
	if err != nil {
		t.Fatal(err)
	}
	h := httpHeader(got)
	if want := "sha256=" + hexMAC("clé", "1741064999."+string(body)); h.Get("X-SmartCV-Signature") != want || h.Get("X-SmartCV-Timestamp") != "1741064999" {
		t.Errorf("smartcv: %v, want %s", h, want)
	}
	d = delivery("invitation.sent", []byte(`{}`))
	if body, err = kyc.Body(d); err != nil {
		t.Fatal(err)
	}
	if got, err = kyc.Headers(d, body, [][]byte{[]byte("whsec_raw"), []byte("old")}, sentAt); err != nil {
		t.Fatal(err)
	}
	if want := hexMAC("whsec_raw", string(body)); httpHeader(got).Get("X-SmartKYC-Signature") != want {
		t.Errorf("smartkyc: %v, want %s", httpHeader(got), want)
	}
}

func TestVerify(t *testing.T) {
	body := []byte(`{"id":"event_1"}`)
	sign := func(text string) string { return hexMAC("s", text) }
	at := func(d time.Duration) time.Time { return sentAt.Add(d) }
	right := sign("1741064999." + string(body))
	for _, c := range []struct {
		name    string
		profile *profile.Profile
		header  map[string]string
		now     time.Time
		want    profile.Case // empty: accepted
	}{
		{"right", builtin(t, "smartcv"), map[string]string{"X-SmartCV-Signature": "sha256=" + right, "X-SmartCV-Timestamp": "1741064999"}, sentAt, ""},
		{"prefix may be absent", builtin(t, "smartcv"), map[string]string{"X-SmartCV-Signature": right, "X-SmartCV-Timestamp": "1741064999"}, sentAt, ""},
		{"300 s late", builtin(t, "smartcv"), map[string]string{"X-SmartCV-Signature": right, "X-SmartCV-Timestamp": "1741064999"}, at(300 * time.Second), ""},
		{"300.9 s late", builtin(t, "smartcv"), map[string]string{"X-SmartCV-Signature": "sha256=" + right, "X-SmartCV-Timestamp": "1741064999"}, at(300*time.Second + 900*time.Millisecond), ""},
		{"300.1 s early", builtin(t, "smartcv"), map[string]string{"X-SmartCV-Signature": "sha256=" + right, "X-SmartCV-Timestamp": "1741064999"}, at(-300*time.Second - 100*time.Millisecond), profile.CaseStale},
		{"301 s late", builtin(t, "smartcv"), map[string]string{"X-SmartCV-Signature": right, "X-SmartCV-Timestamp": "1741064999"}, at(301 * time.Second), profile.CaseStale},
		{"301 s early", builtin(t, "smartcv"), map[string]string{"X-SmartCV-Signature": right, "X-SmartCV-Timestamp": "1741064999"}, at(-301 * time.Second), profile.CaseStale},
		{"upper case", builtin(t, "smartcv"), map[string]string{"X-SmartCV-Signature": "sha256=" + strings.ToUpper(right), "X-SmartCV-Timestamp": "1741064999"}, sentAt, profile.CaseBadSignature},
		{"not a number", builtin(t, "smartcv"), map[string]string{"X-SmartCV-Signature": sign("abc." + string(body)), "X-SmartCV-Timestamp": "abc"}, sentAt, profile.CaseStale},
		{"digits and junk", builtin(t, "smartcv"), map[string]string{"X-SmartCV-Signature": sign("1741064999x." + string(body)), "X-SmartCV-Timestamp": "1741064999x"}, sentAt, profile.CaseStale},
		{"a sign", builtin(t, "smartcv"), map[string]string{"X-SmartCV-Signature": sign("+1741064999." + string(body)), "X-SmartCV-Timestamp": "+1741064999"}, sentAt, profile.CaseStale},
		{"milliseconds", builtin(t, "smartcv"), map[string]string{"X-SmartCV-Signature": sign("1741064999000." + string(body)), "X-SmartCV-Timestamp": "1741064999000"}, sentAt, profile.CaseStale},
		{"no signature", builtin(t, "smartcv"), map[string]string{"X-SmartCV-Timestamp": "1741064999"}, sentAt, profile.CaseUnsigned},
		{"no timestamp", builtin(t, "smartcv"), map[string]string{"X-SmartCV-Signature": right}, sentAt, profile.CaseUnsigned},
		{"short", builtin(t, "smartcv"), map[string]string{"X-SmartCV-Signature": right[:63], "X-SmartCV-Timestamp": "1741064999"}, sentAt, profile.CaseBadSignature},
		{"over another text", builtin(t, "smartcv"), map[string]string{"X-SmartCV-Signature": sign(string(body)), "X-SmartCV-Timestamp": "1741064999"}, sentAt, profile.CaseBadSignature},
		{"bare hex", builtin(t, "smartkyc"), map[string]string{"X-SmartKYC-Signature": sign(string(body))}, at(9999 * time.Hour), ""},
		{"a prefix where none is", builtin(t, "smartkyc"), map[string]string{"X-SmartKYC-Signature": "sha256=" + sign(string(body))}, sentAt, profile.CaseBadSignature},
		{"upper case taken", folder(t, "flat"), map[string]string{"X-Hub-Signature-256": "sha256=" + strings.ToUpper(sign(string(body)))}, sentAt, ""},
		{"prefix missing", folder(t, "flat"), map[string]string{"X-Hub-Signature-256": sign(string(body))}, sentAt, profile.CaseBadSignature},
		{"stripe's form", folder(t, "stripe-like"), map[string]string{"Stripe-Signature": "t=1741064999,v0=00,v1=11,v1=" + right}, sentAt, ""},
		{"stripe's future", folder(t, "stripe-like"), map[string]string{"Stripe-Signature": "t=1741064999,v1=" + right}, at(-time.Hour), ""},
		{"stripe's past", folder(t, "stripe-like"), map[string]string{"Stripe-Signature": "t=1741064999,v1=" + right}, at(time.Hour), profile.CaseStale},
		{"another form", folder(t, "stripe-like"), map[string]string{"Stripe-Signature": "v1=" + right}, sentAt, profile.CaseBadSignature},
	} {
		h := http.Header{}
		for k, v := range c.header {
			h.Set(k, v)
		}
		for _, secrets := range [][][]byte{{[]byte("s")}, {[]byte("newer"), []byte("s")}} {
			err := c.profile.Verify(h.Get, body, secrets, c.now)
			var refusal *profile.Refusal
			switch {
			case c.want == "" && err != nil:
				t.Errorf("%s: %v", c.name, err)
			case c.want != "" && (!errors.As(err, &refusal) || refusal.Case != c.want):
				t.Errorf("%s: %v, want %s", c.name, err, c.want)
			}
		}
		if err := c.profile.Verify(h.Get, body, [][]byte{[]byte("other")}, c.now); err == nil {
			t.Errorf("%s: verifies with another secret", c.name)
		}
		if err := c.profile.Verify(h.Get, body, nil, c.now); err == nil {
			t.Errorf("%s: verifies without a secret", c.name)
		}
	}
}

func TestSecrets(t *testing.T) {
	std, cv := builtin(t, "standard"), builtin(t, "smartcv")
	for text, ok := range map[string]bool{
		std.NewSecret(make([]byte, 32)):          true,
		"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw": true,
		"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw":       false,
		"whsec_":                                 false,
		"whsec_not base64!":                      false,
		"whsec_-_-_-_-_-_-_-_-_-_-_":             false,
		"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS":  false,
		"":                                       false,
	} {
		err := std.CheckSecret(text)
		if (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
		if err != nil && len(text) > 12 && strings.Contains(err.Error(), text[6:]) {
			t.Errorf("the error repeats the secret: %v", err)
		}
	}
	if cv.CheckSecret("your_webhook_secret") != nil || cv.CheckSecret("") == nil || cv.CheckSecret("\xff") == nil || cv.CheckSecret(strings.Repeat("x", 1025)) == nil {
		t.Error("raw secrets: 1 to 1024 bytes of UTF-8")
	}
	if err := cv.CheckSecret(cv.NewSecret(make([]byte, 32))); err != nil {
		t.Error(err)
	}
}
