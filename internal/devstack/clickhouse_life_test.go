package devstack

// Starting, stopping and killing the ClickHouse child.

import (
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
)

func TestClickHouseTwoProcessesOneFolder(t *testing.T) {
	c := startChild(t)
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	second := childCommand(t, fmt.Sprintf("127.0.0.1:%d", port), c.data)
	second.Env = append(second.Env, "TEST_LOCK_WAIT_MS=100")
	out, err := second.CombinedOutput()
	if err == nil || !strings.Contains(string(out), c.data+" is in use by another process") {
		t.Fatalf("a second process on one folder: %v %s", err, out)
	}
	third := childCommand(t, c.addr, t.TempDir())
	third.Env = append(third.Env, "TEST_LOCK_WAIT_MS=100")
	out, err = third.CombinedOutput()
	if err == nil || !strings.Contains(string(out), c.addr+" is taken by another program") {
		t.Fatalf("a second process on one port: %v %s", err, out)
	}
	if got := c.ask("SELECT 1"); got != "1" {
		t.Fatal("the first process was disturbed")
	}
}

// TestClickHouseStops: a supervised server leaves signals to its parent, which
// still has rows to write, and ends cleanly when the parent closes the pipe.
func TestClickHouseStops(t *testing.T) {
	c := startChild(t)
	makeTable(t, c.client(t, clickhouse.CompressionNone))
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		if err := c.cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	c.ask("INSERT INTO test.plain VALUES (1, 'kept')")
	if err := c.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	err := <-c.ended
	c.ended <- err
	if err != nil {
		t.Fatalf("ended with %v: %s", err, c.errs)
	}
	c.start()
	if got := c.ask("SELECT s FROM test.plain"); got != "kept" {
		t.Fatalf("after a stop: %q", got)
	}
}

// TestClickHouseAlone: without a parent at its standard input, SIGTERM ends it.
func TestClickHouseAlone(t *testing.T) {
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	cmd := childCommand(t, "127.0.0.1:"+strconv.Itoa(port), t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	eventually(t, "the server answers /ping", func() bool {
		return ping(t.Context(), "127.0.0.1:"+strconv.Itoa(port), cmd.Process.Pid) == nil
	})
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("ended with %v", err)
	}
}

// TestClickHouseKilled kills the server while it takes inserts. What it
// acknowledged is there afterwards, and no batch is there in part.
func TestClickHouseKilled(t *testing.T) {
	c := startChild(t)
	makeTable(t, c.client(t, clickhouse.CompressionNone))
	acked := map[int]bool{}
	const rows = 2000
	for round := range 3 {
		conn := c.client(t, clickhouse.CompressionLZ4)
		var n atomic.Int64
		done := make(chan []int, 1)
		go func() {
			var ok []int
			for batch := round * 1000; ; batch++ {
				if insertRows(t.Context(), conn, batch*rows, rows) != nil {
					done <- ok
					return
				}
				ok = append(ok, batch)
				n.Add(1)
			}
		}()
		eventually(t, "some batches are stored", func() bool { return n.Load() >= 4 })
		c.kill()
		for _, batch := range <-done {
			acked[batch] = true
		}
		c.start()
	}
	_, _, body := c.post(url.Values{}, strings.NewReader(fmt.Sprintf("SELECT intDiv(kafka_offset, %d) AS b, count(), uniqExact(kafka_offset) FROM test.attempts GROUP BY b ORDER BY b", rows)))
	seen := map[int]bool{}
	for line := range strings.Lines(body) {
		var batch, n, distinct int
		if _, err := fmt.Sscan(line, &batch, &n, &distinct); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if n != rows || distinct != rows {
			t.Errorf("batch %d has %d rows, %d of them distinct", batch, n, distinct)
		}
		seen[batch] = true
	}
	for batch := range acked {
		if !seen[batch] {
			t.Errorf("batch %d was acknowledged and is gone", batch)
		}
	}
}
