package api_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/hookstream/hookstream/api"
)

// TestWrongKindIsNamed: the problem of a value of another JSON type says which
// type it is, and nothing of the value.
func TestWrongKindIsNamed(t *testing.T) {
	var into struct {
		Text  string         `json:"text"`
		List  []string       `json:"list"`
		Count map[string]int `json:"count"`
		Whole *int           `json:"whole"`
	}
	for body, want := range map[string]string{
		`[1]`:                            "a JSON list; send an object",
		` "secret"`:                      "a JSON string; send an object",
		`{"text":["secret"]}`:            "a JSON list; give a string",
		`{"text":{"a":"secret"}}`:        "a JSON object; give a string",
		`{"text":5}`:                     "a JSON number; give a string",
		`{"text": true}`:                 "a JSON boolean; give a string",
		`{"list":"secret"}`:              "a JSON string; give a list",
		`{"list":[false]}`:               "a JSON boolean; give a string",
		`{"count":{"x":"secret"}}`:       "a JSON string; give a whole number",
		`{"whole":1.5}`:                  "a JSON number; give a whole number",
		`{"whole":""}`:                   "a JSON string; give a whole number",
		`{"whole":99999999999999999999}`: "a JSON number out of range; give a whole number",
	} {
		var problem *api.Problem
		if err := api.ParseJSON([]byte(body), &into); !errors.As(err, &problem) || !strings.HasSuffix(problem.Detail, want) || strings.Contains(problem.Detail, "secret") {
			t.Errorf("%s: %v", body, err)
		}
	}
}
