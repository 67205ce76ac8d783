package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// build makes the program under test.
func build(t *testing.T, tags string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "hookstream")
	if out, err := exec.Command("go", "build", "-tags", tags, "-o", binary, "../cmd/hookstream").CombinedOutput(); err != nil {
		t.Fatalf("building hookstream: %v\n%s", err, out)
	}
	return binary
}

// TestMain lets the test binary be the receiver that a run starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == receiveCommand {
		if err := receive(context.Background(), os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// short is a run of seconds on the embedded stack.
func short(t *testing.T, tags string, kills int) *Report {
	t.Helper()
	cfg := Config{Binary: build(t, tags), Stack: stackDev, Dir: t.TempDir(), Seed: 11, Kills: kills, Gap: 2 * time.Second, Rate: 100, Endpoints: 16, Settle: 2 * time.Minute}
	if tags != "" {
		cfg.Settle = 20 * time.Second
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	r, err := torture(context.Background(), cfg, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	r.print(testWriter{t})
	return r
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(string(p[:max(0, len(p)-1)]))
	return len(p), nil
}

func TestShortRunKeepsEveryPromise(t *testing.T) {
	t.Parallel()
	if r := short(t, "", 4); !r.Kept() {
		t.Errorf("%+v", r)
	}
}

// TestBrokenCommitRuleIsCaught: a program that commits the highest offset it
// read, instead of the end of what is done, loses events, and the run says so.
func TestBrokenCommitRuleIsCaught(t *testing.T) {
	t.Parallel()
	if r := short(t, "brokencommit", 6); r.Lost == 0 || r.Kept() {
		t.Errorf("the loss was not found: %+v", r)
	}
}
