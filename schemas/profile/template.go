package profile

// Templates such as {ts}.{body}: written out by the sender, taken apart by
// the receiver.

import (
	"fmt"
	"slices"
	"strings"
)

// Variables of templates.
const (
	varID        = "id"        // the event's id on the wire
	varType      = "type"      // the event's type
	varTS        = "ts"        // the attempt's time, whole Unix seconds
	varBody      = "body"      // the request's body; signing text only
	varSignature = "signature" // one signature, or several joined; headers only
	varDelivery  = "delivery"  // the delivery's id on the wire
	varWebhook   = "webhook"   // the endpoint's id on the wire
	varTenant    = "tenant"
	varAttempt   = "attempt" // 1 for the first
)

// template is literals and variables in turn.
type template []piece

type piece struct {
	literal string // used when variable is empty
	name    string
}

func parseTemplate(s string, allowed ...string) (template, error) {
	var t template
	for s != "" {
		open := strings.IndexByte(s, '{')
		if open < 0 {
			return append(t, piece{literal: s}), nil
		}
		if open > 0 {
			t = append(t, piece{literal: s[:open]})
		}
		end := strings.IndexByte(s[open:], '}')
		if end < 0 {
			return nil, fmt.Errorf("has a { without its }")
		}
		name := s[open+1 : open+end]
		if !slices.Contains(allowed, name) {
			return nil, fmt.Errorf("has {%s}; the variables here are {%s}", name, strings.Join(allowed, "}, {"))
		}
		if len(t) > 0 && t[len(t)-1].name != "" {
			return nil, fmt.Errorf("has {%s} right after {%s}; a receiver could not tell them apart", name, t[len(t)-1].name)
		}
		t = append(t, piece{name: name})
		s = s[open+end+1:]
	}
	return t, nil
}

func (t template) uses(name string) bool {
	return slices.ContainsFunc(t, func(p piece) bool { return p.name == name })
}

// append writes the template out; value gives each variable's bytes.
func (t template) append(dst []byte, value func(dst []byte, name string) []byte) []byte {
	for _, p := range t {
		if p.name == "" {
			dst = append(dst, p.literal...)
		} else {
			dst = value(dst, p.name)
		}
	}
	return dst
}

// match takes s apart: each variable reaches to the next literal, the last
// one to the end. found is called for each; false means that s is not of this
// form.
func (t template) match(s string, found func(name, value string)) bool {
	for i, p := range t {
		if p.name == "" {
			rest, ok := strings.CutPrefix(s, p.literal)
			if !ok {
				return false
			}
			s = rest
			continue
		}
		value := s
		if i+1 < len(t) {
			before, _, ok := strings.Cut(s, t[i+1].literal)
			if !ok {
				return false
			}
			value = before
		}
		found(p.name, value)
		s = s[len(value):]
	}
	return s == ""
}
