package devstack

// A ClickHouse child process for a test, and clients for it.

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// testLibrary is libchdb, or the test is skipped where npm cannot give it.
func testLibrary(t testing.TB) string {
	t.Helper()
	if os.Getenv(LibraryEnv) == "" {
		if _, ok := libraryFor("linux", "amd64"); !ok {
			t.Skip("no libchdb for this platform")
		}
	}
	lib, err := FetchLibrary(t.Context(), nil)
	if err != nil {
		t.Skipf("libchdb is not to be had: %v", err)
	}
	return lib
}

// child is a ClickHouse server in a process of its own.
type child struct {
	t     testing.TB
	addr  string
	data  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	errs  *bytes.Buffer
	ended chan error
}

const testPassword = "s3cret'\\"

// startChild starts a server on a new folder and port and waits for it.
func startChild(t testing.TB) *child {
	t.Helper()
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, addr: "127.0.0.1:" + strconv.Itoa(port), data: filepath.Join(t.TempDir(), "clickhouse")}
	c.start()
	t.Cleanup(func() {
		c.kill()
		if t.Failed() {
			t.Logf("standard error of the child:\n%s", c.errs)
		}
	})
	return c
}

func childCommand(t testing.TB, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), childEnv+"=clickhouse", "TEST_LIB="+testLibrary(t), "TEST_PASSWORD="+testPassword)
	cmd.SysProcAttr = childAttributes()
	return cmd
}

func (c *child) start() {
	c.t.Helper()
	c.cmd = childCommand(c.t, c.addr, c.data)
	c.errs = &bytes.Buffer{}
	c.cmd.Stderr = c.errs
	var err error
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		c.t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.ended = make(chan error, 1)
	go func(cmd *exec.Cmd, ended chan<- error) { ended <- cmd.Wait() }(c.cmd, c.ended)
	eventually(c.t, "the child answers /ping", func() bool {
		select {
		case err := <-c.ended:
			c.ended <- err
			c.t.Fatalf("the child ended: %v: %s", err, c.errs)
		default:
		}
		return ping(c.t.Context(), c.addr, c.cmd.Process.Pid) == nil
	})
}

// kill is kill -9; it returns when the process is gone.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	err := <-c.ended
	c.ended <- err
}

func (c *child) client(t testing.TB, method clickhouse.CompressionMethod) clickhouse.Conn {
	t.Helper()
	conn, err := clickhouse.Open(&clickhouse.Options{
		Protocol: clickhouse.HTTP, Addr: []string{c.addr},
		Auth:        clickhouse.Auth{Database: "default", Username: "default", Password: testPassword},
		Compression: &clickhouse.Compression{Method: method, Level: 3},
		DialTimeout: 10 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// post sends a statement as curl does and returns status, headers and body.
func (c *child) post(query url.Values, body io.Reader, header ...string) (int, http.Header, string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, "http://"+c.addr+"/?"+query.Encode(), body)
	if err != nil {
		c.t.Fatal(err)
	}
	req.SetBasicAuth("default", testPassword)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatalf("reading the answer: %v (so far %q)", err, b)
	}
	return resp.StatusCode, resp.Header, string(b)
}

// ask runs a statement that has to go well.
func (c *child) ask(statement string) string {
	c.t.Helper()
	status, _, body := c.post(nil, strings.NewReader(statement))
	if status != http.StatusOK {
		c.t.Fatalf("%s: %d %s", statement, status, body)
	}
	return strings.TrimSuffix(body, "\n")
}

func exec1(t testing.TB, conn clickhouse.Conn, statement string) {
	t.Helper()
	if err := conn.Exec(context.Background(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func code(err error) int32 {
	var e *clickhouse.Exception
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}
