package sim

// The import arrows of docs/DESIGN.md: which room may import which, and which
// room a third-party module belongs to.

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// arrows says what each room may import of ours. A package belongs to the room
// with the longest name that its path begins with, and may import its own.
func arrows() map[string][]string {
	return map[string][]string{
		"schemas":            {},
		"api":                {},
		"producer":           {"schemas", "api"},
		"delivery/endpoint":  {"schemas", "api"},
		"delivery":           {"schemas", "api", "delivery/endpoint"},
		"consumer":           {"schemas", "api", "producer"},
		"analytics":          {"schemas", "api", "producer", "consumer"},
		"inbound":            {"schemas", "api", "producer", "consumer"},
		"products/smartcv":   {"schemas", "api", "delivery/endpoint", "analytics"},
		"internal/devstack":  {"schemas"},
		"internal/kafkatest": {"schemas"},
		"internal/receiver":  {"schemas"},
		"cmd/hookstream":     {"*"},
		"sim":                {"*"},
		"e2e":                {"*"},
		"bench":              {"*"},
		"torture":            {"schemas", "internal/devstack"},
		"examples":           {"schemas", "producer"},
	}
}

// modules says which rooms may import a third-party module outside of tests;
// what is not here has to earn its line first. An empty list is tests only.
func modules() map[string][]string {
	anywhere := []string{"*"}
	kafka := []string{"producer", "consumer", "analytics", "inbound", "internal", "cmd/hookstream", "torture"} // cmd hands the options around
	return map[string][]string{
		"github.com/twmb/franz-go":                       kafka,
		"github.com/ClickHouse/clickhouse-go":            {"analytics"},
		"github.com/ClickHouse/ch-go":                    {"analytics", "internal/devstack"},
		"github.com/sony/gobreaker":                      {"delivery"},
		"code.dny.dev/ssrf":                              {"delivery"},
		"github.com/segmentio/encoding":                  {"schemas", "api"},
		"github.com/ebitengine/purego":                   {"internal/devstack"},
		"gopkg.in/yaml.v3":                               {"schemas", "cmd/hookstream"},
		"github.com/gofrs/flock":                         {"internal/devstack", "cmd/hookstream"},
		"github.com/prometheus/client_golang":            anywhere,
		"go.opentelemetry.io/otel":                       {"producer", "consumer", "delivery", "cmd/hookstream"},
		"golang.org/x/sync":                              anywhere,
		"golang.org/x/time":                              anywhere,
		"golang.org/x/sys":                               {"internal", "cmd/hookstream"},
		"golang.org/x/net":                               {"schemas", "delivery"},
		"golang.org/x/text":                              {"schemas", "delivery"},
		"github.com/klauspost/compress":                  {"internal", "analytics"},
		"github.com/pierrec/lz4":                         {"internal/devstack"},
		"github.com/santhosh-tekuri/jsonschema":          {"delivery/endpoint"},
		"github.com/compose-spec/compose-go":             {},
		"github.com/standard-webhooks/standard-webhooks": {},
		"go.uber.org/goleak":                             {},
		"pgregory.net/rapid":                             {},
		"github.com/andybalholm/brotli":                  {"internal/devstack"},
	}
}

// within reports whether path is name or lies below it.
func within(path, name string) bool {
	return name == "*" || path == name || strings.HasPrefix(path, name+"/")
}

// longest is the key that a path lies within, the most particular one.
func longest(path string, table map[string][]string) (string, bool) {
	best, ok := "", false
	for name := range table {
		if within(path, name) && len(name) > len(best) {
			best, ok = name, true
		}
	}
	return best, ok
}

func allows(list []string, path string) bool {
	return slices.ContainsFunc(list, func(name string) bool { return within(path, name) })
}

func TestArrowsBetweenRooms(t *testing.T) {
	table := arrows()
	for _, p := range listPackages(t) {
		room, ok := longest(p.room(), table)
		if !ok {
			t.Errorf("%s is in no room; give it one in docs/DESIGN.md and here", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			if target, ours := ourRoom(imported, table); ours && target != room && !allows(table[room], target) {
				t.Errorf("%s imports %s: room %s may import %v only", p.room(), imported, room, table[room])
			}
		}
		for _, imported := range slices.Concat(p.TestImports, p.XTestImports) {
			if target, ours := ourRoom(imported, table); ours && target != room && !allows(table[room], target) && !within(target, "internal") {
				t.Errorf("tests of %s import %s: room %s may import %v and internal only", p.room(), imported, room, table[room])
			}
		}
	}
}

func ourRoom(imported string, table map[string][]string) (room string, ours bool) {
	path, ours := strings.CutPrefix(imported, module)
	if !ours {
		return "", false
	}
	room, _ = longest(path, table)
	return room, true
}

func TestArrowsToModules(t *testing.T) {
	table := modules()
	for _, p := range listPackages(t) {
		for _, imported := range p.Imports {
			if host, _, _ := strings.Cut(imported, "/"); !strings.Contains(host, ".") || strings.HasPrefix(imported, module) {
				continue // the standard library, or ours
			}
			name, ok := longest(imported, table)
			switch {
			case !ok:
				t.Errorf("%s imports %s, which is in no list; is it worth a dependency?", p.room(), imported)
			case !allows(table[name], p.room()):
				t.Errorf("%s imports %s, which belongs to %v", p.room(), imported, table[name])
			}
		}
	}
}

// Only delivery sends requests: there the egress guard is. The command line
// talks to its own servers, the embedded engines to theirs.
func TestArrowsOfHTTPClients(t *testing.T) {
	clients := []string{"Client", "Transport", "DefaultClient", "DefaultTransport", "Get", "Head", "Post", "PostForm"}
	eachFile(t, func(p pkg, name string, file *ast.File) {
		if within(p.room(), "delivery") && !within(p.room(), "delivery/endpoint") || allows([]string{"cmd", "internal", "bench", "examples", "torture"}, p.room()) {
			return
		}
		eachSelector(file, "net/http", func(sel string) {
			if slices.Contains(clients, sel) {
				t.Errorf("%s uses http.%s; requests leave through delivery only", name, sel)
			}
		})
	})
}

// schemas never reads the clock and starts nothing: the same input always
// gives the same bytes.
func TestArrowsOfSchemas(t *testing.T) {
	eachFile(t, func(p pkg, name string, file *ast.File) {
		if !within(p.room(), "schemas") {
			return
		}
		eachSelector(file, "time", func(sel string) {
			if slices.Contains([]string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"}, sel) {
				t.Errorf("%s uses time.%s; take the time as an argument", name, sel)
			}
		})
		ast.Inspect(file, func(n ast.Node) bool {
			if _, starts := n.(*ast.GoStmt); starts {
				t.Errorf("%s starts a goroutine", name)
			}
			return true
		})
	})
}

// Nothing happens before main.
func TestArrowsNoInit(t *testing.T) {
	eachFile(t, func(_ pkg, name string, file *ast.File) {
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s has an init function; let a constructor do it", name)
			}
		}
	})
}

// eachFile parses every file that is not a test.
func eachFile(t *testing.T, do func(p pkg, name string, file *ast.File)) {
	t.Helper()
	for _, p := range listPackages(t) {
		for _, f := range p.GoFiles {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, f), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			do(p, p.room()+"/"+f, file)
		}
	}
}

// eachSelector gives the names that a file uses of an imported package.
func eachSelector(file *ast.File, path string, do func(name string)) {
	local := ""
	for _, i := range file.Imports {
		if i.Path.Value == `"`+path+`"` {
			local = path[strings.LastIndexByte(path, '/')+1:]
			if i.Name != nil {
				local = i.Name.Name
			}
		}
	}
	if local == "" {
		return
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if id, ok := s.X.(*ast.Ident); ok && id.Name == local {
				do(s.Sel.Name)
			}
		}
		return true
	})
}
