package profile

// The profile file: its keys, and how a fault in it is reported with file and
// line.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// file is a profile file as written; the built-in ones in builtin/ show every key in use.
type file struct {
	Name      string                `yaml:"name"`
	Title     string                `yaml:"title"`
	Version   int                   `yaml:"version"`
	HTTP      string                `yaml:"http"`     // "1.1" (exact header casing) or "2"
	Timeout   time.Duration         `yaml:"timeout"`  // of one attempt, connecting and body included
	Slow      time.Duration         `yaml:"slow"`     // a success that took longer is marked; absent: never
	MaxBody   int                   `yaml:"max_body"` // bytes on the wire; absent: no limit of the profile's own
	Success   []string              `yaml:"success"`  // 200 or 2xx
	IDs       idsSpec               `yaml:"ids"`
	Headers   []headerSpec          `yaml:"headers"`
	Signature signatureSpec         `yaml:"signature"`
	Secret    secretSpec            `yaml:"secret"`
	Body      bodySpec              `yaml:"body"`
	Retry     retrySpec             `yaml:"retry"`
	Verify    verifySpec            `yaml:"verify"`
	Dedupe    dedupeSpec            `yaml:"dedupe"`
	Webhook   webhookSpec           `yaml:"webhook"`
	Once      []string              `yaml:"once"`      // fields of the body whose combination is published once only; absent: no such rule
	Challenge challengeSpec         `yaml:"challenge"` // absent: endpoints are verified at once
	Notice    noticeSpec            `yaml:"retry_notice"`
	Receive   receiveSpec           `yaml:"receive"`
	Answers   map[string]answerSpec `yaml:"answers"`
	Variants  map[string]answersOf  `yaml:"variants"` // further sets of answers, by name; what one lacks is in answers
	Events    eventsSpec            `yaml:"events"`
}

type idsSpec struct {
	Event    string `yaml:"event"`
	Webhook  string `yaml:"webhook"`
	Delivery string `yaml:"delivery"`
}

type headerSpec struct {
	Name  string `yaml:"name"`
	Value string `yaml:"value"` // a template
}

type webhookSpec struct {
	Named bool `yaml:"named"` // the product's own customers give each webhook a name
}

type signatureSpec struct {
	Text     string `yaml:"text"`     // a template, for example {ts}.{body}
	Encoding string `yaml:"encoding"` // hex or base64
	Prefix   string `yaml:"prefix"`   // stands before each encoded signature
	Join     string `yaml:"join"`     // parts several signatures; absent: only the newest secret signs
}

type secretSpec struct {
	Of     string `yaml:"of"`     // webhook or tenant
	Form   string `yaml:"form"`   // raw: the text's own bytes are the key; base64: the text after the prefix is decoded
	Prefix string `yaml:"prefix"` // of the text
	Min    int    `yaml:"min"`    // bytes of key
	Max    int    `yaml:"max"`
}

type bodySpec struct {
	Fields   []fieldSpec `yaml:"fields"`   // the envelope, in order; absent: the event's data is the body
	Name     string      `yaml:"name"`     // flat bodies: the field that holds the event's type
	Data     string      `yaml:"data"`     // object or any
	Form     string      `yaml:"form"`     // javascript or ascii; absent: JSON as published
	Required []string    `yaml:"required"` // top-level fields that every event's data has
	Check    []checkSpec `yaml:"check"`    // what further such fields have to be
}

type fieldSpec struct {
	Name   string    `yaml:"name"`
	From   string    `yaml:"from"`   // id, type, time, tenant, data
	Format string    `yaml:"format"` // of a time
	Prefix string    `yaml:"prefix"` // put before a string that has it not
	Wrap   string    `yaml:"wrap"`   // data becomes {"WRAP":data}
	Const  yaml.Node `yaml:"const"`
}

type retrySpec struct {
	Delays []time.Duration `yaml:"delays"`
	Jitter float64         `yaml:"jitter"` // at most this part of a delay is added to it
}

type verifySpec struct {
	Tolerance      time.Duration `yaml:"tolerance"`
	AcceptFuture   bool          `yaml:"accept_future"`
	PrefixOptional bool          `yaml:"prefix_optional"`
	UpperCase      bool          `yaml:"upper_case"`
}

type dedupeSpec struct {
	Parts    []string `yaml:"parts"`
	Fallback string   `yaml:"fallback"` // body: the hash of the body when a part is missing

	Window time.Duration `yaml:"window"` // how long repeats are known; absent: 24h
}

type receiveSpec struct {
	Unknown string `yaml:"unknown"` // types that are not listed: accept (absent) or refuse
}

// answersOf is a set of answers, by case.
type answersOf = map[string]answerSpec

type answerSpec struct {
	Status int    `yaml:"status"`
	Type   string `yaml:"type"`
	Body   string `yaml:"body"`
}

type eventsSpec struct {
	Open   bool        `yaml:"open"`   // types that are not listed are taken too
	Sample string      `yaml:"sample"` // open only: the sample of such a type
	List   []eventSpec `yaml:"list"`
}

type eventSpec struct {
	Type     string      `yaml:"type"`
	Doc      string      `yaml:"doc"`
	Sample   string      `yaml:"sample"`   // JSON, sent like a publisher's
	Required []string    `yaml:"required"` // top-level fields of this type's data
	Check    []checkSpec `yaml:"check"`    // what further such fields have to be
}

// fault is what is wrong with one key; the path finds its line.
type fault struct {
	path   []string // keys, and indexes of lists in decimal
	reason string
}

func (f *fault) Error() string { return strings.Join(f.path, ".") + " " + f.reason }

func wrong(reason string, path ...string) error { return &fault{path: path, reason: reason} }

func wrongf(path []string, format string, args ...any) error {
	return &fault{path: path, reason: fmt.Sprintf(format, args...)}
}

// parse reads one file; its errors begin with "FILE:LINE: ".
func parse(name string, text []byte) (*Profile, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, located(name, err)
	}
	if len(root.Content) == 0 {
		return nil, fmt.Errorf("%s:1: the file is empty; give at least name, version, headers, signature and body", name)
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	var f file
	if err := dec.Decode(&f); err != nil {
		return nil, located(name, err)
	}
	var second yaml.Node
	if err := dec.Decode(&second); err == nil {
		return nil, fmt.Errorf("%s:%d: more than one document; give each profile a file of its own", name, max(second.Line, 1))
	} else if !errors.Is(err, io.EOF) {
		return nil, located(name, err)
	}
	p, err := compile(&f)
	if err != nil {
		var ft *fault
		if errors.As(err, &ft) {
			return nil, fmt.Errorf("%s:%d: %w", name, lineOf(root.Content[0], ft.path), err)
		}
		return nil, fmt.Errorf("%s:1: %w", name, err)
	}
	p.file = name
	return p, nil
}

// located turns the YAML reader's "line N: …" into "FILE:N: …" and its Go type
// names into words of the file.
func located(name string, err error) error {
	message := err.Error()
	var te *yaml.TypeError
	if errors.As(err, &te) && len(te.Errors) > 0 {
		message = te.Errors[0]
	}
	message = strings.TrimPrefix(message, "yaml: ")
	line := "1"
	if rest, ok := strings.CutPrefix(message, "line "); ok {
		if n, after, ok := strings.Cut(rest, ": "); ok {
			line, message = n, after
		}
	}
	if key, _, ok := strings.Cut(strings.TrimPrefix(message, "field "), " not found in type "); ok {
		message = "key " + strconv.Quote(key) + " is unknown here"
	} else if value, kind, ok := strings.Cut(message, "` into "); ok {
		if _, value, ok = strings.Cut(value, "`"); ok && wants[kind] != "" {
			message = strconv.Quote(value) + " is " + wants[kind]
		}
	}
	return fmt.Errorf("%s:%s: %s", name, line, message)
}

// wants says, by the reader's name of a type, what a value of another one is not.
var wants = map[string]string{
	"time.Duration": "no duration; give one such as 500ms, 30s or 5m",
	"int":           "no whole number",
	"float64":       "no number",
	"bool":          "neither true nor false",
}

// lineOf is the line of the deepest part of a path that the document has.
func lineOf(n *yaml.Node, path []string) int {
	line := max(n.Line, 1)
	for _, step := range path {
		next := child(n, step)
		if next == nil {
			break
		}
		n, line = next, next.Line
	}
	return line
}

func child(n *yaml.Node, step string) *yaml.Node {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == step {
				return n.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && i < len(n.Content) {
			return n.Content[i]
		}
	}
	return nil
}
