package profile_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

// sampleData is a type's sample, read.
func sampleData(t *testing.T, product, eventType string) map[string]any {
	t.Helper()
	text, ok := builtin(t, product).Sample(eventType)
	var data map[string]any
	if err := json.Unmarshal(text, &data); err != nil || !ok {
		t.Fatalf("%s %s: %v %s", product, eventType, err, text)
	}
	return data
}

// shape is what an object's fields are: s text, n a number, t a time in UTC
// with Z, o an object.
func shape(t *testing.T, v any) map[string]string {
	t.Helper()
	object, ok := v.(map[string]any)
	if !ok {
		t.Fatalf("%v is no object", v)
	}
	out := map[string]string{}
	for name, value := range object {
		switch x := value.(type) {
		case string:
			out[name] = "s"
			if _, err := time.Parse("2006-01-02T15:04:05Z", x); err == nil {
				out[name] = "t"
			}
			if x == "" {
				out[name] = "empty"
			}
		case float64:
			out[name] = "n"
		case map[string]any:
			out[name] = "o"
		default:
			out[name] = "another"
		}
	}
	return out
}

// wantShape compares with "name:kind name:kind"; a name with a question mark may
// be missing.
func wantShape(t *testing.T, what string, v any, want string) {
	t.Helper()
	got := shape(t, v)
	for field := range strings.FieldsSeq(want) {
		name, kind, _ := strings.Cut(field, ":")
		name, optional := strings.CutSuffix(name, "?")
		if got[name] != kind && !(optional && got[name] == "") {
			t.Errorf("%s: %s is %q, want %q", what, name, got[name], kind)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("%s: further fields %v", what, got)
	}
}

// TestSmartCVSamples: the three types that the contract spells out have just
// its fields, the other seven have an object of their subject.
func TestSmartCVSamples(t *testing.T) {
	const resume = "id:s title:s status:s user_id:s template_id:s created_at:t "
	for eventType, want := range map[string]map[string]string{
		"resume.created":            {"resume": resume},
		"resume.updated":            {"resume": resume + "updated_at:t"},
		"resume.deleted":            {"resume": resume + "deleted_at:t"},
		"resume.shared":             {"resume": resume + "shared_at:t share_url:s"},
		"resume.exported":           {"resume": resume + "exported_at:t format:s"},
		"user.registered":           {"user": "id:s email:s registered_at:t"},
		"user.profile_updated":      {"user": "id:s email:s updated_at:t"},
		"user.subscription_changed": {"user": "id:s email:s", "subscription": "previous_type:s current_type:s changed_at:t"},
		"ai.analysis_completed":     {"analysis": "resume_id:s overall_score:n keyword_match_score:n format_score:n content_score:n suggestions_count:n"},
		"ai.content_generated":      {"content": "resume_id:s section:s generated_at:t"},
	} {
		data := sampleData(t, "smartcv", eventType)
		if len(data) != len(want) {
			t.Errorf("%s: %v", eventType, data)
		}
		for name, fields := range want {
			wantShape(t, eventType+" "+name, data[name], fields)
		}
	}
	made := sampleData(t, "smartcv", "resume.created")["resume"].(map[string]any)
	for field, prefix := range map[string]string{"id": "resume_", "user_id": "user_", "template_id": "template_"} {
		if !strings.HasPrefix(made[field].(string), prefix) {
			t.Errorf("%s is %v", field, made[field])
		}
	}
}

// TestSmartKYCSamples: fields in camelCase, as the contract names them.
func TestSmartKYCSamples(t *testing.T) {
	const submission = "submissionId:s invitationId:s customerEmail:s workflowId:s status:s "
	samples := map[string]string{
		"submission.created":      submission + "createdAt:t",
		"submission.completed":    submission + "submittedAt:t workflowName?:s responses?:o",
		"submission.approved":     submission + "reviewedAt:t",
		"submission.rejected":     submission + "reviewedAt:t",
		"submission.updated":      submission + "updatedAt:t",
		"invitation.sent":         "invitationId:s customerEmail:s workflowId:s sentAt:t",
		"invitation.expired":      "invitationId:s customerEmail:s workflowId:s expiredAt:t",
		"invitation.cancelled":    "invitationId:s customerEmail:s workflowId:s cancelledAt:t",
		"aml.screening.completed": "submissionId:s result:s matchCount:n",
		"aml.match.found":         "submissionId:s matchType:s matchScore:n matchedName:s sourceList:s riskLevel:s",
		"aml.match.dismissed":     "submissionId:s matchType:s matchedName:s dismissedBy:s",
	}
	p := builtin(t, "smartkyc")
	if len(p.Events()) != len(samples) {
		t.Errorf("%d types", len(p.Events()))
	}
	camel := regexp.MustCompile(`^[a-z]+([A-Z][a-z]+)*$`)
	for eventType, want := range samples {
		data := sampleData(t, "smartkyc", eventType)
		wantShape(t, eventType, data, want)
		_, status, _ := strings.Cut(eventType, ".")
		if got, ok := data["status"]; ok && got != status {
			t.Errorf("%s has the status %v", eventType, got)
		}
		sample, _ := p.Sample(eventType)
		d := &schemas.Delivery{EventID: "evt_1", EventType: eventType, Tenant: "t", EventTime: time.Unix(1741064767, 0), Data: sample}
		body, err := p.Body(d)
		var whole map[string]any
		if err != nil || json.Unmarshal(body, &whole) != nil {
			t.Fatalf("%s: %v %s", eventType, err, body)
		}
		for name := range whole {
			if !camel.MatchString(name) {
				t.Errorf("%s: the field %s", eventType, name)
			}
		}
		for name := range data {
			if !camel.MatchString(name) {
				t.Errorf("%s: the field data.%s", eventType, name)
			}
		}
	}
	if score := sampleData(t, "smartkyc", "aml.match.found")["matchScore"].(float64); score < 0 || score > 1 {
		t.Errorf("matchScore is %v", score)
	}
}

// TestSignatureIsAlways64Digits: whatever the body, the secret and the kind of
// delivery, because receivers throw on another length.
func TestSignatureIsAlways64Digits(t *testing.T) {
	headers := map[string]string{"kidsmart": "X-KidSmart-Signature", "aiinterview": "X-Webhook-Signature", "smartcv": "X-SmartCV-Signature",
		"ihateppt": "X-Webhook-Signature", "smartkyc": "X-SmartKYC-Signature"}
	set, err := profile.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	digits := regexp.MustCompile(`^[0-9a-f]{64}$`)
	rapid.Check(t, func(rt *rapid.T) {
		product := rapid.SampledFrom([]string{"kidsmart", "aiinterview", "smartcv", "ihateppt", "smartkyc"}).Draw(rt, "product")
		secret := rapid.StringN(1, 40, 200).Draw(rt, "secret")
		body := rapid.SliceOf(rapid.Byte()).Draw(rt, "body")
		kind := rapid.SampledFrom([]string{schemas.KindEvent, schemas.KindTest, schemas.KindReplay, schemas.KindChallenge, schemas.KindNotice}).Draw(rt, "kind")
		now := time.Unix(rapid.Int64Range(0, 1<<35).Draw(rt, "now"), 0)
		d := &schemas.Delivery{ID: "dlv_1", EventID: "evt_1", EventType: "a.b", EndpointID: "wh_1", Kind: kind, Attempts: rapid.IntRange(0, 9).Draw(rt, "attempts")}
		p, _ := set.Get(product)
		got, err := p.Headers(d, body, [][]byte{[]byte(secret), []byte("an older one")}, now)
		if err != nil {
			rt.Fatal(err)
		}
		found := 0
		for _, h := range got {
			if h.Key != headers[product] {
				continue
			}
			found++
			value, prefixed := strings.CutPrefix(string(h.Value), "sha256=")
			if !digits.MatchString(value) || prefixed != (product == "smartcv" || product == "ihateppt") {
				rt.Errorf("%s: %s", product, h.Value)
			}
		}
		if found != 1 {
			rt.Errorf("%s: %d signatures", product, found)
		}
	})
}
