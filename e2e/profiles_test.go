package e2e

// Profiles: what hookstream sends for every product, judged by public
// libraries that know nothing of it.

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hookstream/hookstream/schemas/profile"
)

// signedHeaders are the headers of each contract, in its casing.
func signedHeaders() map[string][]string {
	return map[string][]string{
		"kidsmart": {"Content-Type", "X-KidSmart-Signature", "X-KidSmart-Timestamp"}, "aiinterview": {"Content-Type", "X-Webhook-Signature"},
		"smartcv": {"Content-Type", "X-SmartCV-Signature", "X-SmartCV-Timestamp"}, "smartkyc": {"Content-Type", "X-SmartKYC-Signature"},
		"ihateppt": {"Content-Type", "X-Webhook-Signature", "X-Webhook-Timestamp", "X-Webhook-Event"},
		"standard": {"content-type", "webhook-id", "webhook-timestamp", "webhook-signature"},
		"stripe":   {"Content-Type", "Stripe-Signature"}, "github": {"Content-Type", "X-Hub-Signature-256", "X-GitHub-Event", "X-GitHub-Delivery", "X-GitHub-Hook-ID"},
	}
}

// timestampOf is the time that a request says it was signed at; empty when its
// profile has none.
func timestampOf(headers map[string]string) string {
	for name, value := range headers {
		if strings.HasSuffix(strings.ToLower(name), "-timestamp") {
			return value
		}
		if stamp, ok := strings.CutPrefix(value, "t="); ok && name == "Stripe-Signature" {
			stamp, _, _ = strings.Cut(stamp, ",")
			return stamp
		}
	}
	return ""
}

// otherSecret is one of the same form.
func otherSecret(secret string) string {
	if encoded, ok := strings.CutPrefix(secret, "whsec_"); ok {
		if _, err := base64.StdEncoding.DecodeString(encoded); err == nil {
			return "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 24))
		}
	}
	return secret + "x"
}

// TestPublicLibrariesVerifyEveryProfile: each event type's sample and every
// nasty body, sent by the running program, verify with the public libraries of
// the same scheme, from npm and from PyPI, and not after a change of body,
// timestamp or secret. Header names are on the wire as the contracts write them.
func TestPublicLibrariesVerifyEveryProfile(t *testing.T) {
	t.Parallel()
	_ = npmJudges(t) // installing them may take longer than signatures are valid
	_, _ = pythonWith(t)
	s := start(t)
	r := newRawReceiver(t)
	set, err := profile.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	signed := signedHeaders()
	secrets, counts := map[string]string{}, map[string]int{}
	for _, name := range set.Names() {
		p, _ := set.Get(name)
		tenant := "of-" + name
		s.call(http.MethodPost, "/v1/tenants", map[string]any{"id": tenant, "profile": name}, http.StatusCreated, nil)
		var keys struct {
			Secret string `json:"secret"`
		}
		s.call(http.MethodPost, "/v1/tenants/"+tenant+"/keys", map[string]any{"name": "k"}, http.StatusCreated, &keys)
		id, secret := s.webhook(map[string]any{"tenant": tenant, "url": r.URL + "/" + name, "events": []string{"*"}, "profile": name, "skip_verification": true})
		if secrets[name] = secret; p.SecretOf() == profile.OfTenant {
			secrets[name] = keys.Secret
		}
		for _, e := range p.Events() {
			s.call(http.MethodPost, "/v1/webhooks/test", map[string]any{"webhook_id": id, "event_type": e.Type}, http.StatusAccepted, nil)
			counts[name]++
		}
		eventType, bodies := nastyBodies(t, p)
		for _, data := range bodies {
			s.call(http.MethodPost, "/v1/events", fmt.Sprintf(`{"tenant":%q,"type":%q,"data":%s}`, tenant, eventType, data), http.StatusAccepted, nil)
			counts[name]++
		}
	}
	var requests []judged
	for _, name := range set.Names() {
		for n := range counts[name] {
			q := r.wait(t, "/"+name, n)
			headers := map[string]string{}
			for _, h := range signed[name] {
				value, times := q.line(h)
				if headers[h] = value; times != 1 {
					t.Errorf("%s: header %s stands %d times in %q", name, h, times, q.head)
				}
			}
			if length, _ := q.line("Content-Length"); length != strconv.Itoa(len(q.body)) {
				t.Errorf("%s: Content-Length %s of %d bytes", name, length, len(q.body))
			}
			requests = append(requests, judged{name, secrets[name], otherSecret(secrets[name]), timestampOf(headers), headers, base64.StdEncoding.EncodeToString([]byte(q.body))})
		}
	}
	nastySeen := map[string]bool{}
	for i, v := range nodeJudge(t, requests) {
		q, body := requests[i], requests[i].body()
		if want := map[string]int{"standard": 3}[q.Profile]; len(v.Right) != max(1, want) {
			t.Errorf("%s was judged by %v", q.Profile, v.Right)
		}
		if q.Profile == "kidsmart" && !v.Fixed {
			t.Errorf("JavaScript does not give the body back: %s", body)
		}
		if q.Profile == "aiinterview" && strings.ContainsFunc(body, func(r rune) bool { return r >= utf8.RuneSelf }) {
			t.Errorf("not only ASCII: %s", body)
		}
		if event, ok := q.Headers["X-Webhook-Event"]; ok && !strings.Contains(body, `"type":"`+event+`"`) {
			t.Errorf("the header says %s of %s", event, body)
		}
		nastySeen[q.Profile] = nastySeen[q.Profile] || strings.Contains(body, "__proto__")
	}
	for name := range signed {
		if !nastySeen[name] {
			t.Errorf("%s: the nasty body did not come", name)
		}
	}
	t.Run("PyPI", func(t *testing.T) {
		want := map[string]int{"kidsmart": 1, "smartcv": 1, "ihateppt": 1, "stripe": 1, "standard": 3, "aiinterview": 0, "smartkyc": 0, "github": 0}
		if got := pythonJudge(t, requests); !maps.Equal(got, want) {
			t.Errorf("libraries by profile: %v", got)
		}
	})
}

// TestPublishIsRefusedByTheProfile: data that a product's contract forbids is
// answered 422, with the field, and nothing is sent.
func TestPublishIsRefusedByTheProfile(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := newRawReceiver(t)
	for _, name := range []string{"kidsmart", "aiinterview", "ihateppt", "smartcv"} {
		s.webhook(map[string]any{"tenant": "of-" + name, "url": r.URL + "/" + name, "events": []string{"*"}, "profile": name, "skip_verification": true})
	}
	big := strings.Repeat("x", 102_400)
	for _, c := range []struct{ profile, event, data, want string }{
		{"kidsmart", "fluency", `["as_1"]`, "JSON object"},
		{"kidsmart", "fluency", `{"score":1}`, "assessment_id"},
		{"kidsmart", "fluency", `{"assessment_id":""}`, "assessment_id"},
		{"kidsmart", "fluency", `{"assessment_id":"a","type":"recognition"}`, "data.type"},
		{"kidsmart", "fluency", `{"assessment_id":"a","n":9007199254740993}`, "9007199254740993"},
		{"kidsmart", "fluency", `{"assessment_id":"a","n":1e400}`, "1e400"},
		{"kidsmart", "fluency", `{"assessment_id":"a","n":1,"n":2}`, "twice"},
		{"kidsmart", "fluency", "{\"assessment_id\":\"a\",\"n\":\"\xff\"}", "UTF-8"},
		{"kidsmart", "fluency", `{"assessment_id":"` + big + `"}`, "102400"},
		{"aiinterview", "session.feedback_submitted", `{"session_id":"s"}`, "feedback"},
		{"aiinterview", "session.feedback_submitted", `{"session_id":"s","feedback":null}`, "feedback"},
		{"aiinterview", "session.feedback_submitted", `{"session_id":"s","feedback":"good"}`, "feedback"},
		{"aiinterview", "session.feedback_submitted", `{"session_id":"s","feedback":{"session_id":"t"}}`, "session_id"},
		{"aiinterview", "interview.completed", `{"session_id":"s","invitee_email":"a@b.c","timestamp":"2025-03-04T05:06:07Z"}`, "timestamp"},
		// 17,100 characters of 6 bytes each.
		{"aiinterview", "session.feedback_submitted", `{"session_id":"s","feedback":{"c":"` + strings.Repeat("é", 17_100) + `"}}`, "102400"},
		{"smartcv", "user.registered", `{"user":{"id":"` + big[:102_300] + `"}}`, "102400"},
	} {
		body := fmt.Sprintf(`{"tenant":"of-%s","type":%q,"data":%s}`, c.profile, c.event, c.data)
		if a := s.ask(http.MethodPost, "/v1/events", body, nil); a.status != http.StatusUnprocessableEntity && a.status != http.StatusBadRequest || !strings.Contains(string(a.body), c.want) {
			t.Errorf("%s %.80s: %d %s", c.profile, c.data, a.status, a.body)
		}
	}
	// An endpoint may take more.
	s.webhook(map[string]any{"tenant": "of-raised", "url": r.URL + "/raised", "events": []string{"*"}, "profile": "smartcv", "max_body": 110_000})
	s.publish(`{"tenant":"of-raised","type":"user.registered","data":{"user":{"id":"` + big + `"}}}`)
	if q := r.wait(t, "/raised", 0); len(q.body) <= len(big) {
		t.Errorf("the long body has %d bytes", len(q.body))
	}
	// A mark behind them: nothing of the above was on its way.
	s.publish(`{"tenant":"of-kidsmart","type":"fluency","data":{"assessment_id":"mark"}}`, `{"tenant":"of-aiinterview","type":"session.feedback_submitted","data":{"session_id":"mark","feedback":{}}}`)
	for _, name := range []string{"kidsmart", "aiinterview"} {
		if q := r.wait(t, "/"+name, 0); !strings.Contains(q.body, "mark") {
			t.Errorf("%s was sent: %s", name, q.body)
		}
	}
	// The system's own type can neither be subscribed to nor published.
	if status, b := s.try(http.MethodPost, "/v1/webhooks", map[string]any{"tenant": "of-ihateppt", "url": r.URL + "/v", "profile": "ihateppt", "events": []string{"webhook.verification"}}); status != http.StatusUnprocessableEntity || !strings.Contains(string(b), "webhook.verification") {
		t.Errorf("subscribing to the challenge: %d %s", status, b)
	}
	s.publish(`{"tenant":"of-ihateppt","type":"webhook.verification","data":{"challenge":"c"}}`, `{"tenant":"of-ihateppt","type":"file.uploaded","data":{"file_id":"mark"}}`)
	if q := r.wait(t, "/ihateppt", 0); !strings.Contains(q.body, "mark") {
		t.Errorf("a challenge was published: %s", q.body)
	}
}

// TestVerificationChallenge: an endpoint that repeats the challenge gets
// events, one that does not stays pending with the reason until it is verified
// again, and one that skips it gets them at once.
func TestVerificationChallenge(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := newSink(t, func(w http.ResponseWriter, _ *http.Request, _ int) { _, _ = w.Write([]byte(`{"status":"success"}`)) })
	echo := newSink(t, nil)
	echo.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var body struct {
			Type string
			Data struct{ Challenge string }
		}
		if err := json.NewDecoder(req.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		echo.mu.Lock()
		echo.got = append(echo.got, request{path: req.URL.Path, header: req.Header, body: body.Type})
		echo.mu.Unlock()
		_ = json.NewEncoder(w).Encode(map[string]string{"challenge": body.Data.Challenge})
	})
	create := func(url string, skip bool) string {
		id, _ := s.webhook(map[string]any{"url": url, "events": []string{"*"}, "profile": "ihateppt", "skip_verification": skip})
		return id
	}
	becomes := func(id string, verified bool, reason string) {
		t.Helper()
		eventually(t, "the standing of "+id, func() error {
			var w struct {
				Verified    bool
				VerifyError string `json:"verify_error"`
				Status      string
			}
			s.call(http.MethodGet, "/v1/webhooks/"+id, nil, http.StatusOK, &w)
			if w.Verified != verified || !strings.Contains(w.VerifyError, reason) || (w.Status == "active") != verified {
				return fmt.Errorf("is %+v", w)
			}
			return nil
		})
	}
	good := create(echo.URL+"/good", false)
	bad := create(r.URL+"/bad", false)
	skipping := create(r.URL+"/skipping", true)
	becomes(good, true, "")
	becomes(bad, false, `no field "challenge"`)
	becomes(skipping, true, "")
	s.publish(`{"id":"evt-one","type":"file.uploaded","data":{"file_id":"f"}}`)
	r.arrived(t, "/skipping", 1)
	eventually(t, "the verified endpoint has the event", func() error {
		if got := echo.requests("/good"); len(got) != 2 || got[0].body != "webhook.verification" || got[1].body != "file.uploaded" {
			return fmt.Errorf("%d requests", len(got))
		}
		return nil
	})
	s.wantSQL("SELECT state, error_kind, attempts FROM hookstream.deliveries WHERE event_id = 'evt-one' AND endpoint_id = '"+bad+"'", "skipped\tunverified\t0")
	if got := r.requests("/bad"); len(got) != 1 || !strings.Contains(got[0].body, "webhook.verification") {
		t.Errorf("the unverified endpoint got %d requests", len(got))
	}
	// Its owner mends it, and asks again.
	s.call(http.MethodPatch, "/v1/webhooks/"+bad, map[string]any{"url": echo.URL + "/mended"}, http.StatusOK, nil)
	s.call(http.MethodPost, "/v1/webhooks/"+bad+"/verify", nil, http.StatusAccepted, nil)
	becomes(bad, true, "")
	s.publish(`{"id":"evt-two","type":"file.deleted","data":{"file_id":"f"}}`)
	eventually(t, "the mended endpoint has the event", func() error {
		for _, q := range echo.requests("/mended") {
			if q.body == "file.deleted" {
				return nil
			}
		}
		return fmt.Errorf("not yet")
	})
}

// TestKidSmartRetries: publishing returns though the receiver has not answered;
// three retries after 1, 2 and 4 seconds, each signed anew
// over the same bytes, then a dead letter.
func TestKidSmartRetries(t *testing.T) {
	t.Parallel()
	s := start(t)
	published := make(chan struct{}) // closed once publishing has returned
	r := newSink(t, func(w http.ResponseWriter, req *http.Request, _ int) {
		select {
		case <-published:
		case <-req.Context().Done():
		}
		w.WriteHeader(http.StatusInternalServerError)
	})
	id, secret := s.webhook(map[string]any{"url": r.URL + "/webhook", "events": []string{"fluency"}, "profile": "kidsmart"})
	s.publish(`{"id":"assessed","type":"fluency","data":{ "assessment_id" : "as_1", "score" : 25.0 }}`)
	close(published)
	s.wantSQL("SELECT state, attempts, response_code, error_kind FROM hookstream.deliveries WHERE event_id = 'assessed'", "error\t4\t500\thttp_5xx")
	got := r.requests("/webhook")
	if len(got) != 4 {
		t.Fatalf("%d requests", len(got))
	}
	last := 0
	for i, q := range got {
		ts, err := strconv.Atoi(q.header.Get("X-KidSmart-Timestamp"))
		if err != nil || ts <= last {
			t.Errorf("request %d: timestamp %q after %d", i, q.header.Get("X-KidSmart-Timestamp"), last)
		}
		last = ts
		if q.body != `{"type":"fluency","assessment_id":"as_1","score":25}` {
			t.Errorf("request %d: %s", i, q.body)
		}
		if q.header.Get("X-KidSmart-Signature") != hmacHex(secret, strconv.Itoa(ts)+"."+q.body) {
			t.Errorf("request %d: %v", i, q.header)
		}
	}
	s.wantSQL("SELECT attempt_no, response_code, error_kind, error_message, duration_ms < 30000 FROM hookstream.attempts WHERE endpoint_id = '"+id+"' ORDER BY attempt_no",
		"1\t500\thttp_5xx\tHTTP 500 Internal Server Error\t1\n2\t500\thttp_5xx\tHTTP 500 Internal Server Error\t1\n3\t500\thttp_5xx\tHTTP 500 Internal Server Error\t1\n4\t500\thttp_5xx\tHTTP 500 Internal Server Error\t1")
	// Nothing came before its time.
	times, err := s.sql("SELECT toUnixTimestamp64Milli(attempted_at) FROM hookstream.attempts WHERE endpoint_id = '" + id + "' ORDER BY attempt_no")
	if err != nil {
		t.Fatal(err)
	}
	before := 0
	for i, text := range strings.Fields(times) {
		at, err := strconv.Atoi(text)
		if delay := []int{0, 1000, 2000, 4000}[i]; err != nil || at-before < delay {
			t.Errorf("attempt %d came %d ms after the one before, want at least %d: %v", i+1, at-before, delay, err)
		}
		before = at
	}
}

// TestPairIsPublishedOnce: an event and session of AI Interview published again
// is reported and not sent, after a restart too, unless it is forced.
func TestPairIsPublishedOnce(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := newRawReceiver(t)
	s.webhook(map[string]any{"url": r.URL + "/once", "profile": "aiinterview", "events": []string{"*"}})
	pair := func(query, comment string) (status int, id string, duplicate bool) {
		t.Helper()
		a := s.ask(http.MethodPost, "/v1/events"+query, `{"type":"session.feedback_submitted","data":{"session_id":"ses_1","feedback":{"comment":"`+comment+`"}}}`, nil)
		var answer struct {
			ID        string
			Duplicate bool
		}
		if err := json.Unmarshal(a.body, &answer); err != nil {
			t.Fatalf("%d %s", a.status, a.body)
		}
		return a.status, answer.ID, answer.Duplicate
	}
	status, first, duplicate := pair("", "good")
	if status != http.StatusAccepted || duplicate {
		t.Fatalf("the first: %d, duplicate %v", status, duplicate)
	}
	again := func(when string) {
		t.Helper()
		if status, id, duplicate := pair("", "good"); status != http.StatusAccepted || id != first || !duplicate {
			t.Errorf("again %s: %d %s, duplicate %v", when, status, id, duplicate)
		}
		if status, _, _ := pair("", "bad"); status != http.StatusConflict {
			t.Errorf("with other feedback %s: %d", when, status)
		}
	}
	again("at once")
	s.wantSQL("SELECT count() FROM hookstream.events WHERE event_id = '"+first+"'", "1")
	s.stop()
	s.up()
	again("after a restart")
	status, forced, duplicate := pair("?force=true", "bad")
	if status != http.StatusAccepted || forced == first || duplicate {
		t.Errorf("forced: %d %s, duplicate %v", status, forced, duplicate)
	}
	if q := r.wait(t, "/once", 1); !strings.Contains(q.body, `"bad"`) {
		t.Errorf("sent again: %s", q.body)
	}
	s.wantSQL("SELECT count(), countIf(event_id = '"+first+"') FROM hookstream.deliveries", "2\t1")
}
