package main

// A process of the stack: started, killed, frozen, and started again when it
// ends by itself, as a supervisor of a production system does.

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// restartPause is how long a process that ended by itself stays away.
const restartPause = 500 * time.Millisecond

// victim is what a fault can be done to: a process, or the broker.
type victim interface {
	start() error
	kill()                 // SIGKILL; returns when it is gone
	signal(syscall.Signal) // to the process, if it runs
	endings() int          // how often it ended by itself
}

// process is one child of the run.
type process struct {
	name string
	argv []string
	log  string // file, appended
	mu   sync.Mutex
	cmd  *exec.Cmd
	in   io.Closer     // its standard input, open while it may live
	gone chan struct{} // closed when cmd has ended
	want bool
	ends int
}

func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.want = true
	return p.launch()
}

// launch starts the program; the lock is held.
func (p *process) launch() error {
	if p.cmd != nil {
		return nil
	}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("opening the log of %s: %w", p.name, err)
	}
	defer out.Close() //nolint:errcheck // the child has its own copy
	cmd := exec.Command(p.argv[0], p.argv[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("starting %s: %w", p.name, err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", p.name, err)
	}
	p.cmd, p.in, p.gone = cmd, in, make(chan struct{})
	go p.watch(cmd, in, p.gone)
	return nil
}

func (p *process) watch(cmd *exec.Cmd, in io.Closer, gone chan struct{}) {
	_ = cmd.Wait() // how it ended is in its log
	_ = in.Close()
	p.mu.Lock()
	p.cmd = nil
	again := p.want
	if again {
		p.ends++
	}
	close(gone)
	p.mu.Unlock()
	if !again {
		return
	}
	time.Sleep(restartPause)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.want {
		_ = p.launch() // the readiness that the run waits for shows a failure
	}
}

func (p *process) kill() { p.end(syscall.SIGKILL) }

// stop is a clean end.
func (p *process) stop() { p.end(syscall.SIGTERM) }

func (p *process) end(sig syscall.Signal) {
	p.mu.Lock()
	p.want = false
	cmd, gone := p.cmd, p.gone
	if cmd != nil {
		p.send(sig)
	}
	p.mu.Unlock()
	if cmd != nil {
		<-gone
	}
}

func (p *process) signal(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		p.send(sig)
	}
}

// send reaches the children of the process too, but for a clean end: that is
// the process's own business.
func (p *process) send(sig syscall.Signal) {
	if sig == syscall.SIGTERM {
		_ = p.cmd.Process.Signal(sig)
		return
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, sig)
}

func (p *process) endings() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ends
}
