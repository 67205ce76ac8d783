package main

// docker-compose.yml, Dockerfile and deploy/ against the code: without an
// engine, so that it runs everywhere.

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"gopkg.in/yaml.v3"

	"github.com/hookstream/hookstream/schemas/ddl"
)

const top = "../.."

func composeProject(t *testing.T) *types.Project {
	t.Helper()
	dir, err := filepath.Abs(top)
	if err != nil {
		t.Fatal(err)
	}
	p, err := loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir:  dir,
		ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(dir, "docker-compose.yml")}},
		Environment: types.Mapping{"HOOKSTREAM_API_KEY": "0123456789abcdef", "HOOKSTREAM_MASTER_KEY": someKey, "CLICKHOUSE_PASSWORD": "pw"},
	}, loader.WithProfiles([]string{"*"}))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func repoFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(top, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func env(t *testing.T, s types.ServiceConfig, key string) string {
	t.Helper()
	v := s.Environment[key]
	if v == nil {
		t.Fatalf("%s has no %s", s.Name, key)
	}
	return *v
}

// What compose and image pass to hookstream is a configuration that serve takes.
func TestComposeConfiguresHookstream(t *testing.T) {
	p := composeProject(t)
	s := p.Services["hookstream"]
	if len(s.Command) == 0 || s.Command[0] != cmdServe {
		t.Fatalf("command %v", s.Command)
	}
	var all Config
	known := settings(&all)
	environ := []string{}
	for k, v := range s.Environment {
		if v == nil || !slices.ContainsFunc(known, func(s *setting) bool { return s.Env() == k && s.takenBy(cmdServe) }) {
			t.Errorf("%s is no setting of serve, or has no value", k)
			continue
		}
		environ = append(environ, k+"="+*v)
	}
	l, err := Load(cmdServe, s.Command[1:], environ)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Config.Validate(cmdServe); err != nil || len(l.Warnings) > 0 {
		t.Errorf("%v, warnings %v", err, l.Warnings)
	}
	_, port, err := net.SplitHostPort(l.Config.Listen)
	if err != nil || !publishes(s, port) {
		t.Errorf("--listen %s is not published", l.Config.Listen)
	}
	if s.StopGracePeriod == nil || l.Config.Drain >= time.Duration(*s.StopGracePeriod) {
		t.Errorf("a drain of %v does not fit into the grace period %v", l.Config.Drain, s.StopGracePeriod)
	}
	if !slices.ContainsFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool { return v.Target == l.Config.Data }) {
		t.Errorf("--data %s is on no volume", l.Config.Data)
	}

	kafka := p.Services["kafka"]
	for _, b := range l.Config.Brokers {
		if !strings.Contains(env(t, kafka, "KAFKA_ADVERTISED_LISTENERS"), "INTERNAL://"+b) || !strings.Contains(strings.Join(kafka.HealthCheck.Test, " "), b) {
			t.Errorf("broker %s is not what kafka advertises and checks", b)
		}
	}
	if !strings.Contains(env(t, kafka, "KAFKA_ADVERTISED_LISTENERS"), "HOST://127.0.0.1:9092") || !publishes(kafka, "9092") {
		t.Error("kafka's listener for the host is not published")
	}

	u, err := url.Parse(l.Config.ClickHouse)
	if err != nil {
		t.Fatal(err)
	}
	clickhouse := p.Services["clickhouse"]
	password, _ := u.User.Password()
	if u.Hostname() != clickhouse.Name || !publishes(clickhouse, u.Port()) || strings.Trim(u.Path, "/") != env(t, clickhouse, "CLICKHOUSE_DB") ||
		u.User.Username() != env(t, clickhouse, "CLICKHOUSE_USER") || password != env(t, clickhouse, "CLICKHOUSE_PASSWORD") || env(t, clickhouse, "CLICKHOUSE_DB") != ddl.Database {
		t.Errorf("%s does not fit the service clickhouse", maskAddress(l.Config.ClickHouse))
	}
}

func publishes(s types.ServiceConfig, port string) bool {
	return slices.ContainsFunc(s.Ports, func(p types.ServicePortConfig) bool { return strconv.Itoa(int(p.Target)) == port })
}

// Every service is pinned, healthy by a check of its own, on loopback only,
// and keeps its data.
func TestComposeServices(t *testing.T) {
	p := composeProject(t)
	want := []string{"clickhouse", "grafana", "hookstream", "kafka", "prometheus"}
	if got := slices.Sorted(maps.Keys(p.Services)); !slices.Equal(got, want) {
		t.Fatalf("services %v, want %v", got, want)
	}
	pinned := regexp.MustCompile(`^[a-z]+/[a-z-]+:v?\d+\.\d+(\.\d+)*$`)
	used := map[string]bool{}
	published := map[string]string{}
	for name, s := range p.Services {
		if s.Build == nil && !pinned.MatchString(s.Image) {
			t.Errorf("%s: image %s is not pinned to a version", name, s.Image)
		}
		if s.HealthCheck == nil || len(s.HealthCheck.Test) == 0 {
			t.Errorf("%s has no health check", name)
		}
		if monitoring := name == "prometheus" || name == "grafana"; monitoring != slices.Equal(s.Profiles, []string{"monitoring"}) {
			t.Errorf("%s has the profiles %v", name, s.Profiles)
		}
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" || published[port.Published] != "" {
				t.Errorf("%s: port %s is published on %q, or by %s too", name, port.Published, port.HostIP, published[port.Published])
			}
			published[port.Published] = name
		}
		named := false
		for _, v := range s.Volumes {
			switch v.Type {
			case types.VolumeTypeBind:
				if _, err := os.Stat(v.Source); err != nil || !v.ReadOnly {
					t.Errorf("%s mounts %s: %v, read-only %v", name, v.Source, err, v.ReadOnly)
				}
			case types.VolumeTypeVolume:
				used[v.Source], named = true, true
			}
		}
		if !named {
			t.Errorf("%s keeps its data on no volume", name)
		}
		for on, d := range s.DependsOn {
			if _, there := p.Services[on]; !there || d.Condition != types.ServiceConditionHealthy {
				t.Errorf("%s depends on %s, %s", name, on, d.Condition)
			}
		}
	}
	for v := range p.Volumes {
		if !used[v] {
			t.Errorf("volume %s is used by nobody", v)
		}
	}
}

// Compose runs the versions that the tests run.
func TestComposeVersions(t *testing.T) {
	p := composeProject(t)
	tag := func(service string) string { _, tag, _ := strings.Cut(p.Services[service].Image, ":"); return tag }
	engine := goSources(t, "internal/devstack")
	kafka := regexp.MustCompile(`kafkaVersion = "([^"]+)"`).FindStringSubmatch(engine)
	if kafka == nil || tag("kafka") != kafka[1] {
		t.Errorf("kafka %s, the tests use %v", tag("kafka"), kafka)
	}
	chdb := regexp.MustCompile(`version:\s+"(\d+\.\d+)\.`).FindStringSubmatch(engine)
	if chdb == nil || tag("clickhouse") != chdb[1] {
		t.Errorf("clickhouse %s, the engine is %v", tag("clickhouse"), chdb)
	}
	want := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(repoFile(t, "go.mod"))[1]
	if base := regexp.MustCompile(`(?m)^FROM golang:(\d+\.\d+)\.\d+ AS build$`).FindStringSubmatch(repoFile(t, "Dockerfile")); base == nil || base[1] != want {
		t.Errorf("the image is built by %v, go.mod wants %s", base, want)
	}
}

// goSources is the text of every file of Go below a folder.
func goSources(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(filepath.Join(top, dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		text, err := os.ReadFile(path)
		b.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// The image starts what exists, with variables that exist.
func TestDockerfile(t *testing.T) {
	text := repoFile(t, "Dockerfile")
	tree := commands(Bodies{})
	for _, re := range []string{`CMD \["/hookstream", "([a-z-]+)"\]`, `(?m)^CMD \["([a-z-]+)"\]`} {
		m := regexp.MustCompile(re).FindStringSubmatch(text)
		if m == nil || find(tree, m[1]) == nil {
			t.Errorf("%s gives %v, which is no command", re, m)
		}
	}
	check := composeProject(t).Services["hookstream"].HealthCheck.Test
	if len(check) != 3 || check[1] != "/hookstream" || find(tree, check[2]) == nil {
		t.Errorf("health check %v", check)
	}
	var c Config
	variables := regexp.MustCompile(`HOOKSTREAM_[A-Z_]+`).FindAllString(text, -1)
	if len(variables) == 0 {
		t.Error("no variables found")
	}
	for _, v := range variables {
		if !slices.ContainsFunc(settings(&c), func(s *setting) bool { return s.Env() == v && s.takenBy(cmdServe) }) {
			t.Errorf("%s is no setting of serve", v)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^COPY ([^-\s].*) \S+$`).FindAllStringSubmatch(text, -1) {
		for f := range strings.FieldsSeq(m[1]) {
			if _, err := os.Stat(filepath.Join(top, f)); err != nil {
				t.Errorf("COPY of %s: %v", f, err)
			}
		}
	}
}

// Prometheus scrapes the service and its rules use metrics that exist.
func TestPrometheusConfig(t *testing.T) {
	var conf struct {
		RuleFiles []string `yaml:"rule_files"`
		Scrapes   []struct {
			Path    string                       `yaml:"metrics_path"`
			Statics []struct{ Targets []string } `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	if err := yaml.Unmarshal([]byte(repoFile(t, "deploy/prometheus/prometheus.yml")), &conf); err != nil {
		t.Fatal(err)
	}
	p := composeProject(t)
	for _, s := range conf.Scrapes {
		for _, target := range s.Statics[0].Targets {
			host, port, err := net.SplitHostPort(target)
			if service, there := p.Services[host]; err != nil || !there || !publishes(service, port) || s.Path != "/metrics" {
				t.Errorf("scrapes %s%s", target, s.Path)
			}
		}
	}
	for _, f := range conf.RuleFiles {
		if !slices.ContainsFunc(p.Services["prometheus"].Volumes, func(v types.ServiceVolumeConfig) bool { return v.Target == f }) {
			t.Errorf("rule file %s is not mounted", f)
		}
	}
	var rules struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal([]byte(repoFile(t, "deploy/prometheus/alerts.yml")), &rules); err != nil {
		t.Fatal(err)
	}
	code := goSources(t, ".")
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			checkMetrics(t, code, r.Alert, r.Expr)
		}
	}
}

// checkMetrics wants every metric of an expression to be made by the code: its
// name in one piece, or as subsystem and name.
func checkMetrics(t *testing.T, code, where, expr string) {
	t.Helper()
	for _, metric := range regexp.MustCompile(`hookstream_\w+`).FindAllString(expr, -1) {
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			metric = strings.TrimSuffix(metric, suffix)
		}
		if strings.Contains(code, strconv.Quote(metric)) {
			continue
		}
		subsystem, name, _ := strings.Cut(strings.TrimPrefix(metric, "hookstream_"), "_")
		if !strings.Contains(code, fmt.Sprintf("Subsystem: %q", subsystem)) || !strings.Contains(code, strconv.Quote(name)) {
			t.Errorf("%s: nothing makes the metric %s", where, metric)
		}
	}
}

// Grafana's data sources are the services, and its panels ask for tables,
// columns and metrics that exist.
func TestGrafana(t *testing.T) {
	p := composeProject(t)
	var provisioned struct {
		Datasources []struct {
			UID, URL string
			JSON     struct {
				Host, Username string
				Port           int
			} `yaml:"jsonData"`
		}
	}
	if err := yaml.Unmarshal([]byte(repoFile(t, "deploy/grafana/provisioning/datasources/datasources.yaml")), &provisioned); err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, d := range provisioned.Datasources {
		known[d.UID] = true
		host, port := d.JSON.Host, strconv.Itoa(d.JSON.Port)
		if u, err := url.Parse(d.URL); err == nil && d.URL != "" {
			host, port = u.Hostname(), u.Port()
		}
		if s, there := p.Services[host]; !there || !publishes(s, port) {
			t.Errorf("data source %s is at %s:%s, where no service is", d.UID, host, port)
		}
		if d.JSON.Username != "" && d.JSON.Username != env(t, p.Services["clickhouse"], "CLICKHOUSE_USER") {
			t.Errorf("data source %s logs in as %s", d.UID, d.JSON.Username)
		}
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct {
				Datasource   struct{ UID string }
				RawSQL, Expr string
			}
		}
	}
	if err := json.Unmarshal([]byte(repoFile(t, "deploy/grafana/dashboards/hookstream.json")), &board); err != nil {
		t.Fatal(err)
	}
	code, schema := goSources(t, "."), schemaText(t)
	for _, panel := range board.Panels {
		for _, target := range panel.Targets {
			if !known[target.Datasource.UID] || (target.RawSQL == "") == (target.Expr == "") {
				t.Errorf("%s: data source %s, SQL %q, expression %q", panel.Title, target.Datasource.UID, target.RawSQL, target.Expr)
			}
			checkMetrics(t, code, panel.Title, target.Expr)
			for _, table := range regexp.MustCompile(`hookstream\.\w+`).FindAllString(target.RawSQL, -1) {
				if !regexp.MustCompile(`CREATE (TABLE|VIEW) IF NOT EXISTS ` + table + `\b`).MatchString(schema) {
					t.Errorf("%s: there is no %s", panel.Title, table)
				}
			}
			checkColumns(t, schema, panel.Title, target.RawSQL)
		}
	}
}

func schemaText(t *testing.T) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(top, "schemas/ddl/*.sql"))
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	var b strings.Builder
	for _, n := range names {
		text, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(text)
	}
	return b.String()
}

// checkColumns wants every lower-case word of a query that is no alias of its
// own, no function and no literal to be a word of the schema.
func checkColumns(t *testing.T, schema, where, sql string) {
	t.Helper()
	bare := regexp.MustCompile(`'[^']*'|\$__\w+|\w+\(`).ReplaceAllString(sql, " ")
	aliases := map[string]bool{}
	for _, m := range regexp.MustCompile(`AS (\w+)`).FindAllStringSubmatch(bare, -1) {
		aliases[m[1]] = true
	}
	for _, word := range regexp.MustCompile(`\b[a-z_]\w*\b`).FindAllString(bare, -1) {
		if !aliases[word] && !regexp.MustCompile(`\b`+word+`\b`).MatchString(schema) {
			t.Errorf("%s: %s is no column", where, word)
		}
	}
}
