// Package ddl holds the ClickHouse schema: numbered SQL files, each of them
// idempotent, applied in order and recorded with their checksums.
package ddl

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

//go:embed *.sql
var files embed.FS

// Database holds every table and view.
const Database = "hookstream"

// DefaultEngine is the table engine of a single node. With a Keeper it is
// ReplicatedMergeTree.
const DefaultEngine = "MergeTree"

// History is the statement that makes the table of applied migrations. It
// comes before every migration.
const History = `CREATE TABLE IF NOT EXISTS hookstream.schema_migrations (
  version UInt32, name String, checksum String, applied_at DateTime64(3, 'UTC')
) ENGINE = {ENGINE} ORDER BY version`

// Migration is one numbered file.
type Migration struct {
	Version  uint32
	Name     string // file name without its number and suffix
	Checksum string // hex of SHA-256 over the file as it stands, before any template
	SQL      string
}

// Migrations are all files in ascending order of their versions.
func Migrations() ([]Migration, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, fmt.Errorf("listing migrations: %w", err)
	}
	out := make([]Migration, 0, len(names))
	for _, name := range names {
		number, rest, ok := strings.Cut(strings.TrimSuffix(path.Base(name), ".sql"), "_")
		version, err := strconv.ParseUint(number, 10, 32)
		if !ok || err != nil || version == 0 {
			return nil, fmt.Errorf("migration %s: its name has to begin with a number and '_'", name)
		}
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading migration %s: %w", name, err)
		}
		sum := sha256.Sum256(text)
		out = append(out, Migration{Version: uint32(version), Name: rest, Checksum: hex.EncodeToString(sum[:]), SQL: string(text)})
	}
	slices.SortFunc(out, func(a, b Migration) int { return int(a.Version) - int(b.Version) })
	for i := 1; i < len(out); i++ {
		if out[i].Version == out[i-1].Version {
			return nil, fmt.Errorf("migrations %s and %s share the number %d", out[i-1].Name, out[i].Name, out[i].Version)
		}
	}
	return out, nil
}

// Statements are the migration's statements for a table engine, one for each
// execution: ClickHouse takes no several at once. A statement ends with a ';'
// at the end of a line; lines that begin with "--" are left out.
func (m Migration) Statements(engine string) []string {
	var out []string
	var b strings.Builder
	for line := range strings.Lines(Expand(m.SQL, engine)) {
		if strings.HasPrefix(line, "--") {
			continue
		}
		trimmed := strings.TrimRight(line, " \t\r\n")
		body, ends := strings.CutSuffix(trimmed, ";")
		b.WriteString(body)
		b.WriteByte('\n')
		if ends {
			out = append(out, strings.TrimSpace(b.String()))
			b.Reset()
		}
	}
	if rest := strings.TrimSpace(b.String()); rest != "" {
		out = append(out, rest)
	}
	return out
}

// Expand fills the templates of a statement.
func Expand(sql, engine string) string {
	if engine == "" {
		engine = DefaultEngine
	}
	return strings.ReplaceAll(sql, "{ENGINE}", engine)
}
