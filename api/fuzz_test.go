package api

// Fuzzing of what clients send beside their data: cursors, bodies, cookies,
// keys.

import (
	"bytes"
	"encoding/base64"
	stdjson "encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// FuzzDecodeCursor: a cursor is one of ours, byte by byte, or a 400 that names
// the field.
func FuzzDecodeCursor(f *testing.F) {
	type place struct {
		At int64  `json:"t"`
		ID string `json:"id"`
	}
	for _, p := range []place{{}, {1700000000000, "dlv_1"}, {-1, "\u2028<"}} {
		c, err := EncodeCursor(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(c, []byte(`{"t":1,"id":"x"}`))
		f.Add(c[:len(c)-1], []byte(`[`))
	}
	f.Add("", []byte(nil))
	f.Add("AAAA", []byte(`{"t":1} {}`))
	f.Fuzz(func(t *testing.T, cursor string, content []byte) {
		// The content under a right check, as from an older or newer version.
		sum := cursorCheck(content)
		for _, c := range []string{cursor, base64.RawURLEncoding.EncodeToString(append(sum[:cursorSum:cursorSum], content...))} {
			var p place
			err := DecodeCursor(c, &p)
			var problem *Problem
			if err != nil {
				if !errors.As(err, &problem) || problem.Status != http.StatusBadRequest || problem.Field != "cursor" {
					t.Fatalf("%q: %v", c, err)
				}
				continue
			}
			again, err := EncodeCursor(p)
			if err != nil {
				t.Fatal(err)
			}
			var back place
			if err := DecodeCursor(again, &back); err != nil || back != p {
				t.Fatalf("%+v came back as %+v (%v)", p, back, err)
			}
		}
	})
}

// FuzzParseJSON: what is taken is valid JSON to anybody; what is refused says
// why, and never repeats a value.
func FuzzParseJSON(f *testing.F) {
	for _, s := range []string{`{"name":"x","n":1,"list":["a"],"deep":{"on":true}}`, `{"name":1}`, `{"naem":"x"}`, `{} {}`, ``, `null`, `{"n":1e99}`, `{"list":[[]]}`, "{\"name\":\"\x01\"}", `{"n":01}`, `{"name":"\ud800"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var into struct {
			Name string   `json:"name"`
			N    int      `json:"n"`
			F    *float64 `json:"f"`
			List []string `json:"list"`
			Deep *struct {
				On bool `json:"on"`
			} `json:"deep"`
			Any map[string]any `json:"any"`
		}
		before := bytes.Clone(body)
		err := ParseJSON(body, &into)
		if !bytes.Equal(before, body) {
			t.Fatal("the body was changed")
		}
		if err == nil {
			if !stdjson.Valid(body) {
				t.Fatalf("took %q, which is no JSON", body)
			}
			return
		}
		var problem *Problem
		if !errors.As(err, &problem) || problem.Status < 400 || problem.Status > 499 || problem.Code == "" || problem.Detail == "" {
			t.Fatalf("%q: %v", body, err)
		}
	})
}

// FuzzSession: a cookie that was not made here, or was changed, opens nothing.
func FuzzSession(f *testing.F) {
	now := time.Unix(1700000000, 0)
	cfg := SessionConfig{Secrets: [][]byte{bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)},
		Known: func(tenant, id string) (Principal, string, bool) {
			return Principal{Tenant: tenant, KeyID: id}, "hash of " + id, tenant == "acme" && id == "key_1"
		}}
	s := newSessions(cfg, newKeys("root-key", nil))
	whole, ok := s.seal(Principal{Tenant: "acme", KeyID: "key_1"}, now.Add(time.Hour))
	if !ok {
		f.Fatal("no session for a key that is known")
	}
	f.Add(whole, uint16(0), byte(0))
	f.Add(whole, uint16(3), byte(1))
	f.Add(whole+".", uint16(60), byte(1))
	f.Add("", uint16(0), byte(0))
	f.Fuzz(func(t *testing.T, cookie string, at uint16, change byte) {
		for _, c := range []string{cookie, flip(whole, int(at), change)} {
			p, _, ok := s.open(c, now)
			if ok != (c == whole) || ok && (p.Root || p.Tenant != "acme" || p.KeyID != "key_1") {
				t.Fatalf("%q opens %+v, %v", c, p, ok)
			}
		}
	})
}

func flip(s string, at int, change byte) string {
	b := []byte(s)
	b[at%len(b)] ^= change
	return string(b)
}

// FuzzRequestKey: whichever of the three places a key stands in, it is taken
// as it is, and a request without one has none.
func FuzzRequestKey(f *testing.F) {
	f.Add("Bearer key", "", "")
	f.Add("basic abc", "key", "")
	f.Add("", "", "api_key=a%20b&x=%zz")
	f.Add("bearer  spaced ", "x", "api_key=;")
	f.Fuzz(func(t *testing.T, authorization, key, query string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header["Authorization"], r.Header["X-Api-Key"], r.URL.RawQuery = []string{authorization}, []string{key}, query
		got := RequestKey(r)
		if got == "" {
			return
		}
		if !strings.Contains(authorization, got) && key != got && !strings.Contains(query, "api_key=") {
			t.Fatalf("the key %q comes from nowhere", got)
		}
	})
}

// TestDeepBodies: a body of brackets is refused before the parser recurses
// through it.
func TestDeepBodies(t *testing.T) {
	for _, body := range []string{strings.Repeat("[", 8<<20), `{"any":` + strings.Repeat(`{"a":`, 1<<20), `{"any":{"x":"\"","y":` + strings.Repeat("[", 1001) + strings.Repeat("]", 1001) + `}}`} {
		var into struct {
			Any map[string]any `json:"any"`
		}
		var problem *Problem
		if err := ParseJSON([]byte(body), &into); !errors.As(err, &problem) || problem.Status != http.StatusBadRequest || !strings.Contains(problem.Detail, "levels deep") {
			t.Errorf("%.40s: %v", body, err)
		}
	}
	var into struct {
		Any map[string]any `json:"any"`
	}
	if err := ParseJSON([]byte(`{"any":{"a":`+strings.Repeat("[", 900)+strings.Repeat("]", 900)+`}}`), &into); err != nil {
		t.Error(err)
	}
}
