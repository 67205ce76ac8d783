// Package trial starts a hookstream for the time of a demonstration: built from
// this tree, on free loopback ports, in a folder that is removed afterwards.
package trial

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Hookstream is a running "hookstream dev".
type Hookstream struct {
	URL     string // of its HTTP server
	Brokers string // of its Kafka
	Dir     string // for files of the demonstration; removed by Close

	cmd *exec.Cmd
	log bytes.Buffer // of the process; read after it has ended
}

// Start builds and starts hookstream with one source and returns when it is
// ready. env are NAME=VALUE, for the source's secret.
func Start(ctx context.Context, source string, env ...string) (h *Hookstream, err error) {
	h = &Hookstream{}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.Close())
		}
	}()
	if h.Dir, err = os.MkdirTemp("", "hookstream-example-"); err != nil {
		return h, fmt.Errorf("making a folder: %w", err)
	}
	where, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/hookstream/hookstream").Output()
	if err != nil {
		return h, fmt.Errorf("finding hookstream's sources: %w; run this within the folder examples", err)
	}
	binary := filepath.Join(h.Dir, "hookstream")
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", binary, "./cmd/hookstream")
	build.Dir = strings.TrimSpace(string(where))
	if out, err := build.CombinedOutput(); err != nil {
		return h, fmt.Errorf("building hookstream: %w\n%s", err, out)
	}
	listen, err := freeAddress()
	if err != nil {
		return h, err
	}
	if h.Brokers, err = freeAddress(); err != nil {
		return h, err
	}
	h.URL = "http://" + listen
	h.cmd = exec.Command(binary, "dev", "--no-clickhouse", "--listen", listen, "--kafka", h.Brokers, "--data", filepath.Join(h.Dir, "data"), "--source", source)
	h.cmd.Env = append(os.Environ(), env...)
	h.cmd.Stdout, h.cmd.Stderr = &h.log, &h.log
	if err := h.cmd.Start(); err != nil {
		h.cmd = nil
		return h, fmt.Errorf("starting hookstream: %w", err)
	}
	return h, h.ready(ctx)
}

func (h *Hookstream) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.URL+"/readyz", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for hookstream to be ready: %w", ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Send posts a webhook as its sender would and returns the answer.
func (h *Hookstream) Send(ctx context.Context, path string, body []byte, headers map[string]string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL+path, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("sending the webhook: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	return fmt.Sprintf("%d %s", resp.StatusCode, answer), err
}

// Close ends the process and removes its folder.
func (h *Hookstream) Close() error {
	var err error
	if h.cmd != nil {
		_ = h.cmd.Process.Signal(syscall.SIGTERM)
		if err = h.cmd.Wait(); err != nil {
			err = fmt.Errorf("ending hookstream: %w\n%s", err, h.log.Bytes())
		}
	}
	if h.Dir != "" {
		err = errors.Join(err, os.RemoveAll(h.Dir))
	}
	return err
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("looking for a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}
