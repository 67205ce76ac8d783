package api_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/hookstream/hookstream/api"
)

type position struct {
	At int64  `json:"at"`
	ID string `json:"id"`
}

func TestCursorRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := position{At: rapid.Int64().Draw(t, "at"), ID: rapid.String().Draw(t, "id")}
		c, err := api.EncodeCursor(in)
		if err != nil {
			t.Fatal(err)
		}
		var out position
		if err := api.DecodeCursor(c, &out); err != nil {
			t.Fatal(err)
		}
		if strings.ToValidUTF8(in.ID, "\uFFFD") != out.ID || in.At != out.At {
			t.Fatalf("%+v became %+v", in, out)
		}
		i := rapid.IntRange(0, len(c)-1).Draw(t, "byte")
		other := byte('A')
		if c[i] == other {
			other = 'B'
		}
		if err := api.DecodeCursor(c[:i]+string(other)+c[i+1:], &out); err == nil {
			t.Fatalf("a changed cursor was taken")
		}
	})
}

func TestCursorProblems(t *testing.T) {
	other, err := api.EncodeCursor(map[string]int{"page": 3})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []string{"", "x", "AAAA", "!!!!", strings.Repeat("A", 200), other} {
		var p *api.Problem
		if err := api.DecodeCursor(c, &position{}); !errors.As(err, &p) || p.Status != 400 || p.Field != "cursor" {
			t.Errorf("%q: %v", c, err)
		}
	}
}
