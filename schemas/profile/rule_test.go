package profile_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

// TestDataRules: what each flat profile's contract demands of the data, and
// that a refusal names the field.
func TestDataRules(t *testing.T) {
	kid, ai := builtin(t, "kidsmart"), builtin(t, "aiinterview")
	const done, feedback = "interview.completed", "session.feedback_submitted"
	base := `"session_id":"s","invitee_email":"a@b.c"`
	at := `"timestamp":"2025-03-04T05:06:07+00:00"`
	for _, c := range []struct {
		p           *profile.Profile
		event, data string
		field       string // empty: taken
	}{
		{kid, "fluency", `{"assessment_id":"as_1"}`, ""},
		{kid, "fluency", `{"type":"fluency","assessment_id":"as_1","any":[1]}`, ""},
		{kid, "vocabulary", `{"assessment_id":"as_1"}`, ""}, // another kind of assessment
		{kid, "fluency", `{"type":"recognition","assessment_id":"as_1"}`, "data.type"},
		{kid, "fluency", `{"type":null,"assessment_id":"as_1"}`, "data.type"},
		{kid, "fluency", `{}`, "data.assessment_id"},
		{kid, "fluency", `{"assessment_id":""}`, "data.assessment_id"},
		{kid, "fluency", `{"assessment_id":7}`, "data.assessment_id"},
		{kid, "fluency", `{"assessment_id":null}`, "data.assessment_id"},
		{kid, "fluency", `["as_1"]`, "data"},
		{kid, "fluency", `"as_1"`, "data"},
		{kid, "fluency", `{"assessment_id":"as_1","n":9007199254740993}`, "data"},
		{kid, "fluency", `{"assessment_id":"as_1","n":{"a":1,"a":2}}`, "data"},
		{kid, "fluency", `{"assessment_id":"as_1","n":1e400}`, "data"},
		{kid, "fluency", "{\"assessment_id\":\"\xff\"}", "data"},
		{ai, done, `{` + base + `,` + at + `}`, ""},
		{ai, done, `{"event":"interview.completed",` + base + `,` + at + `,"total_minutes":31.5,"transcript_url":"https://f.test/t.json"}`, ""},
		{ai, done, `{"event":"x",` + base + `,` + at + `}`, "data.event"},
		{ai, done, `{"invitee_email":"a@b.c",` + at + `}`, "data.session_id"},
		{ai, done, `{"session_id":"","invitee_email":"a@b.c",` + at + `}`, "data.session_id"},
		{ai, done, `{"session_id":5,"invitee_email":"a@b.c",` + at + `}`, "data.session_id"},
		{ai, done, `{"session_id":"s",` + at + `}`, "data.invitee_email"},
		{ai, done, `{"session_id":"s","invitee_email":"",` + at + `}`, "data.invitee_email"},
		{ai, done, `{` + base + `}`, "data.timestamp"},
		{ai, done, `{` + base + `,` + at + `,"total_minutes":"31"}`, "data.total_minutes"},
		{ai, done, `{` + base + `,` + at + `,"total_minutes":null}`, "data.total_minutes"},
		{ai, done, `{` + base + `,` + at + `,"transcript_url":"/t.json"}`, "data.transcript_url"},
		{ai, done, `{` + base + `,` + at + `,"transcript_url":"ftp://f.test/t.json"}`, "data.transcript_url"},
		{ai, feedback, `{"session_id":"s","feedback":{}}`, ""},
		{ai, feedback, `{"session_id":"s","feedback":{"rating":4},` + at + `}`, ""},
		{ai, feedback, `{"session_id":"s"}`, "data.feedback"},
		{ai, feedback, `{"session_id":"s","feedback":null}`, "data.feedback"},
		{ai, feedback, `{"session_id":"s","feedback":[1]}`, "data.feedback"},
		{ai, feedback, `{"session_id":"s","feedback":"good"}`, "data.feedback"},
		{ai, feedback, `{"session_id":"s","feedback":{"session_id":"t"}}`, "data.feedback.session_id"},
		{ai, feedback, `{"session_id":"s","feedback":{"\u0073ession_id":null}}`, "data.feedback.session_id"},
		{ai, feedback, "{\"session_id\":\"\xff\",\"feedback\":{}}", "data"},
		{ai, "interview.started", `{` + base + `}`, "type"},
	} {
		err := c.p.CheckData(c.event, []byte(c.data))
		var fault *profile.Fault
		if errors.As(err, &fault) != (c.field != "") || c.field != "" && fault.Field != c.field {
			t.Errorf("%s %s: %v, want a fault of %q", c.event, c.data, err, c.field)
		}
		if _, bodyErr := c.p.Body(delivery(c.event, []byte(c.data))); (bodyErr == nil) != (err == nil) {
			t.Errorf("%s %s: CheckData says %v, Body %v", c.event, c.data, err, bodyErr)
		}
	}
	for timestamp, ok := range map[string]bool{
		"2025-03-04T05:06:07+00:00": true, "2025-03-04T05:06:07-03:30": true, "2025-03-04T05:06:07.123+00:00": true, "2025-03-04T05:06:07.123456+00:00": true,
		"2025-03-04T05:06:07Z": false, "2025-03-04T05:06:07": false, "2025-03-04T05:06:07.1+00:00": false, "2025-03-04T05:06:07.123456789+00:00": false,
		"2025-03-04 05:06:07+00:00": false, "2025-03-04T05:06:07,123+00:00": false, "2025-02-30T05:06:07+00:00": false, "2025-03-04T5:06:07+00:00": false, "": false,
	} {
		err := ai.CheckData(done, []byte(`{`+base+`,"timestamp":"`+timestamp+`"}`))
		if (err == nil) != ok {
			t.Errorf("%s: %v", timestamp, err)
		}
	}
}

// TestFlatBodies: the body is the data in the profile's form, the type's name
// in its field.
func TestFlatBodies(t *testing.T) {
	for _, c := range []struct{ profile, event, data, want string }{
		{"kidsmart", "fluency", " { \"assessment_id\" : \"as_1\",\n\"10\":1 , \"2\":25.0, \"t\":\"\\u003c\u2028\\u00e9\" }\n",
			"{\"2\":25,\"10\":1,\"type\":\"fluency\",\"assessment_id\":\"as_1\",\"t\":\"<\u2028é\"}"},
		{"kidsmart", "fluency", `{"assessment_id":"as_1","type":"fluency"}`, `{"assessment_id":"as_1","type":"fluency"}`},
		{"aiinterview", "session.feedback_submitted", `{ "session_id":"s", "feedback":{"n":25.0,"c":"é😀"} }`,
			`{"event":"session.feedback_submitted", "session_id":"s", "feedback":{"n":25.0,"c":"\u00e9\ud83d\ude00"} }`},
		{"github", "push", `{ "ref":"é", "n":25.0 }`, `{ "ref":"é", "n":25.0 }`},
	} {
		body, err := builtin(t, c.profile).Body(delivery(c.event, []byte(c.data)))
		if err != nil || string(body) != c.want {
			t.Errorf("%s: %v\n got %s\nwant %s", c.profile, err, body, c.want)
		}
	}
	for _, name := range []string{"kidsmart", "aiinterview"} {
		p := builtin(t, name)
		if p.CheckSize(make([]byte, 102400), 0) != nil || p.CheckSize(make([]byte, 102401), 0) == nil || p.CheckSize(make([]byte, 102401), 200000) != nil {
			t.Errorf("%s: body limit", name)
		}
	}
}

// TestContracts: success codes, schedules, timeouts, slow marks and ids.
func TestContracts(t *testing.T) {
	any2xx := []int{200, 201, 202, 203, 204, 205, 206, 226, 299}
	for name, want := range map[string]struct {
		codes   []int
		rest    string
		dedupe  string
		sampled string // a body
	}{
		"kidsmart":    {any2xx, "[1s 2s 4s] 0 30s {evt_ wh_ dlv_}", "as_1", `{"type":"fluency","assessment_id":"as_1"}`},
		"aiinterview": {any2xx, "[1s 2s 4s] 0 30s {evt_ wh_ dlv_}", "interview.completed:s", `{"event":"interview.completed","session_id":"s"}`},
		"ihateppt":    {[]int{200}, "[1s 5s 30s] 0 30s {evt_ wh_ dlv_}", "evt_1", `{"id":"evt_1"}`},
		"stripe":      {any2xx, "[5m0s 30m0s 2h0m0s 5h0m0s 10h0m0s 10h0m0s 10h0m0s 10h0m0s 10h0m0s 10h0m0s] 0.1 20s {evt_ we_ dlv_}", "evt_1", `{"id":"evt_1"}`},
		"github":      {any2xx, "[5s 5m0s 30m0s 2h0m0s 5h0m0s 10h0m0s 10h0m0s] 0.1 10s {evt_ wh_ dlv_}", "X-GitHub-Delivery", `{}`},
	} {
		p := builtin(t, name)
		var codes []int
		for code := range 600 {
			if p.Success(code) {
				codes = append(codes, code)
			}
		}
		if len(want.codes) == 1 && fmt.Sprint(codes) != fmt.Sprint(want.codes) || len(want.codes) > 1 && (len(codes) != 100 || codes[0] != 200) {
			t.Errorf("%s: success is %v", name, codes)
		}
		if got := fmt.Sprint(p.Schedule(), p.Jitter(), p.Timeout(), p.WirePrefixes()); got != want.rest {
			t.Errorf("%s: %s", name, got)
		}
		if p.Slow(5*time.Second) || !p.Slow(5001*time.Millisecond) {
			t.Errorf("%s: slow is above 5 s", name)
		}
		if key, ok := p.DedupeKey(func(name string) string { return name }, []byte(want.sampled)); !ok || key != want.dedupe {
			t.Errorf("%s: key %s", name, key)
		}
		if p.HTTP2() || p.SecretOf() != profile.OfWebhook {
			t.Errorf("%s: HTTP/1.1, and the webhook's own secret", name)
		}
	}
}

// TestRetryNotice: what announces a retry, and when there is nothing to
// announce.
func TestRetryNotice(t *testing.T) {
	p := builtin(t, "ihateppt")
	for attempt, delay := range p.Schedule() {
		// Just before the second ends, so that cutting fractions off shows.
		failed := time.Date(2025, 3, 4, 5, 6, 7, 999_400_000, time.UTC)
		d := delivery("file.uploaded", []byte(`{}`))
		d.Attempts = attempt
		out := &schemas.Outcome{Verdict: schemas.Retry, RetryAt: failed.Add(delay).Add(600 * time.Microsecond),
			Row: schemas.Attempt{AttemptedAt: failed.Add(-40 * time.Millisecond).UnixMilli(), DurationMS: 40}}
		ev, ok := p.RetryNotice(d, out)
		again, _ := p.RetryNotice(d, out)
		if !ok || ev.Type != "webhook.retry" || ev.Kind != schemas.KindNotice || ev.Tenant != d.Tenant || ev.EndpointID != "" || ev.ID == d.EventID || again.ID != ev.ID || ev.Check() != nil {
			t.Fatalf("%+v", ev)
		}
		notice := *delivery(ev.Type, ev.Data)
		notice.EventID, notice.EventTime, notice.Kind = ev.ID, ev.Time, ev.Kind
		body, err := p.Body(&notice)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			ID, Type string
			Created  time.Time
			Data     struct {
				Original string    `json:"original_event_id"`
				Count    int       `json:"retry_count"`
				Next     time.Time `json:"next_retry_at"`
			}
		}
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatal(err)
		}
		if got.ID != ev.ID || got.Data.Original != d.EventID || got.Data.Count != attempt || got.Data.Next.Sub(got.Created) != delay || strings.Count(string(body), `Z"`) != 2 {
			t.Errorf("retry %d: %s", attempt, body)
		}
		d.Attempts++
		if other, _ := p.RetryNotice(d, out); other.ID == ev.ID {
			t.Error("two retries share an id")
		}
		for name, change := range map[string]func(d *schemas.Delivery, out *schemas.Outcome){
			"delivered":     func(_ *schemas.Delivery, out *schemas.Outcome) { out.Verdict = schemas.Delivered },
			"given up":      func(_ *schemas.Delivery, out *schemas.Outcome) { out.Verdict = schemas.Exhausted },
			"a notice":      func(d *schemas.Delivery, _ *schemas.Outcome) { d.Kind = schemas.KindNotice },
			"its own type":  func(d *schemas.Delivery, _ *schemas.Outcome) { d.EventType = "webhook.retry" },
			"without a due": func(_ *schemas.Delivery, out *schemas.Outcome) { out.RetryAt = time.Time{} },
		} {
			changedD, changedOut := *d, *out
			change(&changedD, &changedOut)
			if _, ok := p.RetryNotice(&changedD, &changedOut); ok {
				t.Errorf("announced: %s", name)
			}
		}
		if _, ok := builtin(t, "smartcv").RetryNotice(d, out); ok {
			t.Error("a profile without notices announced a retry")
		}
	}
}

func TestChallengeReplyAndFault(t *testing.T) {
	p := builtin(t, "ihateppt")
	if got, ok := p.ChallengeReply(p.ChallengeBody("abc")); !ok || string(got) != `{"challenge":"abc"}` {
		t.Errorf("%s", got)
	}
	if got, ok := p.ChallengeReply([]byte(` { "data":{"challenge":"abc"}, "type":"webhook.verification"}`)); !ok || string(got) != `{"challenge":"abc"}` {
		t.Errorf("%s", got)
	}
	if got, ok := p.ChallengeReply([]byte(`{"type":"webhook.verification","data":{"challenge":"é\"b"}}`)); !ok || string(got) != `{"challenge":"é\"b"}` {
		t.Errorf("a value with a quotation mark: %s", got)
	}
	if got, ok := p.ChallengeReply([]byte(`{"id":"evt_1","type":"webhook.verification","created":"2025-03-04T05:06:07Z","data":{"challenge":"abc","try":2}}`)); !ok || string(got) != `{"challenge":"abc"}` {
		t.Errorf("in the envelope that every event has: %s", got)
	}
	for _, body := range []string{``, `[]`, `{"type":"file.uploaded","data":{"challenge":"abc"}}`, `{"type":"webhook.verification","data":{}}`, `{"type":"webhook.verification","data":{"challenge":7}}`,
		`{"type":"webhook.verification","data":{"challenge":""}}`, `{"type":"webhook.verification","data":["abc"]}`, `{"type":["webhook.verification"],"data":{"challenge":"abc"}}`, `{"data":{"challenge":"abc"}}`,
		`{"type":"webhook.verification","data":{"challenge":"abc"}`} {
		if got, ok := p.ChallengeReply([]byte(body)); ok {
			t.Errorf("%s: %s", body, got)
		}
	}
	if _, ok := builtin(t, "smartcv").ChallengeReply(p.ChallengeBody("abc")); ok {
		t.Error("smartcv has no challenge")
	}
	for answer, want := range map[string]string{
		`{"challenge":"abc"}`: "", `{"status":"success"}`: `no field "challenge"`, `{"challenge":"abd"}`: "another value", `{"challenge":1}`: "another value",
		`abc`: "no JSON object", ``: "no JSON object",
	} {
		if got := p.ChallengeFault([]byte(answer), "abc"); !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%s: %q", answer, got)
		}
	}
}

// TestAttemptsAreSignedAnew: every attempt has the same body, and where the
// time is signed, another timestamp and signature.
func TestAttemptsAreSignedAnew(t *testing.T) {
	set, err := profile.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range set.Names() {
		p, _ := set.Get(name)
		d := delivery(p.Events()[0].Type, []byte(p.Events()[0].Sample))
		first, err := p.Body(d)
		if err != nil {
			t.Fatal(err)
		}
		headers, err := p.Headers(d, first, [][]byte{secretFor(p)}, sentAt)
		if err != nil {
			t.Fatal(err)
		}
		d.Attempts = 1
		second, err := p.Body(d)
		if err != nil || string(first) != string(second) {
			t.Errorf("%s: %v\n%s\n%s", name, err, first, second)
		}
		again, err := p.Headers(d, second, [][]byte{secretFor(p)}, sentAt.Add(4*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		changed := map[string]bool{}
		for i := range headers {
			if string(headers[i].Value) != string(again[i].Value) {
				changed[headers[i].Key] = true
			}
		}
		want := map[string]int{"kidsmart": 2, "smartcv": 2, "ihateppt": 2, "standard": 2, "stripe": 1}[name]
		if len(changed) != want {
			t.Errorf("%s: changed are %v", name, changed)
		}
	}
}

// TestIHatePPTSamples: the documented fields of the types that have some, and
// an object for each of the others.
func TestIHatePPTSamples(t *testing.T) {
	p := builtin(t, "ihateppt")
	for _, e := range p.Events() {
		var data map[string]any
		if err := json.Unmarshal([]byte(e.Sample), &data); err != nil || len(data) < 2 || e.Doc == "" {
			t.Errorf("%s: %v %s", e.Type, err, e.Sample)
		}
		whole := func(name string) bool { x, ok := data[name].(float64); return ok && x == float64(int64(x)) }
		has := func(name string) bool { x, ok := data[name].(string); return ok && x != "" }
		switch e.Type {
		case "ppt.generation.completed":
			if _, ok := data["generation_time"].(float64); !ok || !whole("pages") || !whole("cost") || !has("ppt_id") || !has("user_id") || !has("title") || !has("download_url") || len(data) != 7 {
				t.Errorf("%s: %s", e.Type, e.Sample)
			}
		case "ppt.generation.failed":
			if !has("error") {
				t.Errorf("%s: %s", e.Type, e.Sample)
			}
		}
	}
}
