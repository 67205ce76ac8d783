package producer

// Fuzzing of what comes by HTTP: lines of a batch, single events in their
// modes, idempotency keys.

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/schemas"
)

// FuzzLines: a batch splits into the lines that an editor shows, however its
// bytes arrive; a line over the limit is skipped, the next one is not.
func FuzzLines(f *testing.F) {
	f.Add([]byte("a\nb\r\n\n c \nd"), uint8(3), false)
	f.Add([]byte("\n\n\n"), uint8(1), true)
	f.Add([]byte(strings.Repeat("x", 300)+"\ny"), uint8(200), true)
	f.Add([]byte("\r\r\n\x00\n"), uint8(9), false)
	f.Fuzz(func(t *testing.T, body []byte, limit uint8, slowly bool) {
		type seen struct {
			number int
			text   string
			long   bool
		}
		var want []seen
		for i, line := range bytes.Split(body, []byte{'\n'}) {
			trimmed := bytes.TrimSpace(line)
			// An ending counts as two bytes at most; what else is white counts.
			over := len(line) > int(limit)+2 || len(line) == int(limit)+2 && i < bytes.Count(body, []byte{'\n'})
			switch {
			case over, len(trimmed) > int(limit):
				want = append(want, seen{i + 1, "", true})
			case len(trimmed) > 0:
				want = append(want, seen{i + 1, string(trimmed), false})
			}
		}
		var in io.Reader = bytes.NewReader(body)
		if slowly {
			in = iotest.OneByteReader(in)
		}
		lines := newLineReader(in, int(limit))
		for i := 0; ; i++ {
			line, err := lines.next()
			if errors.Is(err, io.EOF) {
				if i != len(want) {
					t.Fatalf("%d lines of %q, want %v", i, body, want)
				}
				return
			}
			var long *LineTooLongError
			if err != nil && !errors.As(err, &long) {
				t.Fatal(err)
			}
			if got := (seen{lines.line, string(line), err != nil}); i >= len(want) || got != want[i] {
				t.Fatalf("line %d of %q is %+v, want %v", i, body, got, want)
			}
		}
	})
}

// FuzzIntake: every request is answered, with 202 only for what was published;
// and what is published is the key's tenant's, under the id that the header
// gave.
func FuzzIntake(f *testing.F) {
	f.Add([]byte(`{"type":"a.b","data":{"a": 1}}`), "application/json", "id-1", "ce-type", "a", false)
	f.Add([]byte(`{"id":"x","type":"a.b","data":1,"tenant":"globex"}`), "application/json", "", "Traceparent", "00-1-2-3", false)
	f.Add([]byte(` {"a":1}`), "application/json", "k", "ce-type", "a%2Eb", false)
	f.Add([]byte(`{"specversion":"1.0","id":"1","source":"s","type":"t","data":[]}`), "application/cloudevents+json", "1", "ce-id", "%", false)
	f.Add([]byte("{\"type\":\"a\",\"data\":1}\n\n{\"type\":\"b\"}\n{\"id\":\"\\u0000\",\"type\":\"c\",\"data\":2}"), "application/x-ndjson", "", "", "", true)
	var published []schemas.Event
	cfg := DefaultIntakeConfig()
	cfg.Publish = func(_ context.Context, events []schemas.Event) []Result {
		published = append(published, events...)
		results := make([]Result, len(events))
		for i, ev := range events {
			results[i].ID = ev.ID
		}
		return results
	}
	cfg.Check = func(context.Context, *schemas.Event) error { return nil }
	cfg.DataLimit, cfg.Timeout = 512, time.Minute
	f.Fuzz(func(t *testing.T, body []byte, contentType, key, name, value string, batch bool) {
		published = nil
		in, err := NewIntake(cfg) // it remembers ids
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, "/v1/events", bytes.NewReader(body))
		r = r.WithContext(api.WithPrincipal(r.Context(), api.Principal{Tenant: "acme", KeyID: "k"}))
		r.Header = http.Header{"Content-Type": {contentType}, http.CanonicalHeaderKey(name): {value}}
		if key != "" {
			r.Header["Idempotency-Key"] = []string{key}
		}
		route := in.Routes()[0]
		if batch {
			route = in.Routes()[1]
		}
		w := httptest.NewRecorder()
		err = route.Handle(w, r)
		var problem *api.Problem
		if err != nil && (!errors.As(err, &problem) || problem.Status < 400 || problem.Status > 499) {
			t.Fatalf("%v", err)
		}
		if err != nil && len(published) > 0 {
			t.Fatalf("refused with %v, and published %+v", err, published)
		}
		if err == nil && w.Code == http.StatusAccepted && len(published) == 0 {
			t.Fatalf("accepted and not published: %s", w.Body)
		}
		for _, ev := range published {
			if ev.Tenant != "acme" || ev.Kind != schemas.KindEvent || len(ev.Data) > cfg.DataLimit {
				t.Fatalf("published %+v", ev)
			}
			if !batch && key != "" && ev.ID != key {
				t.Fatalf("the id is %q, the header's was %q", ev.ID, key)
			}
			if err := ev.Check(); err != nil {
				t.Fatalf("published %+v, which fan-out refuses: %v", ev, err)
			}
		}
	})
}
