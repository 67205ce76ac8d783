// Package e2e drives the built binary from outside, as its users do: processes,
// ports, Kafka clients and receivers that are not ours, SQL over HTTP. Without
// HOOKSTREAM_TEST_BROKERS it runs "hookstream dev"; with it, "hookstream serve"
// on that broker and "hookstream clickhouse" beside it.
package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/internal/kafkatest"
	"github.com/hookstream/hookstream/schemas"
)

// binary is the program under test, built once by TestMain.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "hookstream-e2e-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "hookstream")
	args := []string{"build", "-o", binary}
	if raced {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "../cmd/hookstream")...)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building hookstream: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

const rootKey = "root-key-of-the-test"

// stack is a running hookstream with everything it needs.
type stack struct {
	t          *testing.T
	dir        string
	api        string // http://host:port
	kafka      string
	clickhouse string // http://host:port
	prefix     string // of the topics
	args       []string
	real       bool // a real broker

	mu     sync.Mutex
	cmd    *exec.Cmd // of the roles
	engine *engine   // ClickHouse beside a real broker; dev has its own
	log    *logBuffer
}

// engine is a process of "hookstream clickhouse".
type engine struct {
	cmd   *exec.Cmd
	stdin io.Closer // it ends when this closes
}

// logBuffer keeps what the processes print, for a test that fails.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) tail(n int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.b.String()
	return s[max(0, len(s)-n):]
}

func (l *logBuffer) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Contains(l.b.Bytes(), []byte(text))
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start brings a stack up and waits until it is ready.
func start(t *testing.T, args ...string) *stack {
	t.Helper()
	s := prepare(t, args...)
	s.up()
	return s
}

// prepare makes a stack without its roles: beside a real broker ClickHouse
// runs, dev brings its own.
func prepare(t *testing.T, args ...string) *stack {
	t.Helper()
	s := &stack{t: t, dir: t.TempDir(), log: &logBuffer{}, prefix: schemas.DefaultPrefix}
	s.api, s.clickhouse = "http://"+freePort(t), "http://"+freePort(t)
	if brokers := kafkatest.Brokers(); brokers != nil {
		var b [16]byte
		_, _ = rand.Read(b[:])
		s.real, s.kafka, s.prefix = true, strings.Join(brokers, ","), schemas.NewID("e", b)[:13]+"."
		s.args = append([]string{"serve", "--brokers", s.kafka, "--clickhouse", s.clickhouse, "--topic-prefix", s.prefix,
			"--slots", "8", "--allow-private", "--allow-http", "--master-key", strings.Repeat("ab", 32)}, args...)
		t.Cleanup(s.removeTopics)
		s.startEngine()
		t.Cleanup(s.killEngine)
	} else {
		s.kafka = freePort(t)
		s.args = append([]string{"dev", "--kafka", s.kafka, "--clickhouse", strings.TrimPrefix(s.clickhouse, "http://")}, args...)
	}
	s.args = append(s.args, "--listen", strings.TrimPrefix(s.api, "http://"), "--data", s.dir, "--api-key", rootKey, "--flush", "200ms")
	t.Cleanup(func() {
		if s.log.has("WARNING: DATA RACE") {
			t.Error("the race detector found something; see the log")
		}
		if t.Failed() {
			t.Logf("log of hookstream:\n%s", s.log.tail(20_000))
		}
	})
	t.Cleanup(s.kill)
	return s
}

func (s *stack) startEngine() {
	cmd := exec.Command(binary, "clickhouse", "--listen", strings.TrimPrefix(s.clickhouse, "http://"), "--data", filepath.Join(s.dir, "clickhouse"))
	cmd.Stderr = s.log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.engine = &engine{cmd, stdin}
}

// killEngine is kill -9 of ClickHouse alone.
func (s *stack) killEngine() {
	if s.engine == nil {
		return
	}
	_ = s.engine.cmd.Process.Kill()
	_ = s.engine.cmd.Wait()
	_ = s.engine.stdin.Close()
	s.engine = nil
}

// removeTopics frees what the test left on a shared broker.
func (s *stack) removeTopics() {
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(s.kafka, ",")...))
	if err != nil {
		return
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	admin := kadm.NewClient(client)
	topics, err := admin.ListTopics(ctx)
	if err != nil {
		return
	}
	var ours []string
	for _, name := range topics.Names() {
		if strings.HasPrefix(name, s.prefix) {
			ours = append(ours, name)
		}
	}
	_, _ = admin.DeleteTopics(ctx, ours...)
}

// up starts the process and waits until it is ready.
func (s *stack) up() {
	s.t.Helper()
	cmd := exec.Command(binary, s.args...)
	cmd.Stdout, cmd.Stderr = s.log, s.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	s.cmd = cmd
	s.mu.Unlock()
	eventually(s.t, "hookstream is ready", func() error {
		resp, err := http.Get(s.api + "/readyz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			b, _ := io.ReadAll(resp.Body)
			return fmt.Errorf("%d %s", resp.StatusCode, b)
		}
		return nil
	})
}

// kill is kill -9 of the process and all its children.
func (s *stack) kill() {
	s.mu.Lock()
	cmd := s.cmd
	s.cmd = nil
	s.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	_ = cmd.Wait()
}

// stop is a clean end: SIGTERM, and the exit code has to be 0.
func (s *stack) stop() {
	s.t.Helper()
	s.mu.Lock()
	cmd := s.cmd
	s.cmd = nil
	s.mu.Unlock()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		s.t.Errorf("after SIGTERM: %v", err)
	}
}

// call asks the API as root; the answer has to have the status.
func (s *stack) call(method, path string, body any, status int, into any) {
	s.t.Helper()
	got, b := s.try(method, path, body)
	if got != status {
		s.t.Fatalf("%s %s: %d, want %d: %s", method, path, got, status, b)
	}
	if into != nil {
		if err := json.Unmarshal(b, into); err != nil {
			s.t.Fatalf("%s %s: %v in %s", method, path, err, b)
		}
	}
}

func (s *stack) try(method, path string, body any) (int, []byte) {
	s.t.Helper()
	a := s.ask(method, path, body, nil)
	return a.status, a.body
}

// answer is what the API said; status 0 is no answer, and the body says why.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// ask sends a request with further headers, which stand over the usual ones.
// A body is text, nothing, or what becomes JSON.
func (s *stack) ask(method, path string, body any, header map[string]string) answer {
	s.t.Helper()
	var r io.Reader
	switch x := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(x)
	default:
		b, err := json.Marshal(x)
		if err != nil {
			s.t.Fatal(err)
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, s.api+path, r)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+rootKey)
	req.Header.Set("Content-Type", "application/json")
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{body: []byte(err.Error())}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{body: []byte(err.Error())}
	}
	return answer{resp.StatusCode, resp.Header, b}
}

// webhook makes one and gives its id and secret.
func (s *stack) webhook(fields map[string]any) (id, secret string) {
	s.t.Helper()
	var made struct{ ID, Secret string }
	s.call(http.MethodPost, "/v1/webhooks", fields, http.StatusCreated, &made)
	return made.ID, made.Secret
}

// sql is one query's answer in TabSeparated.
func (s *stack) sql(query string) (string, error) {
	resp, err := http.Post(s.clickhouse+"/", "text/plain", strings.NewReader(query))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%d: %s", resp.StatusCode, b)
	}
	return strings.TrimSpace(string(b)), err
}

// wantSQL waits until a query answers so.
func (s *stack) wantSQL(query, want string) {
	s.t.Helper()
	eventually(s.t, query, func() error {
		got, err := s.sql(query)
		if err == nil && got != want {
			err = fmt.Errorf("answers %q, want %q", got, want)
		}
		return err
	})
}

// eventually tries until f gives nil. The deadline is generous: it ends a test
// that will never succeed, it measures nothing.
func eventually(t *testing.T, what string, f func() error) {
	t.Helper()
	deadline := time.Now().Add(90 * time.Second)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
