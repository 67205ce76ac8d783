package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hookstream/hookstream/schemas/profile"
)

// signed are the headers that "sign --json" tells.
func signedHeaders(t *testing.T, out string) (args []string) {
	t.Helper()
	var x struct {
		Headers []struct{ Name, Value string }
	}
	if err := json.Unmarshal([]byte(out), &x); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	for _, h := range x.Headers {
		args = append(args, "--header="+h.Name+": "+h.Value)
	}
	return args
}

// TestSignAndVerifyGoTogether: for every profile; what was changed does not
// verify, and no output shows the secret.
func TestSignAndVerifyGoTogether(t *testing.T) {
	set, err := profile.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	body := filepath.Join(t.TempDir(), "body.json")
	if err := os.WriteFile(body, []byte("{\"type\":\"a.b\",\"x\":\"é<&>\"}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range set.Names() {
		p, _ := set.Get(name)
		secret := p.NewSecret([]byte("0123456789abcdef01234567"))
		environ := []string{"MY_SECRET=" + secret}
		code, out, errs := runCLI("", environ, "sign", "--profile", name, "--secret-env", "MY_SECRET", "--body", body, "--timestamp", "1741064767", "--type", "a.b", "--json")
		if code != exitOK || strings.Contains(out, secret) {
			t.Fatalf("%s: %d %s %s", name, code, out, errs)
		}
		headers := signedHeaders(t, out)
		verify := append([]string{"verify", "--profile", name, "--secret-env", "MY_SECRET", "--body", body, "--at", "2025-03-04T05:06:10Z"}, headers...)
		if code, out, errs := runCLI("", environ, verify...); code != exitOK || !strings.HasPrefix(out, "verified as profile "+name) || errs != "" {
			t.Errorf("%s: %d %s %s", name, code, out, errs)
		}
		verify[6] = "-"
		code, out, errs = runCLI(`{"type":"a.c"}`, environ, verify...)
		if code != exitFailed || !strings.Contains(out, "not verified as profile "+name) || !strings.Contains(errs, "does not match") || strings.Contains(out+errs, secret) {
			t.Errorf("%s, changed: %d %s %s", name, code, out, errs)
		}
		code, out, _ = runCLI("", environ, append([]string{"verify", "--json", "--profile", name, "--secret-env", "MY_SECRET", "--body", body}, headers...)...)
		stale := regexp.MustCompile(`"verified":false.*\d+ s old`).MatchString(out)
		if timed := strings.Contains(strings.Join(headers, " "), "1741064767"); timed != stale || timed != (code == exitFailed) {
			t.Errorf("%s, late: %d %s", name, code, out)
		}
	}
}

func TestSignForPeople(t *testing.T) {
	code, _, errs := runCLI("hush\n", nil, "sign", "--profile=smartcv", "--secret=-", "--body=testdata/body.json")
	if code != exitFailed || !strings.Contains(errs, "reading the body") {
		t.Errorf("no body: %d %s", code, errs)
	}
	body := filepath.Join(t.TempDir(), "it's.json")
	if err := os.WriteFile(body, []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := runCLI("hush\n", nil, "sign", "--profile=smartcv", "--secret=-", "--body="+body, "--timestamp=1741064767", "--url=https://example.com/hook")
	for _, want := range []string{"timestamp     10 bytes  1741064767", `literal        1 bytes  "."`, "body           3 bytes  {}\\n", "the secret's own UTF-8 bytes",
		"X-SmartCV-Signature: sha256=", "curl -sS -X POST 'https://example.com/hook'", `it'\''s.json'`, "--data-binary '@"} {
		if !strings.Contains(out, want) {
			t.Errorf("nothing of %q in\n%s%s", want, out, errs)
		}
	}
	if code != exitOK || strings.Contains(out+errs, "hush") {
		t.Errorf("%d %s %s", code, out, errs)
	}
}

func TestSignRefuses(t *testing.T) {
	for _, c := range []struct {
		args string
		want string
	}{
		{"sign --profile=nope --secret=x", "give one of aiinterview"},
		{"sign --profile=kidsmart", "the secret is missing"},
		{"sign --profile=kidsmart --secret-env=NONE", "the environment has no NONE"},
		{"sign --profile=kidsmart --secret=-", "standard input cannot be the body and the secret"},
		{"sign --profile=standard --secret=hush", "does not suit profile standard"},
		{"sign --profile=github --secret=hush", "--type is missing; the header X-GitHub-Event carries it"},
		{"sign --profile=kidsmart --secret=hush --timestamp=soon", "--timestamp is"},
		{"verify --profile=kidsmart --secret=hush --header=nonsense", "give 'NAME: VALUE'"},
		{"verify --profile=kidsmart --secret=hush extra", "takes no argument"},
	} {
		code, out, errs := runCLI("{}", nil, strings.Fields(c.args)...)
		if code != exitUsage || out != "" || !strings.Contains(errs, c.want) || strings.Contains(errs, "hush") {
			t.Errorf("%s: %d %s%s", c.args, code, out, errs)
		}
	}
}
