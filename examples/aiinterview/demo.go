package main

// The demonstration: a hookstream, a server with a transcript, a channel, and
// one signed webhook that goes all the way.

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"time"

	"github.com/hookstream/hookstream/delivery/egress"
	"github.com/hookstream/hookstream/examples/internal/trial"
)

func demo(ctx context.Context, out io.Writer, log *slog.Logger) (err error) {
	secret := rand.Text()
	fmt.Fprintln(out, "Building and starting hookstream …")
	hook, err := trial.Start(ctx, "interviews=aiinterview,secret-env=WEBHOOK_SECRET,path=/webhooks/ai-interview,topic=webhooks", "WEBHOOK_SECRET="+secret)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, hook.Close()) }()

	files := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"turns":[{"speaker":"kim","text":"Bridges carry roads."}]}`)
	}))
	defer files.Close()
	posts := make(chan string, 16)
	slack := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		posts <- string(body)
	}))
	defer slack.Close()

	database := filepath.Join(hook.Dir, "aiinterview.db")
	working, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		s, err := parse([]string{"--brokers", hook.Brokers, "--topic", "webhooks", "--database", database}, func(string) string { return slack.URL }, io.Discard)
		s.policy = egress.Policy{AllowPrivate: true, AllowHTTP: true}
		ended <- errors.Join(err, work(working, s, log))
	}()

	body := fmt.Appendf(nil, `{"event":"interview.completed","session_id":"ses_51b","invitee_email":"kim@example.com","transcript_url":"%s/51b.json","total_minutes":31,"timestamp":"%s"}`,
		files.URL, time.Now().UTC().Format("2006-01-02T15:04:05+00:00"))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	for range 2 {
		answer, err := hook.Send(ctx, "/webhooks/ai-interview", body, map[string]string{"X-Webhook-Signature": hex.EncodeToString(mac.Sum(nil))})
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "Sent a signed webhook; the answer: %s\n", answer)
	}
	select {
	case post := <-posts:
		fmt.Fprintf(out, "The channel got: %s\n", post)
	case err := <-ended:
		return err
	case <-time.After(time.Minute):
		return errors.New("the webhook was not handled within a minute")
	case <-ctx.Done():
		return ctx.Err()
	}
	stop()
	if err := <-ended; err != nil {
		return err
	}
	return show(ctx, out, database)
}

// show prints the interviews.
func show(ctx context.Context, out io.Writer, database string) error {
	s, err := openStore(ctx, database)
	if err != nil {
		return err
	}
	defer s.Close()
	rows, err := s.db.QueryContext(ctx, `SELECT session_id, participant_email, transcript, coalesce(duration_minutes, 0), completed_at FROM interviews`)
	if err != nil {
		return fmt.Errorf("reading the interviews: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var row interview
		var minutes float64
		if err := rows.Scan(&row.SessionID, &row.ParticipantEmail, &row.Transcript, &minutes, &row.CompletedAt); err != nil {
			return err
		}
		fmt.Fprintf(out, "The table interviews has: session_id=%s participant_email=%s duration_minutes=%g completed_at=%s transcript=%s\n",
			row.SessionID, row.ParticipantEmail, minutes, row.CompletedAt, row.Transcript)
	}
	return rows.Err()
}
