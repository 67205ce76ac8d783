package profile_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

// explained is how each profile signs, computed here and not by the package.
type explained struct {
	secret  string
	text    func(id, ts, body string) string
	parts   string
	headers func(id, ts, eventType, mac string) map[string]string
	key     string // how it is made of the secret
}

const explainedKey = "0123456789abcdefghijklmn"

func explainedProfiles() map[string]explained {
	timed := func(_, ts, body string) string { return ts + "." + body }
	bare := func(_, _, body string) string { return body }
	own := "the secret's own UTF-8 bytes"
	return map[string]explained{
		"kidsmart": {"s3cret-é", timed, "timestamp literal body", func(_, ts, _, mac string) map[string]string {
			return map[string]string{"X-KidSmart-Signature": mac, "X-KidSmart-Timestamp": ts}
		}, own},
		"aiinterview": {"s3cret", bare, "body", func(_, _, _, mac string) map[string]string {
			return map[string]string{"X-Webhook-Signature": mac}
		}, own},
		"smartcv": {"s3cret", timed, "timestamp literal body", func(_, ts, _, mac string) map[string]string {
			return map[string]string{"X-SmartCV-Signature": "sha256=" + mac, "X-SmartCV-Timestamp": ts}
		}, own},
		"ihateppt": {"s3cret", timed, "timestamp literal body", func(_, ts, eventType, mac string) map[string]string {
			return map[string]string{"X-Webhook-Signature": "sha256=" + mac, "X-Webhook-Timestamp": ts, "X-Webhook-Event": eventType}
		}, own},
		"smartkyc": {"s3cret", bare, "body", func(_, _, _, mac string) map[string]string {
			return map[string]string{"X-SmartKYC-Signature": mac}
		}, own},
		"standard": {"whsec_" + base64.StdEncoding.EncodeToString([]byte(explainedKey)),
			func(id, ts, body string) string { return id + "." + ts + "." + body }, "event_id literal timestamp literal body",
			func(id, ts, _, mac string) map[string]string {
				b, _ := hex.DecodeString(mac)
				return map[string]string{"webhook-id": id, "webhook-timestamp": ts, "webhook-signature": "v1," + base64.StdEncoding.EncodeToString(b)}
			}, "the text after whsec_, decoded from base64"},
		"stripe": {"whsec_s3cret", timed, "timestamp literal body", func(_, ts, _, mac string) map[string]string {
			return map[string]string{"Stripe-Signature": "t=" + ts + ",v1=" + mac}
		}, "the secret's own UTF-8 bytes, whsec_ included"},
		"github": {"s3cret", bare, "body", func(_, _, eventType, mac string) map[string]string {
			return map[string]string{"X-Hub-Signature-256": "sha256=" + mac, "X-GitHub-Event": eventType}
		}, own},
	}
}

// TestExplainShowsSigningTextAndHeaders: for every profile, against HMACs
// computed here; no secret is in the answer.
func TestExplainShowsSigningTextAndHeaders(t *testing.T) {
	set, err := profile.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	want := explainedProfiles()
	if len(set.Names()) != len(want) {
		t.Errorf("profiles %v; this test knows %d", set.Names(), len(want))
	}
	at := time.Unix(1741064767, 0)
	for name, w := range want {
		p := builtin(t, name)
		for _, body := range []string{`{"type":"a.b","x":"é<&> 🙂"}`, "{ \"n\" : 25.0 }\n", ""} {
			d := &schemas.Delivery{EventID: "msg_1", EventType: "a.b", ID: "dlv_1", EndpointID: "wh_1", Tenant: "acme"}
			x, err := p.Explain(d, []byte(body), [][]byte{[]byte(w.secret)}, at)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			text := w.text("msg_1", "1741064767", body)
			key := w.secret
			if name == "standard" {
				key = explainedKey
			}
			if x.Text != text || x.Algorithm != "HMAC-SHA256" || x.Key != w.key || x.Profile != name || x.Signatures != 1 {
				t.Errorf("%s: %+v", name, x)
			}
			var parts []string
			joined := ""
			for _, part := range x.Parts {
				parts, joined = append(parts, part.Part), joined+part.Text
				if part.Bytes != len(part.Text) {
					t.Errorf("%s: part %+v", name, part)
				}
			}
			if strings.Join(parts, " ") != w.parts || joined != text {
				t.Errorf("%s: parts %v make %q", name, parts, joined)
			}
			if (x.Timestamp != 0) != strings.Contains(w.parts, "timestamp") {
				t.Errorf("%s: timestamp %d", name, x.Timestamp)
			}
			got := map[string]string{}
			for _, h := range x.Headers {
				got[h.Name] = h.Value
			}
			for header, value := range w.headers("msg_1", "1741064767", "a.b", hexMAC(key, text)) {
				if got[header] != value {
					t.Errorf("%s: %s is %q, want %q", name, header, got[header], value)
				}
			}
			b, err := json.Marshal(x)
			if err != nil || strings.Contains(string(b), w.secret) || strings.Contains(string(b), strings.TrimPrefix(w.secret, "whsec_")) {
				t.Errorf("%s: the secret is in %s (%v)", name, b, err)
			}
		}
	}
}

func TestExplainNamesWhatIsMissing(t *testing.T) {
	for _, c := range []struct {
		profile, field string
		d              schemas.Delivery
		secret         string
	}{
		{"standard", "event_id", schemas.Delivery{}, "whsec_MDEyMzQ1Njc4OWFiY2RlZg=="},
		{"github", "event_type", schemas.Delivery{}, "s"},
		{"ihateppt", "event_type", schemas.Delivery{}, "s"},
		{"standard", "secret", schemas.Delivery{EventID: "e"}, "whsec_hush!"},
		{"kidsmart", "secret", schemas.Delivery{}, ""},
	} {
		_, err := builtin(t, c.profile).Explain(&c.d, nil, [][]byte{[]byte(c.secret)}, sentAt)
		var fault *profile.Fault
		if !errors.As(err, &fault) || fault.Field != c.field || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v, want a fault of %s", c.profile, err, c.field)
		}
	}
	if _, err := builtin(t, "kidsmart").Explain(&schemas.Delivery{}, nil, nil, sentAt); err == nil {
		t.Error("no secret, no error")
	}
}

func TestExplainKeepsBytesThatAreNoText(t *testing.T) {
	x, err := builtin(t, "smartkyc").Explain(&schemas.Delivery{}, []byte("\xff\x00"), [][]byte{[]byte("s")}, sentAt)
	if err != nil || x.Text != "" || x.TextBase64 != "/wA=" || x.Parts[0].Bytes != 2 {
		t.Errorf("%+v, %v", x, err)
	}
}

func TestExplainSignsWithBothSecretsOfARotation(t *testing.T) {
	p := builtin(t, "standard")
	x, err := p.Explain(&schemas.Delivery{EventID: "e"}, []byte("{}"), [][]byte{secretFor(p), []byte(p.NewSecret(make([]byte, 24)))}, sentAt)
	if err != nil || x.Signatures != 2 || strings.Count(x.Headers[3].Value, "v1,") != 2 {
		t.Errorf("%+v, %v", x, err)
	}
}

func TestMetaIsReadFromTheBody(t *testing.T) {
	for _, c := range []struct{ profile, body, id, eventType string }{
		{"ihateppt", `{"id":"evt_9","type":"file.deleted","data":{}}`, "evt_9", "file.deleted"},
		{"kidsmart", `{"type":"fluency","assessment_id":"a"}`, "", "fluency"},
		{"aiinterview", `{"event":"interview.completed"}`, "", "interview.completed"},
		{"smartkyc", `{"event":"submission.created","timestamp":"x","data":{}}`, "", "submission.created"},
		{"standard", `{"type":"a.b","data":1}`, "", "a.b"},
		{"github", `{"type":"no"}`, "", ""},
		{"stripe", `no JSON`, "", ""},
		{"kidsmart", `{"type":"a","x":` + strings.Repeat("[", 1<<20) + strings.Repeat("]", 1<<20) + `}`, "", ""},
	} {
		if id, eventType := builtin(t, c.profile).Meta([]byte(c.body)); id != c.id || eventType != c.eventType {
			t.Errorf("%s, %.40s: %q, %q", c.profile, c.body, id, eventType)
		}
	}
}

// Any body and header gets a diagnosis; neither panics it, nor verifies.
func TestDiagnoseTakesAnything(t *testing.T) {
	set, err := profile.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		p, _ := set.Get(rapid.SampledFrom(set.Names()).Draw(t, "profile"))
		value := rapid.OneOf(rapid.String(), rapid.StringMatching(`(sha256=|v1,|t=\d+,v1=)?[0-9a-fA-F]{64}`), rapid.StringMatching(`\d{0,14}`)).Draw(t, "value")
		body := rapid.OneOf(rapid.SliceOf(rapid.Byte()), rapid.Just([]byte(`{"a":[1.0,"\u00e9"]}`+"\n"))).Draw(t, "body")
		d, err := set.Diagnose(p, func(string) string { return value }, body, [][]byte{secretFor(p)}, sentAt)
		if err != nil || d.Verified || d.Reason == "" || len(d.Checks) == 0 {
			t.Fatalf("%+v, %v", d, err)
		}
	})
}

func mac32(key, text string) []byte {
	m := hmac.New(sha256.New, []byte(key))
	m.Write([]byte(text))
	return m.Sum(nil)
}

// TestDiagnoseSaysWhy: the usual mistakes, each named.
func TestDiagnoseSaysWhy(t *testing.T) {
	set, err := profile.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	const body = `{"type": "a.b", "n": 25.0, "s": "é"}`
	const secret = "s3cret-do-not-show"
	now := time.Unix(1741064767, 0)
	ts := strconv.FormatInt(now.Unix(), 10)
	cv := func(text string) http.Header {
		return http.Header{"X-Smartcv-Signature": {"sha256=" + hexMAC(secret, text)}, "X-Smartcv-Timestamp": {ts}}
	}
	with := func(h http.Header, name, value string) http.Header {
		h = h.Clone()
		h.Set(name, value)
		return h
	}
	good := cv(ts + "." + body)
	old := strconv.FormatInt(now.Unix()-1000, 10)
	std := "whsec_" + base64.StdEncoding.EncodeToString([]byte(explainedKey))
	stdHeaders := func(mac []byte) http.Header {
		return http.Header{"Webhook-Id": {"m"}, "Webhook-Timestamp": {ts}, "Webhook-Signature": {"v1," + base64.StdEncoding.EncodeToString(mac)}}
	}
	for _, c := range []struct {
		name, profile, secret string
		header                http.Header
		body                  string
		verified              bool
		want                  []string // in checks and hints
	}{
		{"right", "smartcv", secret, good, body, true, []string{"0 s old; 300 s are allowed", "matches"}},
		{"header missing", "smartcv", secret, http.Header{"X-Smartcv-Timestamp": {ts}}, body, false, []string{"header X-SmartCV-Signature", "missing"}},
		{"stale", "smartcv", secret, http.Header{"X-Smartcv-Signature": {"sha256=" + hexMAC(secret, old+"."+body)}, "X-Smartcv-Timestamp": {old}}, body, false,
			[]string{"1000 s old; 300 s are allowed", "matches"}},
		{"milliseconds", "smartcv", secret, with(good, "X-SmartCV-Timestamp", ts+"000"), body, false, []string{"milliseconds"}},
		{"wrong prefix", "ihateppt", secret, http.Header{"X-Webhook-Signature": {hexMAC(secret, ts+"."+body)}, "X-Webhook-Timestamp": {ts}, "X-Webhook-Event": {"a.b"}}, body, false,
			[]string{"wrongly written", `"sha256=" followed by 64 lower-case hex digits`}},
		{"upper case", "smartcv", secret, with(good, "X-SmartCV-Signature", "sha256="+strings.ToUpper(hexMAC(secret, ts+"."+body))), body, false, []string{"upper case"}},
		{"prefix on a bare one", "smartkyc", secret, http.Header{"X-Smartkyc-Signature": {"sha256=" + hexMAC(secret, body)}}, body, false, []string{"nothing before them"}},
		{"base64 for hex", "smartkyc", secret, http.Header{"X-Smartkyc-Signature": {base64.StdEncoding.EncodeToString(mac32(secret, body))}}, body, false, []string{"64 lower-case hex digits"}},
		{"trailing newline here", "smartcv", secret, good, body + "\n", false, []string{"lacks the line break"}},
		{"trailing newline there", "smartcv", secret, cv(ts + "." + body + "\n"), body, false, []string{"--data-binary"}},
		{"compacted", "smartcv", secret, cv(ts + `.{"type":"a.b","n":25.0,"s":"é"}`), body, false, []string{"without blanks"}},
		{"stringified", "smartcv", secret, cv(ts + `.{"type":"a.b","n":25,"s":"é"}`), body, false, []string{"JSON.stringify"}},
		{"json.dumps", "smartcv", secret, cv(ts + `.{"type": "a.b", "n": 25.0, "s": "\u00e9"}`), body, false, []string{"json.dumps"}},
		{"json.dumps of compact JSON", "smartcv", secret, cv(ts + `.{"type": "a.b", "s": ":,"}`), `{"type":"a.b","s":":,"}`, false, []string{"json.dumps"}},
		{"body alone", "smartcv", secret, cv(body), body, false, []string{"the body alone", "{ts}.{body}"}},
		{"no dot", "smartcv", secret, cv(ts + body), body, false, []string{"without the dot"}},
		{"secret not decoded", "standard", std, stdHeaders(mac32(std, "m."+ts+"."+body)), body, false, []string{"secret's text itself"}},
		{"secret without prefix", "stripe", "whsec_" + secret, http.Header{"Stripe-Signature": {"t=" + ts + ",v1=" + hexMAC(secret, ts+"."+body)}}, body, false, []string{"without whsec_"}},
		{"secret with a line break", "smartkyc", secret + "\n", http.Header{"X-Smartkyc-Signature": {hexMAC(secret, body)}}, body, false, []string{"line break around it"}},
		{"other profile", "smartcv", secret, http.Header{"X-Smartkyc-Signature": {hexMAC(secret, body)}}, body, false, []string{"verifies as profile smartkyc"}},
		{"other profile's headers", "smartcv", secret, http.Header{"X-Smartkyc-Signature": {hexMAC("x", body)}}, body, false, []string{"those of profile smartkyc"}},
		{"one header, two schemes", "ihateppt", secret, http.Header{"X-Webhook-Signature": {hexMAC(secret, body)}}, body, false, []string{"verifies as profile aiinterview"}},
		{"other secret", "smartcv", "other", good, body, false, []string{"the secret is another one"}},
		{"no digest", "smartkyc", secret, http.Header{"X-Smartkyc-Signature": {"hello"}}, body, false, []string{"no HMAC-SHA256"}},
		{"two things at once", "smartcv", secret, cv(`{"type":"a.b","n":25.0,"s":"é"}`), body, false, []string{"the body alone", "without blanks"}},
	} {
		p := builtin(t, c.profile)
		d, err := set.Diagnose(p, c.header.Get, []byte(c.body), [][]byte{[]byte(c.secret)}, now)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		b, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		said := ""
		for _, step := range d.Checks {
			said += step.Check + " " + step.Detail + "\n"
		}
		said += strings.Join(d.Hints, "\n")
		if d.Verified != c.verified || (d.Reason == "") != c.verified {
			t.Errorf("%s: %s", c.name, b)
		}
		for _, want := range c.want {
			if !strings.Contains(said, want) {
				t.Errorf("%s: nothing of %q in\n%s", c.name, want, said)
			}
		}
		if strings.Contains(string(b), strings.TrimSpace(c.secret)) && c.secret != "other" {
			t.Errorf("%s: the secret is in %s", c.name, b)
		}
	}
	if _, err := set.Diagnose(builtin(t, "standard"), http.Header{"Webhook-Id": {"m"}, "Webhook-Timestamp": {ts}, "Webhook-Signature": {"v1,x"}}.Get, nil, [][]byte{[]byte("raw")}, now); err == nil {
		t.Error("a secret that cannot be used is no error")
	}
}
