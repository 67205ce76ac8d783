package profile_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookstream/hookstream/schemas/profile"
)

// TestBrokenFiles: every fault is refused with file, line and reason.
func TestBrokenFiles(t *testing.T) {
	good, err := os.ReadFile("testdata/folder/stripe-like.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, old, new, want string }{
		{"unknown key", "timeout: 20s", "timeout: 20s\ncolour: red", `:7: key "colour" is unknown here`},
		{"unknown key inside", "jitter: 0.2", "jitters: 0.2", `:24: key "jitters" is unknown here`},
		{"no YAML", "timeout: 20s", "timeout: [", ":"},
		{"no duration", "timeout: 20s", "timeout: soon", `:6: "soon" is no duration; give one such as 500ms, 30s or 5m`},
		{"no number", "jitter: 0.2", "jitter: much", `:24: "much" is no number`},
		{"no switch", "open: true", "open: maybe", `"maybe" is neither true nor false`},
		{"no name", "name: stripe-like", "name: Stripe Like", ":3: name "},
		{"no version", "version: 1", "version: 0", ":4: version "},
		{"http", `http: "1.1"`, `http: "3"`, ":5: http "},
		{"timeout", "timeout: 20s", "timeout: 0s", ":6: timeout is 0s"},
		{"success", "[2xx]", "[2xx, 404]", `:7: success.1 is "404"`},
		{"id prefix", "event: evt_, ", "", ":8: ids.event is missing"},
		{"unknown variable", "t={ts},{signature}", "t={now},{signature}", ":11: headers.1.value has {now}"},
		{"variables that touch", "t={ts},{signature}", "{ts}{signature}", ":11: headers.1.value has {signature} right after {ts}"},
		{"unclosed variable", "t={ts},{signature}", "t={ts},{signature", ":11: headers.1.value has a {"},
		{"no signature header", "t={ts},{signature}", "t={ts}", ":10: headers lack one with {signature}"},
		{"no timestamp header", "t={ts},{signature}", "{signature}", ":12: signature.text has {ts} but no header"},
		{"header name", "name: Stripe-Signature", "name: Stripe Signature", `:11: headers.1.name is "Stripe Signature"`},
		{"same header twice", "name: Stripe-Signature", "name: content-type", ":11: headers.1.name"},
		{"signing text", "{ts}.{body}", "{ts}", ":12: signature.text lacks {body}"},
		{"encoding", "encoding: hex", "encoding: rot13", ":12: signature.encoding"},
		{"join in prefix", `join: ","`, `join: "="`, ":12: signature.join"},
		{"secret owner", "of: webhook", "of: nobody", ":13: secret.of"},
		{"secret form", "form: raw", "form: cooked", ":13: secret.form"},
		{"data kind", "data: object\n", "data: list\n", ":15: body.data"},
		{"field source", "from: id}", "from: age}", `:17: body.fields.0 has from "age"`},
		{"time format", "format: unix", "format: sundial", `:20: body.fields.3 has the time format "sundial"`},
		{"unquoted date", `"2025-03-31"`, `2025-03-31`, `:19: body.fields.2 has the const "2025-03-31"; give a quoted string`},
		{"data twice", "from: type}", "from: data}", ":17: body.fields need exactly one with from: data"},
		{"delay", "[1h, 2h]", "[1h, 0s]", ":24: retry.delays.1 is 0s"},
		{"jitter", "jitter: 0.2", "jitter: 2", ":24: retry.jitter"},
		{"dedupe", "parts: [id]", "parts: [data..id]", `:26: dedupe.parts.0 is "data..id"`},
		{"once", "dedupe:", "once: [a..b]\ndedupe:", `:26: once.0 is "a..b"`},
		{"answer case", "stale:", "stail:", ":32: answers.stail is no case"},
		{"answer missing", "  stale: {status: 400}\n", "", ":27: answers lack the case stale"},
		{"challenge type", "dedupe:", "challenge: {type: '', body: x, answer: y}\ndedupe:", ":26: challenge.type "},
		{"challenge body", "dedupe:", "challenge: {type: a.b, body: '{\"c\":%CHALLENGE%}', answer: y}\ndedupe:", ":26: challenge.body is no JSON"},
		{"challenge answer", "dedupe:", "challenge: {type: a.b, body: '{\"c\":\"%CHALLENGE%\"}'}\ndedupe:", ":26: challenge.answer is missing"},
		{"sample no JSON", `'{"id":"x"}'`, `'{"id":}'`, ":35: events.sample data: is not valid JSON"},
		{"sample no object", `'{"id":"x"}'`, `'[]'`, ":35: events.sample data: has to be a JSON object"},
		{"challenge in a list", "dedupe:", "challenge: {type: a.b, body: '{\"c\":[\"%CHALLENGE%\"]}', answer: y}\ndedupe:", ":26: challenge.body has"},
		{"body form", "data: object\n", "data: object\n  form: cobol\n", `:16: body.form is "cobol"`},
		{"check without field", "data: object\n", "data: object\n  check: [{is: text}]\n", ":16: body.check.0.field is missing"},
		{"check kind", "data: object\n", "data: object\n  check: [{field: a, is: colour}]\n", `:16: body.check.0.is is "colour"`},
		{"check without", "data: object\n", "data: object\n  check: [{field: a, is: text, without: [b]}]\n", ":16: body.check.0.without"},
		{"check of no object", "data: object\n", "data: any\n  check: [{field: a, is: text}]\n", ":15: body.data has to be object"},
		{"field twice", "name: object,", "name: id,", `:18: body.fields.1.name is "id"`},
		{"notice type", "dedupe:", "retry_notice: {type: a.b, fields: [{name: x, from: id}]}\ndedupe:", ":26: retry_notice.type is not in events.list"},
		{"two documents", "events:", "---\nevents:", ": "},
	} {
		text := strings.Replace(string(good), c.old, c.new, 1)
		if text == string(good) {
			t.Fatalf("%s: %q is not in the file", c.name, c.old)
		}
		dir := t.TempDir()
		file := filepath.Join(dir, "p.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := profile.Load(dir)
		if err == nil {
			t.Errorf("%s: taken", c.name)
		} else if !strings.HasPrefix(err.Error(), file+":") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q, want %q", c.name, err, c.want)
		}
	}
}

func TestVersions(t *testing.T) {
	good, err := os.ReadFile("testdata/folder/stripe-like.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, version int, profileName string) {
		text := strings.Replace(string(good), "version: 1", fmt.Sprint("version: ", version), 1)
		text = strings.Replace(text, "name: stripe-like", "name: "+profileName, 1)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.yaml", 1, "mine")
	write("b.yml", 3, "mine")
	write("ignored.txt", 9, "mine")
	write(".hidden.yaml", 9, "mine")
	set, err := profile.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	for asked, want := range map[int]int{0: 3, 1: 1, 2: 3, 3: 3} {
		if p, ok := set.At("mine", asked); !ok || p.Version() != want {
			t.Errorf("version %d: got %v %v", asked, p, ok)
		}
	}
	if _, ok := set.At("nobody", 1); ok {
		t.Error("an unknown profile was found")
	}
	write("c.yaml", 3, "mine")
	if _, err := profile.Load(dir); err == nil || !strings.Contains(err.Error(), "give the newer one a higher version") {
		t.Errorf("the same version twice: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "c.yaml")); err != nil {
		t.Fatal(err)
	}
	write("standard.yaml", 1, "standard")
	if _, err := profile.Load(dir); err == nil {
		t.Error("a built-in profile was replaced by the same version")
	}
	if _, err := profile.Load(filepath.Join(dir, "nowhere")); err == nil {
		t.Error("a folder that is not there was taken")
	}
}

// TestDocumentedProfile: the whole file that the documentation shows is one.
func TestDocumentedProfile(t *testing.T) {
	doc, err := os.ReadFile("../../docs/profiles.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(doc), "```yaml\n")
	text, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("docs/profiles.md shows no file")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "acme.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := profile.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if p, ok := set.Get("acme"); !ok || p.Title() != "Acme Billing" {
		t.Fatalf("%v %v", p, ok)
	}
}
