package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/hookstream/hookstream/schemas/profile"
)

// Every interview of the demo is a session of its own that its profile takes,
// and a plain GET of its transcript_url, without credentials, answers JSON.
func TestDemoInterviewsHaveTranscripts(t *testing.T) {
	srv := httptest.NewServer(demoHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "not a transcript", http.StatusTeapot)
	})))
	defer srv.Close()
	set, err := profile.Load("")
	if err != nil {
		t.Fatal(err)
	}
	p, ok := set.Get("aiinterview")
	if !ok {
		t.Fatal("there is no profile aiinterview")
	}
	seen := map[[2]string]bool{}
	transcripts := 0
	for range 2 { // a second run of the demo repeats no session of the first
		events := newDemoEvents(srv.URL)
		for range 6 {
			e, ok := events.next(p, time.Now())
			if !ok {
				t.Fatal("there is no sample")
			}
			if err := p.CheckData(e.Type, e.Data); err != nil {
				t.Fatalf("%s: %v", e.Data, err)
			}
			var data struct {
				Session    string `json:"session_id"`
				Transcript string `json:"transcript_url"`
			}
			if err := json.Unmarshal(e.Data, &data); err != nil {
				t.Fatal(err)
			}
			if key := [2]string{e.Type, data.Session}; seen[key] {
				t.Fatalf("%v comes twice", key)
			} else {
				seen[key] = true
			}
			if data.Transcript == "" {
				continue
			}
			transcripts++
			checkTranscript(t, data.Transcript, data.Session)
		}
	}
	if transcripts != 6 {
		t.Fatalf("%d events had a transcript, not 6", transcripts)
	}
	resp, err := http.Post(srv.URL+"/aiinterview", "application/json", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusTeapot {
		t.Fatalf("a delivery got %d, not the receiver's answer", resp.StatusCode)
	}
}

func checkTranscript(t *testing.T, url, session string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var transcript struct {
		Session string `json:"session_id"`
		Turns   []any  `json:"turns"`
	}
	if err := json.Unmarshal(body, &transcript); err != nil || resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%s answered %d %q: %v", url, resp.StatusCode, body, err)
	}
	if transcript.Session != session || len(transcript.Turns) == 0 {
		t.Fatalf("%s answered %q", url, body)
	}
}
