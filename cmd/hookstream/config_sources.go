package main

// The sources of received webhooks in the configuration: as flags that repeat,
// as one variable, as a list in YAML.

import (
	"fmt"
	"net/netip"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/hookstream/hookstream/inbound"
)

// sourceSeparator parts sources in one text: the environment variable, and
// flags that were given several times.
const sourceSeparator = ";"

func inboundSources(field *[]inbound.Source) value {
	return &scalar[[]inbound.Source]{field, func(s string) ([]inbound.Source, error) {
		var out []inbound.Source
		for one := range strings.SplitSeq(s, sourceSeparator) {
			if strings.TrimSpace(one) == "" {
				continue
			}
			source, err := inbound.ParseSource(one)
			if err != nil {
				return nil, err
			}
			out = append(out, source)
		}
		return out, nil
	}, func(l []inbound.Source) string { return strings.Join(sourceTexts(l), sourceSeparator) }}
}

func sourceTexts(l []inbound.Source) []string {
	texts := make([]string, len(l))
	for i, s := range l {
		texts[i] = s.String()
	}
	return texts
}

// separator is what joins the texts of a flag given several times; empty: the
// last one counts.
func (s *setting) separator() string {
	if _, ok := s.value.(*scalar[[]inbound.Source]); ok {
		return sourceSeparator
	}
	return ""
}

// yamlSources turns a list of sources into the text that a flag takes: an entry
// is such a text or a mapping with name, profile and the options, where secret_env,
// path and allow may be lists.
func yamlSources(val *yaml.Node, name string) (string, error) {
	var out []string
	for _, item := range val.Content {
		if item.Kind == yaml.ScalarNode {
			out = append(out, item.Value)
			continue
		}
		if item.Kind != yaml.MappingNode {
			return "", fmt.Errorf("%s has an entry in line %d that is neither text nor mapping", name, item.Line)
		}
		var head [2]string
		var options []string
		for i := 0; i+1 < len(item.Content); i += 2 {
			key, v := strings.ReplaceAll(item.Content[i].Value, "_", "-"), item.Content[i+1]
			values := []*yaml.Node{v}
			if v.Kind == yaml.SequenceNode {
				values = v.Content
			}
			for _, one := range values {
				switch {
				case one.Kind != yaml.ScalarNode || strings.ContainsAny(one.Value, ",;"):
					return "", fmt.Errorf("%s: %s in line %d is no plain value without , and ;", name, key, one.Line)
				case key == "name":
					head[0] = one.Value
				case key == "profile":
					head[1] = one.Value
				default:
					options = append(options, key+"="+one.Value)
				}
			}
		}
		out = append(out, strings.Join(append([]string{head[0] + "=" + head[1]}, options...), ","))
	}
	return strings.Join(out, sourceSeparator), nil
}

// checkSources says what is wrong with the sources and the trusted proxies.
func (c *Config) checkSources(p *problems) {
	if err := inbound.CheckSources(c.Inbound); err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			p.add("--source: %s", line)
		}
	}
	for _, s := range c.Inbound {
		p.check(s.Topic != "" && (c.ownTopic(s.Topic) || !legalTopic(s.Topic)), "--source: %s has the topic %s, which hookstream itself writes; name one of your own", s.Name, s.Topic)
	}
	for _, text := range c.TrustedProxies {
		if _, err := inbound.ParsePrefix(text); err != nil {
			p.add("--trusted-proxies has %w", err)
		}
	}
}

// proxies are the trusted ones. The configuration was validated.
func (c *Config) proxies() []netip.Prefix {
	var out []netip.Prefix
	for _, text := range c.TrustedProxies {
		if p, err := inbound.ParsePrefix(text); err == nil {
			out = append(out, p)
		}
	}
	return out
}
