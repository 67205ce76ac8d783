package devstack

// Keeping a child process alive: start, wait until it answers, start again when it dies.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// SupervisorConfig names the child and how to see that it works. Start from
// DefaultSupervisorConfig.
type SupervisorConfig struct {
	Executable string        // empty: this program
	Args       []string      // of the child, such as "clickhouse", "--listen", …
	Env        []string      // added to this process's; the place for a password
	Addr       string        // host:port whose /ping answers, under the child's process id, when the child works
	StartWait  time.Duration // for the child to answer before it is killed and tried again
	StopWait   time.Duration // for the child to end by itself before it is killed
	Backoff    time.Duration // before the second start; doubles up to MaxBackoff
	MaxBackoff time.Duration
	Starts     int          // starts in a row that may fail before the child has ever answered
	Stderr     io.Writer    // gets what the child writes to standard error; nil: nobody
	Logger     *slog.Logger // nil: nothing is logged
}

// DefaultSupervisorConfig suits the ClickHouse child: it starts within a
// second or two, longer on a cold disk.
func DefaultSupervisorConfig() SupervisorConfig {
	return SupervisorConfig{
		StartWait: time.Minute, StopWait: 20 * time.Second,
		Backoff: 200 * time.Millisecond, MaxBackoff: 10 * time.Second, Starts: 2,
	}
}

// Validate names the field that is wrong.
func (c SupervisorConfig) Validate() error {
	if _, _, err := net.SplitHostPort(c.Addr); err != nil {
		return fmt.Errorf("supervisor addr is %q; give host:port", c.Addr)
	}
	if len(c.Args) == 0 {
		return errors.New("supervisor args are empty; they would start this program again as it is")
	}
	for _, f := range []struct {
		name string
		d    time.Duration
	}{{"start wait", c.StartWait}, {"stop wait", c.StopWait}, {"backoff", c.Backoff}, {"max backoff", c.MaxBackoff}} {
		if f.d <= 0 {
			return fmt.Errorf("supervisor %s is %v; give a positive duration", f.name, f.d)
		}
	}
	if c.Starts < 1 {
		return fmt.Errorf("supervisor starts is %d; give at least 1", c.Starts)
	}
	return nil
}

// Supervisor keeps one child process running.
type Supervisor struct {
	cfg   SupervisorConfig
	ready chan struct{} // closed when the child has answered once
	once  sync.Once

	mu  sync.Mutex
	pid int // of the child that runs; 0: none
	up  bool
}

// NewSupervisor checks the configuration and starts nothing.
func NewSupervisor(cfg SupervisorConfig) (*Supervisor, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Executable == "" {
		path, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("finding this program for its child: %w", err)
		}
		cfg.Executable = path
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Stderr == nil {
		cfg.Stderr = io.Discard
	}
	return &Supervisor{cfg: cfg, ready: make(chan struct{})}, nil
}

// Ready is closed once the child has answered for the first time.
func (s *Supervisor) Ready() <-chan struct{} { return s.ready }

// Up tells whether the child answered after its last start and has not ended since.
func (s *Supervisor) Up() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.up
}

// PID is the process id of the child that runs now; 0 when none does.
func (s *Supervisor) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pid
}

func (s *Supervisor) set(pid int, up bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pid, s.up = pid, up
}

// Run starts the child and keeps it running until ctx ends; then it closes the
// child's standard input, which asks it to end, and returns nil when it is
// gone. It returns an error only when the child could not be brought to answer
// even once: what it said last is in it.
func (s *Supervisor) Run(ctx context.Context) error {
	wait, failures := s.cfg.Backoff, 0
	for {
		answered, err := s.runOnce(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if answered {
			wait, failures = s.cfg.Backoff, 0
		} else {
			failures++
		}
		select {
		case <-s.ready:
		default:
			if failures >= s.cfg.Starts {
				return fmt.Errorf("starting %s: %w", s.cfg.Args[0], err)
			}
		}
		s.cfg.Logger.Warn("child process ended, starting it again", "child", s.cfg.Args[0], "in", wait, "error", err)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		wait = min(2*wait, s.cfg.MaxBackoff)
	}
}

// runOnce runs one child to its end; answered tells whether it ever worked.
func (s *Supervisor) runOnce(ctx context.Context) (answered bool, err error) {
	cmd := exec.Command(s.cfg.Executable, s.cfg.Args...)
	cmd.Env = append(os.Environ(), s.cfg.Env...)
	cmd.SysProcAttr = childAttributes()
	stdin, err := cmd.StdinPipe() // open as long as we live: its end is the child's sign to go
	if err != nil {
		return false, fmt.Errorf("making the child's input: %w", err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return false, fmt.Errorf("making the child's output: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return false, fmt.Errorf("starting the child: %w", err)
	}
	s.set(cmd.Process.Pid, false)
	defer s.set(0, false)
	ended := make(chan error, 1)
	go func() {
		last := s.copyStderr(stderr) // to its end first, as Wait closes the pipe
		err := cmd.Wait()
		switch {
		case last != "":
			err = errors.New(last)
		case err == nil:
			err = errors.New("it ended by itself")
		}
		ended <- err
	}()
	answers := make(chan bool, 1)
	watching, cancel := context.WithTimeout(ctx, s.cfg.StartWait)
	defer cancel()
	go func() { answers <- s.awaitPing(watching, cmd.Process.Pid) }()
	for {
		select {
		case ok := <-answers:
			answers = nil
			if !ok && ctx.Err() == nil {
				_ = cmd.Process.Kill()
				<-ended
				return false, fmt.Errorf("it did not answer on %s within %v", s.cfg.Addr, s.cfg.StartWait)
			}
			if ok {
				answered = true
				s.set(cmd.Process.Pid, true)
				s.once.Do(func() { close(s.ready) })
			}
		case err := <-ended:
			cancel()
			if answers != nil {
				<-answers
			}
			return answered, err
		case <-ctx.Done():
			if answers != nil {
				<-answers
			}
			_ = stdin.Close()
			return answered, s.awaitEnd(cmd, ended)
		}
	}
}

// awaitEnd gives a child that was asked to end its time, then kills it.
func (s *Supervisor) awaitEnd(cmd *exec.Cmd, ended <-chan error) error {
	timer := time.NewTimer(s.cfg.StopWait)
	defer timer.Stop()
	select {
	case err := <-ended:
		return err
	case <-timer.C:
	}
	s.cfg.Logger.Warn("child process does not end, killing it", "child", s.cfg.Args[0], "after", s.cfg.StopWait)
	_ = cmd.Process.Signal(syscall.SIGKILL)
	return <-ended
}

// copyStderr passes the child's lines on and returns the last one.
func (s *Supervisor) copyStderr(r io.Reader) (last string) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if lines.Text() != "" {
			last = lines.Text()
		}
		fmt.Fprintln(s.cfg.Stderr, lines.Text())
	}
	_, _ = io.Copy(io.Discard, r) // a line too long for the scanner must not block the child
	return last
}

// awaitPing asks until the child answers or ctx ends.
func (s *Supervisor) awaitPing(ctx context.Context, pid int) bool {
	for {
		if ping(ctx, s.cfg.Addr, pid) == nil {
			return true
		}
		timer := time.NewTimer(50 * time.Millisecond)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return false
		}
	}
}

// pidHeader carries the server's process id in the answer to /ping: whatever
// else may hold the address and answer, it is not our child.
const pidHeader = "X-Hookstream-Pid"

// ping is GET /ping of the process pid, once.
func ping(ctx context.Context, addr string, pid int) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // read only
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := io.WriteString(conn, "GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("/ping answered %s", resp.Status)
	}
	if got := resp.Header.Get(pidHeader); got != strconv.Itoa(pid) {
		return fmt.Errorf("another process answers on %s", addr)
	}
	return nil
}
