package sim

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDecisionsAreListed: the index of the decisions has every one, by its own
// title and in order.
func TestDecisionsAreListed(t *testing.T) {
	files, err := filepath.Glob("../docs/decisions/[0-9]*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d decisions: %v", len(files), err)
	}
	index, err := os.ReadFile("../docs/decisions/README.md")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		title, _, _ := strings.Cut(string(text), "\n")
		number, words, ok := strings.Cut(strings.TrimPrefix(title, "# "), " ")
		if !ok || !strings.HasPrefix(filepath.Base(f), number+"-") {
			t.Errorf("%s begins with %q, not with # and its number", f, title)
		}
		fmt.Fprintf(&want, "- [%s](%s) %s\n", number, filepath.Base(f), words)
	}
	if !strings.HasSuffix(string(index), "\n"+want.String()) {
		t.Errorf("docs/decisions/README.md does not end with\n%s", want.String())
	}
}
