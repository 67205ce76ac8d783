package devstack

// A real Kafka broker on Java, for the tests that kfake alone cannot settle.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// RealKafkaConfig says where a real broker keeps its log and listens.
type RealKafkaConfig struct {
	Dir      string        // data folder; a broker started on it again goes on where the last one stopped
	Port     int           // on 127.0.0.1; 0 takes a free one
	Heap     string        // Java heap cap, such as "1g"; empty: 1g
	Wait     time.Duration // for the broker to answer; 0: two minutes
	Progress io.Writer     // where fetching the jars shows itself; nil: nowhere

	// Listeners are further ways in, for clients that reach the broker through
	// a proxy: a client goes on to the address that its listener advertises.
	Listeners []KafkaListener
}

// KafkaListener is a port on 127.0.0.1 that the broker listens on, and the one
// that it tells clients of that port to use.
type KafkaListener struct{ Port, Advertised int }

// RealKafka is a running broker process.
type RealKafka struct {
	cfg  RealKafkaConfig
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// StartRealKafka fetches the broker's jars once (Maven), formats the data
// folder once and starts the broker (Java 17 or newer); it returns when the
// broker answers. What is missing on the machine is named in one line.
func StartRealKafka(ctx context.Context, cfg RealKafkaConfig) (*RealKafka, error) {
	if cfg.Dir == "" {
		return nil, errors.New("starting kafka: no data folder given")
	}
	if cfg.Heap == "" {
		cfg.Heap = "1g"
	}
	if cfg.Wait <= 0 {
		cfg.Wait = 2 * time.Minute
	}
	if cfg.Progress == nil {
		cfg.Progress = io.Discard
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("finding kafka's data folder: %w", err)
	}
	cfg.Dir = dir
	java, err := findJava(ctx)
	if err != nil {
		return nil, err
	}
	jars, err := kafkaJars(ctx, cfg.Progress)
	if err != nil {
		return nil, err
	}
	if cfg.Port == 0 {
		if cfg.Port, err = FreePort(); err != nil {
			return nil, err
		}
	}
	classes := filepath.Join(jars, "lib", "*")
	properties, err := writeKafkaProperties(cfg)
	if err != nil {
		return nil, err
	}
	if err := formatKafka(ctx, java, classes, cfg.Dir, properties); err != nil {
		return nil, err
	}
	k := &RealKafka{cfg: cfg, done: make(chan struct{})}
	k.cmd = exec.Command(java, "-Xmx"+cfg.Heap, "-Xms128m", "-XX:+UseSerialGC",
		"-Dlog4j2.configurationFile="+filepath.Join(cfg.Dir, "log4j2.properties"),
		"-cp", classes, "kafka.Kafka", properties)
	k.cmd.SysProcAttr = childAttributes()
	out, err := os.OpenFile(k.logFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening kafka's log: %w", err)
	}
	defer out.Close() //nolint:errcheck // the child has its own copy
	k.cmd.Stdout, k.cmd.Stderr = out, out
	if err := k.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting kafka: %w", err)
	}
	go func() {
		_ = k.cmd.Wait() // how it ended is in its log
		close(k.done)
	}()
	if err := k.ready(ctx); err != nil {
		k.Kill()
		return nil, err
	}
	return k, nil
}

// Addr is the host:port to give to clients.
func (k *RealKafka) Addr() string { return "127.0.0.1:" + strconv.Itoa(k.cfg.Port) }

// Config is what the broker runs with, its port filled in: starting it again
// after Kill or Stop gives the same broker.
func (k *RealKafka) Config() RealKafkaConfig { return k.cfg }

// Kill ends the broker as a crash does (SIGKILL) and returns when it is gone.
func (k *RealKafka) Kill() {
	_ = k.cmd.Process.Kill()
	<-k.done
}

// Signal sends the broker a signal, for example to freeze and wake it.
func (k *RealKafka) Signal(sig syscall.Signal) { _ = k.cmd.Process.Signal(sig) }

// Stop ends the broker cleanly, or kills it when ctx ends first. It returns
// when the process is gone.
func (k *RealKafka) Stop(ctx context.Context) error {
	_ = k.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-k.done:
		return nil
	case <-ctx.Done():
		k.Kill()
		return fmt.Errorf("stopping kafka: killed, because %w", ctx.Err())
	}
}

// Done is closed when the process has ended.
func (k *RealKafka) Done() <-chan struct{} { return k.done }

func (k *RealKafka) logFile() string { return filepath.Join(k.cfg.Dir, "broker.log") }

// ready waits until the broker answers a metadata request: its port is
// open a while before it can.
func (k *RealKafka) ready(ctx context.Context) error {
	deadline := time.NewTimer(k.cfg.Wait)
	defer deadline.Stop()
	for {
		if kafkaAnswers(k.Addr()) {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-k.done:
			return fmt.Errorf("kafka ended while starting; the end of %s: %s", k.logFile(), lastLines(k.logFile(), 5))
		case <-deadline.C:
			return fmt.Errorf("kafka did not answer within %v; the end of %s: %s", k.cfg.Wait, k.logFile(), lastLines(k.logFile(), 5))
		case <-ctx.Done():
			return fmt.Errorf("waiting for kafka: %w", ctx.Err())
		}
	}
}

// lastLines is the end of a file in one line, for an error.
func lastLines(path string, n int) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], " | ")
}

// FreePort is a port on 127.0.0.1 that nobody listened on a moment ago.
func FreePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("finding a free port: %w", err)
	}
	defer ln.Close() //nolint:errcheck // only its number mattered
	return ln.Addr().(*net.TCPAddr).Port, nil
}
