package profile

// What finds repeats among received webhooks: the dedupe key and how long it is
// remembered.

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

type dedupe struct {
	parts  []dedupePart
	hash   bool // of the body, when a part is missing
	window time.Duration
}

// defaultWindow is how long repeats are known where a file says nothing.
const defaultWindow = 24 * time.Hour

// dedupePart is one header, or the first of several fields that the body has.
type dedupePart struct {
	header string
	paths  []string
}

const headerPart = "header:"

// maxWindow is as long as received webhooks stay in Kafka, less a day.
const maxWindow = 6 * 24 * time.Hour

// Window is how long after an event its repeats are recognised.
func (p *Profile) Window() time.Duration { return p.dedupe.window }

func (p *Profile) compileDedupe(s dedupeSpec) error {
	if len(s.Parts) == 0 {
		return wrong("is missing; name the fields whose values make an event's key, for example id", "dedupe", "parts")
	}
	if p.dedupe.window = s.Window; s.Window == 0 {
		p.dedupe.window = defaultWindow
	}
	if p.dedupe.window < time.Second || p.dedupe.window > maxWindow {
		return wrongf([]string{"dedupe", "window"}, "is %s; give 1s to %s", s.Window, maxWindow)
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

// KeyField is one value that a dedupe key is made of.
type KeyField struct{ Name, Value string }

// KeyFields are the values of the dedupe key that a request has, for logs: of a
// request that was not verified they are whatever its sender wrote.
func (p *Profile) KeyFields(header func(string) string, body []byte) []KeyField {
	var out []KeyField
	for _, part := range p.dedupe.parts {
		if part.header != "" {
			if v := header(part.header); v != "" {
				out = append(out, KeyField{part.header, v})
			}
			continue
		}
		for _, path := range part.paths {
			if v, ok := dig(body, path); ok {
				out = append(out, KeyField{path, v})
				break
			}
		}
	}
	return out
}
