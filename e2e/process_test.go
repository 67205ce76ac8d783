package e2e

// Further processes of "hookstream serve" beside a stack.

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// needBroker skips a test that the embedded broker is not made for: it takes
// no compacted topics, which "serve" asks for.
func (s *stack) needBroker() {
	if !s.real {
		s.t.Skip("needs a real broker: make test-kafka")
	}
}

// process is one "hookstream serve" of an installation on the stack's broker.
type process struct {
	t    *testing.T
	args []string
	api  string
	log  *logBuffer
	cmd  *exec.Cmd
	done chan error
}

// serve makes a process; nothing runs before up. Its name is also its folder
// and, unless args say otherwise, its instance.
func (s *stack) serve(name string, args ...string) *process {
	p := &process{t: s.t, api: "http://" + freePort(s.t), log: &logBuffer{}}
	p.args = append([]string{"serve", "--brokers", s.kafka, "--slots", "8", "--allow-private", "--allow-http", "--master-key", strings.Repeat("ab", 32),
		"--api-key", rootKey, "--flush", "200ms", "--listen", strings.TrimPrefix(p.api, "http://"), "--data", filepath.Join(s.dir, name), "--instance", name}, args...)
	s.t.Cleanup(func() {
		p.kill()
		if s.t.Failed() {
			s.t.Logf("log of %s:\n%s", name, p.log.tail(8_000))
		}
	})
	return p
}

func (p *process) up() {
	p.t.Helper()
	p.cmd = exec.Command(binary, p.args...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.done = make(chan error, 1)
	go func(cmd *exec.Cmd, done chan error) { done <- cmd.Wait() }(p.cmd, p.done)
}

// ready waits until /readyz says so.
func (p *process) ready() {
	p.t.Helper()
	eventually(p.t, "a process is ready", func() error {
		resp, err := http.Get(p.api + "/readyz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if b, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%d %s", resp.StatusCode, b)
		}
		return nil
	})
}

func (p *process) kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	<-p.done
	p.cmd = nil
}

// stop is SIGTERM; the exit code has to be 0.
func (p *process) stop() {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	if err := <-p.done; err != nil {
		p.t.Errorf("after SIGTERM: %v", err)
	}
	p.cmd = nil
}

// end waits until the process ends by itself, and gives its exit code.
func (p *process) end() int {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	select {
	case <-p.done:
		code := p.cmd.ProcessState.ExitCode()
		p.cmd = nil
		return code
	case <-ctx.Done():
		p.t.Fatal("the process does not end")
		return 0
	}
}
