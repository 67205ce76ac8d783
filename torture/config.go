package main

// Config says how hard and how long a run is.

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// Stacks that a run can torture.
const (
	stackKafka = "kafka" // a real Kafka, every role in a process of its own
	stackDev   = "dev"   // hookstream dev: one process with both engines embedded
)

// Config of a run.
type Config struct {
	Binary    string // the hookstream under test
	Stack     string // stackKafka or stackDev
	Dir       string // for data and logs; new
	Seed      uint64 // of the faults: the same seed gives the same sequence
	Kills     int    // kill -9 to be made; other faults come on top
	Gap       time.Duration
	Rate      int // events per second
	Endpoints int
	Outage    time.Duration // how long ClickHouse is gone, once in a run; 0: never
	Settle    time.Duration // how long everything may take to arrive after the last fault
}

func parse(args []string) (Config, error) {
	var c Config
	f := flag.NewFlagSet("torture", flag.ContinueOnError)
	f.StringVar(&c.Binary, "binary", filepath.Join("bin", "hookstream"), "the hookstream under test (make build)")
	f.StringVar(&c.Stack, "stack", stackKafka, "kafka: real Kafka, each role in its own process; dev: hookstream dev")
	f.StringVar(&c.Dir, "dir", "", "folder for data and logs (default: a new temporary one)")
	f.Uint64Var(&c.Seed, "seed", rand.Uint64(), "of the faults")
	f.IntVar(&c.Kills, "kills", 100, "kill -9 to be made; freezes, cuts and restarts come on top")
	f.DurationVar(&c.Gap, "gap", 3*time.Second, "mean time between faults")
	f.IntVar(&c.Rate, "rate", 150, "events per second")
	f.IntVar(&c.Endpoints, "endpoints", 32, "webhooks")
	f.DurationVar(&c.Outage, "outage", 2*time.Minute, "how long ClickHouse is stopped, once (0: not at all)")
	f.DurationVar(&c.Settle, "settle", 5*time.Minute, "how long everything may take to arrive after the last fault")
	if err := f.Parse(args); err != nil {
		return c, err
	}
	if c.Dir == "" {
		dir, err := os.MkdirTemp("", "hookstream-torture-")
		if err != nil {
			return c, fmt.Errorf("making a folder for the run: %w", err)
		}
		c.Dir = dir
	}
	return c, c.Validate()
}

// Validate names the flag that is wrong and the cure.
func (c Config) Validate() error {
	var errs []error
	check := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	if _, err := os.Stat(c.Binary); err != nil {
		check(true, "--binary %s is not there; run make build first", c.Binary)
	}
	check(c.Stack != stackKafka && c.Stack != stackDev, "--stack is %q; give kafka or dev", c.Stack)
	check(c.Kills < 0, "--kills is %d; give 0 or more", c.Kills)
	check(c.Gap < 100*time.Millisecond, "--gap is %v; give at least 100ms", c.Gap)
	check(c.Rate < 1, "--rate is %d; give at least 1", c.Rate)
	check(c.Endpoints < len(characters), "--endpoints is %d; give at least %d, one of each character", c.Endpoints, len(characters))
	check(c.Settle <= 0, "--settle is %v; give a time above 0", c.Settle)
	return errors.Join(errs...)
}
