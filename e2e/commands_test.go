package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestCommands: "produce" puts lines on Kafka and names the one that is none;
// "listen" verifies what arrives.
func TestCommands(t *testing.T) {
	t.Parallel()
	s := start(t)
	addr := freePort(t)
	_, secret := s.webhook(map[string]any{"url": "http://" + addr + "/hook", "retry": []float64{1, 1, 1, 1, 1}})
	listen := exec.Command(binary, "listen", "--listen", addr, "--profile", "standard", "--secret", secret)
	var heard logBuffer
	listen.Stdout, listen.Stderr = &heard, &heard
	if err := listen.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- listen.Wait() }()
	t.Cleanup(func() { _ = listen.Process.Kill() })

	produce := exec.Command(binary, "produce", "--brokers", s.kafka, "--topic-prefix", s.prefix, "-")
	produce.Stdin = strings.NewReader(`{"id":"p-1","type":"a.b","data":` + nasty + "}\n" + "nonsense\n\n" + `{"id":"p-2","type":"a.b","data":2}` + "\n")
	var said bytes.Buffer
	produce.Stdout, produce.Stderr = &said, &said
	err := produce.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(said.String(), "line 2") || !strings.Contains(said.String(), "published 2 of 3") {
		t.Errorf("produce ended with %v and says:\n%s", err, said.String())
	}
	eventually(t, "both arrive, verified", func() error {
		resp, err := http.Get("http://" + addr + "/deliveries")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		var got struct {
			Data []struct{ Verdict, Body string }
		}
		if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
			return err
		}
		whole := 0
		for _, d := range got.Data {
			if d.Verdict != "verified" {
				t.Fatalf("%+v", d)
			}
			if strings.Contains(d.Body, nasty) {
				whole++
			}
		}
		if len(got.Data) != 2 || whole != 1 {
			return fmt.Errorf("%d came, %d of them with the data as it was", len(got.Data), whole)
		}
		return nil
	})
	s.wantSQL("SELECT countIf(state = 'success') FROM hookstream.deliveries", "2")
	_ = listen.Process.Signal(syscall.SIGTERM)
	if err := <-ended; err != nil {
		t.Errorf("listen, after SIGTERM: %v", err)
	}
}

// TestSharedFolder: a second dev on the same data folder ends and says why.
func TestSharedFolder(t *testing.T) {
	t.Parallel()
	s := start(t)
	if s.real {
		t.Skip("serve keeps nothing in its folder but its name")
	}
	second := exec.Command(binary, "dev", "--data", s.dir, "--listen", freePort(t), "--kafka", freePort(t), "--clickhouse", freePort(t))
	out, err := second.CombinedOutput()
	if err == nil || !strings.Contains(string(out), s.dir) {
		t.Errorf("it ended with %v and says:\n%s", err, out)
	}
	s.publish(`{"type":"a.b","data":1}`) // the first one goes on
	s.wantSQL("SELECT count() FROM hookstream.events", "1")
}
