package main

// The YAML file: one flat mapping whose keys are the flags, with _ or -. A key
// that no command knows is refused; one that belongs to another command is
// passed over, so that one file serves several processes.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/hookstream/hookstream/schemas"
)

func (l *Loaded) readYAML(all []*setting, file string, b []byte) error {
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(b))
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil // an empty file sets nothing
	case err != nil:
		return fmt.Errorf("%s: %w", file, err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: has more than one YAML document; keep the first", file)
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil
	}
	if root.Kind != yaml.MappingNode {
		return fmt.Errorf("%s:%d: is no mapping; write lines such as: listen: 127.0.0.1:8080", file, root.Line)
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, val := root.Content[i], root.Content[i+1]
		at := fmt.Sprintf("%s:%d", file, key.Line)
		s := byKey(all, key.Value)
		if s == nil || s.name == "config" {
			return fmt.Errorf("%s: %s is no setting; see: hookstream help config", at, key.Value)
		}
		if line, twice := seen[s.name]; twice {
			return fmt.Errorf("%s: %s is set already in line %d; keep one of the two", at, key.Value, line)
		}
		seen[s.name] = key.Line
		if !s.takenBy(l.Command) {
			continue
		}
		if err := l.setYAML(s, val, at+": "+key.Value, "file "+at); err != nil {
			return err
		}
	}
	return nil
}

func byKey(all []*setting, key string) *setting {
	flagName := strings.ReplaceAll(key, "_", "-")
	for _, s := range all {
		if s.name == flagName {
			return s
		}
	}
	return nil
}

// setYAML gives a setting the value of a node: a scalar, a list of scalars, or
// for event_topics a list of names and mappings.
func (l *Loaded) setYAML(s *setting, val *yaml.Node, name, from string) error {
	for val.Kind == yaml.AliasNode {
		val = val.Alias
	}
	if topics, ok := s.value.(*scalar[[]schemas.EventSource]); ok && val.Kind == yaml.SequenceNode {
		list, err := eventTopics(val, name)
		if err != nil {
			return err
		}
		*topics.field = list
		l.From[s.name] = from
		return nil
	}
	if s.separator() != "" && val.Kind == yaml.SequenceNode {
		text, err := yamlSources(val, name)
		if err != nil {
			return err
		}
		return l.set(s, text, name, from)
	}
	switch {
	case val.Kind == yaml.ScalarNode && val.Tag == "!!null":
		return nil // a key without a value leaves the default
	case val.Kind == yaml.ScalarNode:
		return l.set(s, val.Value, name, from)
	case val.Kind == yaml.SequenceNode && s.isList():
		parts := make([]string, len(val.Content))
		for i, item := range val.Content {
			if item.Kind != yaml.ScalarNode {
				return fmt.Errorf("%s has an entry that is no plain value in line %d; write one value an entry", name, item.Line)
			}
			parts[i] = item.Value
		}
		return l.set(s, strings.Join(parts, ","), name, from)
	default:
		return fmt.Errorf("%s is a list or mapping; write one value", name)
	}
}

func (s *setting) isList() bool { _, ok := s.value.(*scalar[[]string]); return ok }

// eventTopics reads users' own topics: a name alone, or a mapping with its
// format.
func eventTopics(val *yaml.Node, name string) ([]schemas.EventSource, error) {
	out := make([]schemas.EventSource, 0, len(val.Content))
	for _, item := range val.Content {
		source := schemas.EventSource{Format: schemas.FormatEnvelope}
		if item.Kind == yaml.ScalarNode {
			source.Topic = item.Value
			out = append(out, source)
			continue
		}
		// KnownFields works on bytes only, so the entry is written out and read again.
		b, err := yaml.Marshal(item)
		if err != nil {
			return nil, fmt.Errorf("%s: reading line %d: %w", name, item.Line, err)
		}
		dec := yaml.NewDecoder(bytes.NewReader(b))
		dec.KnownFields(true)
		if err := dec.Decode(&source); err != nil {
			return nil, fmt.Errorf("%s: entry in line %d: %s; the fields are topic, format, type, type_header, tenant, tenant_header, id_header, key",
				name, item.Line, strings.TrimPrefix(err.Error(), "yaml: "))
		}
		out = append(out, source)
	}
	return out, nil
}
