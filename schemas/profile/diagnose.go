package profile

// Diagnose says why a request does not verify: what Verify refuses, it takes
// apart and tries what people commonly get wrong.

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Diagnosis is what can be told of a request. It holds no secret and no
// signature but those that the request came with.
type Diagnosis struct {
	Profile  string          `json:"profile"`
	Verified bool            `json:"verified"`
	Case     Case            `json:"case"`             // which of the profile's answers the request gets
	Reason   string          `json:"reason,omitempty"` // of a refusal
	Checks   []DiagnosedStep `json:"checks"`
	Hints    []string        `json:"hints"`
}

// DiagnosedStep is one check.
type DiagnosedStep struct {
	Check  string `json:"check"` // header NAME, timestamp or signature
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// Diagnose verifies a request as p does and explains the result; the set's
// other profiles are what a foreign request may look like. The error is that
// of a secret of ours that is unusable.
func (s *Set) Diagnose(p *Profile, header func(string) string, body []byte, secrets [][]byte, now time.Time) (*Diagnosis, error) {
	x := &examination{set: s, p: p, header: header, body: body, secrets: secrets, now: now, got: map[string]string{}}
	d := &Diagnosis{Profile: p.name, Case: CaseAccepted, Checks: []DiagnosedStep{}, Hints: []string{}}
	err := p.Verify(header, body, secrets, now)
	var refusal *Refusal
	switch {
	case err == nil:
		d.Verified = true
	case errors.As(err, &refusal):
		d.Case, d.Reason = refusal.Case, refusal.Reason
	default:
		return nil, err
	}
	d.Checks = append(d.Checks, x.headers()...)
	if step, ok := x.timestamp(); ok {
		d.Checks = append(d.Checks, step)
	}
	signature, hint := x.signature()
	d.Checks = append(d.Checks, signature)
	if d.Verified {
		return d, nil
	}
	d.Hints = append(d.Hints, x.otherProfiles()...)
	if ts := x.got[varTS]; len(ts) == 13 && strings.Trim(ts, "0123456789") == "" {
		d.Hints = append(d.Hints, "the timestamp looks like milliseconds; it has to be whole seconds")
	}
	if hint != "" {
		d.Hints = append(d.Hints, hint)
	}
	return d, nil
}

// examination is one request under study.
type examination struct {
	set     *Set
	p       *Profile
	header  func(string) string
	body    []byte
	secrets [][]byte
	now     time.Time
	got     map[string]string // variables that the profile's headers carried
}

// headers looks for each header that verifying needs, and takes it apart.
func (x *examination) headers() (steps []DiagnosedStep) {
	for _, h := range x.p.headers {
		if !h.value.uses(varSignature) && !h.value.uses(varTS) && !h.value.uses(varID) {
			continue
		}
		step := DiagnosedStep{Check: "header " + h.name}
		value := x.header(h.name)
		switch {
		case value == "":
			step.Detail = "missing"
		case !h.value.match(value, func(name, value string) { x.got[name] = value }):
			step.Detail = "does not have the form " + h.value.form()
		default:
			step.OK, step.Detail = true, "present"
		}
		steps = append(steps, step)
	}
	return steps
}

// form is the template as the profile's file has it.
func (t template) form() string {
	var b strings.Builder
	for _, p := range t {
		if p.name == "" {
			b.WriteString(p.literal)
		} else {
			b.WriteString("{" + p.name + "}")
		}
	}
	return b.String()
}

// timestamp is false for a profile that signs none.
func (x *examination) timestamp() (step DiagnosedStep, signed bool) {
	if !x.p.sign.text.uses(varTS) {
		return step, false
	}
	step = DiagnosedStep{Check: "timestamp"}
	ts, limit := x.got[varTS], x.p.verify.Tolerance
	n, err := strconv.ParseInt(ts, 10, 64)
	if err != nil || len(ts) > 12 {
		step.Detail = "is no number of seconds"
		if ts == "" {
			step.Detail = "missing"
		}
		return step, true
	}
	step.OK = x.p.checkTime(ts, x.now) == nil
	seconds, way := x.now.Unix()-n, "old" // as checkTime counts
	if seconds < 0 {
		seconds, way = -seconds, "in the future"
	}
	step.Detail = fmt.Sprintf("%d s %s; %d s are allowed", seconds, way, int64(limit/time.Second))
	if way != "old" && x.p.verify.AcceptFuture {
		step.Detail = fmt.Sprintf("%d s in the future, which %s allows", seconds, x.p.name)
	}
	return step, true
}

// signature compares what came with what the secrets make, as the profile
// has it; the hint is the smallest change that makes it fit.
func (x *examination) signature() (step DiagnosedStep, hint string) {
	step = DiagnosedStep{Check: "signature"}
	value := x.got[varSignature]
	if value == "" {
		step.Detail = "there is none to check"
		return step, ""
	}
	if len(x.secrets) == 0 {
		step.Detail = "there is no secret to check with"
		return step, ""
	}
	sums := macs(value)
	if len(sums) == 0 {
		step.Detail = "is no HMAC-SHA256 in hex or base64"
		return step, "the signature's header has to carry " + x.dress()
	}
	changes, found := x.search(sums)
	if !found {
		step.Detail = "does not match"
		return step, "no usual change explains it: either the secret is another one, or the body was changed on its way; sign the raw bytes, before any parser has them"
	}
	if len(changes) > 0 {
		step.Detail = "does not match"
		return step, strings.Join(changes, "; and ")
	}
	for _, c := range x.p.candidates(value) {
		if slices.ContainsFunc(x.secrets, func(s []byte) bool { return x.matches(c, s) }) {
			step.OK, step.Detail = true, "matches"
			return step, ""
		}
	}
	step.Detail = "is the right one, wrongly written"
	return step, "the header has to carry " + x.dress() + upperHint(value)
}

func (x *examination) matches(candidate string, secret []byte) bool {
	key, err := x.p.key(secret)
	return err == nil && hmac.Equal([]byte(candidate), x.p.appendMAC(nil, key, x.body, x.value))
}

func (x *examination) value(dst []byte, name string) []byte { return append(dst, x.got[name]...) }

// dress is how the profile writes a signature, in words.
func (x *examination) dress() string {
	form := "64 lower-case hex digits"
	if x.p.sign.base64 {
		form = "base64 of 32 bytes"
	}
	if x.p.sign.prefix == "" {
		return form + " and nothing before them"
	}
	return strconv.Quote(x.p.sign.prefix) + " followed by " + form
}

func upperHint(value string) string {
	_, digits, ok := strings.Cut(value, "=")
	if !ok {
		digits = value
	}
	if len(digits) == 2*sha256.Size && digits != strings.ToLower(digits) {
		return "; these digits are in upper case"
	}
	return ""
}

// macs are the 32-byte values that a header's text may stand for, whatever its
// prefix, case and encoding.
func macs(value string) (sums [][]byte) {
	tokens := strings.FieldsFunc(value, func(r rune) bool { return r == ' ' || r == ',' || r == ';' })
	for _, token := range tokens[:min(len(tokens), maxCandidates)] {
		forms := []string{token}
		if _, after, ok := strings.Cut(token, "="); ok {
			forms = append(forms, after)
		}
		for _, f := range forms {
			if b, err := hex.DecodeString(f); err == nil && len(b) == sha256.Size {
				sums = append(sums, b)
			}
			for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
				if b, err := enc.DecodeString(strings.TrimRight(f, "=")); err == nil && len(b) == sha256.Size {
					sums = append(sums, b)
				}
			}
		}
	}
	return sums
}

// otherProfiles names profiles that the request would verify as or, when this
// profile's own headers are missing, that it has the headers of.
func (x *examination) otherProfiles() (hints []string) {
	var alike []string
	for _, name := range x.set.Names() {
		q, _ := x.set.Get(name)
		if name == x.p.name || q == nil {
			continue
		}
		if q.Verify(x.header, x.body, x.secrets, x.now) == nil {
			hints = append(hints, "it verifies as profile "+name)
		} else if x.got[varSignature] == "" && q.recognises(x.header) {
			alike = append(alike, name)
		}
	}
	if len(hints) == 0 && len(alike) > 0 {
		hints = append(hints, "its headers are those of profile "+strings.Join(alike, " or "))
	}
	return hints
}

// recognises reports whether a request has all headers that verifying needs.
func (p *Profile) recognises(header func(string) string) bool {
	for _, h := range p.headers {
		if !h.value.uses(varSignature) && !h.value.uses(varTS) && !h.value.uses(varID) {
			continue
		}
		if value := header(h.name); value == "" || !h.value.match(value, func(string, string) {}) {
			return false
		}
	}
	return true
}
