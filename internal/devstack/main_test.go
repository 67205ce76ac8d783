package devstack

// The test binary as its own child process: the engines are started, killed
// and started again as real processes.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"
)

// childEnv makes the test binary one of the children below instead.
const childEnv = "HOOKSTREAM_DEVSTACK_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childEnv) {
	case "":
		os.Exit(m.Run())
	case "clickhouse":
		cfg := DefaultClickHouseConfig()
		cfg.Listen, cfg.Data = os.Args[1], os.Args[2]
		cfg.Lib, cfg.Password = os.Getenv("TEST_LIB"), os.Getenv("TEST_PASSWORD")
		cfg.LockWait = 5 * time.Second
		if ms, err := strconv.Atoi(os.Getenv("TEST_LOCK_WAIT_MS")); err == nil {
			cfg.LockWait = time.Duration(ms) * time.Millisecond
		}
		cfg.Stdin = os.Stdin
		exit(ServeClickHouse(context.Background(), cfg))
	case "kafka":
		cfg := DefaultKafkaConfig()
		cfg.Listen, cfg.Dir = os.Args[1], os.Args[2]
		cfg.CheckInterval = time.Second // so that a check runs within a test
		if _, err := StartKafka(cfg); err != nil {
			exit(err)
		}
		fmt.Println("ready")
		select {} // until killed
	default:
		exit(errors.New("unknown child"))
	}
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// eventually waits for a condition that has to come true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited a minute for: %s", what)
		}
	}
}
