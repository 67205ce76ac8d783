package profile_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookstream/hookstream/schemas/profile"
)

// loadWith is the sample profile of testdata with a piece of it replaced.
func loadWith(t *testing.T, old, new string) (*profile.Profile, error) {
	t.Helper()
	good, err := os.ReadFile("testdata/folder/stripe-like.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(good), old, new, 1)
	if text == string(good) {
		t.Fatalf("%q is not in the file", old)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "p.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := profile.Load(dir)
	if err != nil {
		return nil, err
	}
	p, _ := set.Get("stripe-like")
	return p, nil
}

func TestAnswerVariants(t *testing.T) {
	p, err := loadWith(t, "events:", `variants:
  short:
    accepted: {status: 204}
    limited: {status: 503, type: text/plain, body: later}
events:`)
	if err != nil {
		t.Fatal(err)
	}
	own := p.AnswerVariants()[0]
	if !slices.Equal(p.AnswerVariants(), []string{own, "short"}) {
		t.Errorf("variants %v", p.AnswerVariants())
	}
	short, ok := p.AnswersIn("short")
	if !ok || short.Of(profile.CaseAccepted) != (profile.Answer{Status: 204}) || short.Of(profile.CaseLimited).Body != "later" {
		t.Errorf("short: %v", short)
	}
	if short.Of(profile.CaseStale) != p.Answer(profile.CaseStale) {
		t.Error("a case that the variant leaves out is not answered as the profile does")
	}
	if a := p.Answer(profile.CaseMethod); a.Status != 405 || a.Body != `{"error":"Method not allowed"}` {
		t.Errorf("another method: %v", a)
	}
	if named, ok := p.AnswersIn(own); !ok || named.Of(profile.CaseAccepted) != p.Answer(profile.CaseAccepted) {
		t.Errorf("the profile's own answers are not to be had as %s", own)
	}
	if _, ok := p.AnswersIn("loud"); ok {
		t.Error("there is a variant that nobody wrote")
	}
	if a := p.Answer("unheard of"); a.Status != p.Answer(profile.CaseFailed).Status {
		t.Errorf("an unknown case: %v", a)
	}
}

func TestReceiverFaults(t *testing.T) {
	for new, want := range map[string]string{
		"variants: {short: {acepted: {status: 204}}}\nevents:":                  "variants.short.acepted is no case",
		"variants: {short: {accepted: {status: 99}}}\nevents:":                  "variants.short.accepted has status 99",
		"variants: {short: {accepted: {status: 200, type: 'a\tb\r'}}}\nevents:": "variants.short.accepted has a type that is no header value",
		"variants: {Short: {}}\nevents:":                                        "variants.Short has other characters",
		"receive: {unknown: maybe}\nevents:":                                    "receive.unknown is neither accept nor refuse",
	} {
		if _, err := loadWith(t, "events:", new); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", new, err, want)
		}
	}
	for window, want := range map[string]string{"0.5s": "dedupe.window is 500ms", "200h": "dedupe.window is 200h", "-1h": "dedupe.window is -1h"} {
		if _, err := loadWith(t, "dedupe: {", "dedupe: {window: "+window+", "); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("window %s: %v; want %q", window, err, want)
		}
	}
	p, err := loadWith(t, "dedupe: {", "dedupe: {window: 90m, ")
	if err != nil || p.Window() != 90*time.Minute {
		t.Errorf("%v, %v", p, err)
	}
}
