package devstack

// The supervisor over real children.

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func superviseClickHouse(t *testing.T, edit func(*SupervisorConfig)) *Supervisor {
	t.Helper()
	lib := testLibrary(t)
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	cfg := DefaultSupervisorConfig()
	cfg.Addr = "127.0.0.1:" + strconv.Itoa(port)
	cfg.Args = []string{cfg.Addr, filepath.Join(t.TempDir(), "clickhouse")}
	cfg.Env = []string{childEnv + "=clickhouse", "TEST_LIB=" + lib, "TEST_PASSWORD="}
	if edit != nil {
		edit(&cfg)
	}
	s, err := NewSupervisor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSupervisorRestartsAKilledChild(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	s := superviseClickHouse(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	<-s.Ready()
	pid := s.PID()
	for range 2 {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "another child answers", func() bool { return s.Up() && s.PID() != pid })
		pid = s.PID()
	}
	cancel()
	if err := <-ran; err != nil {
		t.Fatal(err)
	}
	if s.Up() || s.PID() != 0 {
		t.Fatal("a child is left")
	}
	if err := syscall.Kill(pid, 0); err == nil {
		t.Fatalf("process %d still runs", pid)
	}
}

func TestSupervisorGivesUpOnAChildThatNeverStarts(t *testing.T) {
	var stderr lockedBuffer
	s := superviseClickHouse(t, func(cfg *SupervisorConfig) {
		cfg.Env = append(cfg.Env, "TEST_LIB="+filepath.Join(t.TempDir(), "missing.so"))
		cfg.Stderr = &stderr
	})
	err := s.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "missing.so") {
		t.Fatalf("Run gave %v", err)
	}
	if strings.Count(stderr.String(), "missing.so") < 2 {
		t.Fatalf("it was not tried twice: %q", stderr.String())
	}
}

// TestSupervisorKnowsItsChild: another server on the address answers /ping as
// well, and must not be taken for the child.
func TestSupervisorKnowsItsChild(t *testing.T) {
	s := superviseClickHouse(t, func(cfg *SupervisorConfig) {
		cfg.Env = append(cfg.Env, "TEST_LOCK_WAIT_MS=100")
	})
	ln, err := net.Listen("tcp", s.cfg.Addr)
	if err != nil {
		t.Fatal(err)
	}
	other := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("Ok.\n"))
	})}
	go func() { _ = other.Serve(ln) }()
	defer other.Close() //nolint:errcheck // test
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "is taken by another program") {
		t.Fatalf("Run gave %v", err)
	}
	select {
	case <-s.Ready():
		t.Fatal("the other server was taken for the child")
	default:
	}
}

func TestSupervisorConfigSaysWhatIsWrong(t *testing.T) {
	for want, edit := range map[string]func(*SupervisorConfig){
		"addr":        func(c *SupervisorConfig) { c.Addr = "8123" },
		"args":        func(c *SupervisorConfig) { c.Args = nil },
		"stop wait":   func(c *SupervisorConfig) { c.StopWait = 0 },
		"max backoff": func(c *SupervisorConfig) { c.MaxBackoff = -1 },
		"starts":      func(c *SupervisorConfig) { c.Starts = 0 },
	} {
		cfg := DefaultSupervisorConfig()
		cfg.Addr, cfg.Args, cfg.Executable = "127.0.0.1:1", []string{"x"}, os.Args[0]
		edit(&cfg)
		if _, err := NewSupervisor(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// lockedBuffer is a bytes.Buffer for two goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
