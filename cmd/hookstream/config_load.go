package main

// Loading fills a Config from defaults, the YAML file, the environment and the
// flags, each standing over the one before, and remembers where every value
// came from.

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// Loaded is a command's configuration, not validated yet.
type Loaded struct {
	Config   Config
	Command  string
	Args     []string          // what stood on the command line beside flags
	From     map[string]string // setting name → where its value came from; absent: default
	Warnings []string          // what was ignored, one sentence each
}

// Load reads the configuration of a command. The error names the flag,
// variable or key, and the cure; it is flag.ErrHelp when help was asked for.
// More are flags that are no settings, such as those of a verb.
func Load(command string, args, environ []string, more ...func(*flag.FlagSet)) (*Loaded, error) {
	l := &Loaded{Command: command, Config: Default(command), From: map[string]string{}}
	all := settings(&l.Config)
	given, err := l.scan(all, args, more)
	if err != nil {
		return nil, err
	}
	env := environment(environ)
	if err := l.findFile(given, env); err != nil {
		return nil, err
	}
	if l.Config.File != "" {
		if err := l.readFile(all); err != nil {
			return nil, err
		}
	}
	for _, s := range all {
		if v, ok := env[s.Env()]; ok && s.takenBy(command) && s.name != "config" {
			if err := l.set(s, v, s.Env(), "environment "+s.Env()); err != nil {
				return nil, err
			}
		}
		if v, ok := given[s.name]; ok && s.name != "config" {
			if err := l.set(s, v, "--"+s.name, "flag --"+s.name); err != nil {
				return nil, err
			}
		}
	}
	l.Warnings = append(l.Warnings, unknownVariables(all, env)...)
	return l, nil
}

// set gives a setting its text. The error repeats the text of secrets nowhere.
func (l *Loaded) set(s *setting, v, name, from string) error {
	if s.secret && v == mask {
		return fmt.Errorf("%s is the mask %q of a shown configuration; give the secret itself", name, mask)
	}
	if err := s.value.Set(v); err != nil {
		return fmt.Errorf("%s %w", name, err)
	}
	l.From[s.name] = from
	return nil
}

// raw collects a flag's text; it is parsed later, in order of precedence.
type raw struct {
	name  string
	bool  bool
	join  string // parts the texts of a flag that may be repeated; empty: the last one counts
	given map[string]string
}

func (r raw) Set(s string) error {
	if before, again := r.given[r.name]; again && r.join != "" {
		s = before + r.join + s
	}
	r.given[r.name] = s
	return nil
}
func (r raw) String() string   { return "" }
func (r raw) IsBoolFlag() bool { return r.bool }

// scan reads the command line: flags may stand before and after arguments, and
// -- ends them.
func (l *Loaded) scan(all []*setting, args []string, more []func(*flag.FlagSet)) (map[string]string, error) {
	given := map[string]string{}
	fs := flag.NewFlagSet(l.Command, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	for _, s := range all {
		if s.takenBy(l.Command) {
			fs.Var(raw{s.name, s.isBool(), s.separator(), given}, s.name, s.help)
		}
	}
	for _, define := range more {
		if define != nil {
			define(fs)
		}
	}
	for {
		if err := fs.Parse(args); err != nil {
			return nil, l.explain(all, err)
		}
		rest := fs.Args()
		if len(rest) == 0 {
			return given, nil
		}
		if read := len(args) - len(rest); read > 0 && args[read-1] == "--" {
			l.Args = append(l.Args, rest...)
			return given, nil
		}
		l.Args = append(l.Args, rest[0])
		args = rest[1:]
	}
}

// explain turns the flag package's words for an unknown flag into ones with a
// cure.
func (l *Loaded) explain(all []*setting, err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return err
	}
	name, unknown := strings.CutPrefix(err.Error(), "flag provided but not defined: -")
	if !unknown {
		return fmt.Errorf("%w; see: hookstream help %s", err, l.Command)
	}
	name = strings.TrimLeft(name, "-")
	for _, s := range all {
		if s.name == name {
			return fmt.Errorf("--%s is no flag of hookstream %s but of %s; see: hookstream help %s", name, l.Command, strings.Join(s.commands, ", "), l.Command)
		}
	}
	return fmt.Errorf("--%s is no flag; see: hookstream help %s", name, l.Command)
}

// environment is the HOOKSTREAM_ part of the process environment. An empty
// variable counts as absent, as compose files and charts leave them.
func environment(environ []string) map[string]string {
	env := map[string]string{}
	for _, kv := range environ {
		if k, v, ok := strings.Cut(kv, "="); ok && v != "" && strings.HasPrefix(k, envPrefix) {
			env[k] = v
		}
	}
	return env
}

// findFile takes the file's name from flag or environment.
func (l *Loaded) findFile(given, env map[string]string) error {
	if v, ok := given["config"]; ok {
		l.Config.File, l.From["config"] = v, "flag --config"
	} else if v, ok := env[envPrefix+"CONFIG"]; ok {
		l.Config.File, l.From["config"] = v, "environment "+envPrefix+"CONFIG"
	} else {
		return nil
	}
	if l.Config.File == "" {
		return errors.New("--config is empty; name a YAML file or leave it out")
	}
	return nil
}

func (l *Loaded) readFile(all []*setting) error {
	b, err := os.ReadFile(l.Config.File)
	if err != nil {
		return fmt.Errorf("--config: %w; name a YAML file that exists", err)
	}
	return l.readYAML(all, l.Config.File, b)
}

// otherVariables are read outside of the settings: where the engine's library
// lies, and what the tests take.
func otherVariables() []string { return []string{"CHDB_LIB", "TEST_"} }

// unknownVariables are warned of, not refused: other software may own the
// name. Kubernetes makes HOOKSTREAM_SERVICE_… and HOOKSTREAM_PORT… for a
// service named hookstream; those are passed over.
func unknownVariables(all []*setting, env map[string]string) []string {
	var out []string
	for k := range env {
		name := strings.TrimPrefix(k, envPrefix)
		known := slices.ContainsFunc(all, func(s *setting) bool { return s.Env() == k }) ||
			slices.ContainsFunc(otherVariables(), func(p string) bool { return strings.HasPrefix(name, p) }) ||
			strings.HasPrefix(name, "SERVICE_") || name == "PORT" || strings.HasPrefix(name, "PORT_")
		if !known {
			out = append(out, "environment variable "+k+" is no setting and was ignored; see: hookstream help config")
		}
	}
	slices.Sort(out)
	return out
}
