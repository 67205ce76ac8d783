package e2e

// Receivers: one in this process that remembers everything, and one in Node
// around the public Standard Webhooks library.

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// request is one that a receiver got.
type request struct {
	at     time.Time
	path   string
	header http.Header
	body   string
}

// sink is a receiver that answers as told.
type sink struct {
	*httptest.Server
	mu    sync.Mutex
	got   []request
	paths map[string]int                                      // requests to each
	does  func(w http.ResponseWriter, r *http.Request, n int) // n: how many came to this path before
}

func newSink(t *testing.T, does func(http.ResponseWriter, *http.Request, int)) *sink {
	s := &sink{does: does, paths: map[string]int{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		n := s.paths[r.URL.Path]
		s.paths[r.URL.Path]++
		s.got = append(s.got, request{time.Now(), r.URL.Path, r.Header.Clone(), string(b)})
		s.mu.Unlock()
		if s.does != nil {
			s.does(w, r, n)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *sink) requests(path string) []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []request
	for _, q := range s.got {
		if q.path == path {
			out = append(out, q)
		}
	}
	return out
}

// nodeServer is a receiver around npm's standardwebhooks: it prints a line of
// JSON per request with the verdict of the library.
const nodeServer = `
const http = require("http"), { Webhook } = require("standardwebhooks");
const server = http.createServer((req, res) => {
  const parts = [];
  req.on("data", (p) => parts.push(p));
  req.on("end", () => {
    const body = Buffer.concat(parts).toString("utf8");
    let verdict = "verified";
    try { new Webhook(process.env.SECRET).verify(body, req.headers); } catch (e) { verdict = String(e); }
    let tampered = "refused";
    try { new Webhook(process.env.SECRET).verify(body + " ", req.headers); tampered = "verified"; } catch (e) {}
    console.log(JSON.stringify({ verdict, tampered, body, id: req.headers["webhook-id"] }));
    res.end();
  });
});
server.listen(Number(process.env.PORT), "127.0.0.1", () => console.log("up"));
`

type nodeLine struct{ Verdict, Tampered, Body, ID string }

// newNodeReceiver starts the Node receiver; lines gives what it prints.
func newNodeReceiver(t *testing.T, addr, secret string) (lines <-chan nodeLine) {
	t.Helper()
	dir := npmLibrary(t, "standardwebhooks@1.0.0")
	cmd := exec.Command("node", "-e", nodeServer)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "SECRET="+secret, "PORT="+addr[strings.LastIndexByte(addr, ':')+1:])
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting node, which comes with npm: %v", err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	r := bufio.NewReader(out)
	if up, err := r.ReadString('\n'); err != nil || up != "up\n" {
		t.Fatalf("the node receiver said %q, %v", up, err)
	}
	ch := make(chan nodeLine, 100)
	go func() {
		defer close(ch)
		for {
			line, err := r.ReadBytes('\n')
			if err != nil {
				return
			}
			var n nodeLine
			if json.Unmarshal(line, &n) == nil {
				ch <- n
			}
		}
	}()
	return ch
}

// npmLibrary installs a package into the cache folder, once, and gives the
// folder whose node_modules has it.
func npmLibrary(t *testing.T, pkg string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "hookstream", "e2e-"+strings.NewReplacer("@", "-", "/", "-").Replace(pkg))
	name, _, _ := strings.Cut(pkg, "@")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", name, "package.json")); err == nil {
		return dir
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("npm", "install", "--no-audit", "--no-fund", "--silent", "--prefix", dir, pkg).CombinedOutput(); err != nil {
		t.Fatalf("npm install %s: %v\n%s", pkg, err, out)
	}
	return dir
}
