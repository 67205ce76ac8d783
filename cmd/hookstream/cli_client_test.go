package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"
)

// fakeAPI answers routes as told and remembers what was asked.
type fakeAPI struct {
	*httptest.Server
	mu     sync.Mutex
	asked  []string // METHOD PATH?QUERY BODY
	routes map[string]http.HandlerFunc
}

const cliKey = "a-key-of-the-tests"

func newFakeAPI(t *testing.T) *fakeAPI {
	t.Helper()
	f := &fakeAPI{routes: map[string]http.HandlerFunc{}}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		f.mu.Lock()
		f.asked = append(f.asked, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+string(b)))
		handle := f.routes[r.Method+" "+r.URL.Path]
		f.mu.Unlock()
		if r.Header.Get("Authorization") != "Bearer "+cliKey {
			refuse(w, 401, `{"status":401,"code":"bad_key","detail":"this API key is not known","id":"req_1"}`)
		} else if handle == nil {
			refuse(w, 404, `{"status":404,"code":"not_found","detail":"no such thing","id":"req_2"}`)
		} else {
			handle(w, r)
		}
	}))
	t.Cleanup(f.Close)
	return f
}

func refuse(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func (f *fakeAPI) answer(route, body string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.routes[route] = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
}

func (f *fakeAPI) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.asked...)
}

// cli runs a command line against the fake API.
func (f *fakeAPI) cli(t *testing.T, stdin string, args ...string) (code int, out, errs string) {
	t.Helper()
	return runCLI(stdin, []string{"HOOKSTREAM_API=" + f.URL, "HOOKSTREAM_API_KEY=" + cliKey, "SECRET=s3cret-do-not-show"}, args...)
}

func runCLI(stdin string, environ []string, args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	code = run(context.Background(), args, environ, strings.NewReader(stdin), &o, &e, Bodies{})
	return code, o.String(), e.String()
}

const (
	aWebhook  = "wh_4zt1mbr8q0v6ksn2e5xyah7d3c"
	aDelivery = "dlv_4zt1mbr8q0v6ksn2e5xyah7d3c"
	anEvent   = "evt_4zt1mbr8q0v6ksn2e5xyah7d3c"
)

func deliveryJSON(id, eventType, status string) string {
	typeJSON, _ := json.Marshal(eventType)
	return fmt.Sprintf(`{"id":%q,"event_id":%q,"event_type":%s,"webhook_id":%q,"status":%q,"attempts":2,"response_code":503,"error_kind":"http_5xx","error":"","duration_ms":12,"created_at":"2026-01-02T03:04:05Z","next_retry_at":null}`,
		id, anEvent, typeJSON, aWebhook, status)
}

// TestListsFollowPages: as many rows as were asked for, over pages, as the
// API's own JSON or as a table that fits 100 columns with whole ids.
func TestListsFollowPages(t *testing.T) {
	f := newFakeAPI(t)
	path := "/v1/webhooks/" + aWebhook + "/logs"
	f.routes["GET "+path] = func(w http.ResponseWriter, r *http.Request) {
		from := 0
		_, _ = fmt.Sscanf(r.URL.Query().Get("cursor"), "c%d", &from)
		rows := []string{deliveryJSON(fmt.Sprint("d-", from), "a.b", "success"), deliveryJSON(fmt.Sprint("d-", from+1), "<é>", "error")}
		_, _ = fmt.Fprintf(w, `{"data":[%s],"next_cursor":"c%d","as_of":"2026-01-02T03:04:05Z"}`, strings.Join(rows, ","), from+2)
	}
	code, out, errs := f.cli(t, "", "logs", aWebhook, "--json", "--limit=3", "--status", "error", "--since=90m", "--type", "a.*", "--tenant=acme")
	want := deliveryJSON("d-0", "a.b", "success") + "\n" + deliveryJSON("d-1", "<é>", "error") + "\n" + deliveryJSON("d-2", "a.b", "success") + "\n"
	if code != exitOK || out != want || !strings.Contains(errs, "there are more") {
		t.Errorf("%d\n%s\n%s", code, out, errs)
	}
	asked := f.requests()
	if len(asked) != 2 || !strings.Contains(asked[0], "event_type=a.%2A") || !strings.Contains(asked[0], "status=error") || !strings.Contains(asked[0], "limit=3") ||
		!strings.Contains(asked[0], "since=2") || !strings.Contains(asked[0], "tenant=acme") || !strings.Contains(asked[1], "cursor=c2") || !strings.Contains(asked[1], "limit=1") {
		t.Errorf("%q", asked)
	}
	for _, path := range []string{"/v1/deliveries", "/v1/dead"} {
		f.answer("GET "+path, `{"data":[`+deliveryJSON(aDelivery, strings.Repeat("long.", 30), "error")+`,`+deliveryJSON(aDelivery, "x\u001b[2J", "skipped")+`],"next_cursor":null}`)
		_, out, _ = f.cli(t, "", strings.TrimPrefix(path, "/v1/"))
		for line := range strings.Lines(out) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 100 {
				t.Errorf("%s: a line of %d characters: %s", path, n, line)
			}
		}
		if strings.Count(out, aDelivery) != 2 || strings.Count(out, aWebhook) != 2 || strings.Contains(out, "\x1b") {
			t.Errorf("%s:\n%s", path, out)
		}
	}
	f.answer("GET /v1/breakers", `{"data":[],"next_cursor":null}`)
	if code, out, errs := f.cli(t, "", "breakers"); code != exitOK || out != "" || errs != "none\n" {
		t.Errorf("%d %q %q", code, out, errs)
	}
}

// TestWebhookCommandsSendWhatFlagsSay and nothing else.
func TestWebhookCommandsSendWhatFlagsSay(t *testing.T) {
	f := newFakeAPI(t)
	f.answer("POST /v1/webhooks", `{"id":"`+aWebhook+`","secret":"whsec_new","url":"https://example.com/"}`)
	f.answer("PATCH /v1/webhooks/"+aWebhook, `{"id":"`+aWebhook+`"}`)
	f.answer("POST /v1/webhooks/"+aWebhook+"/rotate-secret", `{"id":"`+aWebhook+`","secret":"whsec_new"}`)
	f.answer("POST /v1/webhooks/"+aWebhook+"/verify", `{"id":"`+aWebhook+`","verified":false}`)
	f.answer("DELETE /v1/webhooks/"+aWebhook, "")
	for _, c := range []struct {
		stdin string
		args  []string
		want  string // JSON that was sent
	}{
		{"", []string{"webhooks", "create", "--url=https://example.com/", "--events=a.*,b", "--secret-env=SECRET", "--header=X-A: b:c", "--metadata=k=v=w", "--retry=5s,2m", "--timeout=1.5s",
			"--rate-limit=2.5", "--active=false", "--ordered", "--tenant=acme"},
			`{"url":"https://example.com/","events":["a.*","b"],"secret":"s3cret-do-not-show","headers":{"X-A":"b:c"},"metadata":{"k":"v=w"},"retry":[5,120],"timeout_ms":1500,"rate_limit":2.5,"active":false,"ordered":true,"tenant":"acme"}`},
		{`{"url":"https://a.example/","name":"from the file"}`, []string{"webhooks", "create", "-", "--url=https://b.example/"}, `{"url":"https://b.example/","name":"from the file"}`},
		{"", []string{"webhooks", "update", aWebhook, "--retry=none", "--active"}, `{"retry":[],"active":true}`},
		{"", []string{"webhooks", "update", aWebhook, "--retry=default", "--rate-limit=0"}, `{"default_retry":true,"rate_limit":0}`},
		{"a-new-one\n", []string{"webhooks", "rotate-secret", aWebhook, "--secret=-"}, `{"secret":"a-new-one"}`},
		{"", []string{"webhooks", "rotate-secret", aWebhook}, `{}`},
	} {
		code, out, errs := f.cli(t, c.stdin, c.args...)
		asked := f.requests()
		_, sent, _ := strings.Cut(asked[len(asked)-1], " {")
		var got, want any
		if json.Unmarshal([]byte("{"+sent), &got) != nil || json.Unmarshal([]byte(c.want), &want) != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%v sent %s, want %s", c.args, asked[len(asked)-1], c.want)
		}
		if code != exitOK || strings.Contains(out+errs, "s3cret") || strings.Contains(out, "whsec_new") != strings.Contains(errs, "shown this once") {
			t.Errorf("%v: %d\n%s\n%s", c.args, code, out, errs)
		}
	}
	for _, args := range [][]string{{"webhooks", "verify", aWebhook}, {"webhooks", "delete", aWebhook}} {
		if code, out, errs := f.cli(t, "", args...); code != exitOK || !strings.Contains(out, aWebhook) {
			t.Errorf("%v: %d %s %s", args, code, out, errs)
		}
	}
	for _, args := range [][]string{{"create"}, {"update", aWebhook}, {"create", "--retry=soon"}, {"create", "--secret-env=NONE", "--url=x"}, {"create", "--header=x"}, {"get"}, {"create", "--active=maybe"}} {
		if code, _, errs := f.cli(t, "", append([]string{"webhooks"}, args...)...); code != exitUsage {
			t.Errorf("%v: %d %s", args, code, errs)
		}
	}
}

func TestEventsArePublishedVerbatim(t *testing.T) {
	f := newFakeAPI(t)
	f.answer("POST /v1/events", `{"id":"e-1"}`)
	f.answer("POST /v1/events/batch", `{"accepted":1,"rejected":1,"results":[{"line":1,"id":"x"},{"line":2,"error":{"status":422,"code":"invalid_field","field":"type","detail":"is missing"}}]}`)
	data := "{ \"n\": 25.0,\t\"s\":\"<&\u2028\" }"
	if code, out, errs := f.cli(t, data, "events", "publish", "--type=a.b", "--data=@-", "--id=e-1"); code != exitOK || out != "id  e-1\n" {
		t.Errorf("%d %s %s", code, out, errs)
	}
	if asked := f.requests(); !strings.HasSuffix(asked[0], `,"data":`+data+"}") || !strings.Contains(asked[0], `"id":"e-1"`) {
		t.Errorf("%q", asked)
	}
	code, out, errs := f.cli(t, "{}\n{}\n", "events", "publish", "-")
	if code != exitFailed || out != "published 1 of 2 events\n" || !strings.Contains(errs, "line 2: type: is missing (422 invalid_field)") {
		t.Errorf("%d %s %s", code, out, errs)
	}
	for _, args := range [][]string{{}, {"--type=a"}, {"--type=a", "--data={"}, {"--type=a", "--data=1", "-"}} {
		if code, _, errs := f.cli(t, "", append([]string{"events", "publish"}, args...)...); code != exitUsage {
			t.Errorf("%v: %d %s", args, code, errs)
		}
	}
	f.answer("GET /v1/events/e-1", `{"id":"e-1","type":"a.b","data":{"n":25.0},"deliveries_list":[`+deliveryJSON(aDelivery, "a.b", "error")+`],"skipped_list":[{"webhook_id":"wh_x","reason":"inactive"}]}`)
	if code, out, _ := f.cli(t, "", "events", "get", "e-1"); code != exitOK || !strings.Contains(out, `"n": 25.0`) || !strings.Contains(out, aDelivery) || !strings.Contains(out, "inactive") {
		t.Errorf("%d\n%s", code, out)
	}
}

// TestProblemsAreSaidInFull: detail, field, code and request id, and what to do.
func TestProblemsAreSaidInFull(t *testing.T) {
	f := newFakeAPI(t)
	f.routes["GET /v1/webhooks"] = func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, 400, `{"status":400,"code":"bad_parameter","field":"limit","detail":"is 0; give more","id":"req_9"}`)
	}
	f.routes["GET /v1/breakers"] = func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
	}
	for _, c := range []struct {
		environ []string
		args    []string
		code    int
		want    string
	}{
		{nil, []string{"webhooks"}, exitFailed, "limit: is 0; give more (400 bad_parameter, request req_9)"},
		{nil, []string{"webhooks", "get", "nope"}, exitFailed, "no such thing (404 not_found, request req_2)"},
		{[]string{"HOOKSTREAM_API_KEY=other"}, []string{"webhooks"}, exitFailed, "set HOOKSTREAM_API_KEY to one that is (401 bad_key, request req_1)"},
		{[]string{"HOOKSTREAM_API_KEY="}, []string{"webhooks"}, exitFailed, ""},
		{[]string{"HOOKSTREAM_API=http://127.0.0.1:1"}, []string{"webhooks"}, exitFailed, "start it with hookstream dev"},
		{nil, []string{"breakers"}, exitFailed, "answered 302 Found; is that hookstream's API?"},
		{nil, []string{"webhooks", "--api=ftp://x"}, exitUsage, "--api is no address"},
		{nil, []string{"dead", "--since=yesterday"}, exitUsage, "--since is"},
		{nil, []string{"dead", "--limit=0"}, exitUsage, "--limit is 0"},
		{nil, []string{"logs"}, exitUsage, "takes WEBHOOK"},
		{nil, []string{"webhooks", "destroy"}, exitUsage, "it has list, get"},
		{nil, []string{"webhooks", "--nope"}, exitUsage, "--nope is no flag"},
	} {
		environ := append([]string{"HOOKSTREAM_API=" + f.URL, "HOOKSTREAM_API_KEY=" + cliKey}, c.environ...)
		code, out, errs := runCLI("", environ, c.args...)
		if c.want != "" && (code != c.code || out != "" || !strings.Contains(errs, c.want)) {
			t.Errorf("%v %v: %d %s%s, want %q", c.environ, c.args, code, out, errs, c.want)
		}
		if strings.Contains(errs, cliKey) {
			t.Errorf("%v: the key is in %s", c.args, errs)
		}
	}
	if code, _, errs := runCLI("", nil, "webhooks"); code != exitUsage || !strings.Contains(errs, "HOOKSTREAM_API_KEY") {
		t.Errorf("no key: %d %s", code, errs)
	}
}

// sseOf is a stream of events that stays open until the client goes, unless
// it is told to end.
func sseOf(end bool, events ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, ": hello\n\n"+strings.Join(events, ""))
		_ = http.NewResponseController(w).Flush()
		if !end {
			<-r.Context().Done()
		}
	}
}

func sseEvent(name, data string) string { return "event: " + name + "\ndata: " + data + "\n\n" }

// TestTailConnectsAgain: a broken stream is taken up again; an answer that
// refuses ends the command.
func TestTailConnectsAgain(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	f := newFakeAPI(t)
	defer f.Close()
	defer f.CloseClientConnections()
	first := sseOf(true, sseEvent("listening", "{}"), sseEvent("attempt", deliveryJSON("d-1", "a.b", "success")), sseEvent("lost", `{"rows":7}`), sseEvent("end", `{"reason":"draining"}`))
	second := sseOf(false, sseEvent("listening", "{}"), sseEvent("attempt", deliveryJSON("d-2", "a.b", "error")))
	n := 0
	f.routes["GET /v1/tail"] = func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		n++
		handle := second
		if n == 1 {
			handle = first
		}
		f.mu.Unlock()
		handle(w, r)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var out, errs screen
	code := make(chan int, 1)
	environ := []string{"HOOKSTREAM_API=" + f.URL, "HOOKSTREAM_API_KEY=" + cliKey}
	go func() {
		code <- run(ctx, []string{"tail", "--webhook=" + aWebhook}, environ, strings.NewReader(""), &out, &errs, Bodies{})
	}()
	out.await(t, `success 503 12ms #2 a.b `+aWebhook+` (d-1)`)
	out.await(t, `error   503 12ms #2 a.b `+aWebhook+` (d-2)`)
	errs.await(t, `7 attempts (were) not shown`)
	stop()
	if c := <-code; c != exitOK || strings.Contains(out.String(), "\x1b") || !strings.Contains(f.requests()[0], "webhook_id="+aWebhook) {
		t.Errorf("%d %q %s", c, out.String(), errs.String())
	}
	f.routes["GET /v1/tail"] = func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, 400, `{"status":400,"code":"bad_parameter","field":"status","detail":"is odd"}`)
	}
	if code, _, errs := f.cli(t, "", "tail", "--status=odd"); code != exitFailed || !strings.Contains(errs, "status: is odd") {
		t.Errorf("%d %s", code, errs)
	}
}

// TestTestShowsTheOutcome: it listens before it sends, and ends with 1 when
// the webhook did not take the sample.
func TestTestShowsTheOutcome(t *testing.T) {
	for _, c := range []struct {
		status string
		code   int
	}{{"success", exitOK}, {"error", exitFailed}, {"skipped", exitFailed}} {
		f := newFakeAPI(t)
		sent := make(chan struct{})
		f.routes["POST /v1/webhooks/"+aWebhook+"/test"] = func(w http.ResponseWriter, _ *http.Request) {
			close(sent)
			_, _ = fmt.Fprintf(w, `{"delivery_id":%q,"event_id":%q,"event_type":"a.b"}`, aDelivery, anEvent)
		}
		f.routes["GET /v1/tail"] = func(w http.ResponseWriter, r *http.Request) {
			sseOf(true, sseEvent("listening", "{}"))(w, r)
			select {
			case <-sent:
			case <-r.Context().Done():
				return
			}
			sseOf(false, sseEvent("attempt", deliveryJSON("another", "a.b", "success")), sseEvent("attempt", deliveryJSON(aDelivery, "a.b", c.status)))(w, r)
		}
		code, out, errs := f.cli(t, "", "test", aWebhook, "a.b")
		if code != c.code || !strings.Contains(out, "delivery  "+aDelivery) || !strings.Contains(out, "outcome   "+c.status+": 503 in 12 ms") {
			t.Errorf("%s: %d\n%s\n%s", c.status, code, out, errs)
		}
		if asked := f.requests(); len(asked) != 2 || !strings.HasPrefix(asked[0], "GET /v1/tail?webhook_id=") || !strings.HasSuffix(asked[1], `{"event_type":"a.b"}`) {
			t.Errorf("%q", asked)
		}
		f.CloseClientConnections()
	}
	f := newFakeAPI(t)
	f.answer("POST /v1/webhooks/"+aWebhook+"/test", `{"delivery_id":"`+aDelivery+`"}`)
	f.routes["GET /v1/tail"] = sseOf(false, sseEvent("listening", "{}"))
	if code, _, errs := f.cli(t, "", "test", aWebhook, "--wait=20ms"); code != exitFailed || !strings.Contains(errs, "hookstream deliveries get "+aDelivery) {
		t.Errorf("no attempt: %d %s", code, errs)
	}
	if code, out, _ := f.cli(t, "", "webhooks", "test", aWebhook, "--wait=0"); code != exitOK || !strings.Contains(out, aDelivery) {
		t.Errorf("not waiting: %d %s", code, out)
	}
	if code, _, errs := f.cli(t, "", "test", "wh_none"); code != exitFailed || !strings.Contains(errs, "404") {
		t.Errorf("unknown: %d %s", code, errs)
	}
}

// TestHelpIsTheSameBothWays: "help CMD VERB" and "CMD VERB --help".
func TestHelpIsTheSameBothWays(t *testing.T) {
	for _, c := range commands(Bodies{}) {
		if c.plain {
			continue
		}
		code, out, _ := runCLI("", nil, "help", c.name)
		code2, out2, errs := runCLI("", nil, c.name, "--help")
		if code != exitOK || code2 != exitOK || out != out2 || errs != "" || !strings.HasPrefix(out, "Usage: hookstream "+c.name) {
			t.Errorf("%s: %d %d\n%s\n%s%s", c.name, code, code2, out, out2, errs)
		}
		for _, v := range c.verbs {
			if v.name == "" {
				continue
			}
			code, out, _ := runCLI("", nil, "help", c.name, v.name)
			code2, out2, _ := runCLI("", nil, c.name, v.name, "-h")
			if code != exitOK || code2 != exitOK || out != out2 || !strings.HasPrefix(out, "Usage: hookstream "+c.name+" "+v.name) {
				t.Errorf("%s %s: %d %d\n%s\n%s", c.name, v.name, code, code2, out, out2)
			}
		}
	}
}

func TestPastTimes(t *testing.T) {
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	for in, want := range map[string]string{"": "", "90m": "2026-03-10T10:30:00Z", "7d": "2026-03-03T12:00:00Z", "0d": "2026-03-10T12:00:00Z", "2026-03-01T00:00:00+01:00": "2026-02-28T23:00:00Z"} {
		if got, err := pastTime("since", in, now); err != nil || got != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"yesterday", "-5m", "d", "1.5d", "-1d", "0x1d", "99999999999999999999d"} {
		if got, err := pastTime("since", in, now); err == nil {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func TestVisibleEscapesWhatSteersATerminal(t *testing.T) {
	for in, want := range map[string]string{"plain é 🙂": "plain é 🙂", "a\x1b[31mb": `a\x1b[31mb`, "\xff": `\xff`, "a\nb\tc": `a\nb\tc`, "\u202e": `\u202e`, "\ufffd": "\ufffd"} {
		if got := visible(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
