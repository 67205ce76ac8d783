package profile

// What a receiver answers: the words of the product's contract, case by case,
// in one or several variants.

import (
	"maps"
	"slices"
	"strings"
)

// Case is a situation that a receiver answers.
type Case string

// Cases that every profile has answers for.
const (
	CaseAccepted     Case = "accepted"
	CaseDuplicate    Case = "duplicate"     // seen before
	CaseUnsigned     Case = "unsigned"      // signature or timestamp header missing
	CaseBadSignature Case = "bad_signature" // wrong, or not of the profile's form
	CaseStale        Case = "stale"         // timestamp too far off
	CaseBadPayload   Case = "bad_payload"   // rightly signed, but no event of the product
	CaseFailed       Case = "failed"        // our own failure: the sender should try again
)

// Cases that a profile may leave out: what they answer then is the same for
// all products.
const (
	CaseMethod    Case = "method"    // another method than POST
	CaseTooLarge  Case = "too_large" // more bytes than the receiver takes
	CaseForbidden Case = "forbidden" // from an address that may not send
	CaseInsecure  Case = "insecure"  // by http where https is asked for
	CaseLimited   Case = "limited"   // more requests than the receiver takes
)

// required are the cases that a file has to answer.
func required() []Case {
	return []Case{CaseAccepted, CaseDuplicate, CaseUnsigned, CaseBadSignature, CaseStale, CaseBadPayload, CaseFailed}
}

// usual are the answers to the cases that a file may leave out.
func usual() Answers {
	const json = "application/json"
	return Answers{
		CaseMethod:    {405, json, `{"error":"Method not allowed"}`},
		CaseTooLarge:  {413, json, `{"error":"Payload too large"}`},
		CaseForbidden: {403, json, `{"error":"Forbidden"}`},
		CaseInsecure:  {403, json, `{"error":"HTTPS required"}`},
		CaseLimited:   {429, json, `{"error":"Too many requests"}`},
	}
}

// Answer is a receiver's response. An empty ContentType goes with an empty
// Body.
type Answer struct {
	Status      int
	ContentType string
	Body        string
}

// Answers are the responses to all cases. The caller does not change them.
type Answers map[Case]Answer

// Of is the answer in a case.
func (a Answers) Of(c Case) Answer {
	if answer, ok := a[c]; ok {
		return answer
	}
	return a[CaseFailed]
}

// Answer is what the product's contract answers in a case.
func (p *Profile) Answer(c Case) Answer { return p.answers.Of(c) }

// Forms of answers: what the file's own answers are when they are not called by
// another name.
const (
	formJSON = "json"
	formText = "text"
)

// AnswersIn are the answers of a variant; empty is the file's own set, which
// also goes by json or text, whichever it is. False: there is no such variant.
func (p *Profile) AnswersIn(variant string) (Answers, bool) {
	if variant == "" || variant == p.ownForm() {
		return p.answers, true
	}
	a, ok := p.variants[variant]
	return a, ok
}

// AnswerVariants names what AnswersIn takes.
func (p *Profile) AnswerVariants() []string {
	return append([]string{p.ownForm()}, slices.Sorted(maps.Keys(p.variants))...)
}

func (p *Profile) ownForm() string {
	if strings.HasPrefix(p.answers[CaseAccepted].ContentType, "application/json") {
		return formJSON
	}
	return formText
}

func (p *Profile) compileAnswers(f *file) error {
	p.answers = usual()
	if err := fill(p.answers, f.Answers, "answers"); err != nil {
		return err
	}
	for _, c := range required() {
		if _, ok := p.answers[c]; !ok {
			return wrongf([]string{"answers"}, "lack the case %s", c)
		}
	}
	p.variants = make(map[string]Answers, len(f.Variants))
	for name, of := range f.Variants {
		switch {
		case name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "":
			return wrong("has other characters in its name than a-z, 0-9, - and _", "variants", name)
		case name == p.ownForm():
			return wrong("is what answers is already; call it otherwise", "variants", name)
		}
		a := maps.Clone(p.answers)
		if err := fill(a, of, "variants", name); err != nil {
			return err
		}
		p.variants[name] = a
	}
	return nil
}

// fill puts what a file says into answers; path is where it stands there.
func fill(into Answers, from map[string]answerSpec, path ...string) error {
	usual := usual()
	for name, a := range from {
		c := Case(name)
		at := append(path[:len(path):len(path)], name)
		if _, optional := usual[c]; !optional && !slices.Contains(required(), c) {
			cases := append(required(), slices.Sorted(maps.Keys(usual))...)
			return wrongf(at, "is no case; the cases are %v", cases)
		}
		if a.Status < 200 || a.Status > 599 {
			return wrongf(at, "has status %d", a.Status)
		}
		if !validValue(a.Type) {
			return wrongf(at, "has a type that is no header value")
		}
		into[c] = Answer{Status: a.Status, ContentType: a.Type, Body: a.Body}
	}
	return nil
}
