package main

// The HTTP server of a node: the API's routes, health and metrics.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/hookstream/hookstream/api"
)

// server serves a node by HTTP.
type server struct {
	node    *node
	handler http.Handler
}

func (n *node) newServer() (*server, error) {
	routes, err := n.routes()
	if err != nil {
		return nil, err
	}
	c := api.DefaultConfig()
	c.Routes, c.RootKey, c.Authenticate, c.Log = routes, n.cfg.APIKey, n.registry.Authenticate, n.log
	c.Rate, c.Burst, c.Shapes = n.cfg.APIRate, n.cfg.APIBurst, productShapes()
	if c.Sessions, err = n.sessions(); err != nil {
		return nil, err
	}
	mux, err := api.NewMux(c)
	if err != nil {
		return nil, err
	}
	outer := http.NewServeMux()
	outer.HandleFunc("GET /healthz", n.health.live)
	outer.HandleFunc("GET /readyz", n.health.ready)
	outer.Handle("GET /metrics", promhttp.HandlerFor(n.metrics, promhttp.HandlerOpts{}))
	outer.Handle("/", n.health.gate(mux))
	n.mountInbound(outer)
	return &server{n, outer}, nil
}

// run listens until ctx ends, then lets requests in flight finish.
func (s *server) run(ctx context.Context, announce func(addr string)) error {
	listener, err := listenOn(ctx, s.node.cfg.Listen)
	if err != nil {
		return err
	}
	srv := api.NewServer(s.handler, s.node.log)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()
	s.node.log.Info("listening", "address", listener.Addr().String())
	if announce != nil {
		if s.node.health.awaitRegistry(ctx) {
			announce(listener.Addr().String())
		}
	}
	select {
	case err := <-served:
		return fmt.Errorf("serving HTTP: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.node.cfg.Drain)
	defer cancel()
	err = srv.Shutdown(stop)
	if errors.Is(err, context.DeadlineExceeded) {
		_ = srv.Close()
		err = errors.New("requests in flight did not end in time and were cut")
	}
	<-served
	return err
}

// health answers whether a node lives and whether it is ready for work.
type health struct {
	node     *node
	draining atomic.Bool
}

func (h *health) drain() { h.draining.Store(true) }

// registry reports whether this node knows, once, all that was registered.
func (h *health) registry() bool { return h.node.endpoints.Ready() && h.node.tenants.Ready() }

// awaitRegistry waits for it; false means that ctx ended first.
func (h *health) awaitRegistry(ctx context.Context) bool {
	for !h.registry() {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(10 * time.Millisecond):
		}
	}
	return true
}

// gate answers 503 until the registry is caught up: before, a key or a webhook
// that exists would be told to be unknown.
func (h *health) gate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.registry() {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Retry-After", "1")
		w.Header().Set("Content-Type", "application/problem+json")
		p := api.Fail(http.StatusServiceUnavailable, "starting", "", "this process is still reading what is registered; try again in a second")
		w.WriteHeader(p.Status)
		_ = json.NewEncoder(w).Encode(p)
	})
}

func (h *health) live(w http.ResponseWriter, _ *http.Request) {
	_, _ = fmt.Fprintln(w, "ok")
}

// ready answers 200 when the registry is applied, the roles have their
// partitions and ClickHouse answers with its schema, else 503 and what is missing.
func (h *health) ready(w http.ResponseWriter, r *http.Request) {
	var missing []string
	switch {
	case h.draining.Load():
		missing = append(missing, "draining")
	case !h.registry():
		missing = append(missing, "registry: not caught up yet")
	}
	for _, m := range h.node.members {
		if !m.joined() {
			missing = append(missing, m.role+": not in its consumer group yet")
		}
	}
	if h.node.receiver != nil && !h.node.receiver.Ready() {
		missing = append(missing, "inbound: still reading which webhooks were received")
	}
	if h.node.store != nil {
		ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second)
		defer cancel()
		if err := h.node.store.Ready(ctx); err != nil {
			missing = append(missing, "clickhouse: "+err.Error())
		}
	}
	if len(missing) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		for _, m := range missing {
			_, _ = fmt.Fprintln(w, m)
		}
		return
	}
	_, _ = fmt.Fprintln(w, "ready")
}
