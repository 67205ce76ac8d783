package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hookstream/hookstream/delivery/egress"
	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

// TestListenAnswersAsTheProductsDo: several profiles at their documented paths
// on one port, each with its contract's answers and its challenge.
func TestListenAnswersAsTheProductsDo(t *testing.T) {
	defer goleak.VerifyNone(t)
	const secret = "s3cret"
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var out, errs screen
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"listen", "--listen=127.0.0.1:0", "--secret=" + secret,
			"--profile=/webhooks/ai-interview=aiinterview,/webhook=ihateppt,kidsmart,smartcv"}, nil, strings.NewReader(""), &out, &errs, Bodies{})
	}()
	url := "http://" + out.await(t, `Receiving on http://(\S+),`)
	out.await(t, `(/webhooks/ai-interview)  AI Interview`)
	set, err := profile.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	send := func(path, name string, body []byte, drop bool, at time.Time) (int, string) {
		t.Helper()
		p, _ := set.Get(name)
		req, err := http.NewRequest(http.MethodPost, url+path, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		headers, err := p.Headers(&schemas.Delivery{EventID: "evt_1", EventType: "a.b"}, body, [][]byte{[]byte(secret)}, at)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range headers {
			if !drop || !strings.Contains(h.Key, "Signature") {
				req.Header[h.Key] = []string{string(h.Value)}
			}
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close() //nolint:errcheck // read whole
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	now := time.Now()
	interview := `{"event":"interview.completed","session_id":"ses_1"}`
	for _, c := range []struct {
		what, path, profile, body string
		drop                      bool
		at                        time.Time
		status                    int
		answer                    string
	}{
		{"first", "/webhooks/ai-interview", "aiinterview", interview, false, now, 200, "OK"},
		{"again", "/webhooks/ai-interview", "aiinterview", interview, false, now, 200, "Already processed"},
		{"signed by another scheme", "/webhooks/ai-interview", "ihateppt", interview, false, now, 401, "Invalid signature"},
		{"no signature", "/webhooks/ai-interview", "aiinterview", interview, true, now, 401, "Invalid signature"},
		{"no event in it", "/webhooks/ai-interview", "aiinterview", `{"n":1}`, false, now, 400, "Invalid payload"},
		{"ppt", "/webhook", "ihateppt", `{"id":"evt_1","type":"file.deleted","created":"2025-03-04T05:06:07Z","data":{}}`, false, now, 200, `{"status":"success"}`},
		{"ppt refused", "/webhook", "aiinterview", `{}`, false, now, 400, `{"error":"Invalid signature"}`},
		{"challenge", "/webhook", "ihateppt", `{"type":"webhook.verification","data":{"challenge":"c-1"}}`, false, now, 200, `{"challenge":"c-1"}`},
		{"kidsmart, below its path", "/kidsmart/hook", "kidsmart", `{"type":"fluency","assessment_id":"as_1"}`, false, now, 200, `{"status":"success"}`},
		{"smartcv, stale", "/smartcv", "smartcv", `{"id":"event_1"}`, false, now.Add(-time.Hour), 400, `{"error":"Webhook timestamp too old"}`},
		{"nowhere", "/smart", "smartcv", `{}`, false, now, 404, "no profile is here; they are at /webhooks/ai-interview, /webhook, /kidsmart, /smartcv\n"},
	} {
		if status, answer := send(c.path, c.profile, []byte(c.body), c.drop, c.at); status != c.status || answer != c.answer {
			t.Errorf("%s: %d %q, want %d %q", c.what, status, answer, c.status, c.answer)
		}
	}
	out.await(t, `(verified \(accepted before\))`)
	out.await(t, `(verified \(challenge\))`)
	stop()
	if c := <-code; c != exitOK || errs.String() != "" {
		t.Errorf("code %d, %s", c, errs.String())
	}
}

// TestListenIsTheLocalTest: port 3000 without a flag, at the documented path,
// and a tunnel's address with that path is one that can be registered.
func TestListenIsTheLocalTest(t *testing.T) {
	c := Default(cmdListen)
	if c.Listen != "127.0.0.1:3000" || c.Receive.Profile == "" {
		t.Errorf("listen is at %s with profile %q", c.Listen, c.Receive.Profile)
	}
	c.Receive.Profile = "aiinterview"
	ears, err := newEars(c)
	if err != nil || ears.at("/webhooks/ai-interview").profile.Name() != "aiinterview" {
		t.Errorf("%+v, %v", ears, err)
	}
	serve := Default(cmdServe)
	guard, err := egress.NewGuard(serve.Egress())
	if err != nil {
		t.Fatal(err)
	}
	if err := guard.CheckURL("https://ab12-34.ngrok-free.app/webhooks/ai-interview"); err != nil {
		t.Error(err)
	}
}

func TestListenRefusesProfilesThatCollide(t *testing.T) {
	for args, want := range map[string]string{
		"--profile=standard,nope":                     "there is no such profile",
		"--profile=/a=standard,/a=github":             "two profiles at /a",
		"--profile=a=standard":                        "give a path such as /webhook=standard",
		"--profile=kidsmart,standard --secret=s3cret": "does not suit profile standard",
	} {
		code, _, errs := runLine(t, Bodies{}, append([]string{"listen"}, strings.Fields(args)...)...)
		if code != exitUsage || !strings.Contains(errs, want) || strings.Contains(errs, "s3cret") {
			t.Errorf("%s: %d, %s", args, code, errs)
		}
	}
}

func TestListenForgetsTheOldestRepeats(t *testing.T) {
	e := &ears{seen: map[string]bool{}}
	for i := range seenKeys + 10 {
		if e.again(string(rune(i))) {
			t.Fatalf("key %d is new", i)
		}
	}
	if len(e.seen) != seenKeys || len(e.keys) != seenKeys || e.again(string(rune(0))) || !e.again(string(rune(seenKeys))) {
		t.Errorf("%d keys are remembered", len(e.seen))
	}
}
