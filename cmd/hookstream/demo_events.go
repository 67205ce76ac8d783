package main

// The demo's events: each profile's samples in turn. Every interview is a
// session of its own, because a second event of the same session is a repeat
// to those who receive it, and its transcript is there to be fetched.

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

// demoTranscripts is where the demo's receiver serves transcripts.
const demoTranscripts = "/transcripts/"

// demoEvents makes sample events; it is not for concurrent use.
type demoEvents struct {
	base string         // of the demo's receiver, http://host:port
	run  string         // tells this run's sessions from those of earlier ones
	made map[string]int // events by profile
}

func newDemoEvents(base string) *demoEvents {
	return &demoEvents{base: base, run: strings.ToLower(rand.Text()[:6]), made: map[string]int{}}
}

// next is the profile's next sample as an event; false when it has none.
func (d *demoEvents) next(p *profile.Profile, now time.Time) (schemas.Event, bool) {
	list := p.Events()
	if len(list) == 0 {
		return schemas.Event{}, false
	}
	n := d.made[p.Name()]
	d.made[p.Name()]++
	e := list[n%len(list)]
	data := []byte(e.Sample)
	if len(p.Once()) > 0 {
		data = d.session(data, n/len(list)+1, now)
	}
	return schemas.Event{Type: e.Type, Tenant: demoTenant(p.Name()), Time: now, Data: data}, true
}

// session gives a sample its own session, and an address for the transcript if
// it has one. A sample without a session stays as it is.
func (d *demoEvents) session(sample []byte, number int, now time.Time) []byte {
	var fields map[string]any
	if err := json.Unmarshal(sample, &fields); err != nil || fields["session_id"] == nil {
		return sample
	}
	id := fmt.Sprintf("ses_%s_%d", d.run, number)
	fields["session_id"] = id
	if _, has := fields["transcript_url"]; has {
		fields["transcript_url"] = d.base + demoTranscripts + url.PathEscape(id) + ".json"
	}
	if _, has := fields["timestamp"]; has {
		fields["timestamp"] = now.UTC().Format("2006-01-02T15:04:05+00:00")
	}
	data, err := json.Marshal(fields)
	if err != nil {
		return sample
	}
	return data
}

// serveTranscript answers a plain GET of a session's transcript with JSON.
func serveTranscript(w http.ResponseWriter, r *http.Request) {
	id, ok := strings.CutSuffix(r.PathValue("file"), ".json")
	if !ok || !strings.HasPrefix(id, "ses_") {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	// A write that fails means that the reader has gone.
	_ = json.NewEncoder(w).Encode(map[string]any{
		"session_id": id,
		"turns": []map[string]string{
			{"speaker": "interviewer", "text": "What does a bridge have to bear?"},
			{"speaker": "kim", "text": "Its own weight first, then whatever comes."},
		},
	})
}

// demoHandler serves transcripts and leaves everything else to the receiver.
func demoHandler(receiver http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+demoTranscripts+"{file}", serveTranscript)
	mux.Handle("/", receiver)
	return mux
}

// demoTenant is the tenant of a profile's samples.
func demoTenant(profile string) string { return "demo-" + profile }
