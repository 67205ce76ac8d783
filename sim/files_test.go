package sim

// What every file of the repository keeps to.

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// Lines of one file of Go that is no test.
const (
	mostLines = 600
	manyLines = 500
)

func TestFileLength(t *testing.T) {
	for _, name := range trackedFiles(t) {
		if filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			continue
		}
		switch n := strings.Count(readFile(t, name), "\n"); {
		case n > mostLines:
			t.Errorf("%s has %d lines, more than %d; part it by noun", name, n, mostLines)
		case n > manyLines:
			t.Logf("%s has %d lines; think of parting it", name, n)
		}
	}
}

// No file names the host of a package registry or a path of somebody's
// machine: builds take both from their environment.
func TestTrackedFilesNameNoMachine(t *testing.T) {
	// Put together here, so that this file passes its own test.
	hosts := []string{"registry" + ".npmjs", "registry" + ".yarnpkg", "proxy" + ".golang", "sum" + ".golang", "goproxy" + ".",
		"repo" + ".maven", "repo1" + ".maven", "repo" + "1.apache", "pypi" + ".org", "files" + ".pythonhosted", "crates" + ".io",
		"registry-1" + ".docker", "index" + ".docker", "gcr" + ".io", "ghcr" + ".io", "quay" + ".io", "artifact" + "ory."}
	paths := regexp.MustCompile(`(^|[\s"'` + "`" + `=(:,])(/` + `work/|/` + `root/|/` + `Users/|/` + `home/[a-z])`)
	for _, name := range trackedFiles(t) {
		text := readFile(t, name)
		if !utf8.ValidString(text) {
			continue // a picture or another binary
		}
		number := 0
		for line := range strings.SplitSeq(text, "\n") {
			number++
			for _, h := range hosts {
				if strings.Contains(strings.ToLower(line), h) {
					t.Errorf("%s:%d names the registry host %s…", name, number, h)
				}
			}
			if m := paths.FindString(line); m != "" {
				t.Errorf("%s:%d names the machine's path %s…", name, number, strings.TrimSpace(m))
			}
		}
	}
}

// What a merge left undone breaks a file that no compiler reads.
func TestTrackedFilesHoldNoRemainsOfMerges(t *testing.T) {
	ours, between, theirs := strings.Repeat("<", 7)+" ", strings.Repeat("=", 7), strings.Repeat(">", 7)+" "
	for _, name := range trackedFiles(t) {
		number := 0
		for line := range strings.SplitSeq(readFile(t, name), "\n") {
			number++
			if line == between || strings.HasPrefix(line, ours) || strings.HasPrefix(line, theirs) {
				t.Errorf("%s:%d has the remains of a merge: %s", name, number, line)
			}
		}
	}
}
