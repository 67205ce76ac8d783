package profile

// Fuzzing of profile files, of requests as receivers get them, and of the
// promise that a signature holds for what it was made of and for nothing else.

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/textproto"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// everyProfile are the built-in profiles by name.
func everyProfile(f *testing.F) []*Profile {
	f.Helper()
	set, err := Builtin()
	if err != nil {
		f.Fatal(err)
	}
	var all []*Profile
	for _, name := range set.Names() {
		p, _ := set.Get(name)
		all = append(all, p)
	}
	return all
}

// FuzzProfileFile: a file is a profile that works, or is refused with its name
// and a line.
func FuzzProfileFile(f *testing.F) {
	files, err := filepath.Glob("testdata/folder/*")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, name := range append(files, "builtin/smartcv.yaml", "builtin/ihateppt.yaml") {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, text := range []string{"", "a", "---\n---\n", "name: [", "name: x\nversion: 1\n? {}\n", "<<: *a", "a: &a [*a]", "name: x\nname: x", "\x00", "version: 1e99", "headers:\n- name: X\n  value: '{'"} {
		f.Add([]byte(text))
	}
	located := regexp.MustCompile(`^folder/f\.yaml:[1-9][0-9]*: \S`)
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := parse("folder/f.yaml", text)
		if err != nil {
			if !located.MatchString(err.Error()) {
				t.Fatalf("the error %q has no line", err)
			}
			return
		}
		if p.name == "" || p.version < 1 || len(p.headers) == 0 || p.timeout <= 0 {
			t.Fatalf("half a profile: %+v", p)
		}
		random := make([]byte, 32)
		secret := []byte(p.NewSecret(random))
		if err := p.CheckSecret(string(secret)); err != nil {
			t.Fatalf("its own new secret: %v", err)
		}
		for _, e := range p.Events() {
			sample, ok := p.Sample(e.Type)
			if !ok {
				t.Fatalf("%s has no sample", e.Type)
			}
			d := &schemas.Delivery{ID: "dlv_1", EventID: "evt_1", EventType: e.Type, Tenant: "t", EndpointID: "wh_1", CreatedAt: time.Unix(1700000000, 0), Data: sample}
			body, err := p.Body(d)
			if err != nil {
				t.Fatalf("the sample of %s: %v", e.Type, err)
			}
			headers, err := p.Headers(d, body, [][]byte{secret}, time.Unix(1700000000, 0))
			if err != nil {
				t.Fatalf("signing the sample of %s: %v", e.Type, err)
			}
			if err := p.Verify(lookup(headers), body, [][]byte{secret}, time.Unix(1700000000, 0)); err != nil {
				t.Fatalf("%s does not verify its own request: %v\n%s", p.name, err, headers)
			}
		}
	})
}

// lookup reads headers as net/http does.
func lookup(headers []schemas.Header) func(string) string {
	return func(name string) string {
		for _, h := range headers {
			if textproto.CanonicalMIMEHeaderKey(h.Key) == textproto.CanonicalMIMEHeaderKey(name) {
				return string(h.Value)
			}
		}
		return ""
	}
}

// FuzzSignVerify: every profile verifies what it signs, whatever the bytes,
// and refuses it once a byte of the body, of a signed header or of the secret
// is another.
func FuzzSignVerify(f *testing.F) {
	profiles := everyProfile(f)
	for i := range profiles {
		f.Add(uint8(i), []byte(`{"a":"é😀<>&"}`), "evt_0123456789abcdefghjkmnpqrs", []byte("0123456789abcdef01234567"), uint16(7), uint8(1))
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte, id string, random []byte, place uint16, change uint8) {
		p := profiles[int(which)%len(profiles)]
		if schemas.CheckEventID(id) != nil || change == 0 {
			return
		}
		secret := []byte(p.NewSecret(append(random[:min(len(random), 64)], make([]byte, 24)...)))
		if p.CheckSecret(string(secret)) != nil {
			return
		}
		now := time.Unix(1700000000, 0)
		d := &schemas.Delivery{ID: "dlv_1", EventID: id, EventType: "a.b", Tenant: "t", EndpointID: "wh_1", CreatedAt: now}
		headers, err := p.Headers(d, body, [][]byte{secret}, now)
		if err != nil {
			t.Fatal(err)
		}
		verify := func(body, secret []byte, headers []schemas.Header) error {
			return p.Verify(lookup(headers), body, [][]byte{secret}, now)
		}
		if err := verify(body, secret, headers); err != nil {
			t.Fatalf("%s does not verify its own request: %v\n%s", p.name, err, headers)
		}
		flipped := func(b []byte) []byte {
			b = bytes.Clone(b)
			b[int(place)%len(b)] ^= change
			return b
		}
		if len(body) > 0 && verify(flipped(body), secret, headers) == nil {
			t.Fatalf("%s takes another body", p.name)
		}
		if verify(append(bytes.Clone(body), change), secret, headers) == nil {
			t.Fatalf("%s takes a longer body", p.name)
		}
		if other := flipped(secret); otherKey(p, secret, other) && verify(body, other, headers) == nil {
			t.Fatalf("%s takes another secret", p.name)
		}
		for i, h := range p.headers {
			covered := h.value.uses(varSignature) || h.value.uses(varTS) && p.sign.text.uses(varTS) || h.value.uses(varID) && p.sign.text.uses(varID)
			if !covered {
				continue
			}
			forged := slices.Clone(headers)
			forged[i].Value = flipped(forged[i].Value)
			if verify(body, secret, forged) == nil && !(p.verify.UpperCase && strings.EqualFold(string(forged[i].Value), string(headers[i].Value))) {
				t.Fatalf("%s takes the header %s: %q, made was %q", p.name, h.name, forged[i].Value, headers[i].Value)
			}
			forged[i].Value = nil
			if verify(body, secret, forged) == nil {
				t.Fatalf("%s takes a request without %s", p.name, h.name)
			}
		}
	})
}

// otherKey reports whether b is a secret with another key than a. HMAC fills
// keys up with zeros: some at the end make no other key.
func otherKey(p *Profile, a, b []byte) bool {
	one, err := p.key(a)
	two, err2 := p.key(b)
	return err == nil && err2 == nil && !bytes.Equal(bytes.TrimRight(one, "\x00"), bytes.TrimRight(two, "\x00"))
}

// FuzzReceived: no request makes a receiver panic, and what nobody signed is
// refused with a reason that does not hold the secret.
func FuzzReceived(f *testing.F) {
	profiles := everyProfile(f)
	for i := range profiles {
		f.Add(uint8(i), []byte(`{"id":"evt_1","type":"webhook.verification","event":"x","data":{"challenge":"abc","id":1.0}}`), "t=1700000000,v1=00", "1700000000", "msg_1", "v1,AAAA v1,BBBB")
		f.Add(uint8(i), []byte(`[{"a":`), "sha256=ABCD", "-1e3", "\x00", "")
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte, a, b, c, d string) {
		p := profiles[int(which)%len(profiles)]
		values := []string{a, b, c, d}
		header := func(name string) string { return values[len(name)%len(values)] }
		secret := []byte(p.NewSecret(bytes.Repeat([]byte{7}, 32)))
		err := p.Verify(header, body, [][]byte{secret}, time.Unix(1700000000, 0))
		var refused *Refusal
		if !errors.As(err, &refused) || refused.Case == "" || refused.Reason == "" || strings.Contains(refused.Reason, string(secret)) {
			t.Fatalf("%s: %v", p.name, err)
		}
		if status := p.Answer(refused.Case).Status; status < 400 || status > 599 {
			t.Fatalf("%s answers a refused request with %d", p.name, status)
		}
		if key, ok := p.DedupeKey(header, body); ok != (key != "") && len(p.dedupe.parts) > 0 {
			t.Fatalf("%s: dedupe key %q, %v", p.name, key, ok)
		}
		_ = p.KeyFields(header, body)
		_ = p.TypeOf(header, body)
		_, _ = p.Meta(body)
		_, _ = p.Read(header, body)
		if reply, ok := p.ChallengeReply(body); ok && !json.Valid(reply) {
			t.Fatalf("%s replies %q", p.name, reply)
		}
		_ = p.ChallengeAnswered(body, "value")
		if !json.Valid(body) {
			return // publishing looks at valid JSON only
		}
		err = p.CheckData("a.b", body)
		delivery := &schemas.Delivery{ID: "dlv_1", EventID: "evt_1", EventType: "a.b", Tenant: "t", EndpointID: "wh_1", CreatedAt: time.Unix(1700000000, 0), Data: body}
		made, failed := p.Body(delivery)
		var fault *Fault
		if failed != nil && (!errors.As(failed, &fault) || fault.Field == "" || fault.Reason == "") {
			t.Fatalf("%s: %v names no field", p.name, failed)
		}
		if err == nil && failed != nil && p.CheckData("a.b", body) == nil {
			t.Fatalf("%s: published and then refused: %v", p.name, failed)
		}
		if failed == nil && !json.Valid(made) {
			t.Fatalf("%s makes %q of %q", p.name, made, body)
		}
	})
}

// FuzzTemplate: what a template writes with values that hold none of its
// literals, it takes apart again.
func FuzzTemplate(f *testing.F) {
	f.Add("t={ts},v1={signature}", "1700000000", "ab12")
	f.Add("{id}.{ts}", "evt_1", "5")
	f.Add("{", "", "")
	f.Fuzz(func(t *testing.T, form, a, b string) {
		tmpl, err := parseTemplate(form, varID, varTS, varSignature)
		if err != nil {
			return
		}
		given := map[string]string{varID: a, varTS: b, varSignature: a + b}
		for _, p := range tmpl {
			for _, v := range given {
				if p.name == "" && strings.ContainsAny(v, p.literal) {
					return
				}
			}
		}
		text := tmpl.append(nil, func(dst []byte, name string) []byte { return append(dst, given[name]...) })
		if !tmpl.match(string(text), func(name, value string) {
			if given[name] != value {
				t.Fatalf("%q: %s is %q, want %q", text, name, value, given[name])
			}
		}) {
			t.Fatalf("%q does not match %q", text, form)
		}
		_ = tmpl.match(a, func(string, string) {})
	})
}

// TestDeepRequests: a receiver gets brackets by the megabyte from whoever finds
// it; a publisher's never come as far as a body.
func TestDeepRequests(t *testing.T) {
	set, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{strings.Repeat("[", 8<<20), `{"id":` + strings.Repeat(`{"id":`, 1<<20)} {
		for _, name := range set.Names() {
			p, _ := set.Get(name)
			header := func(string) string { return "x" }
			var fault *Fault
			if err := p.CheckData(p.Events()[0].Type, []byte(body)); !errors.As(err, &fault) || !strings.Contains(fault.Reason, "levels deep") {
				t.Errorf("%s: %v", name, err)
			}
			var refused *Refusal
			if _, err := p.Read(header, []byte(body)); !errors.As(err, &refused) {
				t.Errorf("%s reads it: %v", name, err)
			}
			_, _ = p.DedupeKey(header, []byte(body))
			_, _ = p.Meta([]byte(body))
			if _, ok := p.ChallengeReply([]byte(body)); ok || p.ChallengeAnswered([]byte(body), "x") {
				t.Errorf("%s takes it for a challenge", name)
			}
		}
	}
}
