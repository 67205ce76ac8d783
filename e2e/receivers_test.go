package e2e

// Receivers that check as the products' pages tell people to, in Express,
// Flask and node:http, take what the running program sends.

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hookstream/hookstream/schemas/profile"
)

// receiverPath is a path of testdata/receivers, and what it answers.
type receiverPath struct {
	path    string
	accepts []string // bodies of its 200
	refuses int
}

// productOf is the profile that a path is for.
func (p receiverPath) productOf() string {
	name, _, _ := strings.Cut(strings.Trim(p.path, "/"), "/")
	return name
}

func nodePaths() []receiverPath {
	return []receiverPath{
		{"/kidsmart/express", []string{`{"status":"success"}`}, 401},
		{"/aiinterview/express", []string{"OK"}, 401},
		{"/aiinterview/next", []string{`{"message":"OK"}`}, 401},
		{"/smartcv/express", []string{"OK"}, 400},
		{"/smartcv/handler", []string{"OK"}, 400},
		{"/smartkyc/node", []string{""}, 401},
	}
}

func flaskPaths() []receiverPath {
	return []receiverPath{
		{"/kidsmart/flask", []string{`{"status":"success"}`}, 401},
		{"/aiinterview/flask", []string{"OK"}, 401},
		{"/smartcv/flask", []string{`{"status":"success"}`}, 400},
		{"/ihateppt/flask", []string{`{"status":"success"}`}, 400},
	}
}

// runReceivers starts a program of receivers, which prints its port.
func runReceivers(t *testing.T, cmd *exec.Cmd, env []string) (url string) {
	t.Helper()
	cmd.Env, cmd.Stderr = append(os.Environ(), env...), os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the receivers said %q, %v", port, err)
	}
	return "http://127.0.0.1:" + strings.TrimSpace(port)
}

// relayed is a request that went through the relay, and its answer.
type relayed struct {
	header http.Header
	body   []byte
	status int
	answer string
}

// relay stands before the receivers and keeps what passes: /NAME/path goes to
// the receivers of that name.
type relay struct {
	*httptest.Server
	mu      sync.Mutex
	targets map[string]string
	passed  map[string][]relayed // by path
}

func newRelay(t *testing.T) *relay {
	r := &relay{targets: map[string]string{}, passed: map[string][]relayed{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		got := r.send(req.URL.Path, req.Header, body)
		r.mu.Lock()
		r.passed[req.URL.Path] = append(r.passed[req.URL.Path], got)
		r.mu.Unlock()
		w.WriteHeader(got.status)
		_, _ = io.WriteString(w, got.answer)
	}))
	t.Cleanup(r.Close)
	return r
}

// pieces gives a body a few bytes at a time. Sent without a length, each
// becomes a chunk of its own, so characters of several bytes are cut.
type pieces struct {
	rest []byte
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.size)], p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// send posts to the receiver behind a path. Status 0: there was no answer.
func (r *relay) send(path string, header http.Header, body []byte) relayed {
	name, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	r.mu.Lock()
	target := r.targets[name]
	r.mu.Unlock()
	req, err := http.NewRequest(http.MethodPost, target+"/"+rest, &pieces{body, max(5, len(body)/50|1)})
	if err != nil {
		return relayed{answer: err.Error()}
	}
	req.Header = header.Clone()
	if strings.HasSuffix(path, "/next") {
		req.Header.Del("Content-Length")
	} else {
		req.ContentLength = int64(len(body))
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return relayed{header: header, body: body, status: http.StatusBadGateway, answer: err.Error()}
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	return relayed{header, body, resp.StatusCode, strings.TrimSpace(string(answer))}
}

// wait gives what passed to a path once it is n requests.
func (r *relay) wait(t *testing.T, path string, n int) (got []relayed) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d requests to %s", n, path), func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if got = r.passed[path]; len(got) < n {
			return fmt.Errorf("%d came", len(got))
		}
		return nil
	})
	return got
}

// transcripts answers a GET with JSON; one called late only the second time.
func newTranscripts(t *testing.T) *sink {
	return newSink(t, func(w http.ResponseWriter, r *http.Request, n int) {
		if strings.Contains(r.URL.Path, "late") && n == 0 {
			http.Error(w, "not there yet", http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(w, `{"lines":[]}`)
	})
}

// TestProductReceivers: every sample of every product and every nasty body is
// taken by receivers that check as the products' pages tell people to: in
// Express 4 and 5 over the raw text and over what JSON.stringify makes of it, in
// a handler that joins chunks as text, in Flask. They refuse it with another
// body, another timestamp, or signed with another secret.
func TestProductReceivers(t *testing.T) {
	t.Parallel()
	s := start(t)
	set, err := profile.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	// Secrets are in what receivers start with; the one of Smart KYC is made here.
	const secret = "of both sides: é"
	env := []string{"TRANSCRIPTS=" + newTranscripts(t).URL}
	bodies := map[string][]string{} // events of each product
	for _, product := range []string{"kidsmart", "aiinterview", "smartcv", "ihateppt", "smartkyc"} {
		p, _ := set.Get(product)
		of := secret
		for _, tenant := range []string{"of-" + product, "other-" + product} {
			var keys struct{ Secret string }
			s.call(http.MethodPost, "/v1/tenants", map[string]any{"id": tenant, "profile": product}, http.StatusCreated, nil)
			s.call(http.MethodPost, "/v1/tenants/"+tenant+"/keys", map[string]any{"name": "k"}, http.StatusCreated, &keys)
			if p.SecretOf() == profile.OfTenant && tenant == "of-"+product {
				of = keys.Secret
			}
		}
		env = append(env, strings.ToUpper(product)+"_SECRET="+of)
		for _, e := range p.Events() {
			bodies[product] = append(bodies[product], fmt.Sprintf(`"type":%q,"data":%s}`, e.Type, e.Sample))
		}
		eventType, nasty := nastyBodies(t, p)
		for _, data := range nasty {
			bodies[product] = append(bodies[product], fmt.Sprintf(`"type":%q,"data":%s}`, eventType, data))
		}
	}
	r := newRelay(t)
	for _, version := range []string{"4.21.2", "5.1.0"} {
		cmd := exec.Command("node", "-e", testFile(t, "receivers", "app.js"))
		cmd.Dir = npmLibraries(t, "e2e-express-"+version, "express@"+version)
		r.targets["express-"+version] = runReceivers(t, cmd, env)
	}
	python, absent := pythonWith(t)
	if absent == "" {
		r.targets["flask"] = runReceivers(t, exec.Command(python, filepath.Join("testdata", "receivers", "app.py")), env)
	}
	hook := func(tenant, product, path, secret string, fields map[string]any) {
		body := map[string]any{"tenant": tenant, "name": path, "profile": product, "url": r.URL + path, "events": []string{"*"}, "secret": secret, "skip_verification": true}
		if product == "smartkyc" {
			delete(body, "secret")
		}
		for k, v := range fields {
			body[k] = v
		}
		s.webhook(body)
	}
	for name := range r.targets {
		for _, at := range pathsOf(name) {
			product := at.productOf()
			hook("of-"+product, product, "/"+name+at.path, secret, nil)
			hook("other-"+product, product, "/"+name+at.path, "another", map[string]any{"retry": []float64{}})
		}
	}
	for product, lines := range bodies {
		for _, line := range lines {
			s.call(http.MethodPost, "/v1/events", fmt.Sprintf(`{"tenant":"of-%s",%s`, product, line), http.StatusAccepted, nil)
		}
	}
	for _, name := range []string{"express-4.21.2", "express-5.1.0", "flask"} {
		if r.targets[name] == "" {
			t.Run(name, func(t *testing.T) { t.Skip("the receivers in Flask did not run: " + absent) })
			continue
		}
		for _, at := range pathsOf(name) {
			t.Run(name+at.path, func(t *testing.T) {
				got := r.wait(t, "/"+name+at.path, len(bodies[at.productOf()]))
				for _, q := range got {
					r.judge(t, "/"+name+at.path, at, q)
				}
			})
		}
	}
	// The other tenant's secret is not theirs.
	for product, lines := range bodies {
		s.call(http.MethodPost, "/v1/events", fmt.Sprintf(`{"tenant":"other-%s",%s`, product, lines[0]), http.StatusAccepted, nil)
	}
	for name := range r.targets {
		for _, at := range pathsOf(name) {
			got := r.wait(t, "/"+name+at.path, len(bodies[at.productOf()])+1)
			if last := got[len(got)-1]; last.status != at.refuses {
				t.Errorf("%s%s took what another secret signed: %d %s", name, at.path, last.status, last.answer)
			}
		}
	}
	t.Run("a character cut in two", func(t *testing.T) {
		// What the ASCII form is for: the same text in UTF-8, rightly signed, is refused.
		for body, want := range map[string]int{`{"event":"x","session_id":"\u20ac\u20ac\u20ac"}`: 200, `{"event":"x","session_id":"€€€€€€€€€"}`: 401} {
			header := http.Header{"X-Webhook-Signature": {hmacHex(secret, body)}, "Content-Type": {"application/json"}}
			if got := r.send("/express-5.1.0/aiinterview/next", header, []byte(body)); got.status != want {
				t.Errorf("%s: %d %s, want %d", body, got.status, got.answer, want)
			}
		}
	})
	t.Run("a transcript that comes late", func(t *testing.T) {
		if absent != "" {
			t.Skip("the receivers in Flask did not run: " + absent)
		}
		s.call(http.MethodPost, "/v1/events", `{"id":"late","tenant":"of-aiinterview","type":"interview.completed","data":{"session_id":"ses_late","invitee_email":"kim@example.com",
			"transcript_url":"https://files.example.com/late.json","total_minutes":31,"timestamp":"2025-03-04T05:06:07.250+00:00"}}`, http.StatusAccepted, nil)
		got := r.wait(t, "/flask/aiinterview/flask", len(bodies["aiinterview"])+3)
		for i, want := range []relayed{{status: 500, answer: "Processing failed"}, {status: 200, answer: "OK"}} {
			if q := got[len(got)-2+i]; q.status != want.status || q.answer != want.answer || string(q.body) != string(got[len(got)-1].body) {
				t.Errorf("attempt %d: %d %s of %s", i+1, q.status, q.answer, q.body)
			}
		}
		s.wantSQL("SELECT state, attempts, response_code FROM hookstream.deliveries WHERE event_id = 'late' AND attempts > 1", "success\t2\t200")
	})
}

func pathsOf(name string) []receiverPath {
	if name == "flask" {
		return flaskPaths()
	}
	return nodePaths()
}

// judge looks at what a receiver said of a request, and at what it says once
// the body or the timestamp is another.
func (r *relay) judge(t *testing.T, path string, at receiverPath, q relayed) {
	t.Helper()
	taken := false
	for _, answer := range at.accepts {
		taken = taken || q.status == http.StatusOK && q.answer == answer
	}
	if !taken {
		t.Errorf("answered %d %s to %v\n%.2000s", q.status, q.answer, q.header, q.body)
	}
	changed := bytes.Clone(q.body) // another letter in the first key
	changed[bytes.Index(changed, []byte(`":`))-1] = '!'
	if got := r.send(path, q.header, changed); got.status != at.refuses {
		t.Errorf("took another body: %d %s of %.2000s", got.status, got.answer, changed)
	}
	for name, values := range q.header {
		if !strings.HasSuffix(strings.ToLower(name), "-timestamp") {
			continue
		}
		header := q.header.Clone()
		header.Set(name, values[0][:len(values[0])-1]+string('0'+('9'-values[0][len(values[0])-1])))
		if got := r.send(path, header, q.body); got.status != at.refuses {
			t.Errorf("took another timestamp: %d %s of %v", got.status, got.answer, header)
		}
	}
}
