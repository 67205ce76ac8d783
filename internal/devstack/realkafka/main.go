// Command realkafka starts a real Kafka broker, runs a command against it and
// stops it: what `make test-kafka` runs the tests under.
//
//	go run ./internal/devstack/realkafka -- go test ./...
//
// The command finds the broker's address in HOOKSTREAM_TEST_BROKERS. Without a
// command the broker runs until it is interrupted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/hookstream/hookstream/internal/devstack"
)

func main() {
	code, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "realkafka:", err)
	}
	os.Exit(code)
}

// run returns the command's exit code, or 1 with the error that kept it from running.
func run() (code int, err error) {
	port := flag.Int("port", 0, "port on 127.0.0.1; 0 takes a free one")
	dir := flag.String("data", "", "data folder to keep; empty uses a temporary one")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	folder := *dir
	if folder == "" {
		if folder, err = os.MkdirTemp("", "hookstream-kafka-"); err != nil {
			return 1, fmt.Errorf("making a data folder: %w", err)
		}
		defer os.RemoveAll(folder) //nolint:errcheck // temporary
	}
	broker, err := devstack.StartRealKafka(ctx, devstack.RealKafkaConfig{Dir: folder, Port: *port, Progress: os.Stderr})
	if err != nil {
		return 1, err
	}
	defer func() {
		stopping, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_ = broker.Stop(stopping) // killed then, and its folder goes
	}()
	fmt.Fprintln(os.Stderr, "realkafka: Kafka answers on", broker.Addr())

	if flag.NArg() == 0 {
		select {
		case <-ctx.Done():
			return 0, nil
		case <-broker.Done():
			return 1, errors.New("kafka ended by itself")
		}
	}
	cmd := exec.CommandContext(ctx, flag.Arg(0), flag.Args()[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "HOOKSTREAM_TEST_BROKERS="+broker.Addr())
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	if err != nil {
		return 1, fmt.Errorf("running %s: %w", flag.Arg(0), err)
	}
	return 0, nil
}
