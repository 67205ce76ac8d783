package devstack

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestScanSQL(t *testing.T) {
	for _, tt := range []struct {
		text   string
		first  string
		format string
		target string // of an insert whose rows are in the body
		insert string // its format
	}{
		{text: "SELECT 1", first: "SELECT"},
		{text: "  -- a comment\n/* another */ select 1 format CSV ;", first: "SELECT", format: "CSV"},
		{text: "SELECT 'it''s FORMAT JSON'", first: "SELECT"},
		{text: `SELECT 'a\' FORMAT JSON'`, first: "SELECT"},
		{text: "SELECT 1 FORMAT Native SETTINGS max_threads=1", first: "SELECT", format: "Native"},
		{text: "SELECT format FROM t", first: "SELECT"},
		{text: "SELECT `format` x, (SELECT 1 FORMAT CSV)", first: "SELECT"},
		{text: "SELECT 1 /* FORMAT CSV", first: "SELECT"},
		{text: "(SELECT 1) UNION ALL (SELECT 2)", first: "("},
		{text: "WITH $x$ FORMAT CSV $x$ AS a SELECT a", first: "WITH"},
		{text: "INSERT INTO t (a, b) FORMAT Native", first: "INSERT", format: "Native", target: "INSERT INTO t (a, b) ", insert: "Native"},
		{text: "insert into `t FORMAT` (a) settings x='FORMAT y' format CSV\n", first: "INSERT", format: "CSV", target: "insert into `t FORMAT` (a) settings x='FORMAT y' ", insert: "CSV"},
		{text: "INSERT INTO t VALUES", first: "INSERT", target: "INSERT INTO t ", insert: "Values"},
		{text: "INSERT INTO t VALUES (1)", first: "INSERT"},
		{text: "INSERT INTO t FORMAT CSV 1,2", first: "INSERT"},
		{text: "INSERT INTO t SELECT 1", first: "INSERT"},
		{text: "INSERT INTO values SELECT format FROM t", first: "INSERT"},
		{text: " -- nothing", first: ""},
	} {
		s := scanSQL(tt.text)
		target, format, ok := s.insertTarget(tt.text)
		if s.first != tt.first || s.format != tt.format || target != tt.target || format != tt.insert || ok != (tt.insert != "") {
			t.Errorf("%q: first %q, format %q, insert %q %q %v", tt.text, s.first, s.format, target, format, ok)
		}
	}
}

// Whatever stands in a string, a quoted name or a comment changes nothing.
func TestScanSQLSeesNoQuotedText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		inner := rapid.StringMatching(`[ -~]{0,30}`).Draw(t, "inner")
		quoted := rapid.SampledFrom([]string{
			quoteSQL(inner), quoteIdentifier(inner),
			"/*" + strings.ReplaceAll(inner, "*/", "") + "*/", "--" + inner + "\n",
		}).Draw(t, "quoted")
		s := scanSQL("INSERT INTO t SELECT " + quoted + " x")
		if s.first != "INSERT" || s.format != "" || s.totals {
			t.Fatalf("%+v", s)
		}
	})
}
