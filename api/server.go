package api

// The HTTP server's own limits.

import (
	"log/slog"
	"net/http"
	"time"
)

// NewServer is an http.Server that slow or talkative clients cannot hold: 5 s
// for the headers, 32 KiB of them, 2 minutes of idling. Bodies are bounded by
// the mux; answers have no deadline, because some stream. It listens to
// nothing yet.
func NewServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}
