package profile

// Reading a received body whose signature was checked: which event it is, and
// whether it has the product's structure.

import (
	"fmt"
	"strings"
	"time"
)

// defaultDrift is how far a timestamp may be off where a file says nothing.
const defaultDrift = 300 * time.Second

// maxType is the longest event type that is received, in bytes. Types that
// subscriptions could not name are received too, marked as unlisted.
const maxType = 256

// received is where a request of this profile has its parts.
type received struct {
	typeField  string // of the body; empty: the type is in typeHeader only
	typeHeader string // a header that is the type and nothing else; empty: none
	dataField  string // of the body; empty: the body is the data
	dataObject bool
	strict     bool // types that are not listed are refused
}

// Received is what a signed body says of itself.
type Received struct {
	Type     string
	Unlisted bool   // the type is not in the catalogue
	Claimed  string // what a header says of the type, where that is something else: nobody signed it
}

// Read says which event a body is. The signature was checked before. The error
// is a *Refusal.
func (p *Profile) Read(header func(string) string, body []byte) (Received, error) {
	r := Received{Type: p.TypeOf(header, body)}
	refuse := func(format string, args ...any) (Received, error) {
		return r, &Refusal{CaseBadPayload, fmt.Sprintf(format, args...)}
	}
	if !valid(body) {
		return refuse("the body is no JSON")
	}
	if !isObject(body) {
		return refuse("the body is no JSON object")
	}
	where := "field " + p.received.typeField
	if p.received.typeField == "" {
		where = "header " + p.received.typeHeader
	}
	switch {
	case r.Type == "" && (p.received.typeField != "" || p.received.typeHeader != ""):
		return refuse("the event's type is missing: %s", where)
	case len(r.Type) > maxType:
		r.Type = ""
		return refuse("the event's type has more than %d bytes", maxType)
	}
	r.Unlisted = !p.Listed(r.Type)
	if r.Unlisted && p.received.strict {
		return refuse("the event's type is not among those of %s", p.name)
	}
	if h := p.received.typeHeader; h != "" && p.received.typeField != "" {
		if claimed := header(h); claimed != r.Type {
			r.Claimed = claimed
		}
	}
	if p.received.dataField != "" {
		data, ok := member(body, p.received.dataField)
		if !ok || p.received.dataObject && !isObject(data) {
			return refuse("field %s is missing or no object", p.received.dataField)
		}
	}
	return r, nil
}

// TypeOf is the type that a request names, or empty: of one that was not
// verified it is whatever its sender wrote. What the body says stands over what
// a header says.
func (p *Profile) TypeOf(header func(string) string, body []byte) string {
	if p.received.typeField == "" {
		return header(p.received.typeHeader)
	}
	value, ok := member(body, p.received.typeField)
	if !ok {
		return ""
	}
	s, _ := text(value)
	return s
}

// Signs reports whether the values of a header tell something of a secret: it
// carries the signature.
func (p *Profile) Signs(name string) bool {
	for _, h := range p.headers {
		if h.value.uses(varSignature) && strings.EqualFold(h.name, name) {
			return true
		}
	}
	return false
}

func (p *Profile) compileReceiver(f *file) error {
	if p.verify.Tolerance < 0 {
		return wrong("is negative", "verify", "tolerance")
	}
	if p.verify.Tolerance == 0 {
		p.verify.Tolerance = defaultDrift
	}
	switch f.Receive.Unknown {
	case "", "accept":
	case "refuse":
		p.received.strict = true
	default:
		return wrong("is neither accept nor refuse", "receive", "unknown")
	}
	p.received.dataObject = p.body.object
	p.received.typeField = f.Body.Name
	for _, s := range f.Body.Fields {
		switch {
		case s.From == fromType && s.Prefix == "":
			p.received.typeField = s.Name
		case s.From == fromData:
			p.received.dataField = s.Name
		}
	}
	for _, h := range f.Headers {
		if h.Value == "{"+varType+"}" {
			p.received.typeHeader = h.Name
		}
	}
	if err := p.compileDedupe(f.Dedupe); err != nil {
		return err
	}
	return p.compileAnswers(f)
}
