package e2e

// Profiles: what hookstream sends for every product, judged by public
// libraries that know nothing of it.

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hookstream/hookstream/schemas/profile"
)

// nodeJudge reads a request per line and prints a verdict of the public library
// whose scheme the profile shares: of the request itself, and of what it
// becomes by a change of body, timestamp or secret, each of which has to be
// refused. A product whose header looks different is rearranged to the
// library's own form.
const nodeJudge = `
const Stripe = require("stripe"), { Webhook } = require("standardwebhooks");
(async () => {
  const { verify } = await import("@octokit/webhooks-methods");
  const stripe = new (Stripe.default || Stripe)("sk_test_none");
  const bare = (s) => s.replace(/^sha256=/, "");
  const byStripe = (r) => { stripe.webhooks.constructEvent(r.body, r.header, r.secret); return true; };
  const stamped = (sig, ts) => (r, q) => byStripe({ ...r, header: "t=" + (r.ts || q[ts]) + ",v1=" + bare(q[sig]) });
  const overBody = (sig) => (r, q) => verify(r.secret, r.body.toString("utf8"), "sha256=" + bare(q[sig]));
  const judges = {
    kidsmart: stamped("X-KidSmart-Signature", "X-KidSmart-Timestamp"),
    smartcv: stamped("X-SmartCV-Signature", "X-SmartCV-Timestamp"),
    ihateppt: stamped("X-Webhook-Signature", "X-Webhook-Timestamp"),
    stripe: (r, q) => byStripe({ ...r, header: r.ts ? q["Stripe-Signature"].replace(/^t=\d+/, "t=" + r.ts) : q["Stripe-Signature"] }),
    aiinterview: overBody("X-Webhook-Signature"),
    smartkyc: overBody("X-SmartKYC-Signature"),
    github: overBody("X-Hub-Signature-256"),
    standard: (r, q) => {
      const secret = r.other ? "whsec_" + Buffer.alloc(24, 7).toString("base64") : r.secret;
      new Webhook(secret).verify(r.body.toString("utf8"), { ...q, "webhook-timestamp": r.ts || q["webhook-timestamp"] });
      return true;
    },
  };
  const timeOf = { kidsmart: "X-KidSmart-Timestamp", smartcv: "X-SmartCV-Timestamp", ihateppt: "X-Webhook-Timestamp", standard: "webhook-timestamp" };
  const says = async (f) => { try { return (await f()) ? "verified" : "refused"; } catch (e) { return "refused: " + e.message; } };
  for await (const line of require("readline").createInterface({ input: process.stdin })) {
    const { profile, secret, headers, body64 } = JSON.parse(line);
    const body = Buffer.from(body64, "base64"), judge = judges[profile], text = body.toString("utf8");
    const ts = profile === "stripe" ? /^t=(\d+)/.exec(headers["Stripe-Signature"])[1] : headers[timeOf[profile]];
    const changed = Buffer.from(text.replace(/"([^"]*)"/, '"$1x"'), "utf8");
    const verdict = { right: await says(() => judge({ secret, body }, headers)), wrong: [] };
    verdict.wrong.push(await says(() => judge({ secret, body: changed }, headers)));
    verdict.wrong.push(await says(() => judge({ secret: secret + "x", body, other: true }, headers)));
    if (ts) verdict.wrong.push(await says(() => judge({ secret, body, ts: String(Number(ts) - 1) }, headers)));
    verdict.fixed = JSON.stringify(JSON.parse(text)) === text;
    console.log(JSON.stringify(verdict));
  }
})();
`

// judgement is one line of it.
type judgement struct {
	Right string
	Wrong []string
	Fixed bool // JavaScript's parse and stringify give the body back
}

type judged struct {
	Profile string            `json:"profile"`
	Secret  string            `json:"secret"`
	Headers map[string]string `json:"headers"`
	Body64  string            `json:"body64"`
}

// npmLibraries installs packages side by side, once.
func npmLibraries(t *testing.T, folder string, packages ...string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "hookstream", folder)
	missing := false
	for _, p := range packages {
		at := strings.LastIndexByte(p, '@')
		text, err := os.ReadFile(filepath.Join(dir, "node_modules", p[:at], "package.json"))
		missing = missing || err != nil || !strings.Contains(string(text), `"version": "`+p[at+1:]+`"`)
	}
	if !missing {
		return dir
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"install", "--no-audit", "--no-fund", "--silent", "--prefix", dir}, packages...)
	if out, err := exec.Command("npm", args...).CombinedOutput(); err != nil {
		t.Fatalf("npm install %v: %v\n%s", packages, err, out)
	}
	return dir
}

// judge asks the libraries about requests.
func judge(t *testing.T, requests []judged) []judgement {
	t.Helper()
	var in strings.Builder
	for _, r := range requests {
		line, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		in.Write(line)
		in.WriteByte('\n')
	}
	cmd := exec.Command("node", "-e", nodeJudge)
	cmd.Dir = npmLibraries(t, "e2e-profiles", "stripe@23.1.0", "@octokit/webhooks-methods@6.0.0", "standardwebhooks@1.0.0")
	cmd.Stdin, cmd.Stderr = strings.NewReader(in.String()), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node, which comes with npm: %v", err)
	}
	var verdicts []judgement
	for line := range strings.Lines(string(out)) {
		var v judgement
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		verdicts = append(verdicts, v)
	}
	if len(verdicts) != len(requests) {
		t.Fatalf("%d verdicts of %d requests", len(verdicts), len(requests))
	}
	return verdicts
}

// nastyMember is a member of an object that breaks senders which re-encode JSON.
const nastyMember = "\"nasty\": {\n  \"10\": 1, \"2\": [25.0, 1e21, 0.0000001, -0, 1e3], \"emoji\": \"😀 \\ud83d\\ude00\",\n" +
	"\t\"html\": \"<a href='x'>&\\u003c</a>\", \"lines\": \"\u2028\\u2028\\/\", \"b\": {\"z\": 1, \"1\": 2, \"__proto__\": \"\\u0007\\u001F\"} }"

// nastyData is data of a profile's first type with that member.
func nastyData(t *testing.T, p *profile.Profile) (eventType, data string) {
	t.Helper()
	e := p.Events()[0]
	object := strings.TrimSpace(e.Sample)
	if !strings.HasSuffix(object, "}") {
		t.Fatalf("the first sample of %s is no object", p.Name())
	}
	return e.Type, " " + object[:len(object)-1] + " ,\n " + nastyMember + "}\n"
}

// TestPublicLibrariesVerifyEveryProfile: each event type's sample and a nasty
// body, sent by the running program, verify with a public library of the same
// scheme, and not after a change of body, timestamp or secret. Header names are
// on the wire as the contracts write them.
func TestPublicLibrariesVerifyEveryProfile(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := newRawReceiver(t)
	set, err := profile.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	signed := map[string][]string{ // headers of the contract, in its casing
		"kidsmart": {"Content-Type", "X-KidSmart-Signature", "X-KidSmart-Timestamp"}, "aiinterview": {"Content-Type", "X-Webhook-Signature"},
		"smartcv": {"Content-Type", "X-SmartCV-Signature", "X-SmartCV-Timestamp"}, "smartkyc": {"Content-Type", "X-SmartKYC-Signature"},
		"ihateppt": {"Content-Type", "X-Webhook-Signature", "X-Webhook-Timestamp", "X-Webhook-Event"},
		"standard": {"content-type", "webhook-id", "webhook-timestamp", "webhook-signature"},
		"stripe":   {"Content-Type", "Stripe-Signature"}, "github": {"Content-Type", "X-Hub-Signature-256", "X-GitHub-Event", "X-GitHub-Delivery", "X-GitHub-Hook-ID"},
	}
	secrets, counts := map[string]string{}, map[string]int{}
	for _, name := range set.Names() {
		p, _ := set.Get(name)
		tenant := "of-" + name
		s.call(http.MethodPost, "/v1/tenants", map[string]any{"id": tenant, "profile": name}, http.StatusCreated, nil)
		var keys struct {
			Secret string `json:"secret"`
		}
		s.call(http.MethodPost, "/v1/tenants/"+tenant+"/keys", map[string]any{"name": "k"}, http.StatusCreated, &keys)
		id, secret := s.webhook(map[string]any{"tenant": tenant, "url": r.URL + "/" + name, "events": []string{"*"}, "profile": name, "skip_verification": true})
		if secrets[name] = secret; p.SecretOf() == profile.OfTenant {
			secrets[name] = keys.Secret
		}
		for _, e := range p.Events() {
			s.call(http.MethodPost, "/v1/webhooks/test", map[string]any{"webhook_id": id, "event_type": e.Type}, http.StatusAccepted, nil)
			counts[name]++
		}
		eventType, data := nastyData(t, p)
		s.publish(strings.ReplaceAll(fmt.Sprintf(`{"tenant":%q,"type":%q,"data":%s}`, tenant, eventType, data), "\n", "\r"))
		counts[name]++
	}
	var requests []judged
	for _, name := range set.Names() {
		for n := range counts[name] {
			q := r.wait(t, "/"+name, n)
			headers := map[string]string{}
			for _, h := range signed[name] {
				value, times := q.line(h)
				if headers[h] = value; times != 1 {
					t.Errorf("%s: header %s stands %d times in %q", name, h, times, q.head)
				}
			}
			if length, _ := q.line("Content-Length"); length != strconv.Itoa(len(q.body)) {
				t.Errorf("%s: Content-Length %s of %d bytes", name, length, len(q.body))
			}
			requests = append(requests, judged{name, secrets[name], headers, base64.StdEncoding.EncodeToString([]byte(q.body))})
		}
	}
	nastySeen := map[string]bool{}
	for i, v := range judge(t, requests) {
		q := requests[i]
		body, _ := base64.StdEncoding.DecodeString(q.Body64)
		if v.Right != "verified" {
			t.Errorf("%s: %s\n%v\n%s", q.Profile, v.Right, q.Headers, body)
		}
		for n, wrong := range v.Wrong {
			if !strings.HasPrefix(wrong, "refused") {
				t.Errorf("%s: change %d verifies: %s", q.Profile, n, body)
			}
		}
		if q.Profile == "kidsmart" && !v.Fixed {
			t.Errorf("JavaScript does not give the body back: %s", body)
		}
		if q.Profile == "aiinterview" && strings.ContainsFunc(string(body), func(r rune) bool { return r >= utf8.RuneSelf }) {
			t.Errorf("not only ASCII: %s", body)
		}
		if event, ok := q.Headers["X-Webhook-Event"]; ok && !strings.Contains(string(body), `"type":"`+event+`"`) {
			t.Errorf("the header says %s of %s", event, body)
		}
		nastySeen[q.Profile] = nastySeen[q.Profile] || strings.Contains(string(body), "__proto__")
	}
	if len(nastySeen) != len(signed) {
		t.Errorf("profiles seen: %v", nastySeen)
	}
	for name, seen := range nastySeen {
		if !seen {
			t.Errorf("%s: the nasty body did not come", name)
		}
	}
}

// TestPublishIsRefusedByTheProfile: data that a product's contract forbids is
// answered 422, with the field, and nothing is sent.
func TestPublishIsRefusedByTheProfile(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := newRawReceiver(t)
	for _, name := range []string{"kidsmart", "aiinterview", "ihateppt"} {
		s.webhook(map[string]any{"tenant": "of-" + name, "url": r.URL + "/" + name, "events": []string{"*"}, "profile": name, "skip_verification": true})
	}
	big := strings.Repeat("x", 102_400)
	for _, c := range []struct{ profile, event, data, want string }{
		{"kidsmart", "fluency", `["as_1"]`, "JSON object"},
		{"kidsmart", "fluency", `{"score":1}`, "assessment_id"},
		{"kidsmart", "fluency", `{"assessment_id":""}`, "assessment_id"},
		{"kidsmart", "fluency", `{"assessment_id":"a","type":"recognition"}`, "data.type"},
		{"kidsmart", "fluency", `{"assessment_id":"a","n":9007199254740993}`, "9007199254740993"},
		{"kidsmart", "fluency", `{"assessment_id":"a","n":1e400}`, "1e400"},
		{"kidsmart", "fluency", `{"assessment_id":"a","n":1,"n":2}`, "twice"},
		{"kidsmart", "fluency", "{\"assessment_id\":\"a\",\"n\":\"\xff\"}", "UTF-8"},
		{"kidsmart", "fluency", `{"assessment_id":"` + big + `"}`, "102400"},
		{"aiinterview", "session.feedback_submitted", `{"session_id":"s"}`, "feedback"},
		{"aiinterview", "session.feedback_submitted", `{"session_id":"s","feedback":null}`, "feedback"},
		{"aiinterview", "session.feedback_submitted", `{"session_id":"s","feedback":"good"}`, "feedback"},
		{"aiinterview", "session.feedback_submitted", `{"session_id":"s","feedback":{"session_id":"t"}}`, "session_id"},
		{"aiinterview", "interview.completed", `{"session_id":"s","invitee_email":"a@b.c","timestamp":"2025-03-04T05:06:07Z"}`, "timestamp"},
		// 17,100 characters of 6 bytes each.
		{"aiinterview", "session.feedback_submitted", `{"session_id":"s","feedback":{"c":"` + strings.Repeat("é", 17_100) + `"}}`, "102400"},
	} {
		body := fmt.Sprintf(`{"tenant":"of-%s","type":%q,"data":%s}`, c.profile, c.event, c.data)
		if a := s.ask(http.MethodPost, "/v1/events", body, nil); a.status != http.StatusUnprocessableEntity && a.status != http.StatusBadRequest || !strings.Contains(string(a.body), c.want) {
			t.Errorf("%s %.80s: %d %s", c.profile, c.data, a.status, a.body)
		}
	}
	// A mark behind them: nothing of the above was on its way.
	s.publish(`{"tenant":"of-kidsmart","type":"fluency","data":{"assessment_id":"mark"}}`, `{"tenant":"of-aiinterview","type":"session.feedback_submitted","data":{"session_id":"mark","feedback":{}}}`)
	for _, name := range []string{"kidsmart", "aiinterview"} {
		if q := r.wait(t, "/"+name, 0); !strings.Contains(q.body, "mark") {
			t.Errorf("%s was sent: %s", name, q.body)
		}
	}
	// The system's own type can neither be subscribed to nor published.
	if status, b := s.try(http.MethodPost, "/v1/webhooks", map[string]any{"tenant": "of-ihateppt", "url": r.URL + "/v", "profile": "ihateppt", "events": []string{"webhook.verification"}}); status != http.StatusUnprocessableEntity || !strings.Contains(string(b), "webhook.verification") {
		t.Errorf("subscribing to the challenge: %d %s", status, b)
	}
	s.publish(`{"tenant":"of-ihateppt","type":"webhook.verification","data":{"challenge":"c"}}`, `{"tenant":"of-ihateppt","type":"file.uploaded","data":{"file_id":"mark"}}`)
	if q := r.wait(t, "/ihateppt", 0); !strings.Contains(q.body, "mark") {
		t.Errorf("a challenge was published: %s", q.body)
	}
}

// TestVerificationChallenge: an endpoint that repeats the challenge gets
// events, one that does not stays pending with the reason until it is verified
// again, and one that skips it gets them at once.
func TestVerificationChallenge(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := newSink(t, func(w http.ResponseWriter, _ *http.Request, _ int) { _, _ = w.Write([]byte(`{"status":"success"}`)) })
	echo := newSink(t, nil)
	echo.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var body struct {
			Type string
			Data struct{ Challenge string }
		}
		if err := json.NewDecoder(req.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		echo.mu.Lock()
		echo.got = append(echo.got, request{path: req.URL.Path, header: req.Header, body: body.Type})
		echo.mu.Unlock()
		_ = json.NewEncoder(w).Encode(map[string]string{"challenge": body.Data.Challenge})
	})
	create := func(url string, skip bool) string {
		id, _ := s.webhook(map[string]any{"url": url, "events": []string{"*"}, "profile": "ihateppt", "skip_verification": skip})
		return id
	}
	becomes := func(id string, verified bool, reason string) {
		t.Helper()
		eventually(t, "the standing of "+id, func() error {
			var w struct {
				Verified    bool
				VerifyError string `json:"verify_error"`
				Status      string
			}
			s.call(http.MethodGet, "/v1/webhooks/"+id, nil, http.StatusOK, &w)
			if w.Verified != verified || !strings.Contains(w.VerifyError, reason) || (w.Status == "active") != verified {
				return fmt.Errorf("is %+v", w)
			}
			return nil
		})
	}
	good := create(echo.URL+"/good", false)
	bad := create(r.URL+"/bad", false)
	skipping := create(r.URL+"/skipping", true)
	becomes(good, true, "")
	becomes(bad, false, `no field "challenge"`)
	becomes(skipping, true, "")
	s.publish(`{"id":"evt-one","type":"file.uploaded","data":{"file_id":"f"}}`)
	r.arrived(t, "/skipping", 1)
	eventually(t, "the verified endpoint has the event", func() error {
		if got := echo.requests("/good"); len(got) != 2 || got[0].body != "webhook.verification" || got[1].body != "file.uploaded" {
			return fmt.Errorf("%d requests", len(got))
		}
		return nil
	})
	s.wantSQL("SELECT state, error_kind, attempts FROM hookstream.deliveries WHERE event_id = 'evt-one' AND endpoint_id = '"+bad+"'", "skipped\tunverified\t0")
	if got := r.requests("/bad"); len(got) != 1 || !strings.Contains(got[0].body, "webhook.verification") {
		t.Errorf("the unverified endpoint got %d requests", len(got))
	}
	// Its owner mends it, and asks again.
	s.call(http.MethodPatch, "/v1/webhooks/"+bad, map[string]any{"url": echo.URL + "/mended"}, http.StatusOK, nil)
	s.call(http.MethodPost, "/v1/webhooks/"+bad+"/verify", nil, http.StatusAccepted, nil)
	becomes(bad, true, "")
	s.publish(`{"id":"evt-two","type":"file.deleted","data":{"file_id":"f"}}`)
	eventually(t, "the mended endpoint has the event", func() error {
		for _, q := range echo.requests("/mended") {
			if q.body == "file.deleted" {
				return nil
			}
		}
		return fmt.Errorf("not yet")
	})
}

// TestKidSmartRetries: three retries after 1, 2 and 4 seconds, each signed anew
// over the same bytes, then a dead letter.
func TestKidSmartRetries(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := newSink(t, func(w http.ResponseWriter, _ *http.Request, _ int) { w.WriteHeader(http.StatusInternalServerError) })
	id, secret := s.webhook(map[string]any{"url": r.URL + "/webhook", "events": []string{"fluency"}, "profile": "kidsmart"})
	s.publish(`{"id":"assessed","type":"fluency","data":{ "assessment_id" : "as_1", "score" : 25.0 }}`)
	s.wantSQL("SELECT state, attempts, response_code, error_kind FROM hookstream.deliveries WHERE event_id = 'assessed'", "error\t4\t500\thttp_5xx")
	got := r.requests("/webhook")
	if len(got) != 4 {
		t.Fatalf("%d requests", len(got))
	}
	last := 0
	for i, q := range got {
		ts, err := strconv.Atoi(q.header.Get("X-KidSmart-Timestamp"))
		if err != nil || ts <= last {
			t.Errorf("request %d: timestamp %q after %d", i, q.header.Get("X-KidSmart-Timestamp"), last)
		}
		last = ts
		if q.body != `{"type":"fluency","assessment_id":"as_1","score":25}` {
			t.Errorf("request %d: %s", i, q.body)
		}
		if q.header.Get("X-KidSmart-Signature") != hmacHex(secret, strconv.Itoa(ts)+"."+q.body) {
			t.Errorf("request %d: %v", i, q.header)
		}
	}
	// Nothing came before its time.
	times, err := s.sql("SELECT toUnixTimestamp64Milli(attempted_at) FROM hookstream.attempts WHERE endpoint_id = '" + id + "' ORDER BY attempt_no")
	if err != nil {
		t.Fatal(err)
	}
	before := 0
	for i, text := range strings.Fields(times) {
		at, err := strconv.Atoi(text)
		if delay := []int{0, 1000, 2000, 4000}[i]; err != nil || at-before < delay {
			t.Errorf("attempt %d came %d ms after the one before, want at least %d: %v", i+1, at-before, delay, err)
		}
		before = at
	}
}

// expressApp is what the products' own pages tell receivers to do, in Express:
// Kid Smart's signs what it gets from parsing and writing the body again,
// AI Interview's keeps the raw bytes, and its Next.js handler joins packets as
// text, which damages a character that lies in two of them.
const expressApp = `
const crypto = require("crypto"), express = require("express"), app = express();
const right = (sig, text) => crypto.timingSafeEqual(Buffer.from(sig), Buffer.from(crypto.createHmac("sha256", "of-both-sides").update(text).digest("hex")));
app.post("/webhook", express.json(), (req, res) => {
  const text = req.headers["x-kidsmart-timestamp"] + "." + JSON.stringify(req.body);
  if (!right(req.headers["x-kidsmart-signature"], text)) return res.status(401).json({ error: "Invalid signature" });
  res.json({ status: "success" });
});
app.post("/webhooks/ai-interview", express.json({ verify: (req, res, raw) => { req.raw = raw; } }), (req, res) => {
  if (!right(req.headers["x-webhook-signature"], req.raw)) return res.status(401).send("Invalid signature");
  res.send(req.body.session_id ? "OK" : "Already processed");
});
app.post("/api/webhooks/ai-interview", (req, res) => {
  let text = "";
  req.on("data", (packet) => { text += packet; });
  req.on("end", () => right(req.headers["x-webhook-signature"], text) ? res.json({ message: "OK" }) : res.status(401).json({ error: "Invalid signature" }));
});
app.listen(Number(process.env.PORT), "127.0.0.1", () => console.log("up"));
`

// startExpress runs the app under one version of Express.
func startExpress(t *testing.T, version string) (url string) {
	t.Helper()
	addr := freePort(t)
	cmd := exec.Command("node", "-e", expressApp)
	cmd.Dir = npmLibraries(t, "e2e-express-"+version, "express@"+version)
	cmd.Env = append(os.Environ(), "PORT="+addr[strings.LastIndexByte(addr, ':')+1:])
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting node, which comes with npm: %v", err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if up, err := bufio.NewReader(out).ReadString('\n'); err != nil || up != "up\n" {
		t.Fatalf("express said %q, %v", up, err)
	}
	return "http://" + addr
}

// TestExpressReceiversVerify: receivers as the products' pages describe them
// take every sample and every nasty body under Express 4 and 5, up to the limit
// of their JSON parser, and refuse what another secret signed.
func TestExpressReceiversVerify(t *testing.T) {
	t.Parallel()
	s := start(t)
	set, err := profile.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"4.21.2", "5.1.0"} {
		url := startExpress(t, version)
		for path, name := range map[string]string{"/webhook": "kidsmart", "/webhooks/ai-interview": "aiinterview", "/api/webhooks/ai-interview": "aiinterview"} {
			p, _ := set.Get(name)
			tenant := "t" + strings.NewReplacer("/", "-", ".", "-").Replace(path+version)
			hook := map[string]any{"tenant": tenant, "url": url + path, "events": []string{"*"}, "profile": name, "secret": "of-both-sides", "retry": []float64{}}
			id, _ := s.webhook(hook)
			sent := 0
			for _, e := range p.Events() {
				s.call(http.MethodPost, "/v1/webhooks/test", map[string]any{"webhook_id": id, "event_type": e.Type}, http.StatusAccepted, nil)
				sent++
			}
			eventType, data := nastyData(t, p)
			s.publish(fmt.Sprintf(`{"tenant":%q,"type":%q,"data":%s}`, tenant, eventType, strings.ReplaceAll(data, "\n", "\r")))
			// As long as the receivers take, in characters that packets may cut.
			first := p.Events()[0]
			prefix := first.Sample[:len(first.Sample)-1] + `,"long":"`
			width := map[string]int{"kidsmart": 3, "aiinterview": 6}[name] // bytes of € on the wire
			field := fmt.Sprintf(`"%s":"%s",`, map[string]string{"kidsmart": "type", "aiinterview": "event"}[name], first.Type)
			room := 102_400 - len(prefix) - len(`"}`) - len(field)
			s.publish(fmt.Sprintf(`{"tenant":%q,"type":%q,"data":%s}`, tenant, first.Type, prefix+strings.Repeat("€", room/width)+strings.Repeat("x", room%width)+`"}`))
			sent += 2
			s.wantSQL("SELECT countIf(state = 'success'), countIf(response_code = 200), count() FROM hookstream.deliveries WHERE endpoint_id = '"+id+"'", fmt.Sprintf("%d\t%[1]d\t%[1]d", sent))
			hook["secret"], hook["tenant"] = "another", tenant+"-other"
			other, _ := s.webhook(hook)
			s.call(http.MethodPost, "/v1/webhooks/test", map[string]any{"webhook_id": other, "event_type": first.Type}, http.StatusAccepted, nil)
			s.wantSQL("SELECT state, response_code FROM hookstream.deliveries WHERE endpoint_id = '"+other+"'", "error\t401")
		}
	}
}
