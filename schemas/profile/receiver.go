package profile

// What a receiver does besides verifying: the key that finds repeats, and the
// answers of the product's contract.

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
)

// Case is a situation that a receiver answers.
type Case string

// Cases.
const (
	CaseAccepted     Case = "accepted"
	CaseDuplicate    Case = "duplicate"     // seen before
	CaseUnsigned     Case = "unsigned"      // signature or timestamp header missing
	CaseBadSignature Case = "bad_signature" // wrong, or not of the profile's form
	CaseStale        Case = "stale"         // timestamp too far off
	CaseBadPayload   Case = "bad_payload"   // rightly signed, but no event of the product
	CaseFailed       Case = "failed"        // our own failure: the sender should try again
)

var cases = []Case{CaseAccepted, CaseDuplicate, CaseUnsigned, CaseBadSignature, CaseStale, CaseBadPayload, CaseFailed}

// Answer is a receiver's response. An empty ContentType goes with an empty
// Body.
type Answer struct {
	Status      int
	ContentType string
	Body        string
}

// Answer is what the product's contract answers in a case.
func (p *Profile) Answer(c Case) Answer {
	if a, ok := p.answers[c]; ok {
		return a
	}
	return p.answers[CaseFailed]
}

type dedupe struct {
	parts []dedupePart
	hash  bool // of the body, when a part is missing
}

// dedupePart is one header, or the first of several fields that the body has.
type dedupePart struct {
	header string
	paths  []string
}

const headerPart = "header:"

func (p *Profile) compileDedupe(s dedupeSpec) error {
	if len(s.Parts) == 0 {
		return wrong("is missing; name the fields whose values make an event's key, for example id", "dedupe", "parts")
	}
	for i, text := range s.Parts {
		if name, ok := strings.CutPrefix(text, headerPart); ok {
			p.dedupe.parts = append(p.dedupe.parts, dedupePart{header: name})
			continue
		}
		paths := strings.Split(text, "|")
		for _, path := range paths {
			if path == "" || strings.HasPrefix(path, ".") || strings.HasSuffix(path, ".") || strings.Contains(path, "..") {
				return wrongf([]string{"dedupe", "parts", strconv.Itoa(i)}, "is %q; give header:NAME, or fields of the body such as data.id, parted by |", text)
			}
		}
		p.dedupe.parts = append(p.dedupe.parts, dedupePart{paths: paths})
	}
	switch s.Fallback {
	case "":
	case "body":
		p.dedupe.hash = true
	default:
		return wrong("is not body", "dedupe", "fallback")
	}
	return nil
}

// DedupeKey is what two deliveries of one event share. False: the body lacks
// what makes it, and the profile has no fallback.
func (p *Profile) DedupeKey(header func(string) string, body []byte) (string, bool) {
	key := make([]string, 0, len(p.dedupe.parts))
	for _, part := range p.dedupe.parts {
		value, ok := part.value(header, body)
		if !ok {
			if !p.dedupe.hash {
				return "", false
			}
			sum := sha256.Sum256(body)
			return "sha256:" + hex.EncodeToString(sum[:]), true
		}
		key = append(key, value)
	}
	return strings.Join(key, ":"), true
}

func (part dedupePart) value(header func(string) string, body []byte) (string, bool) {
	if part.header != "" {
		v := header(part.header)
		return v, v != ""
	}
	for _, path := range part.paths {
		if v, ok := dig(body, path); ok {
			return v, true
		}
	}
	return "", false
}
