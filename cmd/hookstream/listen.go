package main

// The command "listen": a local receiver that verifies signatures by profile,
// prints each delivery and answers as told.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/hookstream/hookstream/internal/receiver"
	"github.com/hookstream/hookstream/schemas/profile"
)

// runListen serves until ctx ends.
func runListen(ctx context.Context, inv Invocation) error {
	c := inv.Config
	p, check, err := verifier(c)
	if err != nil {
		return err
	}
	var printing sync.Mutex
	rc := receiver.DefaultConfig()
	rc.Verify = check
	rc.Respond = func(_ string, body []byte) []byte {
		answer, _ := p.ChallengeReply(body)
		return answer
	}
	rc.Status, rc.Latency, rc.FailRate = c.Receive.Status, c.Receive.Latency, c.Receive.FailRate
	rc.Logger = c.Logger(inv.Stderr)
	rc.Notify = func(d receiver.Delivery) {
		printing.Lock()
		defer printing.Unlock()
		if err := receiver.Print(inv.Stdout, d); err != nil {
			rc.Logger.Warn("delivery not printed", "error", err)
		}
	}
	r, err := receiver.New(rc)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listening on --listen %s: %w", c.Listen, err)
	}
	if err := greet(inv.Stdout, ln.Addr().String(), c.Receive); err != nil {
		return errors.Join(err, ln.Close())
	}
	return serveUntil(ctx, ln, r)
}

// verifier is the configured profile and how it checks a request; no check
// without a secret.
func verifier(c Config) (*profile.Profile, func(string, func(string) string, []byte, time.Time) error, error) {
	set, err := profile.Load(c.Profiles)
	if err != nil {
		return nil, nil, fmt.Errorf("loading profiles: %w", err)
	}
	p, ok := set.Get(c.Receive.Profile)
	if !ok {
		return nil, nil, Usage("--profile is %q; there is no such profile", c.Receive.Profile)
	}
	if len(c.Receive.Secrets) == 0 {
		return p, nil, nil
	}
	secrets := make([][]byte, len(c.Receive.Secrets))
	for i, s := range c.Receive.Secrets {
		if err := p.CheckSecret(s); err != nil {
			return nil, nil, Usage("--secret %d does not suit profile %s: %v", i+1, c.Receive.Profile, err)
		}
		secrets[i] = []byte(s)
	}
	return p, func(_ string, header func(string) string, body []byte, now time.Time) error {
		return p.Verify(header, body, secrets, now)
	}, nil
}

func greet(w io.Writer, addr string, c ReceiveConfig) error {
	checks := "signatures are not checked: give --secret"
	if len(c.Secrets) > 0 {
		checks = "signatures are checked by profile " + c.Profile
	}
	_, err := fmt.Fprintf(w, "Receiving on http://%s, %s.\nThe last deliveries as JSON: http://%s/deliveries\n\n", addr, checks, addr)
	return err
}

// serveUntil serves HTTP until ctx ends, then waits for the answers under way,
// at most two seconds.
func serveUntil(ctx context.Context, ln net.Listener, h http.Handler) error {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	select {
	case err := <-served:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	// The command's context has ended; the answers get a short one of their own.
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := srv.Shutdown(drain); err != nil {
		if err := srv.Close(); err != nil {
			return fmt.Errorf("closing: %w", err)
		}
	}
	<-served
	return nil
}
