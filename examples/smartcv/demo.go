package main

// The demonstration: a hookstream, and signed webhooks that go all the way.

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
	"path/filepath"
	"strconv"
	"time"

	"github.com/hookstream/hookstream/examples/internal/trial"
)

func demo(ctx context.Context, out io.Writer, log *slog.Logger) (err error) {
	secret := rand.Text()
	fmt.Fprintln(out, "Building and starting hookstream …")
	hook, err := trial.Start(ctx, "smartcv=smartcv,secret-env=WEBHOOK_SECRET,path=/webhooks/smartcv", "WEBHOOK_SECRET="+secret)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, hook.Close()) }()

	working, stop := context.WithCancel(ctx)
	defer stop()
	ended, told := make(chan error, 1), make(chan notice, 16)
	go func() {
		s, err := parse([]string{"--brokers", hook.Brokers, "--sources", "smartcv", "--database", filepath.Join(hook.Dir, "smartcv.db")}, io.Discard)
		send := func(_ context.Context, n notice) error { told <- n; return nil }
		ended <- errors.Join(err, work(working, s, send, log))
	}()
	for i, e := range []struct{ kind, data string }{
		{"resume.created", `{"resume":{"id":"resume_70","title":"Bridge engineer","status":"DRAFT","user_id":"user_31","template_id":"template_4","created_at":"2025-03-04T05:06:07Z"}}`},
		{"ai.analysis_completed", `{"analysis":{"resume_id":"resume_70","overall_score":64,"keyword_match_score":59,"format_score":90,"content_score":71,"suggestions_count":8}}`},
		{"user.subscription_changed", `{"user":{"id":"user_31","email":"kim@example.com"},"subscription":{"previous_type":"FREE","current_type":"PREMIUM","changed_at":"2025-03-04T05:06:07Z"}}`},
	} {
		body := fmt.Appendf(nil, `{"id":"event_%d","type":"%s","created":"2025-03-04T05:06:07Z","data":%s,"api_version":"2024-12-30"}`, i+1, e.kind, e.data)
		at := strconv.FormatInt(time.Now().Unix(), 10)
		mac := hmac.New(sha256.New, []byte(secret))
		fmt.Fprintf(mac, "%s.%s", at, body)
		answer, err := hook.Send(ctx, "/webhooks/smartcv", body, map[string]string{"X-SmartCV-Timestamp": at, "X-SmartCV-Signature": "sha256=" + hex.EncodeToString(mac.Sum(nil))})
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "Sent %s; the answer: %s\n", e.kind, answer)
		select {
		case n := <-told:
			if err := printer(out)(ctx, n); err != nil {
				return err
			}
		case err := <-ended:
			return err
		case <-time.After(time.Minute):
			return errors.New("the webhook was not handled within a minute")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	stop()
	return <-ended
}
