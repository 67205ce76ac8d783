package main

// The job against Kafka, a transcript server and a channel of the test's own.

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookstream/hookstream/delivery/egress"
	"github.com/hookstream/hookstream/inbound"
	"github.com/hookstream/hookstream/internal/kafkatest"
	"github.com/hookstream/hookstream/producer"
	"github.com/hookstream/hookstream/schemas"
)

// bench is a job at work.
type bench struct {
	kafkatest.Cluster
	t     *testing.T
	store *store
	files *httptest.Server

	mu     sync.Mutex
	gets   int
	refuse int // how many gets to answer 404, all where negative
	posts  []string
	deny   int // how many posts to answer 500
	seen   int
}

// start runs the job; its retries wait for milliseconds.
func start(t *testing.T) *bench {
	t.Helper()
	b := &bench{Cluster: kafkatest.Start(t), t: t}
	b.files = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.gets++
		if b.refuse != 0 {
			b.refuse--
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(w, `{"turns": ["hello"]}`)
	}))
	t.Cleanup(b.files.Close)
	slack := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.deny > 0 {
			b.deny--
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		b.posts = append(b.posts, r.Method+" "+r.Header.Get("Content-Type")+" "+string(body))
	}))
	t.Cleanup(slack.Close)
	var err error
	if b.store, err = openStore(t.Context(), filepath.Join(t.TempDir(), "test.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.store.Close() })
	guard, err := egress.NewGuard(egress.Policy{AllowPrivate: true, AllowHTTP: true})
	if err != nil {
		t.Fatal(err)
	}
	c := inbound.DefaultHandlersConfig()
	c.Options, c.Group = b.Options(), "aiinterview-"+filepath.Base(t.TempDir())+b.Topology.Prefix
	c.Topic, c.Parked = b.Topology.InboundTopic(), b.Topology.InboundParkedTopic()
	c.Retry = []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond}
	c.Log = slog.New(slog.DiscardHandler)
	h, err := inbound.NewHandlers(c)
	if err != nil {
		t.Fatal(err)
	}
	(&job{store: b.store, fetch: newFetcher(guard).get, tell: newChannel(slack.URL, http.DefaultTransport).tell}).register(h)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return b
}

// put lets a webhook through to the handlers, as the deduper does.
func (b *bench) put(kind, session, body string) {
	b.t.Helper()
	w, err := producer.NewWriter(b.Options())
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = w.Close(context.Background()) }()
	b.seen++
	in := schemas.Inbound{ID: fmt.Sprint("in_", b.seen), Source: "interviews", Profile: "aiinterview", Key: kind + ":" + session, Type: kind, Received: time.Now(), Body: []byte(body)}
	if err := w.AppendAll(context.Background(), in.Record(b.Topology, b.Topology.InboundTopic())); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) completed(session string) {
	b.t.Helper()
	b.put("interview.completed", session, fmt.Sprintf(`{"event":"interview.completed","session_id":"%s","invitee_email":"kim@example.com","transcript_url":"%s/t.json","total_minutes":31.5,"timestamp":"2025-03-04T05:06:07+00:00"}`, session, b.files.URL))
}

func (b *bench) until(what string, ok func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		b.mu.Lock()
		done := ok()
		b.mu.Unlock()
		if done {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("waited a minute for %s", what)
		}
	}
}

// finished waits until an event has come to its end.
func (b *bench) finished(event, session string) {
	b.t.Helper()
	b.until("the end of "+event, func() bool {
		at, err := b.store.stage(b.t.Context(), event, session)
		return err == nil && at == stageFinished
	})
}

func (b *bench) parked() []inbound.Parked {
	b.t.Helper()
	out, err := inbound.ListParked(b.t.Context(), inbound.ParkedConfig{Options: b.Options(), Parked: b.Topology.InboundParkedTopic()})
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

// row reads one row as text.
func (b *bench) row(query string, n int) []string {
	b.t.Helper()
	values, into := make([]string, n), make([]any, n)
	for i := range values {
		into[i] = &values[i]
	}
	if err := b.store.db.QueryRowContext(b.t.Context(), query).Scan(into...); err != nil {
		b.t.Fatalf("%s: %v", query, err)
	}
	return values
}

const wantPost = `POST application/json {"text":"New interview completed: kim@example.com","blocks":[{"type":"section","text":{"type":"mrkdwn","text":"*New interview completed: kim@example.com*\nSession: ` + "`ses_51b`" + `"}}]}`

func TestInterviewIsStoredWithItsTranscriptAndTheChannelTold(t *testing.T) {
	b := start(t)
	b.refuse = 2 // 404 twice, then the transcript
	b.completed("ses_51b")
	b.finished("interview.completed", "ses_51b")
	got := b.row(`SELECT session_id, participant_email, transcript, duration_minutes, completed_at FROM interviews`, 5)
	want := []string{"ses_51b", "kim@example.com", `{"turns": ["hello"]}`, "31.5", "2025-03-04T05:06:07+00:00"}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("the row is %q, want %q", got, want)
	}
	if b.gets != 3 {
		t.Errorf("the transcript was asked for %d times, want 2 failures and a success", b.gets)
	}
	if len(b.posts) != 1 || b.posts[0] != wantPost {
		t.Errorf("the channel got %q, want %q", b.posts, wantPost)
	}
}

func TestRepeatedInterviewIsStoredAndToldOnce(t *testing.T) {
	b := start(t)
	b.completed("ses_51b")
	b.completed("ses_51b") // as after a crash
	b.put("interview.completed", "ses_52", `{"event":"interview.completed","session_id":"ses_52","invitee_email":"a@example.com","timestamp":"2025-03-04T05:06:07+00:00"}`)
	b.completed("ses_51b")
	b.finished("interview.completed", "ses_51b")
	b.finished("interview.completed", "ses_52")
	b.put("session.feedback_submitted", "ses_51b", `{"event":"session.feedback_submitted","session_id":"ses_51b","feedback":{"rating":4}}`)
	b.finished("session.feedback_submitted", "ses_51b")
	if got := b.row(`SELECT count(*), min(session_id) FROM interviews`, 2); got[0] != "1" || got[1] != "ses_51b" {
		t.Errorf("interviews has %v rows, want that of the session with a transcript", got)
	}
	if got := b.row(`SELECT count(*) FROM webhook_events`, 1); got[0] != "3" {
		t.Errorf("%s events are stored, want 3, unique by event and session", got[0])
	}
	if _, err := b.store.db.Exec(`INSERT INTO webhook_events (event, session_id, payload) VALUES ('interview.completed', 'ses_51b', '')`); err == nil {
		t.Error("the database took a second row of one event and session")
	}
	if b.gets != 1 || len(b.posts) != 2 {
		t.Errorf("%d downloads and %d messages, want 1 and one for each session", b.gets, len(b.posts))
	}
}

func TestChannelThatIsAwayCostsNoSecondDownload(t *testing.T) {
	b := start(t)
	b.deny = 2
	b.completed("ses_51b")
	b.finished("interview.completed", "ses_51b")
	if b.gets != 1 || len(b.posts) != 1 {
		t.Errorf("%d downloads and %d messages, want one of each", b.gets, len(b.posts))
	}
}

func TestTranscriptThatNeverComesIsParked(t *testing.T) {
	b := start(t)
	b.refuse = -1
	b.completed("ses_51b")
	b.until("the parked record", func() bool { return len(b.parked()) == 1 })
	p := b.parked()[0]
	if p.Retries != 3 || !strings.Contains(p.Error, "the server answered 404") || p.Key != "interview.completed:ses_51b" || !json.Valid(p.Body) {
		t.Errorf("parked is %+v", p)
	}
	if b.gets != 4 || len(b.posts) != 0 {
		t.Errorf("%d downloads and %d messages, want 4 tries and none", b.gets, len(b.posts))
	}
	// Its cause mended, it is handled after all.
	b.mu.Lock()
	b.refuse = 0
	b.mu.Unlock()
	if _, err := inbound.Requeue(t.Context(), inbound.ParkedConfig{Options: b.Options(), Parked: b.Topology.InboundParkedTopic()}, p); err != nil {
		t.Fatal(err)
	}
	b.finished("interview.completed", "ses_51b")
	if left := b.parked(); len(left) != 0 {
		t.Errorf("still parked: %v", left)
	}
}

func TestFeedbackIsStoredWithItsFields(t *testing.T) {
	b := start(t)
	b.put("session.feedback_submitted", "ses_1", `{"event":"session.feedback_submitted","session_id":"ses_1","feedback":{"rating":4,"comment":"clear; \"DROP\" 'x'","tags":["a","b"]}}`)
	b.put("session.feedback_submitted", "ses_2", `{"event":"session.feedback_submitted","session_id":"ses_2","feedback":{"rating":5,"again":true}}`)
	b.finished("session.feedback_submitted", "ses_1")
	b.finished("session.feedback_submitted", "ses_2")
	if got := b.row(`SELECT session_id, rating, comment, tags FROM feedback WHERE session_id = 'ses_1'`, 4); strings.Join(got, "|") != `ses_1|4|clear; "DROP" 'x'|["a","b"]` {
		t.Errorf("the row is %q", got)
	}
	if got := b.row(`SELECT rating, again, comment IS NULL FROM feedback WHERE session_id = 'ses_2'`, 3); strings.Join(got, "|") != "5|1|1" && strings.Join(got, "|") != "5|true|1" {
		t.Errorf("the row is %q", got)
	}
	b.put("session.feedback_submitted", "ses_3", `{"event":"session.feedback_submitted","session_id":"ses_3","feedback":{"x\"); DROP TABLE feedback; --":1}}`)
	b.until("the parked record", func() bool { return len(b.parked()) == 1 })
	if p := b.parked()[0]; !strings.Contains(p.Error, "can be no column") {
		t.Errorf("parked with %q", p.Error)
	}
}

func TestTranscriptsAreFetchedFromPublicAddressesOnly(t *testing.T) {
	asked := 0
	files := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer files.Close()
	strict, err := egress.NewGuard(egress.Policy{AllowHTTP: true})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(files.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{files.URL, "http://localhost:" + u.Port(), "http://[::ffff:127.0.0.1]:" + u.Port(), "http://10.0.0.1/", "http://169.254.169.254/latest/", "file:///etc/passwd", "ftp://example.com/t"} {
		if body, err := newFetcher(strict).get(t.Context(), address); err == nil {
			t.Errorf("%s gave %q", address, body)
		}
	}
	if asked != 0 {
		t.Errorf("%d requests left", asked)
	}
	https, err := egress.NewGuard(egress.Policy{AllowPrivate: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newFetcher(https).get(t.Context(), files.URL); err == nil || !strings.Contains(err.Error(), "is http") {
		t.Errorf("http gave %v, want a refusal", err)
	}
}

func TestTranscriptsAreBounded(t *testing.T) {
	hang := make(chan struct{})
	files := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/large":
			_, _ = io.WriteString(w, `"`+strings.Repeat("x", 2000)+`"`)
		case "/text":
			_, _ = io.WriteString(w, "hello")
		case "/around":
			http.Redirect(w, r, "/around", http.StatusFound)
		case "/slow":
			_, _ = io.WriteString(w, `"`)
			w.(http.Flusher).Flush()
			<-hang
		}
	}))
	defer files.Close()
	defer close(hang)
	guard, err := egress.NewGuard(egress.Policy{AllowPrivate: true, AllowHTTP: true})
	if err != nil {
		t.Fatal(err)
	}
	f := newFetcher(guard)
	if f.client.Timeout <= 0 || f.limit <= 0 {
		t.Fatal("a fetcher has no bounds")
	}
	f.limit, f.client.Timeout = 1000, 300*time.Millisecond
	for path, want := range map[string]string{"/large": "more than 1000 bytes", "/text": "is no JSON", "/around": "more than 3 redirects", "/slow": "Client.Timeout"} {
		if _, err := f.get(t.Context(), files.URL+path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gave %v, want %q", path, err, want)
		}
	}
}

func TestChannelErrorsDoNotShowItsAddress(t *testing.T) {
	c := newChannel("http://127.0.0.1:1/services/T0/secret", http.DefaultTransport)
	if err := c.tell(t.Context(), "a", "b"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v, want an error without the address", err)
	}
}
