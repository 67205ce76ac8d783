package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// killChild is kill -9 of dev's ClickHouse child alone.
func (s *stack) killChild() {
	s.t.Helper()
	eventually(s.t, "dev's child process is killed", func() error {
		pid := s.child()
		if pid == 0 {
			return errors.New("there is none")
		}
		return syscall.Kill(pid, syscall.SIGKILL)
	})
}

// child is the process id of dev's ClickHouse child; 0: it has none now.
func (s *stack) child() int {
	s.t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		s.t.Skip("this system has no /proc to find the child in")
	}
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(b), ") ") // the name may hold spaces
		fields := strings.Fields(rest)
		if len(fields) > 1 && fields[0] != "Z" && fields[1] == strconv.Itoa(s.cmd.Process.Pid) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err == nil {
				return pid
			}
		}
	}
	return 0
}

// TestClickHouseOutage: while ClickHouse is dead, deliveries go on; when it is
// back, every row is there once.
func TestClickHouseOutage(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := newSink(t, nil)
	s.webhook(map[string]any{"url": r.URL + "/"})
	n := 0
	publish := func(count int) {
		var lines []string
		for range count {
			lines = append(lines, fmt.Sprintf(`{"id":"o-%d","type":"a.b","data":1}`, n))
			n++
		}
		s.publish(lines...)
	}
	everything := func(what string) {
		t.Helper()
		eventually(t, what, func() error {
			if got := r.distinct("/"); got < n {
				return fmt.Errorf("%d of %d are delivered", got, n)
			}
			return nil
		})
	}
	once := func() {
		t.Helper()
		s.wantSQL("SELECT count(), uniqExact(delivery_id), uniqExact(kafka_topic, kafka_partition, kafka_offset), countIf(state = 'success') FROM hookstream.attempts", fmt.Sprintf("%d\t%d\t%d\t%d", n, n, n, n))
		s.wantSQL("SELECT count(), uniqExact(event_id) FROM hookstream.events", fmt.Sprintf("%d\t%d", n, n))
		s.wantSQL("SELECT made, terminal, difference FROM hookstream.conservation", fmt.Sprintf("%d\t%d\t0", n, n))
	}
	publish(200)
	everything("before the outage")
	for range 3 { // in the middle of its work
		publish(300)
		if s.real {
			s.killEngine()
		} else {
			s.killChild()
		}
		publish(100)
		everything("while ClickHouse is dead")
		if s.real {
			s.startEngine()
		}
	}
	once()
	if !s.real {
		return // dev starts its engine again at once
	}
	s.killEngine()
	publish(200)
	down := time.Now()
	everything("in a long outage")
	a := s.ask(http.MethodGet, "/v1/stats", nil, nil)
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("statistics without ClickHouse: %d %s", a.status, a.body)
	}
	eventually(t, "/readyz says that ClickHouse is away", func() error { // what it found is kept for a second
		resp, err := http.Get(s.api + "/readyz")
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusServiceUnavailable {
			return fmt.Errorf("%d", resp.StatusCode)
		}
		return nil
	})
	for time.Since(down) < 10*time.Second {
		publish(20)
		everything("in a long outage")
		time.Sleep(200 * time.Millisecond)
	}
	s.startEngine()
	once()
	s.stop()
}
