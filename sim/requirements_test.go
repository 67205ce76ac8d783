package sim

// docs/requirements.md is the list of what the products' contracts ask for,
// and which test shows each of it.

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// requirementCounts says how many requirements each product has: S0 to S4.
func requirementCounts() []int { return []int{54, 57, 74, 71, 77} }

// TestRequirements wants every number once, in order, with tests that exist or
// the words "not yet" and the reason.
func TestRequirements(t *testing.T) {
	var wanted []string
	for product, n := range requirementCounts() {
		for i := 1; i <= n; i++ {
			wanted = append(wanted, fmt.Sprintf("S%d-%d", product, i))
		}
	}
	tests := testNames(t)
	row := regexp.MustCompile(`^\| (S\d+-\d+) \| (.+) \| (.+) \|$`)
	seen := map[string]bool{}
	shown, next := 0, 0
	number := 0
	for line := range strings.SplitSeq(readFile(t, "docs/requirements.md"), "\n") {
		number++
		if !strings.HasPrefix(line, "| S") {
			continue
		}
		m := row.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("line %d is no row of the form | S0-1 | what | test |: %s", number, line)
			continue
		}
		id := m[1]
		switch {
		case seen[id]:
			t.Errorf("line %d: %s is there twice", number, id)
		case next >= len(wanted) || id != wanted[next]:
			t.Errorf("line %d: %s is out of order or unknown", number, id)
		default:
			next++
		}
		seen[id] = true
		if why, missing := strings.CutPrefix(m[3], "not yet"); missing {
			if reason, ok := strings.CutPrefix(why, ": "); !ok || strings.TrimSpace(reason) == "" {
				t.Errorf("line %d: %s is not yet shown, and the row does not say why; write not yet: the reason", number, id)
			}
			continue
		}
		shown++
		for name := range strings.SplitSeq(m[3], ", ") {
			bare := strings.Trim(name, "`")
			if top, _, _ := strings.Cut(bare, "/"); !tests[top] || bare == name {
				t.Errorf("line %d: %s is shown by %s, and no such test exists; write `TestName`, or not yet: the reason", number, id, name)
			}
		}
	}
	for _, id := range wanted {
		if !seen[id] {
			t.Errorf("%s is missing", id)
		}
	}
	t.Logf("%d of %d requirements are shown by a test", shown, len(wanted))
}

// testNames are the top-level tests of all packages.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func (Test\w+|Fuzz\w+)\(`)
	for _, name := range trackedFiles(t) {
		if !strings.HasSuffix(filepath.Base(name), "_test.go") {
			continue
		}
		for _, m := range function.FindAllStringSubmatch(readFile(t, name), -1) {
			names[m[1]] = true
		}
	}
	return names
}
