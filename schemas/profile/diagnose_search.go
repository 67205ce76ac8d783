package profile

// The search for what differs between how a request was signed and how it
// should have been: keys, signing texts and bodies that people commonly use.

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"github.com/segmentio/encoding/json"
)

// variant is another way to do one thing; change says what was done, and is
// empty for the right way.
type variant[T any] struct {
	value  T
	change string
}

// search finds the smallest set of changes under which one of the sums comes
// out; none for a signature that is right.
func (x *examination) search(sums [][]byte) (changes []string, found bool) {
	best := 4
	for _, text := range x.texts() {
		for _, body := range x.bodies() {
			for _, key := range x.keys() {
				var all []string
				for _, c := range []string{text.change, body.change, key.change} {
					if c != "" {
						all = append(all, c)
					}
				}
				if len(all) >= best || !x.sums(text.value, body.value, key.value, sums) {
					continue
				}
				best, changes, found = len(all), all, true
			}
		}
	}
	return changes, found
}

func (x *examination) sums(text template, body, key []byte, want [][]byte) bool {
	mac := hmac.New(sha256.New, key)
	for _, part := range text {
		switch part.name {
		case "":
			mac.Write([]byte(part.literal))
		case varBody:
			mac.Write(body)
		default:
			mac.Write([]byte(x.got[part.name]))
		}
	}
	sum := mac.Sum(nil)
	for _, w := range want {
		if hmac.Equal(sum, w) {
			return true
		}
	}
	return false
}

func (x *examination) texts() []variant[template] {
	own := x.p.sign.text
	out := []variant[template]{{value: own}}
	timed := template{{name: varTS}, {literal: "."}, {name: varBody}}
	for _, v := range []variant[template]{
		{template{{name: varBody}}, "what was signed is the body alone; it has to be " + own.form()},
		{timed, "what was signed is {ts}.{body}; it has to be " + own.form()},
		{template{{name: varTS}, {name: varBody}}, "what was signed is {ts}{body}, without the dot; it has to be " + own.form()},
		{append(template{{name: varID}, {literal: "."}}, timed...), "what was signed is {id}.{ts}.{body}; it has to be " + own.form()},
	} {
		if v.value.form() != own.form() {
			out = append(out, v)
		}
	}
	return out
}

func (x *examination) bodies() []variant[[]byte] {
	out := []variant[[]byte]{{value: x.body}}
	add := func(b []byte, change string) {
		for _, have := range out {
			if bytes.Equal(have.value, b) {
				return
			}
		}
		out = append(out, variant[[]byte]{b, change})
	}
	add(bytes.TrimRight(x.body, "\r\n"), "what was signed lacks the line break at the body's end; keep the raw bytes (an editor or echo adds one)")
	add(append(bytes.Clone(x.body), '\n'), "what was signed has a line break at its end that this body lacks; keep the raw bytes (curl -d @FILE drops it, --data-binary keeps it)")
	add(bytes.ReplaceAll(x.body, []byte("\r\n"), []byte("\n")), "what was signed has LF where this body has CRLF; keep the raw bytes")
	if !valid(x.body) {
		return out
	}
	const again = "what was signed is not these bytes but the same JSON written again, "
	var compact, indented bytes.Buffer
	if json.Compact(&compact, x.body) == nil {
		add(compact.Bytes(), again+"without blanks; sign and check the raw body")
		add(spaced(compact.Bytes()), again+"with blanks after commas and colons, as Python's json.dumps does; sign and check the raw body")
		if b, err := ascii(compact.Bytes()); err == nil {
			add(spaced(b), again+"as Python's json.dumps does; sign and check the raw body")
		}
	}
	if b, err := ascii(x.body); err == nil {
		add(b, again+"with \\u escapes; sign and check the raw body")
	}
	if b, err := javaScript(x.body, maxDepth); err == nil {
		add(b, again+"by JavaScript's JSON.stringify; sign and check the raw body")
	}
	if json.Indent(&indented, x.body, "", "  ") == nil {
		add(indented.Bytes(), again+"indented; sign and check the raw body")
	}
	return out
}

// spaced puts a blank after each comma and colon between tokens of compact
// JSON.
func spaced(compact []byte) []byte {
	out := make([]byte, 0, len(compact)+len(compact)/8)
	inside := false
	for i := 0; i < len(compact); i++ {
		c := compact[i]
		out = append(out, c)
		switch {
		case inside && c == '\\':
			i++
			out = append(out, compact[i]) // valid JSON has a character here
		case c == '"':
			inside = !inside
		case !inside && (c == ',' || c == ':'):
			out = append(out, ' ')
		}
	}
	return out
}

func (x *examination) keys() (out []variant[[]byte]) {
	for _, text := range x.secrets {
		if key, err := x.p.key(text); err == nil {
			out = append(out, variant[[]byte]{value: key})
		}
		if trimmed := bytes.TrimSpace(text); len(trimmed) < len(text) {
			if key, err := x.p.key(trimmed); err == nil {
				out = append(out, variant[[]byte]{key, "the secret given here has blanks or a line break around it that the sender's has not"})
			}
		}
		bare, prefixed := strings.CutPrefix(string(text), x.p.secret.prefix)
		if x.p.secret.decode {
			out = append(out, variant[[]byte]{text, "the key was the secret's text itself; it has to be " + x.p.keyForm()})
		} else if b, err := base64.StdEncoding.DecodeString(bare); err == nil && len(b) > 0 {
			out = append(out, variant[[]byte]{b, "the key was decoded from base64; it has to be " + x.p.keyForm()})
		}
		if prefixed && x.p.secret.prefix != "" {
			out = append(out, variant[[]byte]{[]byte(bare), "the key was the secret without " + x.p.secret.prefix + "; it has to be " + x.p.keyForm()})
		}
	}
	return out
}
