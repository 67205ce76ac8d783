package e2e

// Public libraries of npm and PyPI that judge what is sent, installed into the
// user's cache folder once.

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// installing lets one test at a time install: two may want the same folder.
var installing sync.Mutex

func cacheFolder(t *testing.T, name string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(cache, "hookstream", name)
}

// npmLibraries installs packages side by side, and gives the folder whose
// node_modules has them.
func npmLibraries(t *testing.T, folder string, packages ...string) string {
	t.Helper()
	installing.Lock()
	defer installing.Unlock()
	dir := cacheFolder(t, folder)
	missing := false
	for _, p := range packages {
		at := strings.LastIndexByte(p, '@')
		text, err := os.ReadFile(filepath.Join(dir, "node_modules", p[:at], "package.json"))
		missing = missing || err != nil || !strings.Contains(string(text), `"version": "`+p[at+1:]+`"`)
	}
	if !missing {
		return dir
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"install", "--no-audit", "--no-fund", "--silent", "--prefix", dir}, packages...)
	if out, err := exec.Command("npm", args...).CombinedOutput(); err != nil {
		t.Fatalf("npm install %v: %v\n%s", packages, err, out)
	}
	return dir
}

// pythonWith gives a Python that has what testdata/requirements.txt lists, or
// why there is none on this machine.
func pythonWith(t *testing.T) (python, absent string) {
	t.Helper()
	installing.Lock()
	defer installing.Unlock()
	const can = "import sys, venv, ensurepip\nif sys.version_info < (3, 10): raise SystemExit('it is older than 3.10')"
	if out, err := exec.Command("python3", "-c", can).CombinedOutput(); err != nil {
		return "", fmt.Sprintf("there is no python3 of at least 3.10 with venv and pip here: %v %s", err, out)
	}
	wanted, err := os.ReadFile(filepath.Join("testdata", "requirements.txt"))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(wanted)
	dir := cacheFolder(t, "e2e-python-"+hex.EncodeToString(sum[:6]))
	python = filepath.Join(dir, "bin", "python")
	if _, err := os.Stat(python); err == nil {
		return python, ""
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	fresh, err := os.MkdirTemp(filepath.Dir(dir), "e2e-python-new-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(fresh)
	if out, err := exec.Command("python3", "-m", "venv", fresh).CombinedOutput(); err != nil {
		t.Fatalf("python3 -m venv: %v\n%s", err, out)
	}
	install := exec.Command(filepath.Join(fresh, "bin", "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", filepath.Join("testdata", "requirements.txt"))
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("pip install: %v\n%s", err, out)
	}
	// The folder gets its name when it is whole. A Python finds its packages from
	// where it lies; only the scripts beside it know their old place.
	if err := os.Rename(fresh, dir); err != nil {
		if _, other := os.Stat(python); other != nil { // another process was not faster
			t.Fatal(err)
		}
	}
	return python, ""
}

// judged is a request that libraries are asked about.
type judged struct {
	Profile string            `json:"profile"`
	Secret  string            `json:"secret"`
	Other   string            `json:"other"` // a secret of the same form that did not sign
	TS      string            `json:"ts"`    // the timestamp as sent, where the profile has one
	Headers map[string]string `json:"headers"`
	Body64  string            `json:"body64"`
}

func (q judged) body() string {
	b, _ := base64.StdEncoding.DecodeString(q.Body64)
	return string(b)
}

// judgement is what they say: by library, and by library and change.
type judgement struct {
	Right map[string]string
	Wrong map[string]string
	Fixed bool // JavaScript's parse and stringify give the body back
}

// judge asks a program about requests.
func judge(t *testing.T, program *exec.Cmd, requests []judged) []judgement {
	t.Helper()
	var in strings.Builder
	for _, r := range requests {
		line, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		in.Write(line)
		in.WriteByte('\n')
	}
	program.Stdin, program.Stderr = strings.NewReader(in.String()), os.Stderr
	out, err := program.Output()
	if err != nil {
		t.Fatalf("%s: %v", program.Path, err)
	}
	var verdicts []judgement
	for line := range strings.Lines(string(out)) {
		var v judgement
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		verdicts = append(verdicts, v)
	}
	if len(verdicts) != len(requests) {
		t.Fatalf("%d verdicts of %d requests", len(verdicts), len(requests))
	}
	for i, v := range verdicts {
		for library, says := range v.Right {
			if says != "verified" {
				t.Errorf("%s of a delivery of %s: %s\n%v\n%.2000s", library, requests[i].Profile, says, requests[i].Headers, requests[i].body())
			}
		}
		for change, says := range v.Wrong {
			if !strings.HasPrefix(says, "refused") {
				t.Errorf("%s changed, of a delivery of %s: %s\n%.2000s", change, requests[i].Profile, says, requests[i].body())
			}
		}
	}
	return verdicts
}

func npmJudges(t *testing.T) (dir string) {
	t.Helper()
	return npmLibraries(t, "e2e-judges", "stripe@23.1.0", "@octokit/webhooks-methods@6.0.0", "standardwebhooks@1.0.0", "svix@2.5.0")
}

// nodeJudge runs testdata/judges/judge.js; node comes with npm.
func nodeJudge(t *testing.T, requests []judged) []judgement {
	t.Helper()
	cmd := exec.Command("node", "-e", testFile(t, "judges", "judge.js"))
	cmd.Dir = npmJudges(t)
	return judge(t, cmd, requests)
}

// pythonJudge runs testdata/judges/judge.py. Which libraries spoke is counted
// by profile.
func pythonJudge(t *testing.T, requests []judged) map[string]int {
	t.Helper()
	python, absent := pythonWith(t)
	if absent != "" {
		t.Skip("the libraries of PyPI were not asked: " + absent)
	}
	libraries := map[string]int{}
	for i, v := range judge(t, exec.Command(python, filepath.Join("testdata", "judges", "judge.py")), requests) {
		libraries[requests[i].Profile] = len(v.Right)
	}
	return libraries
}

func testFile(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{"testdata"}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
