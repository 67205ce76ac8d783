package devstack

// The ClickHouse server of a child process: configuration, start and stop.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// ClickHouseConfig is what `hookstream clickhouse` runs with. Start from
// DefaultClickHouseConfig.
type ClickHouseConfig struct {
	Listen      string        // host:port of a loopback address
	Data        string        // data folder, made if missing
	Lib         string        // path of libchdb, see FetchLibrary
	User        string        // the one user
	Password    string        // the user's password; empty: none is asked for
	Memory      int64         // bytes that all statements together may use
	QueryMemory int64         // bytes that one statement may use
	ResultBytes int64         // largest result of a statement that cannot be streamed
	BodyBytes   int64         // largest statement with its inline data
	Queries     int           // statements at once; more wait
	Inserts     int           // inserts at once; more wait
	LockWait    time.Duration // how long to wait for a killed predecessor to free folder and port
	StopWait    time.Duration // how long running statements may take at the end
	Stdin       *os.File      // when a pipe: the server ends when it closes, and signals are left to the parent
	Logger      *slog.Logger  // nil: nothing is logged
}

// DefaultClickHouseConfig listens on ClickHouse's own HTTP port with caps that
// suit a development machine.
func DefaultClickHouseConfig() ClickHouseConfig {
	return ClickHouseConfig{
		Listen: "127.0.0.1:8123", User: "default",
		Memory: 1 << 30, QueryMemory: 600 << 20, ResultBytes: 128 << 20, BodyBytes: 64 << 20,
		Queries: 8, Inserts: 4,
		LockWait: 10 * time.Second, StopWait: 10 * time.Second,
	}
}

// Validate names the field that is wrong and the cure.
func (c ClickHouseConfig) Validate() error {
	if err := checkLoopback("clickhouse listen", c.Listen); err != nil {
		return err
	}
	if c.Data == "" {
		return errors.New("clickhouse data is empty; give the folder to keep the tables in")
	}
	if c.Lib == "" {
		return errors.New("clickhouse lib is empty; give the path of libchdb")
	}
	for _, f := range []struct {
		name  string
		value int64
		least int64
	}{
		{"memory", c.Memory, 256 << 20}, {"query memory", c.QueryMemory, 64 << 20},
		{"result bytes", c.ResultBytes, 1 << 20}, {"body bytes", c.BodyBytes, 1 << 20},
		{"queries", int64(c.Queries), 1}, {"inserts", int64(c.Inserts), 1},
	} {
		if f.value < f.least {
			return fmt.Errorf("clickhouse %s is %d; give at least %d", f.name, f.value, f.least)
		}
	}
	if c.QueryMemory > c.Memory {
		return fmt.Errorf("clickhouse query memory (%d) exceeds memory (%d); lower it", c.QueryMemory, c.Memory)
	}
	return nil
}

// ServeClickHouse runs libchdb behind the ClickHouse HTTP interface until ctx
// ends, SIGTERM arrives or, under a Supervisor, standard input closes. It is
// the body of a process of its own: it takes over that process's signals (so
// give it a context that an interrupt does not end), and the engine cannot be
// opened twice in one process. After it returns the process should exit.
//
// It guards against accidents, not attackers: loopback only, one password.
func ServeClickHouse(ctx context.Context, cfg ClickHouseConfig) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, stop := untilStopped(ctx, cfg.Stdin)
	defer stop()

	dir, err := filepath.Abs(cfg.Data)
	if err != nil {
		return fmt.Errorf("finding clickhouse data folder: %w", err)
	}
	lock, err := lockFolder(ctx, dir, cfg.LockWait)
	if err != nil {
		return fmt.Errorf("starting embedded clickhouse: %w", err)
	}
	defer lock.Unlock() //nolint:errcheck // the process's end frees it as well
	ln, err := listenWait("tcp", cfg.Listen, cfg.LockWait)
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("starting embedded clickhouse: %s is taken by another program; stop it or choose another address", cfg.Listen)
		}
		return fmt.Errorf("starting embedded clickhouse: %w", err)
	}
	defer ln.Close() //nolint:errcheck // closed by the server as well
	lib, err := loadChdb(cfg.Lib)
	if err != nil {
		return err
	}
	// The tables stand in a folder of their own, beside the lock.
	eng, err := openEngine(lib, filepath.Join(dir, "store"), map[string]string{
		"max_server_memory_usage": strconv.FormatInt(cfg.Memory, 10),
		"max_memory_usage":        strconv.FormatInt(cfg.QueryMemory, 10),
		"mark_cache_size":         "50000000",
		"background_pool_size":    "2",
	})
	if err != nil {
		return err
	}
	return serveEngine(ctx, cfg, eng, ln)
}

// serveEngine answers on ln until ctx ends, then stops in order: no new
// requests, running ones get StopWait, what is left is killed, the engine closes.
func serveEngine(ctx context.Context, cfg ClickHouseConfig, eng *engine, ln net.Listener) error {
	h, err := newHandler(cfg, eng)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       5 * time.Minute,
		MaxHeaderBytes:    4 << 20, // statements may stand in the URL
		ErrorLog:          slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	cfg.Logger.Info("clickhouse answers", "address", ln.Addr().String(), "version", h.version, "data", cfg.Data)
	select {
	case err := <-served:
		return fmt.Errorf("serving clickhouse: %w", err)
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.Background(), cfg.StopWait)
	defer cancel()
	err = server.Shutdown(stopping)
	<-served
	if err != nil {
		h.killAll()
		_ = server.Close()
	}
	if !h.idle(2 * time.Second) {
		// Closing a busy session would hang; what was acknowledged is on disk.
		return errors.New("stopping clickhouse: statements still ran and were cut off")
	}
	eng.close()
	return nil
}

// untilStopped ends the context at SIGTERM and SIGINT, or, for a supervised
// process, only when the parent closes the pipe or dies.
func untilStopped(ctx context.Context, stdin *os.File) (context.Context, context.CancelFunc) {
	supervised := false
	if stdin != nil {
		info, err := stdin.Stat()
		supervised = err == nil && info.Mode()&os.ModeNamedPipe != 0
	}
	if !supervised {
		return signal.NotifyContext(ctx, syscall.SIGTERM, os.Interrupt)
	}
	// Ctrl-C, and many a service manager's SIGTERM, reach the whole process
	// group, and the parent still has rows to flush into this server: it ends us
	// when it is done.
	signal.Ignore(os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, stdin) // returns at the end of the parent's pipe
		cancel()
	}()
	return ctx, cancel
}
