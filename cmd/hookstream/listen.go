package main

// The command "listen": a local receiver that verifies signatures by profile,
// prints each delivery and answers as the profile's contract says, or as told.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/hookstream/hookstream/internal/receiver"
)

// runListen serves until ctx ends.
func runListen(ctx context.Context, inv Invocation) error {
	c := inv.Config
	ears, err := newEars(c)
	if err != nil {
		return err
	}
	var printing sync.Mutex
	rc := receiver.DefaultConfig()
	if len(c.Receive.Secrets) > 0 {
		rc.Verify = ears.verify
	}
	rc.Accept, rc.Refuse = ears.accept, ears.refuse
	if c.Receive.Status != 0 {
		rc.Status = c.Receive.Status
	}
	rc.Latency, rc.FailRate = c.Receive.Latency, c.Receive.FailRate
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
	ln, err := listenOn(ctx, c.Listen)
	if err != nil {
		return err
	}
	if err := greet(inv.Stdout, ln.Addr().String(), c.Receive, ears); err != nil {
		return errors.Join(err, ln.Close())
	}
	return serveUntil(ctx, ln, r)
}

func greet(w io.Writer, addr string, c ReceiveConfig, ears *ears) error {
	checks := "signatures are not checked: give --secret"
	if len(c.Secrets) > 0 {
		checks = "signatures are checked by profile " + c.Profile
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Receiving on http://%s, %s.\n", addr, checks)
	if len(ears.list) > 1 {
		for _, x := range ears.list {
			fmt.Fprintf(&b, "  http://%s%s  %s\n", addr, x.path, x.profile.Title())
		}
	}
	fmt.Fprintf(&b, "The last deliveries as JSON: http://%s/deliveries\n\n", addr)
	_, err := io.WriteString(w, b.String())
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
