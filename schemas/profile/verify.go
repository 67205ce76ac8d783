package profile

// The receiver's side of signatures.

import (
	"crypto/hmac"
	"strconv"
	"strings"
	"time"
)

// Refusal is why a request was not accepted. Case picks the answer; Reason is
// for logs and never holds a secret or an expected signature.
type Refusal struct {
	Case   Case
	Reason string
}

func (r *Refusal) Error() string { return r.Reason }

// maxCandidates bounds how many signatures of one request are looked at.
const maxCandidates = 16

// Verify checks a received request's signature and timestamp: in constant
// time, against every active secret. header returns a header's value whatever
// the casing of its name (http.Header.Get does); body is the raw bytes as
// they came; secrets are the secrets' texts as bytes. The error is a *Refusal,
// but for an unusable secret of our own.
func (p *Profile) Verify(header func(string) string, body []byte, secrets [][]byte, now time.Time) error {
	got := map[string]string{}
	for _, h := range p.headers {
		if !h.value.uses(varSignature) && !h.value.uses(varTS) && !h.value.uses(varID) {
			continue
		}
		value := header(h.name)
		if value == "" {
			return &Refusal{CaseUnsigned, "header " + h.name + " is missing"}
		}
		if !h.value.match(value, func(name, value string) { got[name] = value }) {
			return &Refusal{CaseBadSignature, "header " + h.name + " does not have the form of " + p.name}
		}
	}
	if p.sign.text.uses(varTS) {
		if err := p.checkTime(got[varTS], now); err != nil {
			return err
		}
	}
	if len(secrets) == 0 {
		return &Refusal{CaseBadSignature, "there is no secret to check with"}
	}
	candidates := p.candidates(got[varSignature])
	value := func(dst []byte, name string) []byte { return append(dst, got[name]...) }
	matched := false
	for _, text := range secrets {
		key, err := p.key(text)
		if err != nil {
			return err
		}
		expected := p.appendMAC(nil, key, body, value)
		for _, c := range candidates {
			if hmac.Equal([]byte(c), expected) {
				matched = true
			}
		}
	}
	if !matched {
		return &Refusal{CaseBadSignature, "the signature does not match"}
	}
	return nil
}

// candidates are the encoded signatures in a header's value, without prefix.
func (p *Profile) candidates(value string) []string {
	parts := []string{value}
	if p.sign.join != "" {
		parts = strings.SplitN(value, p.sign.join, maxCandidates+1)
		parts = parts[:min(len(parts), maxCandidates)]
	}
	var out []string
	for _, c := range parts {
		bare, ok := strings.CutPrefix(c, p.sign.prefix)
		if !ok && !p.verify.PrefixOptional {
			continue
		}
		if p.verify.UpperCase && !p.sign.base64 {
			bare = strings.ToLower(bare)
		}
		out = append(out, bare)
	}
	return out
}

// checkTime takes decimal digits only: readers that stop at the first other
// character, or read NaN, let what they should refuse slip by.
func (p *Profile) checkTime(ts string, now time.Time) error {
	if ts == "" || len(ts) > 12 || strings.Trim(ts, "0123456789") != "" {
		return &Refusal{CaseStale, "the timestamp is no number of seconds"}
	}
	n, err := strconv.ParseInt(ts, 10, 64)
	if err != nil {
		return &Refusal{CaseStale, "the timestamp is no number of seconds"}
	}
	// Whole seconds on both sides, as the products' samples and the libraries of
	// the public schemes count: a part of a second may not decide.
	age := time.Unix(now.Unix(), 0).Sub(time.Unix(n, 0))
	if age > p.verify.Tolerance {
		return &Refusal{CaseStale, "the timestamp is too old"}
	}
	if -age > p.verify.Tolerance && !p.verify.AcceptFuture {
		return &Refusal{CaseStale, "the timestamp lies in the future"}
	}
	return nil
}
