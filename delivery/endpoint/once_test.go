package endpoint_test

import (
	"testing"

	"github.com/hookstream/hookstream/schemas"
)

// TestOnceID: events of a pair share an id when every endpoint that would get
// them takes a pair once, and only then.
func TestOnceID(t *testing.T) {
	l := newLoop(t, nil)
	made := l.call(rootKey, "POST", "/v1/webhooks", `{"url":"https://example.com/a","profile":"aiinterview","events":["*"]}`).is(201)
	event := func(change func(*schemas.Event)) schemas.Event {
		ev := schemas.Event{Type: "session.feedback_submitted", Tenant: "default", Kind: schemas.KindEvent, Data: []byte(`{"session_id":"s1","feedback":{}}`)}
		if change != nil {
			change(&ev)
		}
		return ev
	}
	id := func(change func(*schemas.Event)) string {
		ev := event(change)
		return l.registry.OnceID(&ev)
	}
	one := id(nil)
	if !schemas.IsMadeID(schemas.EventPrefix, one) {
		t.Fatalf("the id is %q", one)
	}
	for what, change := range map[string]func(*schemas.Event){
		"other feedback": func(ev *schemas.Event) {
			ev.Data = []byte(`{ "feedback":{"rating":5}, "event":"session.feedback_submitted", "session_id":"s1" }`)
		},
		"another key": func(ev *schemas.Event) { ev.Key = "k" },
	} {
		if got := id(change); got != one {
			t.Errorf("%s: %s, want %s", what, got, one)
		}
	}
	seen := map[string]string{one: "the first"}
	for what, change := range map[string]func(*schemas.Event){
		"another session": func(ev *schemas.Event) { ev.Data = []byte(`{"session_id":"s2","feedback":{}}`) },
		"another event": func(ev *schemas.Event) {
			ev.Type, ev.Data = "interview.completed", []byte(`{"session_id":"s1","invitee_email":"a@b.c","timestamp":"2025-03-04T05:06:07+00:00"}`)
		},
		"to one endpoint": func(ev *schemas.Event) { ev.EndpointID = made.str("id") },
		"to a URL":        func(ev *schemas.Event) { ev.CallbackURL, ev.Profile = "https://example.com/cb", "aiinterview" },
	} {
		got := id(change)
		if other, twice := seen[got]; got == "" || twice {
			t.Errorf("%s: %q, as %s", what, got, other)
		}
		seen[got] = what
	}
	for what, change := range map[string]func(*schemas.Event){
		"another tenant":       func(ev *schemas.Event) { ev.Tenant = "nobody" },
		"a test":               func(ev *schemas.Event) { ev.Kind = schemas.KindTest },
		"refused data":         func(ev *schemas.Event) { ev.Data = []byte(`{"session_id":"s1"}`) },
		"to a URL, of another": func(ev *schemas.Event) { ev.CallbackURL, ev.Profile = "https://example.com/cb", "standard" },
	} {
		if got := id(change); got != "" {
			t.Errorf("%s: %s", what, got)
		}
	}
	// An endpoint that takes anything gets every event; one that is off does not count.
	second := l.call(rootKey, "POST", "/v1/webhooks", `{"url":"https://example.com/b","profile":"standard","events":["*"]}`).is(201)
	if got := id(nil); got != "" {
		t.Errorf("beside a standard endpoint: %s", got)
	}
	l.call(rootKey, "PATCH", "/v1/webhooks/"+second.str("id"), `{"active":false}`).is(200)
	if got := id(nil); got != one {
		t.Errorf("beside one that is off: %s, want %s", got, one)
	}
}
