package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// someKey is 32 bytes in hex, made of no secret.
const someKey = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

func load(t *testing.T, command string, args []string, environ ...string) *Loaded {
	t.Helper()
	l, err := Load(command, args, environ)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func yamlFile(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "hookstream.yaml")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestPrecedence(t *testing.T) {
	file := yamlFile(t, "slots: 3\nlog_level: debug\ndrain: 7s\nallow-http: true\n")
	l := load(t, cmdServe, []string{"--config", file, "--slots=5"}, "HOOKSTREAM_SLOTS=4", "HOOKSTREAM_DRAIN=9s", "HOOKSTREAM_ALLOW_HTTP=false")
	c := l.Config
	if c.Slots != 5 || c.Drain != 9*time.Second || c.LogLevel != slog.LevelDebug || c.AllowHTTP {
		t.Errorf("slots %d, drain %v, level %v, allow http %v", c.Slots, c.Drain, c.LogLevel, c.AllowHTTP)
	}
	for name, want := range map[string]string{"slots": "flag --slots", "drain": "environment HOOKSTREAM_DRAIN", "log-level": "file " + file + ":2", "listen": ""} {
		if l.From[name] != want {
			t.Errorf("%s is from %q, want %q", name, l.From[name], want)
		}
	}
	if len(l.Warnings) != 0 {
		t.Error(l.Warnings)
	}
}

func TestBooleansTakeFalse(t *testing.T) {
	for _, c := range []struct {
		args []string
		want bool
	}{{nil, true}, {[]string{"--allow-private"}, true}, {[]string{"--allow-private=false"}, false}, {[]string{"--allow-private=true"}, true}} {
		if got := load(t, cmdDev, c.args).Config.AllowPrivate; got != c.want {
			t.Errorf("dev %v: %v", c.args, got)
		}
	}
}

func TestFlagsStandAnywhere(t *testing.T) {
	l := load(t, cmdTopics, []string{"create", "--brokers", "a:1, b:2", "--", "--slots"})
	if !slices.Equal(l.Args, []string{"create", "--slots"}) || !slices.Equal(l.Config.Brokers, []string{"a:1", "b:2"}) {
		t.Errorf("args %q, brokers %q", l.Args, l.Config.Brokers)
	}
}

func TestEventTopics(t *testing.T) {
	file := yamlFile(t, `event_topics:
  - orders
  - topic: payments
    format: raw
    type_header: kind
    key: true
`)
	got := load(t, cmdServe, []string{"--config", file}).Config.EventTopics
	want := []schemas.EventSource{{Topic: "orders", Format: "envelope"}, {Topic: "payments", Format: "raw", TypeHeader: "kind", Key: true}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	over := load(t, cmdServe, []string{"--config", file, "--event-topics", "x,y"}).Config
	if len(over.EventTopics) != 2 || over.EventTopics[1].Topic != "y" {
		t.Errorf("flag over file: %+v", over.EventTopics)
	}
	if s := over.Sources(); len(s) != 3 || s[0].Topic != "hookstream.events" {
		t.Errorf("sources: %+v", s)
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct {
		name, command string
		args          []string
		yaml, env     string
		want          string
	}{
		{"unknown flag", cmdServe, []string{"--slotz", "3"}, "", "", "--slotz is no flag"},
		{"flag of another command", cmdServe, []string{"--demo"}, "", "", "--demo is no flag of hookstream serve but of dev"},
		{"flag without value", cmdServe, []string{"--slots"}, "", "", "needs an argument"},
		{"no number", cmdServe, []string{"--slots", "many"}, "", "", `--slots is "many"; give a whole number`},
		{"no boolean", cmdServe, []string{"--allow-http=maybe"}, "", "", `--allow-http is "maybe"; use true or false`},
		{"no duration", cmdServe, nil, "", "HOOKSTREAM_DRAIN=5", `HOOKSTREAM_DRAIN is "5"; give a duration`},
		{"no role", cmdServe, []string{"--roles", "api,web"}, "", "", `--roles names "web"; the roles are api,`},
		{"no size", cmdServe, []string{"--data-limit", "12 apples"}, "", "", "--data-limit is"},
		{"size overflows", cmdServe, []string{"--data-limit", "9999999999GiB"}, "", "", "--data-limit is"},
		{"no mechanism", cmdServe, []string{"--kafka-sasl", "GSSAPI"}, "", "", "use PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"},
		{"unknown key", cmdServe, nil, "listen: :1\nslotz: 3\n", "", ":2: slotz is no setting"},
		{"key twice", cmdServe, nil, "topic_prefix: a\ntopic-prefix: b\n", "", "is set already in line 1"},
		{"nested key", cmdServe, nil, "slots:\n  a: 1\n", "", "write one value"},
		{"two documents", cmdServe, nil, "slots: 1\n---\nslots: 2\n", "", "more than one YAML document"},
		{"no mapping", cmdServe, nil, "- slots\n", "", "is no mapping"},
		{"unknown field of a topic", cmdServe, nil, "event_topics:\n- topic: a\n  fromat: raw\n", "", "field fromat not found"},
		{"mask as secret", cmdServe, nil, "api_key: '********'\n", "", "is the mask"},
		{"file missing", cmdServe, []string{"--config", "/nowhere/x.yaml"}, "", "", "name a YAML file that exists"},
		{"file named in file", cmdServe, nil, "config: x\n", "", "config is no setting"},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := c.args
			if c.yaml != "" {
				args = append([]string{"--config", yamlFile(t, c.yaml)}, args...)
			}
			_, err := Load(c.command, args, []string{c.env})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestHelpIsNoError(t *testing.T) {
	if _, err := Load(cmdServe, []string{"--help"}, nil); !errors.Is(err, flag.ErrHelp) {
		t.Error(err)
	}
}

func TestUnknownVariablesAreNamed(t *testing.T) {
	l := load(t, cmdServe, nil, "HOOKSTREAM_SLOTZ=1", "HOOKSTREAM_DEMO=true", "HOOKSTREAM_CHDB_LIB=/x", "HOOKSTREAM_TEST_BROKERS=a:1",
		"HOOKSTREAM_SERVICE_HOST=10.0.0.1", "HOOKSTREAM_PORT_8080_TCP=tcp", "OTHER=1", "HOOKSTREAM_INSTANCE=")
	if len(l.Warnings) != 1 || !strings.Contains(l.Warnings[0], "HOOKSTREAM_SLOTZ") {
		t.Error(l.Warnings)
	}
	if l.From["instance"] != "" {
		t.Error("an empty variable counts as set")
	}
}

func TestValidate(t *testing.T) {
	good := []string{"--brokers=k:9092", "--clickhouse=clickhouse://u:p@h:9000/db", "--api-key=0123456789abcdef", "--master-key=" + someKey}
	if err := load(t, cmdServe, good).Config.Validate(cmdServe); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(t.TempDir(), "missing")
	for _, c := range []struct {
		command string
		args    []string
		want    string // empty: valid
	}{
		{cmdDev, nil, ""},
		{cmdDev, []string{"--no-clickhouse", "--clickhouse="}, ""},
		{cmdDev, []string{"--clickhouse", "clickhouse://h"}, "--clickhouse has the port"},
		{cmdDev, []string{"--kafka", "9092"}, "--kafka is"},
		{cmdListen, nil, ""},
		{cmdClickHouse, nil, ""},
		{cmdProduce, nil, ""},
		{cmdTopics, nil, "--brokers is missing"},
		{cmdServe, append(good, "--brokers", ""), "--brokers is missing"},
		{cmdServe, append(good, "--brokers", "k"), "give HOST:PORT"},
		{cmdServe, append(good, "--clickhouse", ""), "--no-clickhouse"},
		{cmdServe, append(good, "--clickhouse", "", "--no-clickhouse"), ""},
		{cmdServe, append(good, "--clickhouse", "", "--roles", "dispatch,mover"), ""},
		{cmdServe, append(good, "--clickhouse", "ftp://u:hush@h"), "--clickhouse is no clickhouse://"},
		{cmdServe, append(good, "--no-clickhouse", "--roles", "sink"), "--roles sink"},
		{cmdServe, append(good, "--api-key", ""), "--api-key is missing"},
		{cmdServe, append(good, "--api-key", "", "--roles", "sink"), ""},
		{cmdServe, append(good, "--api-key", "hush"), "--api-key is shorter than 16"},
		{cmdServe, append(good, "--api-key", "hush hush hush hush"), "--api-key has blanks"},
		{cmdServe, append(good, "--master-key", "hush"), "--master-key: master key 1: is not 32 bytes"},
		{cmdServe, append(good, "--master-key", "", "--roles", "mover,sink"), ""},
		{cmdServe, append(good, "--kafka-sasl", "plain"), "needs --kafka-user"},
		{cmdServe, append(good, "--kafka-user", "x"), "need --kafka-sasl"},
		{cmdServe, append(good, "--kafka-ca", "x.pem"), "need --kafka-tls"},
		{cmdServe, append(good, "--kafka-tls", "--kafka-ca", missing), "name a PEM file"},
		{cmdServe, append(good, "--kafka-tls", "--kafka-cert", "x"), "go together"},
		{cmdServe, append(good, "--clickhouse-key", "x"), "go together"},
		{cmdServe, append(good, "--topic-prefix", "a b"), "--topic-prefix is"},
		{cmdServe, append(good, "--event-topics", "a,a"), "names a twice"},
		{cmdServe, append(good, "--event-topics", "hookstream.dead"), "hookstream itself writes"},
		{cmdServe, append(good, "--min-isr", "2"), "--min-isr is 2"},
		{cmdServe, append(good, "--slots", "0"), "--slots is 0"},
		{cmdServe, append(good, "--slots", "4"), ""},
		{cmdServe, append(good, "--breaker-ratio", "50"), "--breaker-ratio is 50"},
		{cmdServe, append(good, "--breaker-max-cooldown", "1s"), "--breaker-max-cooldown"},
		{cmdServe, append(good, "--profiles", missing), "--profiles"},
		{cmdServe, append(good, "--concurrency", "0"), "--concurrency is 0"},
		{cmdListen, []string{"--fail-rate", "2"}, "--fail-rate is 2"},
		{cmdListen, []string{"--status", "99"}, "--status is 99"},
	} {
		err := load(t, c.command, c.args).Config.Validate(c.command)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s %v: %v", c.command, c.args, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s %v: error %v, want %q in it", c.command, c.args, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "hush") {
			t.Errorf("a secret is repeated: %v", err)
		}
	}
}

// Every default passes the topology's own check.
func TestTopologies(t *testing.T) {
	for _, args := range [][]string{nil, {"--slots", "4"}, {"--slots", "1"}} {
		c := load(t, cmdServe, args).Config
		if err := c.Topology().Validate(); err != nil {
			t.Error(args, err)
		}
	}
	c := Default(cmdDev)
	if got, want := c.DevTopology(), schemas.DevTopology(); got != want {
		t.Errorf("dev: %+v, want %+v", got, want)
	}
	serve := Default(cmdServe)
	if got, want := serve.Topology(), schemas.DefaultTopology(); got != want {
		t.Errorf("serve: %+v, want %+v", got, want)
	}
	if got, want := serve.Sources()[0].Topic, serve.Topology().EventsTopic(); got != want {
		t.Errorf("first source %s, want %s", got, want)
	}
}

// Keys are rotated by putting a new one in front of those that sealed before.
func TestMasterKeysAreAList(t *testing.T) {
	raw, _ := hex.DecodeString(someKey)
	other := strings.Repeat("ab", 32)
	for _, s := range []string{someKey, strings.ToUpper(someKey), base64.StdEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw), " " + someKey + "\n",
		other + "," + someKey, other + ", " + base64.StdEncoding.EncodeToString(raw)} {
		c := load(t, cmdServe, []string{"--brokers=k:9092", "--no-clickhouse", "--api-key=0123456789abcdef"}, "HOOKSTREAM_MASTER_KEY="+s).Config
		if err := c.Validate(cmdServe); err != nil {
			t.Errorf("%q is refused: %v", s, err)
		}
		if err := c.Validate(cmdDev); err != nil {
			t.Errorf("dev: %q is refused: %v", s, err)
		}
	}
	for s, want := range map[string]string{
		"":                      "--master-key is missing; make one with: openssl rand -hex 32",
		"hush":                  "--master-key: master key 1: is not 32 bytes",
		someKey + ",hush":       "--master-key: master key 2: is not 32 bytes",
		someKey + ",":           "--master-key: master key 2 is empty",
		someKey + "," + someKey: "--master-key: master key 2 is there twice",
	} {
		c := load(t, cmdServe, []string{"--brokers=k:9092", "--no-clickhouse", "--api-key=0123456789abcdef"}, "HOOKSTREAM_MASTER_KEY="+s).Config
		err := c.Validate(cmdServe)
		switch {
		case err == nil:
			t.Errorf("%q is accepted", s)
		case !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), someKey):
			t.Errorf("%q: %v; want %q and no key", s, err, want)
		case s != "" && !strings.Contains(err.Error(), "with commas between them"):
			t.Errorf("%q: %v; the cure is missing", s, err)
		}
	}
}

// What config shows is read back as the same configuration, but for secrets.
func TestShowReadsBack(t *testing.T) {
	args := []string{"--brokers=a:1,b:2", "--roles=sink,api", "--event-topics=x", "--data-limit=512KiB", "--breaker-ratio=0.25", "--no-clickhouse",
		"--instance=on: the # edge", "--log-level=warn", "--kafka-password=hush1", "--api-key=hush2", "--master-key=hush3", "--clickhouse=clickhouse://u:hush4@h:9000/d?password=hush5&x=1"}
	l := load(t, cmdServe, args)
	var out bytes.Buffer
	if err := l.Show(&out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "hush") {
		t.Errorf("a secret is shown:\n%s", out.String())
	}
	for _, want := range []string{"slots: 64 # default\n", "data_limit: 512KiB # flag --data-limit\n", "brokers: ['a:1', 'b:2'] # flag --brokers\n", "api_key: '********' # flag --api-key\n"} {
		if !strings.Contains(strings.ReplaceAll(out.String(), `"`, `'`), want) {
			t.Errorf("%q is not in:\n%s", want, out.String())
		}
	}
	unmasked := regexp.MustCompile(`(?m)^(api_key|master_key|kafka_password|clickhouse): .*\n`).ReplaceAllString(out.String(), "")
	back := load(t, cmdServe, []string{"--config", yamlFile(t, unmasked)}).Config
	want := l.Config
	want.APIKey, want.MasterKey, want.KafkaPassword, want.ClickHouse, want.File = "", "", "", "", back.File
	if !reflect.DeepEqual(back, want) {
		t.Errorf("read back:\n%+v\nwant\n%+v", back, want)
	}
}

// Every field of Config has exactly one setting, and names don't repeat.
func TestSettingsCoverConfig(t *testing.T) {
	var c Config
	fields := map[uintptr]string{}
	var walk func(v reflect.Value, path string)
	walk = func(v reflect.Value, path string) {
		for i := range v.NumField() {
			f, name := v.Field(i), path+v.Type().Field(i).Name
			if f.Kind() == reflect.Struct {
				walk(f, name+".")
				continue
			}
			fields[f.Addr().Pointer()] = name
		}
	}
	walk(reflect.ValueOf(&c).Elem(), "")
	names := map[string]bool{}
	for _, s := range settings(&c) {
		if names[s.name] {
			t.Errorf("--%s is there twice", s.name)
		}
		names[s.name] = true
		at := reflect.ValueOf(s.value).Elem().FieldByName("field").Pointer()
		if fields[at] == "" {
			t.Errorf("--%s sets no field of its own", s.name)
		}
		delete(fields, at)
		if s.help == "" || len(s.commands) == 0 || (s.arg == "") != s.isBool() {
			t.Errorf("--%s: help %q, commands %v, placeholder %q", s.name, s.help, s.commands, s.arg)
		}
	}
	for _, f := range fields {
		t.Errorf("Config.%s has no setting", f)
	}
}

// The flags that others run against are there.
func TestFixedFlags(t *testing.T) {
	var c Config
	for command, names := range map[string]string{
		cmdDev:        "listen kafka clickhouse data api-key demo no-clickhouse allow-private allow-http config profiles event-topics instance",
		cmdServe:      "brokers clickhouse roles listen data instance api-key master-key allow-private allow-http config profiles event-topics no-clickhouse",
		cmdListen:     "profile secret status latency fail-rate listen",
		cmdClickHouse: "listen data",
	} {
		for name := range strings.FieldsSeq(names) {
			if !slices.ContainsFunc(settings(&c), func(s *setting) bool { return s.name == name && s.takenBy(command) }) {
				t.Errorf("%s does not take --%s", command, name)
			}
		}
	}
}

func runLine(t *testing.T, b Bodies, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(context.Background(), args, nil, strings.NewReader(""), &o, &e, b)
	return code, o.String(), e.String()
}

func TestRun(t *testing.T) {
	var got Invocation
	b := Bodies{
		Dev:     func(_ context.Context, inv Invocation) error { got = inv; return nil },
		Produce: func(context.Context, Invocation) error { return errors.New("appending: broken\nsecond") },
		Serve:   func(context.Context, Invocation) error { return nil },
	}
	serve := []string{"serve", "--brokers=k:9092", "--roles=mover"}
	for _, c := range []struct {
		args     []string
		code     int
		out, err string
	}{
		{nil, 0, "Usage: hookstream COMMAND", ""},
		{[]string{"help"}, 0, "listen", ""},
		{[]string{"--help"}, 0, "Commands:", ""},
		{[]string{"help", "serve"}, 0, "--kafka-sasl MECHANISM", ""},
		{[]string{"serve", "-h"}, 0, "Examples:", ""},
		{[]string{"help", "config"}, 0, "--demo", ""},
		{[]string{"help", "nope"}, 2, "", "is no command"},
		{[]string{"version"}, 0, "hookstream ", ""},
		{[]string{"nope"}, 2, "", `"nope" is no command`},
		{[]string{"dev", "--slots=2"}, 0, "", ""},
		{[]string{"dev", "extra"}, 2, "", `takes no argument "extra"`},
		{[]string{"dev", "--slots=0"}, 2, "", "--slots is 0"},
		{serve, 0, "", ""},
		{[]string{"serve"}, 2, "", "hookstream: --api-key is missing"},
		{[]string{"produce", "-"}, 1, "", "hookstream: appending: broken\nhookstream: second\n"},
		{[]string{"clickhouse"}, 1, "", "not part of this binary"},
		{[]string{"config", "dev", "--slots=8"}, 0, "slots: 8 # flag --slots", ""},
		{[]string{"config"}, 2, "slots: 64 # default", "--brokers is missing"},
		{[]string{"config", "help"}, 2, "", "has no configuration"},
		{[]string{"topics", "--brokers=k:9092"}, 2, "", "takes create or check"},
	} {
		code, out, errs := runLine(t, b, c.args...)
		if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(errs, c.err) || (c.err == "" && errs != "") {
			t.Errorf("%v: code %d\n%s\n%s", c.args, code, out, errs)
		}
	}
	if got.Config.Slots != 2 {
		t.Errorf("dev got %+v", got.Config)
	}
}

// A signal is a good end; a failure beside it is not.
func TestRunWhenContextEnds(t *testing.T) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	wrapped := fmt.Errorf("running api: %w", context.Canceled)
	for _, c := range []struct {
		ctx  context.Context
		err  error
		code int
	}{
		{ended, wrapped, exitOK},
		{ended, errors.Join(wrapped, context.Canceled), exitOK},
		{ended, errors.Join(wrapped, errors.New("lost")), exitFailed},
		{context.Background(), wrapped, exitFailed},
	} {
		b := Bodies{Dev: func(context.Context, Invocation) error { return c.err }}
		if got := run(c.ctx, []string{"dev"}, nil, nil, io.Discard, io.Discard, b); got != c.code {
			t.Errorf("%v: code %d, want %d", c.err, got, c.code)
		}
	}
}
