package e2e

// The command line over the API, used as a person would.

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// cli runs a command line that asks the stack; further environment may follow
// in env.
func (s *stack) cli(env []string, stdin string, args ...string) (code int, out, errs string) {
	s.t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Env = append(append(os.Environ(), "HOOKSTREAM_API="+s.api, "HOOKSTREAM_API_KEY="+rootKey), env...)
	cmd.Stdin = strings.NewReader(stdin)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), o.String(), e.String()
	}
	if err != nil {
		s.t.Fatalf("%v: %v", args, err)
	}
	return 0, o.String(), e.String()
}

// ok is cli for a command that has to succeed.
func (s *stack) ok(args ...string) string {
	s.t.Helper()
	code, out, errs := s.cli(nil, "", args...)
	if code != 0 {
		s.t.Fatalf("hookstream %s: %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

// made is the id in a command's JSON.
func made(t *testing.T, out string) string {
	t.Helper()
	var x struct{ ID string }
	if err := json.Unmarshal([]byte(out), &x); err != nil || x.ID == "" {
		t.Fatalf("no id in %s", out)
	}
	return x.ID
}

// TestCommandLineOverTheAPI: create, publish, logs, tail, test, dead, breakers;
// a body that "sign" and the API sign alike is one that "listen" and "verify"
// take.
func TestCommandLineOverTheAPI(t *testing.T) {
	t.Parallel()
	s := start(t)
	const secret = "s3cret-of-the-command-line"
	hear := freePort(t)
	listen := exec.Command(binary, "listen", "--listen", hear, "--profile", "/webhooks/ai-interview=aiinterview,/webhook=ihateppt", "--secret", secret)
	var heard logBuffer
	listen.Stdout, listen.Stderr = &heard, &heard
	if err := listen.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listen.Process.Kill(); _ = listen.Wait() })
	eventually(t, "listen is up", func() error {
		if !heard.has("Receiving on http://" + hear) {
			return errors.New(heard.tail(500))
		}
		return nil
	})

	tail := exec.Command(binary, "tail", "--api", s.api, "--status", "success")
	tail.Env = append(os.Environ(), "HOOKSTREAM_API_KEY="+rootKey)
	var seen logBuffer
	tail.Stdout, tail.Stderr = &seen, &seen
	if err := tail.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- tail.Wait() }()
	t.Cleanup(func() { _ = tail.Process.Kill() })
	eventually(t, "tail listens", func() error {
		if !seen.has("listening") {
			return errors.New(seen.tail(500))
		}
		return nil
	})

	// The profile's challenge is answered by listen.
	code, out, errs := s.cli([]string{"PPT=" + secret}, "", "webhooks", "create", "--url=http://"+hear+"/webhook", "--profile=ihateppt", "--events=file.*", "--secret-env=PPT", "--json")
	if code != 0 {
		t.Fatalf("%d %s", code, errs)
	}
	ppt := made(t, out)
	eventually(t, "the webhook is verified", func() error {
		if out := s.ok("webhooks", "get", ppt, "--json"); !strings.Contains(out, `"verified":true`) {
			return errors.New(out)
		}
		return nil
	})
	event := made(t, s.ok("events", "publish", "--type=file.deleted", `--data={"file_id":"f_1","user_id":"u_1","name":"a.docx","size":1}`, "--json"))
	eventually(t, "tail shows the delivery", func() error {
		if !seen.has("file.deleted " + ppt) {
			return errors.New(seen.tail(2000))
		}
		return nil
	})
	eventually(t, "the log has it", func() error {
		if out := s.ok("logs", ppt, "--event", event, "--since", "1h"); !strings.Contains(out, "success") {
			return errors.New(out)
		}
		return nil
	})
	if out := s.ok("events", "get", event); !strings.Contains(out, ppt) || !strings.Contains(out, `"file_id": "f_1"`) {
		t.Errorf("the event:\n%s", out)
	}
	if out := s.ok("test", ppt); !strings.Contains(out, "outcome   success: 200") || !strings.Contains(out, `{"status":"success"}`) {
		t.Errorf("test:\n%s", out)
	}

	// A webhook where nobody is: tests fail, deliveries die, the breaker opens.
	gone := made(t, s.ok("webhooks", "create", "--url=http://127.0.0.1:1/", "--events=task.*", "--retry=none", "--json"))
	if code, out, errs := s.cli(nil, "", "test", gone, "task.made"); code != 1 || !strings.Contains(out, "error: refused") {
		t.Errorf("test of a webhook that is down: %d\n%s%s", code, out, errs)
	}
	var lines strings.Builder
	for i := range 12 {
		fmt.Fprintf(&lines, "{\"type\":\"task.made\",\"data\":%d}\n", i)
	}
	if code, out, errs := s.cli(nil, lines.String(), "events", "publish", "-"); code != 0 || out != "published 12 of 12 events\n" {
		t.Errorf("%d %s %s", code, out, errs)
	}
	eventually(t, "the breaker is open, or half open after its pause", func() error {
		if out := s.ok("breakers"); !strings.Contains(out, gone+"  open") && !strings.Contains(out, gone+"  half_open") {
			return errors.New(out)
		}
		return nil
	})
	eventually(t, "dead letters", func() error {
		if out := s.ok("dead", "--webhook", gone); strings.Count(out, "refused") < 5 {
			return errors.New(out)
		}
		return nil
	})
	again := made(t, strings.SplitN(s.ok("dead", "list", "--webhook", gone, "--limit=1", "--json"), "\n", 2)[0])
	if out := s.ok("dead", "retry", again); !strings.Contains(out, again+" is delivered again as dlv_") {
		t.Errorf("%s", out)
	}
	if out := s.ok("event-types", "--profile", "ihateppt"); !strings.Contains(out, "file.deleted") {
		t.Errorf("%s", out)
	}

	s.signatures(ppt, secret, "http://"+hear+"/webhook")
	s.ok("webhooks", "delete", ppt, gone)
	s.stop() // somebody watches: the drain does not wait for them
	eventually(t, "tail tries again", func() error {
		if !seen.has("the connection ended; again in") {
			return errors.New(seen.tail(500))
		}
		return nil
	})
	_ = tail.Process.Signal(syscall.SIGTERM)
	if err := <-ended; err != nil {
		t.Errorf("tail, after SIGTERM: %v", err)
	}
	if all := seen.tail(1<<20) + heard.tail(1<<20); strings.Contains(all, secret) {
		t.Error("a secret is on the screen")
	}
}

// signatures compares "sign" with the API's helper, sends what they say to
// listen, and has "verify" check it.
func (s *stack) signatures(webhook, secret, url string) {
	s.t.Helper()
	body := filepath.Join(s.dir, "body.json")
	const text = `{"id":"evt_sig","type":"file.deleted","created":"2025-03-04T05:06:07Z","data":{"x":"é<&>"}}`
	if err := os.WriteFile(body, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	env := []string{"PPT=" + secret}
	code, out, errs := s.cli(env, "", "sign", "--profile=ihateppt", "--secret-env=PPT", "--body="+body, "--json")
	var local, remote struct {
		Timestamp int64
		Text      string `json:"signing_text"`
		Headers   []struct{ Name, Value string }
	}
	if err := json.Unmarshal([]byte(out), &local); code != 0 || err != nil {
		s.t.Fatalf("%d %v %s %s", code, err, out, errs)
	}
	a := s.ask(http.MethodPost, "/v1/webhooks/"+webhook+"/signature", map[string]any{"body": text, "timestamp": local.Timestamp}, nil)
	if err := json.Unmarshal(a.body, &remote); err != nil || fmt.Sprint(local) != fmt.Sprint(remote) || remote.Text != fmt.Sprint(local.Timestamp)+"."+text {
		s.t.Errorf("the API says %s\n sign says %s", a.body, out)
	}
	if strings.Contains(string(a.body)+out, secret) {
		s.t.Error("the secret is in an answer")
	}
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(text))
	if err != nil {
		s.t.Fatal(err)
	}
	args := []string{"verify", "--profile=ihateppt", "--secret-env=PPT", "--body=" + body}
	for _, h := range local.Headers {
		req.Header[h.Name] = []string{h.Value}
		args = append(args, "--header="+h.Name+": "+h.Value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		s.t.Errorf("listen answers %d to what was signed", resp.StatusCode)
	}
	if code, out, errs := s.cli(env, "", args...); code != 0 || !strings.HasPrefix(out, "verified as profile ihateppt") {
		s.t.Errorf("verify: %d %s%s", code, out, errs)
	}
	if code, out, _ := s.cli([]string{"PPT=another"}, "", args...); code != 1 || !strings.Contains(out, "the secret is another one") {
		s.t.Errorf("verify with another secret: %d %s", code, out)
	}
}

// TestTailWithoutClickHouse: attempts are seen, and tests have an outcome, with
// Kafka alone; a key sees its own tenant.
func TestTailWithoutClickHouse(t *testing.T) {
	t.Parallel()
	s := start(t, "--no-clickhouse")
	r := newSink(t, nil)
	hook := made(t, s.ok("webhooks", "create", "--url="+r.URL+"/a", "--tenant=acme", "--json"))
	var key struct{ Key string }
	s.call(http.MethodPost, "/v1/tenants/acme/keys", map[string]any{}, http.StatusCreated, &key)
	env := []string{"HOOKSTREAM_API_KEY=" + key.Key}
	if code, out, errs := s.cli(env, "", "test", hook); code != 0 || !strings.Contains(out, "outcome   success: 200") {
		t.Errorf("%d %s%s", code, out, errs)
	}
	for _, route := range []string{"GET /v1/deliveries", "GET /v1/webhooks/" + hook + "/logs", "POST /v1/deliveries/dlv_1/retry", "GET /v1/events", "GET /v1/breakers", "GET /v1/audit"} {
		method, path, _ := strings.Cut(route, " ")
		if a := s.ask(method, path, nil, nil); a.status != http.StatusNotImplemented || !strings.Contains(string(a.body), "no_clickhouse") || !strings.Contains(string(a.body), "runs without ClickHouse") {
			t.Errorf("%s: %d %s", route, a.status, a.body)
		}
	}
	s.call(http.MethodPost, "/v1/tenants", map[string]any{"id": "other"}, http.StatusCreated, nil)
	s.call(http.MethodPost, "/v1/tenants/other/keys", map[string]any{}, http.StatusCreated, &key)
	if code, _, errs := s.cli([]string{"HOOKSTREAM_API_KEY=" + key.Key}, "", "tail", "--webhook", hook); code != 1 || !strings.Contains(errs, "404 not_found") {
		t.Errorf("a foreign webhook: %d %s", code, errs)
	}
}
