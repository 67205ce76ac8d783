package profile

import (
	"slices"
	"strings"
	"testing"
)

// TestOnce: only AI Interview takes a pair of event and session once, and the
// key is read from the body as it is sent.
func TestOnce(t *testing.T) {
	set, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range set.Names() {
		p, _ := set.Get(name)
		if once := strings.Join(p.Once(), ","); (once == "event,session_id") != (name == "aiinterview") || once != "" && name != "aiinterview" {
			t.Errorf("%s: once %q", name, once)
		}
	}
	ai, _ := set.Get("aiinterview")
	if key, ok := ai.OnceKey([]byte(`{"event":"x","session_id":"s"}`)); !ok || !slices.Equal(key, []string{"x", "s"}) {
		t.Errorf("key %q %v", key, ok)
	}
	if key, ok := ai.OnceKey([]byte(`{"event":"x"}`)); ok {
		t.Errorf("without a session: %q", key)
	}
	standard, _ := set.Get("standard")
	if _, ok := standard.OnceKey([]byte(`{"event":"x","session_id":"s"}`)); ok {
		t.Error("standard has no such rule")
	}
}
