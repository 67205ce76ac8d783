package ddl

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the goldens anew: only before a migration was ever released")

// An applied migration must never change: databases out there hold its checksum.
func TestChecksumsAreAsReleased(t *testing.T) {
	ms, err := Migrations()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, m := range ms {
		b.WriteString(m.Name + " " + m.Checksum + "\n")
	}
	golden(t, "checksums.txt", b.String())
}

func TestStatementsAsTheyRun(t *testing.T) {
	ms, err := Migrations()
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range ms {
		if m.Version != uint32(i+1) {
			t.Errorf("migration %s has the number %d, not %d", m.Name, m.Version, i+1)
		}
		golden(t, m.Name+".golden.sql", strings.Join(m.Statements("ReplicatedMergeTree"), "\n;\n")+"\n")
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s differs:\n%s", path, got)
	}
}

var idempotent = regexp.MustCompile(`^(CREATE (DATABASE|TABLE|VIEW) IF NOT EXISTS |CREATE OR REPLACE VIEW |ALTER TABLE \S+ ADD (COLUMN|INDEX|PROJECTION) IF NOT EXISTS )`)

// A migration that broke off half-way runs again from its first statement.
func TestEveryStatementIsIdempotent(t *testing.T) {
	ms, err := Migrations()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range ms {
		for _, s := range m.Statements("") {
			if !idempotent.MatchString(s) {
				t.Errorf("migration %s: not idempotent: %.80s", m.Name, s)
			}
			if strings.Contains(s, "{") || strings.Contains(s, ";\n") {
				t.Errorf("migration %s: a template or a second statement is left in: %.80s", m.Name, s)
			}
			if !strings.Contains(s, Database) {
				t.Errorf("migration %s: does not name the database: %.80s", m.Name, s)
			}
		}
	}
	if !idempotent.MatchString(History) {
		t.Error("the table of migrations is not made idempotently")
	}
}

func TestStatementsSplitAtLineEnds(t *testing.T) {
	m := Migration{SQL: "-- a comment;\nCREATE A (x) -- ; inside\n ENGINE = {ENGINE};\n\nCREATE B ';' ;  \nCREATE C"}
	got := m.Statements("E")
	want := []string{"CREATE A (x) -- ; inside\n ENGINE = E", "CREATE B ';'", "CREATE C"}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got %q, want %q", got, want)
	}
}
