package profile_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/hookstream/hookstream/schemas/profile"
)

func TestCatalogues(t *testing.T) {
	for name, want := range map[string]string{
		"kidsmart":    "fluency pronunciation recognition",
		"aiinterview": "interview.completed session.feedback_submitted",
		"ihateppt": "ppt.generation.started ppt.generation.completed ppt.generation.failed ppt.generation.cancelled ppt.edit.started ppt.edit.completed ppt.edit.failed " +
			"file.uploaded file.processed file.deleted user.registered user.subscribed user.unsubscribed webhook.retry",
		"smartcv":  "resume.created resume.updated resume.deleted resume.shared resume.exported user.registered user.subscription_changed user.profile_updated ai.analysis_completed ai.content_generated",
		"smartkyc": "submission.created submission.completed submission.approved submission.rejected submission.updated invitation.sent invitation.expired invitation.cancelled aml.screening.completed aml.match.found aml.match.dismissed",
	} {
		p := builtin(t, name)
		var got []string
		for _, e := range p.Events() {
			got = append(got, e.Type)
			if sample, ok := p.Sample(e.Type); !ok || p.CheckData(e.Type, sample) != nil || !p.Knows(e.Type) {
				t.Errorf("%s %s: no good sample", name, e.Type)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v", name, got)
		}
		if p.Listed("invoice.paid") || p.Open() != (name == "kidsmart") {
			t.Errorf("%s: an open catalogue", name)
		}
		if _, ok := p.Sample("invoice.paid"); !p.Open() && (ok || p.Knows("invoice.paid")) {
			t.Errorf("%s takes a type of another product", name)
		}
	}
	if sample, ok := builtin(t, "standard").Sample("whatever.happens"); !ok || len(sample) == 0 {
		t.Error("standard takes any type")
	}
	if _, ok := builtin(t, "standard").Sample("no type"); ok {
		t.Error("a malformed type has a sample")
	}
}

func TestCheckEvents(t *testing.T) {
	cv, std := builtin(t, "smartcv"), builtin(t, "standard")
	for _, ok := range [][]string{nil, {"*"}, {"resume.*", "ai.content_generated"}} {
		if err := cv.CheckEvents(ok); err != nil {
			t.Errorf("%v: %v", ok, err)
		}
	}
	for _, bad := range []string{"resume.burnt", "resume", "invoice.*", "", "a b", "*.created", "submission.created"} {
		err := cv.CheckEvents([]string{"resume.created", bad})
		var fault *profile.Fault
		if !errors.As(err, &fault) || fault.Field != "events" || !strings.Contains(fault.Reason, bad) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if err := std.CheckEvents([]string{"any.thing", "x.*"}); err != nil {
		t.Error(err)
	}
	ppt := builtin(t, "ihateppt")
	for _, ok := range [][]string{{"webhook.retry"}, {"webhook.*"}, {"ppt.edit.*", "*"}} {
		if err := ppt.CheckEvents(ok); err != nil {
			t.Errorf("%v: %v", ok, err)
		}
	}
	if ppt.CheckEvents([]string{"webhook.verification"}) == nil || ppt.CheckData("webhook.verification", []byte(`{"challenge":"c"}`)) == nil {
		t.Error("the challenge was subscribed to or published")
	}
	if std.CheckEvents([]string{"a*"}) == nil {
		t.Error("a* is no pattern")
	}
}

func TestCheckData(t *testing.T) {
	cv, flat := builtin(t, "smartcv"), folder(t, "flat")
	for _, c := range []struct {
		p           *profile.Profile
		event, data string
		field       string // empty: taken
	}{
		{cv, "resume.created", `{"any":1}`, ""},
		{cv, "resume.created", `[1]`, "data"},
		{cv, "resume.created", `"x"`, "data"},
		{cv, "resume.created", `null`, "data"},
		{cv, "resume.created", `{"a":}`, "data"},
		{cv, "resume.created", ``, "data"},
		{cv, "invoice.paid", `{}`, "type"},
		{builtin(t, "standard"), "x", `null`, ""},
		{builtin(t, "standard"), "x", `tru`, "data"},
		{flat, "session.closed", `{"session_id":1}`, ""},
		{flat, "session.closed", `{"session_id":1,"event":"session.closed"}`, ""},
		{flat, "session.closed", `{"session_id":1,"event":"other"}`, "data.event"},
		{flat, "session.closed", `{"session_id":1,"event":7}`, "data.event"},
		{flat, "session.closed", `{"x":{"session_id":1}}`, "data.session_id"},
		{flat, "session.closed", `{"session_id":null}`, "data.session_id"},
		{flat, "interview.completed", `{"session_id":1}`, "data.invitee_email"},
	} {
		err := c.p.CheckData(c.event, []byte(c.data))
		var fault *profile.Fault
		if errors.As(err, &fault) != (c.field != "") || c.field != "" && fault.Field != c.field {
			t.Errorf("%s %s %s: %v, want a fault of %q", c.p.Name(), c.event, c.data, err, c.field)
		}
		if _, bodyErr := c.p.Body(delivery(c.event, []byte(c.data))); (bodyErr == nil) != (err == nil) {
			t.Errorf("%s %s: CheckData says %v, Body %v", c.event, c.data, err, bodyErr)
		}
	}
}

func TestDedupeKey(t *testing.T) {
	none := func(string) string { return "" }
	std, cv, kyc := builtin(t, "standard"), builtin(t, "smartcv"), builtin(t, "smartkyc")
	h := http.Header{}
	h.Set("Webhook-Id", "msg_1")
	if key, ok := std.DedupeKey(h.Get, nil); !ok || key != "msg_1" {
		t.Error(key)
	}
	if _, ok := std.DedupeKey(none, nil); ok {
		t.Error("standard without an id")
	}
	if key, ok := cv.DedupeKey(none, []byte(`{"id":"event_1"}`)); !ok || key != "event_1" {
		t.Error(key)
	}
	if _, ok := cv.DedupeKey(none, []byte(`[]`)); ok {
		t.Error("smartcv without an id")
	}
	for body, want := range map[string]string{
		`{"event":"a","timestamp":"t","data":{"submissionId":"sub_1"}}`:                        "a:sub_1:t",
		`{"event":"a","timestamp":"t","data":{"invitationId":"inv_1"}}`:                        "a:inv_1:t",
		`{"event":"a","timestamp":"t","data":{"submissionId":"sub_1","invitationId":"inv_1"}}`: "a:sub_1:t",
		`{"event":"a","data":{"submissionId":"sub_1"}}`:                                        "sha256:",
		`{}`: "sha256:",
	} {
		if key, ok := kyc.DedupeKey(none, []byte(body)); !ok || !strings.HasPrefix(key, want) {
			t.Errorf("%s: %s", body, key)
		}
	}
	if a := cv.Answer(profile.CaseStale); a.Status != 400 || a.Body != `{"error":"Webhook timestamp too old"}` {
		t.Error(a)
	}
}

func TestChallenge(t *testing.T) {
	if p := builtin(t, "ihateppt"); !p.Challenged() || p.ChallengeType() != "webhook.verification" {
		t.Error("ihateppt has the challenge webhook.verification")
	}
	p := folder(t, "flat")
	if !p.Challenged() || p.ChallengeType() != "webhook.verification" || builtin(t, "standard").Challenged() || p.Knows(p.ChallengeType()) {
		t.Error("who has a challenge")
	}
	if got := string(p.ChallengeBody("abc")); got != `{"type":"webhook.verification","data":{"challenge":"abc"}}` {
		t.Error(got)
	}
	for answer, ok := range map[string]bool{
		`{"challenge":"abc"}`: true, `{ "challenge" : "\u0061bc", "x":1}`: true,
		`{"challenge":"ab"}`: false, `{"challenge":null}`: false, `{"challenge":["abc"]}`: false, `{"Challenge":"abc"}`: false,
		`{"data":{"challenge":"abc"}}`: false, `"abc"`: false, `abc`: false, ``: false, `{"challenge":"abc"`: false, `<html>abc</html>`: false,
	} {
		if p.ChallengeAnswered([]byte(answer), "abc") != ok {
			t.Errorf("%s: %v", answer, !ok)
		}
	}
}
