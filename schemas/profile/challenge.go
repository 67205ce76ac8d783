package profile

// The challenge: how some products make sure that who registers a URL also
// answers at it.

import (
	"crypto/subtle"
	"fmt"
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
