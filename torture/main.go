// Command torture shows that what hookstream accepts is delivered or accounted
// for: it runs every role as a process of its own, kills, freezes and cuts them
// off at random while events flow, and then compares three records that know
// nothing of each other: what was accepted, what the receivers saw, and what
// ClickHouse says.
//
//	go run ./torture --stack kafka --kills 100
//
// It needs the built binary (make build), and for --stack kafka Java and Maven.
// It ends with 1 when anything that must be 0 is not.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if len(os.Args) > 1 && os.Args[1] == receiveCommand {
		err = receive(ctx, os.Args[2:])
	} else {
		err = run(ctx, os.Args[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		os.Exit(1)
	}
}

// errBroken is a run in which a promise was broken; the report says which.
var errBroken = errors.New("a promise was broken; see the report")

func run(ctx context.Context, args []string) error {
	cfg, err := parse(args)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return fmt.Errorf("making the run's folder: %w", err)
	}
	say := func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
	say("torture: stack %s, seed %d, %d kills, %d events/s; everything is kept in %s", cfg.Stack, cfg.Seed, cfg.Kills, cfg.Rate, cfg.Dir)
	report, err := torture(ctx, cfg, say)
	if err != nil {
		return err
	}
	report.print(os.Stdout)
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the report: %w", err)
	}
	if err := os.WriteFile(filepath.Join(cfg.Dir, "report.json"), append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if !report.Kept() {
		return errBroken
	}
	return nil
}

// torture is one run, told in order.
func torture(ctx context.Context, cfg Config, say func(string, ...any)) (*Report, error) {
	s, err := newStack(ctx, cfg, say)
	if err != nil {
		return nil, err
	}
	defer s.close()
	fleet := newFleet(cfg.Endpoints)
	if err := s.register(ctx, fleet); err != nil {
		return nil, err
	}
	say("torture: %d webhooks registered; the load begins", len(fleet))

	load := newLoad(cfg, s, fleet)
	loading, endLoad := context.WithCancel(ctx)
	defer endLoad()
	loaded := make(chan error, 1)
	go func() { loaded <- load.run(loading) }()

	faults := newPlan(cfg, s, say).run(ctx)
	endLoad()
	if err := <-loaded; err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	say("torture: the faults are over; waiting for what is still on its way")
	s.heal()
	accepted, unknown := load.accepted()
	e, err := s.settle(ctx, fleet, accepted, unknown, say)
	if err != nil {
		return nil, err
	}
	e.faults, e.ended = faults, s.ended()
	report := judge(cfg, fleet, e)
	return report, nil
}
