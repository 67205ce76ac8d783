package main

// Toxiproxy between the parts: what cuts connections, slows them or lets them
// go silent, from outside every program under test.

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/hookstream/hookstream/internal/devstack"
)

// toxiproxy is fetched and built by Go at the first run, by package and version.
const toxiproxyPackage = "github.com/Shopify/toxiproxy/v2/cmd/server"
const toxiproxyVersion = "v2.5.0"

// toxi talks to a toxiproxy process.
type toxi struct {
	proc *process
	api  string
	http http.Client
}

// startToxi builds toxiproxy into the user's cache folder, once, and starts it.
func startToxi(ctx context.Context, dir string) (*toxi, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("finding the user's cache folder: %w", err)
	}
	bin := filepath.Join(cache, "hookstream", "toxiproxy-"+toxiproxyVersion)
	program := filepath.Join(bin, "server")
	if _, err := os.Stat(program); err != nil {
		build := exec.CommandContext(ctx, "go", "install", toxiproxyPackage+"@"+toxiproxyVersion)
		build.Env = append(os.Environ(), "GOBIN="+bin, "GOFLAGS=")
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("building toxiproxy: %w: %s", err, out)
		}
	}
	port, err := devstack.FreePort()
	if err != nil {
		return nil, err
	}
	t := &toxi{api: fmt.Sprintf("http://127.0.0.1:%d", port), http: http.Client{Timeout: 5 * time.Second}}
	t.proc = &process{name: "toxiproxy", log: filepath.Join(dir, "toxiproxy.log"), argv: []string{program, "-host", "127.0.0.1", "-port", fmt.Sprint(port)}}
	if err := t.proc.start(); err != nil {
		return nil, err
	}
	return t, await(ctx, "toxiproxy", 20*time.Second, func() error { return t.call(ctx, http.MethodGet, "/proxies", nil) })
}

func (t *toxi) close() { t.proc.kill() }

// proxy opens a way to upstream and returns the address to use instead.
func (t *toxi) proxy(ctx context.Context, name, upstream string) (port int, err error) {
	if port, err = devstack.FreePort(); err != nil {
		return 0, err
	}
	return port, t.proxyAt(ctx, name, port, upstream)
}

func (t *toxi) proxyAt(ctx context.Context, name string, port int, upstream string) error {
	return t.call(ctx, http.MethodPost, "/proxies", map[string]any{"name": name, "listen": fmt.Sprintf("127.0.0.1:%d", port), "upstream": upstream, "enabled": true})
}

// The faults of a way.
const (
	cutDelay = "delay" // 400 ms ± 200 ms in each direction
	cutReset = "reset" // connections are reset, new ones too
	cutBlack = "blackhole"
)

// cut does one of them to a way until heal.
func (t *toxi) cut(ctx context.Context, name, kind string) error {
	for _, stream := range []string{"upstream", "downstream"} {
		toxic := map[string]any{"name": kind + "-" + stream, "stream": stream, "toxicity": 1}
		switch kind {
		case cutDelay:
			toxic["type"], toxic["attributes"] = "latency", map[string]int{"latency": 400, "jitter": 200}
		case cutReset:
			toxic["type"], toxic["attributes"] = "reset_peer", map[string]int{"timeout": 0}
		default: // data stops, connections stay open
			toxic["type"], toxic["attributes"] = "timeout", map[string]int{"timeout": 0}
		}
		if err := t.call(ctx, http.MethodPost, "/proxies/"+name+"/toxics", toxic); err != nil {
			return err
		}
	}
	return nil
}

// heal takes every fault from every way.
func (t *toxi) heal(ctx context.Context, name, kind string) error {
	for _, stream := range []string{"upstream", "downstream"} {
		if err := t.call(ctx, http.MethodDelete, "/proxies/"+name+"/toxics/"+kind+"-"+stream, nil); err != nil {
			return err
		}
	}
	return nil
}

func (t *toxi) call(ctx context.Context, method, path string, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encoding for toxiproxy: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, method, t.api+path, bytes.NewReader(b))
	if err != nil {
		return fmt.Errorf("asking toxiproxy: %w", err)
	}
	resp, err := t.http.Do(req)
	if err != nil {
		return fmt.Errorf("asking toxiproxy: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	if resp.StatusCode >= 300 {
		return fmt.Errorf("toxiproxy answered %s to %s %s", resp.Status, method, path)
	}
	return nil
}
