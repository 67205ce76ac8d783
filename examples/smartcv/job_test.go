package main

// The job against Kafka and a database of the test's own.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

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
	seen  int

	mu   sync.Mutex
	told []notice
	deny int // how many sends to fail
}

func start(t *testing.T) *bench {
	t.Helper()
	b := &bench{Cluster: kafkatest.Start(t), t: t}
	var err error
	if b.store, err = openStore(t.Context(), filepath.Join(t.TempDir(), "test.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.store.Close() })
	c := inbound.DefaultHandlersConfig()
	c.Options, c.Group = b.Options(), "smartcv-"+b.Topology.Prefix+filepath.Base(t.TempDir())
	c.Topic, c.Parked = b.Topology.InboundTopic(), b.Topology.InboundParkedTopic()
	c.Retry = []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond}
	c.Log = slog.New(slog.DiscardHandler)
	h, err := inbound.NewHandlers(c)
	if err != nil {
		t.Fatal(err)
	}
	(&job{store: b.store, send: func(_ context.Context, n notice) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.deny > 0 {
			b.deny--
			return errors.New("the mail server is away")
		}
		b.told = append(b.told, n)
		return nil
	}}).register(h)
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
func (b *bench) put(id, kind, data string) {
	b.t.Helper()
	w, err := producer.NewWriter(b.Options())
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = w.Close(context.Background()) }()
	b.seen++
	in := schemas.Inbound{ID: fmt.Sprint("in_", b.seen), Source: "smartcv", Profile: "smartcv", Key: id, Type: kind, Received: time.Now(),
		Body: fmt.Appendf(nil, `{"id":"%s","type":"%s","created":"2025-03-04T05:06:07Z","data":%s,"api_version":"2024-12-30"}`, id, kind, data)}
	if err := w.AppendAll(context.Background(), in.Record(b.Topology, b.Topology.InboundTopic())); err != nil {
		b.t.Fatal(err)
	}
}

// stored waits until so many events are there, all with nothing left to send.
func (b *bench) stored(events int) {
	b.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if b.row(`SELECT (SELECT count(*) FROM events) || '/' || (SELECT count(*) FROM outbox WHERE sent = 0)`) == fmt.Sprint(events, "/0") {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("waited a minute for %d events", events)
		}
	}
}

func (b *bench) row(query string) (text string) {
	b.t.Helper()
	if err := b.store.db.QueryRowContext(b.t.Context(), query).Scan(&text); err != nil {
		b.t.Fatalf("%s: %v", query, err)
	}
	return text
}

func (b *bench) notices() []notice {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.told)
}

const (
	resume70  = `{"resume":{"id":"resume_70","title":"Bridge engineer","status":"DRAFT","user_id":"user_31","template_id":"template_4","created_at":"2025-03-04T05:06:07Z"}}`
	resume70b = `{"resume":{"id":"resume_70","title":"Senior bridge engineer","status":"DRAFT","user_id":"user_31","template_id":"template_4","created_at":"2025-03-04T05:06:07Z","updated_at":"2025-03-05T08:00:00Z"}}`
)

func TestCreatedResumeIsStoredAndItsOwnerNotified(t *testing.T) {
	b := start(t)
	b.put("event_1", "resume.created", resume70)
	b.put("event_1", "resume.created", resume70) // as after a crash
	b.put("event_2", "resume.shared", resume70)  // nobody handles it
	b.put("event_3", "resume.updated", resume70)
	b.stored(2)
	if got := b.row(`SELECT id || '|' || title || '|' || status || '|' || user_id FROM resumes`); got != "resume_70|Bridge engineer|DRAFT|user_31" {
		t.Errorf("the row is %s", got)
	}
	want := []notice{{"resume_created", "user_31", `Resume "Bridge engineer" has been created`}}
	if got := b.notices(); !slices.Equal(got, want) {
		t.Errorf("notices are %v, want %v", got, want)
	}
}

func TestUpdatedResumeIsStoredInWhateverOrder(t *testing.T) {
	b := start(t)
	b.put("event_2", "resume.updated", resume70b)
	b.stored(1)
	b.put("event_1", "resume.created", resume70)
	b.stored(2)
	if got := b.row(`SELECT title FROM resumes`); got != "Senior bridge engineer" {
		t.Errorf("the title is %s, want that of the update", got)
	}
}

func TestLowAnalysisAsksForSuggestions(t *testing.T) {
	b := start(t)
	b.put("event_1", "resume.created", resume70)
	b.stored(1)
	for i, score := range []string{"69.9", "70", "12"} {
		b.put(fmt.Sprint("event_a", i), "ai.analysis_completed", `{"analysis":{"resume_id":"resume_7`+fmt.Sprint(i)+`","overall_score":`+score+`,"keyword_match_score":59,"format_score":90,"content_score":71,"suggestions_count":8}}`)
	}
	b.stored(4)
	if got := b.row(`SELECT group_concat(overall_score, ' ') FROM (SELECT overall_score FROM analyses ORDER BY resume_id)`); got != "69.9 70.0 12.0" {
		t.Errorf("analyses have %s", got)
	}
	to := map[string]bool{}
	for _, n := range b.notices() {
		if n.Kind == "improvement_suggestions" {
			to[n.To] = true
		}
	}
	if len(to) != 2 || !to["user_31"] || !to["the owner of resume_72"] {
		t.Errorf("suggestions went to %v, want the owners of the two below 70", to)
	}
}

func TestUpgradeChangesRightsAndWelcomesOnce(t *testing.T) {
	b := start(t)
	b.deny = 2 // the mail server is away for two tries
	change := func(event, user, from, to, at string) {
		b.put(event, "user.subscription_changed", `{"user":{"id":"`+user+`","email":"`+user+`@example.com"},"subscription":{"previous_type":"`+from+`","current_type":"`+to+`","changed_at":"`+at+`"}}`)
	}
	change("event_1", "kim", "FREE", "PREMIUM", "2025-03-04T05:06:07Z")
	b.stored(1)
	change("event_2", "kim", "PREMIUM", "FREE", "2025-03-03T00:00:00Z") // older, came later
	change("event_3", "lee", "TEAM", "PREMIUM", "2025-03-04T05:06:07Z")
	b.stored(3)
	if got := b.row(`SELECT group_concat(user_id || '=' || plan, ' ') FROM (SELECT * FROM permissions ORDER BY user_id)`); got != "kim=PREMIUM lee=PREMIUM" {
		t.Errorf("permissions are %s", got)
	}
	want := []notice{{"welcome_premium", "kim@example.com", "Welcome to PREMIUM"}}
	if got := b.notices(); !slices.Equal(got, want) {
		t.Errorf("notices are %v, want %v", got, want)
	}
}

func TestEventWithoutItsDataIsParked(t *testing.T) {
	b := start(t)
	b.put("event_1", "resume.created", `{}`)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		parked, err := inbound.ListParked(t.Context(), inbound.ParkedConfig{Options: b.Options(), Parked: b.Topology.InboundParkedTopic()})
		if err != nil {
			t.Fatal(err)
		}
		if len(parked) == 1 {
			if !strings.Contains(parked[0].Error, "data.resume is missing") {
				t.Errorf("parked with %q", parked[0].Error)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("waited a minute for the parked record")
		}
	}
	if n := b.row(`SELECT count(*) FROM events`); n != "0" {
		t.Errorf("%s events are stored, want none of what failed", n)
	}
}
