package profile

// The catalogue of event types, and what a profile demands of an event.

import (
	"fmt"
	"slices"
	"strings"

	"github.com/segmentio/encoding/json"

	"github.com/hookstream/hookstream/schemas"
)

// Fault is why a profile refuses an event, a subscription or a secret. Field
// is the part that is wrong; Reason says the cure.
type Fault struct {
	Field  string
	Reason string
}

func (f *Fault) Error() string { return f.Field + ": " + f.Reason }

// Events lists the catalogue in the file's order. The caller does not change
// it.
func (p *Profile) Events() []EventType { return p.events }

// Open reports whether types outside the catalogue are taken too.
func (p *Profile) Open() bool { return p.open }

// Knows reports whether the profile takes events of a type. An endpoint of a
// profile with a closed catalogue does not match other types.
func (p *Profile) Knows(eventType string) bool {
	return p.open || p.Listed(eventType)
}

// Listed reports whether a type stands in the catalogue, open or not.
func (p *Profile) Listed(eventType string) bool {
	_, listed := p.byType[eventType]
	return listed
}

// CheckEvents says which subscription can never match, as a *Fault. Patterns
// are taken as schemas.MatchType reads them.
func (p *Profile) CheckEvents(subscriptions []string) error {
	for _, s := range subscriptions {
		if s == "*" {
			continue
		}
		if err := schemas.CheckEventType(strings.TrimSuffix(s, ".*")); err != nil {
			return &Fault{Field: "events", Reason: fmt.Sprintf("%q is no event type: %v", s, err)}
		}
		if p.open || slices.ContainsFunc(p.events, func(e EventType) bool { return schemas.MatchType(s, e.Type) }) {
			continue
		}
		return &Fault{Field: "events", Reason: fmt.Sprintf("%q is not among the event types of %s: %s", s, p.name, p.typeList())}
	}
	return nil
}

func (p *Profile) typeList() string {
	names := make([]string, len(p.events))
	for i, e := range p.events {
		names[i] = e.Type
	}
	return strings.Join(names, ", ")
}

// CheckData says why an event cannot be delivered under this profile, as a
// *Fault.
func (p *Profile) CheckData(eventType string, data []byte) error {
	if err := p.checkRules(eventType, data); err != nil {
		return err
	}
	if _, err := p.body.form.write(data, maxDepth); err != nil {
		return &Fault{Field: "data", Reason: err.Error()}
	}
	return nil
}

func (p *Profile) checkRules(eventType string, data []byte) error {
	if !p.Knows(eventType) {
		return &Fault{Field: "type", Reason: fmt.Sprintf("%q is not among the event types of %s: %s", eventType, p.name, p.typeList())}
	}
	if schemas.TooDeep(data) {
		return &Fault{Field: "data", Reason: fmt.Sprintf("is nested more than %d levels deep", schemas.MaxDepth)}
	}
	if !json.Valid(data) {
		return &Fault{Field: "data", Reason: "is not valid JSON"}
	}
	if !p.body.object {
		return nil
	}
	if !isObject(data) {
		return &Fault{Field: "data", Reason: fmt.Sprintf("has to be a JSON object for %s", p.name)}
	}
	return p.checkFields(eventType, data)
}

func (p *Profile) checkFields(eventType string, data []byte) error {
	var required []string
	var checks []checkSpec
	if i, listed := p.byType[eventType]; listed {
		required, checks = p.events[i].Required, p.checks[i]
	}
	if p.body.name == "" && len(p.body.required)+len(p.body.checks)+len(required)+len(checks) == 0 {
		return nil
	}
	fields, ok := members(data)
	if !ok {
		return &Fault{Field: "data", Reason: "is not readable as a JSON object"}
	}
	if value, has := fields[p.body.name]; has && p.body.name != "" {
		if s, ok := text(value); !ok || s != eventType {
			return &Fault{Field: "data." + p.body.name, Reason: fmt.Sprintf("is %s; leave it out or let it equal the event's type %q", value, eventType)}
		}
	}
	for _, list := range [][]string{p.body.required, required} {
		for _, name := range list {
			if value, has := fields[name]; !has || string(value) == "null" {
				return &Fault{Field: "data." + name, Reason: fmt.Sprintf("is missing; %s needs it", p.name)}
			}
		}
	}
	for _, list := range [][]checkSpec{p.body.checks, checks} {
		for i := range list {
			if err := list[i].judge(p.name, fields); err != nil {
				return err
			}
		}
	}
	return nil
}

// Sample is the data of a test event. False for a type that the profile does
// not take.
func (p *Profile) Sample(eventType string) ([]byte, bool) {
	if i, listed := p.byType[eventType]; listed {
		return []byte(p.events[i].Sample), true
	}
	if p.open && schemas.CheckEventType(eventType) == nil {
		return []byte(p.sample), true
	}
	return nil, false
}
