package profile

// From the file's keys to a Profile: every rule that a file has to keep.

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/encoding/json"
	"gopkg.in/yaml.v3"

	"github.com/hookstream/hookstream/schemas"
)

// Limits of what a file may say.
const (
	maxRetries = 50
	maxDelay   = 7 * 24 * time.Hour
	maxTimeout = 5 * time.Minute
)

func compile(f *file) (*Profile, error) {
	p := &Profile{name: f.Name, title: f.Title, version: f.Version, timeout: f.Timeout, slow: f.Slow, maxBody: f.MaxBody,
		ids: Prefixes(f.IDs), jitter: f.Retry.Jitter, delays: f.Retry.Delays, verify: f.Verify, open: f.Events.Open, sample: f.Events.Sample, named: f.Webhook.Named}
	if p.title == "" {
		p.title = p.name
	}
	if err := checkHead(f); err != nil {
		return nil, err
	}
	p.http2 = f.HTTP == "2"
	for _, step := range []func(*file) error{p.compileSuccess, p.compileRetry, p.compileSecret, p.compileSignature,
		p.compileHeaders, p.compileBody, p.compileEvents, p.compileChallenge, p.compileNotice, p.compileOnce, p.compileReceiver} {
		if err := step(f); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func checkHead(f *file) error {
	switch {
	case f.Name == "" || strings.Trim(f.Name, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "":
		return wrong("is missing or has other characters than a-z, 0-9, - and _", "name")
	case f.Version < 1:
		return wrong("is missing; give 1, and more with each change of the body", "version")
	case f.HTTP != "1.1" && f.HTTP != "2":
		return wrong(`is neither "1.1" (exact header casing) nor "2"`, "http")
	case f.Timeout < time.Millisecond || f.Timeout > maxTimeout:
		return wrongf([]string{"timeout"}, "is %s; give 1ms to %s", f.Timeout, maxTimeout)
	case f.Slow < 0:
		return wrong("is negative", "slow")
	case f.MaxBody < 0:
		return wrong("is negative", "max_body")
	}
	for key, prefix := range map[string]string{"event": f.IDs.Event, "webhook": f.IDs.Webhook, "delivery": f.IDs.Delivery} {
		if prefix == "" || schemas.CheckEventID(prefix) != nil {
			return wrong("is missing; give what made ids begin with, for example evt_", "ids", key)
		}
	}
	return nil
}

func (p *Profile) compileSuccess(f *file) error {
	if len(f.Success) == 0 {
		return wrong("is missing; list status codes, or 2xx", "success")
	}
	for i, s := range f.Success {
		if s == "2xx" {
			for code := 200; code < 300; code++ {
				p.success[code] = true
			}
			continue
		}
		code, err := strconv.Atoi(s)
		if err != nil || code < 200 || code > 299 {
			return wrongf([]string{"success", strconv.Itoa(i)}, "is %q; give a code from 200 to 299, or 2xx", s)
		}
		p.success[code] = true
	}
	return nil
}

func (p *Profile) compileRetry(f *file) error {
	if len(f.Retry.Delays) > maxRetries {
		return wrongf([]string{"retry", "delays"}, "has %d entries; give at most %d", len(f.Retry.Delays), maxRetries)
	}
	for i, d := range f.Retry.Delays {
		if d <= 0 || d > maxDelay {
			return wrongf([]string{"retry", "delays", strconv.Itoa(i)}, "is %s; give more than 0 and at most %s", d, maxDelay)
		}
	}
	if f.Retry.Jitter < 0 || f.Retry.Jitter > 1 {
		return wrong("is not within 0 to 1", "retry", "jitter")
	}
	return nil
}

func (p *Profile) compileSecret(f *file) error {
	s := f.Secret
	p.secret = secret{prefix: s.Prefix, min: s.Min, max: s.Max}
	switch s.Of {
	case "webhook":
	case "tenant":
		p.secret.owner = OfTenant
	default:
		return wrong("is neither webhook nor tenant", "secret", "of")
	}
	switch s.Form {
	case "raw":
	case "base64":
		p.secret.decode = true
	default:
		return wrong("is neither raw nor base64", "secret", "form")
	}
	if s.Min < 1 || s.Max < s.Min {
		return wrong("is less than 1, or more than max", "secret", "min")
	}
	return nil
}

func (p *Profile) compileSignature(f *file) (err error) {
	s := f.Signature
	if p.sign.text, err = parseTemplate(s.Text, varID, varTS, varBody); err != nil {
		return wrong(err.Error(), "signature", "text")
	}
	if !p.sign.text.uses(varBody) {
		return wrong("lacks {body}", "signature", "text")
	}
	switch s.Encoding {
	case "hex", "base64":
		p.sign.base64 = s.Encoding == "base64"
	default:
		return wrong("is neither hex nor base64", "signature", "encoding")
	}
	if s.Join != "" && strings.Contains(s.Prefix, s.Join) {
		return wrong("occurs in prefix; several signatures could not be told apart", "signature", "join")
	}
	p.sign.prefix, p.sign.join = s.Prefix, s.Join
	return nil
}

func (p *Profile) compileHeaders(f *file) error {
	var sent template
	for i, h := range f.Headers {
		at := []string{"headers", strconv.Itoa(i)}
		if !validName(h.Name) {
			return wrongf(append(at, "name"), "is %q, no valid header name", h.Name)
		}
		if p.http2 && h.Name != strings.ToLower(h.Name) {
			return wrongf(append(at, "name"), "is %q; HTTP/2 sends lower case only", h.Name)
		}
		t, err := parseTemplate(h.Value, varID, varType, varTS, varSignature, varDelivery, varWebhook, varTenant, varAttempt)
		if err != nil {
			return wrong(err.Error(), append(at, "value")...)
		}
		if len(t) == 0 || !validValue(h.Value) {
			return wrong("is empty or no valid header value", append(at, "value")...)
		}
		for _, other := range p.headers {
			if strings.EqualFold(other.name, h.Name) {
				return wrongf(append(at, "name"), "is %q, which is there already", h.Name)
			}
		}
		p.headers = append(p.headers, header{name: h.Name, value: t})
		sent = append(sent, t...)
	}
	if !sent.uses(varSignature) {
		return wrong("lack one with {signature}", "headers")
	}
	for _, name := range []string{varTS, varID} {
		if p.sign.text.uses(name) && !sent.uses(name) {
			return wrongf([]string{"signature", "text"}, "has {%s} but no header carries it to the receiver", name)
		}
	}
	return nil
}

func (p *Profile) compileBody(f *file) error {
	switch f.Body.Data {
	case "any":
	case "object":
		p.body.object = true
	default:
		return wrong("is neither object nor any", "body", "data")
	}
	p.body.name, p.body.required = f.Body.Name, f.Body.Required
	var err error
	if p.body.form, err = formNamed(f.Body.Form); err != nil {
		return wrong(err.Error(), "body", "form")
	}
	if p.body.checks, err = compileChecks(f.Body.Check, "body", "check"); err != nil {
		return err
	}
	if (p.body.name != "" || len(p.body.required)+len(p.body.checks) > 0) && !p.body.object {
		return wrong("has to be object, because fields of it are named", "body", "data")
	}
	return p.compileFields(f)
}

func (p *Profile) compileFields(f *file) error {
	if len(f.Body.Fields) == 0 {
		return nil
	}
	if p.body.name != "" {
		return wrong("is for bodies without fields", "body", "name")
	}
	datas, names := 0, map[string]bool{}
	for i, s := range f.Body.Fields {
		at := []string{"body", "fields", strconv.Itoa(i)}
		if s.Name == "" {
			return wrong("is missing", append(at, "name")...)
		}
		if names[s.Name] {
			return wrongf(append(at, "name"), "is %q, which is there already", s.Name)
		}
		names[s.Name] = true
		fl, err := compileField(s)
		if err != nil {
			return wrong(err.Error(), at...)
		}
		if fl.from == fromData {
			datas++
		}
		p.body.fields = append(p.body.fields, fl)
	}
	if datas != 1 {
		return wrong("need exactly one with from: data", "body", "fields")
	}
	return nil
}

func compileField(s fieldSpec) (field, error) {
	fl := field{from: s.From, format: s.Format, prefix: s.Prefix}
	fl.key = append(json.AppendEscape(nil, s.Name, 0), ':')
	if s.Const.Kind != 0 {
		if s.From != "" {
			return fl, fmt.Errorf("has from and const; give one of them")
		}
		literal, err := constant(&s.Const)
		fl.literal = literal
		return fl, err
	}
	switch s.From {
	case fromID, fromType, fromTenant:
	case fromData:
		if s.Wrap != "" {
			fl.wrap = append(append([]byte{'{'}, json.AppendEscape(nil, s.Wrap, 0)...), ':')
		}
	case fromTime:
		if !slices.Contains(timeFormats, s.Format) {
			return fl, fmt.Errorf("has the time format %q; the formats are %s", s.Format, strings.Join(timeFormats, ", "))
		}
	default:
		return fl, fmt.Errorf("has from %q; give id, type, time, tenant or data, or a const", s.From)
	}
	if s.Format != "" && s.From != fromTime || s.Wrap != "" && s.From != fromData || s.Prefix != "" && (s.From == fromData || s.From == fromTime) {
		return fl, fmt.Errorf("has a key that does not go with from: %s", s.From)
	}
	return fl, nil
}

// constant is a YAML scalar as JSON. Dates are refused, because YAML would
// read an unquoted one as a time.
func constant(n *yaml.Node) ([]byte, error) {
	if n.Kind == yaml.ScalarNode {
		switch n.Tag {
		case "!!str":
			return json.AppendEscape(nil, n.Value, 0), nil
		case "!!bool", "!!int", "!!float", "!!null":
			if json.Valid([]byte(n.Value)) {
				return []byte(n.Value), nil
			}
		}
	}
	return nil, fmt.Errorf("has the const %q; give a quoted string, a JSON number, true, false or null", n.Value)
}

func (p *Profile) compileEvents(f *file) error {
	p.byType = make(map[string]int, len(f.Events.List))
	for i, e := range f.Events.List {
		at := []string{"events", "list", strconv.Itoa(i)}
		if err := schemas.CheckEventType(e.Type); err != nil {
			return wrong(err.Error(), append(at, "type")...)
		}
		if _, twice := p.byType[e.Type]; twice {
			return wrongf(append(at, "type"), "is %q, which is there already", e.Type)
		}
		p.byType[e.Type] = len(p.events)
		p.events = append(p.events, EventType{Type: e.Type, Doc: e.Doc, Sample: e.Sample, Required: e.Required})
		checks, err := compileChecks(e.Check, append(at, "check")...)
		if err != nil {
			return err
		}
		if len(checks) > 0 && !p.body.object {
			return wrong("needs body.data: object", append(at, "check")...)
		}
		p.checks = append(p.checks, checks)
	}
	if !p.open && len(p.events) == 0 {
		return wrong("is empty; list the types, or say open: true", "events", "list")
	}
	if p.open != (p.sample != "") {
		return wrong("goes with open: true, and open: true needs it", "events", "sample")
	}
	// Samples are held to the same rules as a publisher's data.
	for i, e := range p.events {
		if err := p.CheckData(e.Type, []byte(e.Sample)); err != nil {
			return wrong(err.Error(), "events", "list", strconv.Itoa(i), "sample")
		}
	}
	if p.open {
		if err := p.CheckData("sample", []byte(p.sample)); err != nil {
			return wrong(err.Error(), "events", "sample")
		}
	}
	return nil
}
