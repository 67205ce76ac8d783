package analytics

// The test binary as its own child processes: the ClickHouse engine, and a
// sink that can be killed.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/internal/devstack"
	"github.com/hookstream/hookstream/schemas"
)

// childEnv makes the test binary one of the children below instead.
const childEnv = "HOOKSTREAM_ANALYTICS_CHILD"

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(childEnv) {
	case "":
		os.Exit(m.Run())
	case "clickhouse":
		cfg := devstack.DefaultClickHouseConfig()
		cfg.Listen, cfg.Data, cfg.Lib = os.Getenv("TEST_LISTEN"), os.Getenv("TEST_DATA"), os.Getenv("TEST_LIB")
		cfg.Stdin = os.Stdin
		err = devstack.ServeClickHouse(context.Background(), cfg)
	case "sink":
		err = runSinkChild()
	default:
		err = errors.New("unknown child")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// runSinkChild is a sink until it is killed.
func runSinkChild() error {
	ctx := context.Background()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	cfg := DefaultConfig()
	cfg.DSN, cfg.Log = os.Getenv("TEST_DSN"), log
	cfg.InsertTimeout = 10 * time.Second
	store, err := Open(ctx, cfg)
	if err != nil {
		return err
	}
	sc := DefaultSinkConfig()
	sc.Store, sc.Log = store, log
	sc.Options = []kgo.Opt{kgo.SeedBrokers(strings.Split(os.Getenv("TEST_BROKERS"), ",")...)}
	sc.Topology = schemas.DevTopology()
	sc.Topology.Prefix = os.Getenv("TEST_PREFIX")
	sc.Group, sc.Instance = os.Getenv("TEST_GROUP"), os.Getenv("TEST_GROUP")+"-one"
	sc.FlushInterval, sc.FlushRows, sc.Session = 50*time.Millisecond, 500, 6*time.Second
	sink, err := NewSink(sc)
	if err != nil {
		return err
	}
	return sink.Run(ctx)
}

// process is a child that may be killed and started again.
type process struct {
	t    testing.TB
	env  []string
	cmd  *exec.Cmd
	errs *tail
}

// tail keeps the end of what a child writes.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if len(t.b) > 16<<10 {
		t.b = t.b[len(t.b)-8<<10:]
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}

func startProcess(t testing.TB, env ...string) *process {
	t.Helper()
	p := &process{t: t, env: env, errs: &tail{}}
	p.start()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s wrote:\n%s", env[0], p.errs)
		}
	})
	return p
}

func (p *process) start() {
	p.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), p.env...)
	cmd.Stderr = p.errs
	if _, err := cmd.StdinPipe(); err != nil { // its end ends the child
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.cmd = cmd
}

// kill is kill -9; it returns when the process is gone.
func (p *process) kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	_ = p.cmd.Wait()
	p.cmd = nil
}

// house is a real ClickHouse engine in a child process.
type house struct {
	*process
	dsn string
}

// startHouse starts the engine on a new folder, or skips where it cannot be had.
func startHouse(t testing.TB) *house {
	t.Helper()
	if testing.Short() {
		t.Skip("needs the ClickHouse engine")
	}
	if runtime.GOOS != "linux" && os.Getenv(devstack.LibraryEnv) == "" {
		t.Skip("no ClickHouse engine for this platform")
	}
	lib, err := devstack.FetchLibrary(context.Background(), nil)
	if err != nil {
		t.Skipf("the ClickHouse engine is not to be had: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	h := &house{dsn: "http://" + addr}
	h.process = startProcess(t, childEnv+"=clickhouse", "TEST_LISTEN="+addr, "TEST_LIB="+lib, "TEST_DATA="+filepath.Join(t.TempDir(), "clickhouse"))
	return h
}

// store opens a store on the engine, with the schema.
func (h *house) store(t testing.TB) *Store {
	t.Helper()
	cfg := DefaultConfig()
	cfg.DSN = h.dsn
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := s.Migrate(ctx); err != nil {
		t.Fatalf("migrating: %v", err)
	}
	return s
}

// count runs a query that answers one number.
func count(t testing.TB, s *Store, sql string) uint64 {
	t.Helper()
	var n uint64
	if err := s.conn.QueryRow(t.Context(), sql).Scan(&n); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// eventually waits for a condition that has to come true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited two minutes for: %s", what)
		}
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
