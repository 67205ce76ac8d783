package main

// The HTTP server of a node: the API's routes, health and metrics.

import (
	"context"
	"errors"
	"fmt"
	"net"
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
	c.Rate, c.Burst = n.cfg.APIRate, n.cfg.APIBurst
	mux, err := api.NewMux(c)
	if err != nil {
		return nil, err
	}
	outer := http.NewServeMux()
	outer.HandleFunc("GET /healthz", n.health.live)
	outer.HandleFunc("GET /readyz", n.health.ready)
	outer.Handle("GET /metrics", promhttp.HandlerFor(n.metrics, promhttp.HandlerOpts{}))
	outer.Handle("/", mux)
	return &server{n, outer}, nil
}

// run listens until ctx ends, then lets requests in flight finish.
func (s *server) run(ctx context.Context, announce func(addr string)) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.node.cfg.Listen)
	if err != nil {
		return fmt.Errorf("listening on --listen %s: %w", s.node.cfg.Listen, err)
	}
	srv := api.NewServer(s.handler, s.node.log)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()
	s.node.log.Info("listening", "address", listener.Addr().String())
	if announce != nil {
		announce(listener.Addr().String())
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
	case !h.node.endpoints.Ready() || !h.node.tenants.Ready():
		missing = append(missing, "registry: not caught up yet")
	}
	for _, m := range h.node.members {
		if !m.joined() {
			missing = append(missing, m.role+": not in its consumer group yet")
		}
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
