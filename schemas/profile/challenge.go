package profile

// The challenge: how some products make sure that who registers a URL also
// answers at it.

import (
	"crypto/subtle"
	"fmt"
	"reflect"
	"strings"

	"github.com/segmentio/encoding/json"

	"github.com/hookstream/hookstream/schemas"
)

type challengeSpec struct {
	Type   string `yaml:"type"`   // the event type of the request
	Body   string `yaml:"body"`   // JSON in which %CHALLENGE% stands for the value
	Answer string `yaml:"answer"` // the field of the answer that has to repeat the value
}

// challengeMark stands for the value in a challenge's body. It is no {…}
// template, because a JSON body is full of braces.
const challengeMark = "%CHALLENGE%"

type challenge struct {
	eventType     string
	before, after string
	answer        string
}

func (p *Profile) compileChallenge(f *file) error {
	s := f.Challenge
	if s == (challengeSpec{}) {
		return nil
	}
	if err := schemas.CheckEventType(s.Type); err != nil {
		return wrong(err.Error(), "challenge", "type")
	}
	if _, listed := p.byType[s.Type]; listed {
		return wrong("is in the catalogue too; nobody can subscribe to a challenge", "challenge", "type")
	}
	before, after, _ := strings.Cut(s.Body, challengeMark)
	if strings.Count(s.Body, `"`+challengeMark+`"`) != 1 || strings.Count(s.Body, challengeMark) != 1 || !json.Valid([]byte(s.Body)) {
		return wrong("is no JSON with one \""+challengeMark+"\" in it", "challenge", "body")
	}
	if _, ok := markPath([]byte(s.Body)); !ok {
		return wrong("has \""+challengeMark+"\" in a list or below a name with a dot; put it into objects", "challenge", "body")
	}
	if s.Answer == "" {
		return wrong("is missing; name the field of the answer that repeats the value", "challenge", "answer")
	}
	p.challenge = challenge{eventType: s.Type, before: before, after: after, answer: s.Answer}
	return nil
}

// Challenged reports whether an endpoint of this profile has to answer a
// challenge before it gets events.
func (p *Profile) Challenged() bool { return p.challenge.eventType != "" }

// ChallengeType is the event type of the challenge request, for headers and
// the log.
func (p *Profile) ChallengeType() string { return p.challenge.eventType }

// ChallengeBody is the request's body. The value has to be letters and digits
// with at least 128 random bits, never used twice.
func (p *Profile) ChallengeBody(value string) []byte {
	return []byte(p.challenge.before + value + p.challenge.after)
}

// ChallengeAnswered reports whether an answer's body repeats the value.
func (p *Profile) ChallengeAnswered(answer []byte, value string) bool {
	return p.ChallengeFault(answer, value) == ""
}

// ChallengeFault says why an answer's body does not repeat the value, for the
// endpoint's owner; empty when it does.
func (p *Profile) ChallengeFault(answer []byte, value string) string {
	const fault = "The answer does not repeat the challenge: "
	fields, ok := members(answer)
	if !ok {
		return fault + fmt.Sprintf("it is no JSON object; answer {%q:VALUE} with the value of the request", p.challenge.answer)
	}
	raw, ok := fields[p.challenge.answer]
	if !ok {
		return fault + fmt.Sprintf("it has no field %q; answer {%[1]q:VALUE} with the value of the request", p.challenge.answer)
	}
	got, ok := text(raw)
	if !ok || subtle.ConstantTimeCompare([]byte(got), []byte(value)) != 1 {
		return fault + fmt.Sprintf("its field %q has another value than was sent", p.challenge.answer)
	}
	return ""
}

// ChallengeReply is what a receiver answers to a body that is this profile's
// challenge; false for any other body. The body may have more fields than the
// profile's: a sender that gives every request an id and a time gives them to
// its challenge too. The signature was checked before.
func (p *Profile) ChallengeReply(body []byte) ([]byte, bool) {
	if !p.Challenged() || !valid(body) {
		return nil, false
	}
	var got, want any
	if _, err := json.Parse(body, &got, 0); err != nil {
		return nil, false
	}
	if _, err := json.Parse(p.ChallengeBody(challengeMark), &want, 0); err != nil {
		return nil, false
	}
	value := ""
	if !holds(got, want, &value) || value == "" {
		return nil, false
	}
	answer := append(json.AppendEscape([]byte{'{'}, p.challenge.answer, 0), ':')
	return append(json.AppendEscape(answer, value, 0), '}'), true
}

// holds reports whether JSON has everything that a challenge's body has, and
// reads the value from where the mark stands there.
func holds(got, want any, value *string) bool {
	switch want := want.(type) {
	case map[string]any:
		fields, ok := got.(map[string]any)
		for name, w := range want {
			g, there := fields[name]
			ok = ok && there && holds(g, w, value)
		}
		return ok
	case string:
		if want == challengeMark {
			var ok bool
			*value, ok = got.(string)
			return ok
		}
	}
	return reflect.DeepEqual(got, want)
}

// markPath is where the mark stands in a challenge's body: the names of the
// objects' fields, parted by dots; false when a list or a dot is in the way.
func markPath(body []byte) (string, bool) {
	fields, ok := members(body)
	if !ok {
		return "", false
	}
	for name, value := range fields {
		if s, ok := text(value); ok && s == challengeMark {
			return name, !strings.Contains(name, ".")
		}
		if rest, ok := markPath(value); ok {
			return name + "." + rest, !strings.Contains(name, ".")
		}
	}
	return "", false
}
