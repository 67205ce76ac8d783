package main

// Showing the effective configuration: YAML that --config takes again, secrets
// masked, and behind each value where it came from.

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/hookstream/hookstream/inbound"
	"github.com/hookstream/hookstream/schemas"
)

// mask stands for a secret wherever one is shown.
const mask = "********"

// runConfig is the command "config": whose configuration, then flags.
func runConfig(out, errw io.Writer, tree []command, args, environ []string) error {
	name := cmdServe
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		name, args = args[0], args[1:]
	}
	c := find(tree, name)
	if c == nil || c.plain {
		return Usage("%q has no configuration; name one of dev, serve, produce, listen, topics, clickhouse", name)
	}
	loaded, err := Load(name, args, environ)
	if errors.Is(err, flag.ErrHelp) {
		return find(tree, cmdConfig).printHelp(out)
	}
	if err != nil {
		return &usageError{err.Error()}
	}
	streams{err: errw}.warn(loaded)
	if err := loaded.Show(out); err != nil {
		return err
	}
	if err := loaded.Config.Validate(name); err != nil {
		return &usageError{err.Error()}
	}
	return nil
}

// Show writes the settings of the command. Only the masks in it have to be
// replaced before --config takes it.
func (l *Loaded) Show(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# hookstream %s\n", l.Command)
	for _, s := range settings(&l.Config) {
		if s.name == "config" || !s.takenBy(l.Command) {
			continue
		}
		from := l.From[s.name]
		if from == "" {
			from = "default"
		}
		shown, err := l.yamlOf(s)
		if err != nil {
			return fmt.Errorf("showing %s: %w", s.Key(), err)
		}
		key, rest, many := strings.Cut(shown, "\n")
		fmt.Fprintf(&b, "%s # %s\n", key, from)
		if many && rest != "" {
			b.WriteString(rest)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// yamlOf is one setting as YAML, its key in the first line.
func (l *Loaded) yamlOf(s *setting) (string, error) {
	var v any
	switch val := s.value.(type) {
	case *boolValue:
		v = *val.field
	case *scalar[int]:
		v = *val.field
	case *scalar[float64]:
		v = *val.field
	case *scalar[[]string]:
		v = flow(*val.field)
	case *scalar[[]inbound.Source]:
		v = flow(sourceTexts(*val.field))
	case *scalar[[]schemas.EventSource]:
		v = nonNil(*val.field)
	default:
		v = s.value.String()
	}
	switch {
	case s.secret && s.value.String() != "":
		v = mask
	case s.name == "clickhouse":
		v = maskAddress(l.Config.ClickHouse)
	}
	b, err := yaml.Marshal(map[string]any{s.Key(): v})
	return string(b), err
}

func nonNil(l []schemas.EventSource) []schemas.EventSource {
	return append([]schemas.EventSource{}, l...)
}

// flow writes a list in one line.
func flow(l []string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, s := range l {
		n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s})
	}
	return n
}

// maskAddress hides the passwords that a ClickHouse address may hold, in its
// user part and in its query.
func maskAddress(addr string) string {
	u, err := url.Parse(addr)
	if err != nil || u.Host == "" {
		if strings.ContainsAny(addr, "@?") {
			return mask
		}
		return addr
	}
	if _, has := u.User.Password(); has {
		u.User = url.UserPassword(u.User.Username(), mask)
	}
	q := u.Query()
	if q.Has("password") {
		q.Set("password", mask)
		u.RawQuery = q.Encode()
	}
	return strings.ReplaceAll(u.String(), url.QueryEscape(mask), mask)
}
