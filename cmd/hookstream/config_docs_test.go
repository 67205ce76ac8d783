package main

// The documents against the code: the table of settings, and every command
// line that help and README show.

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// settingsTable is docs/configuration.md as the code has it.
func settingsTable() string {
	var b strings.Builder
	b.WriteString(`# Configuration

Every setting is a flag, an environment variable and a key of the YAML file that
` + "`--config`" + ` names. A flag stands over the environment, the environment over the
file, the file over the default. In the file the keys are the flags with ` + "`_`" + ` or
` + "`-`" + `. Booleans take ` + "`=false`" + `. ` + "`hookstream config`" + ` shows what is in effect and
where each value came from, secrets masked.

An unknown flag or key is refused; an unknown ` + "`HOOKSTREAM_`" + ` variable is warned of.
Secrets belong into the environment: command lines are seen by everybody on the
machine.

| flag | variable | taken by | default | what |
|---|---|---|---|---|
`)
	serve, dev := Default(cmdServe), Default(cmdDev)
	devSettings := settings(&dev)
	for i, s := range settings(&serve) {
		def := s.value.String()
		if d := devSettings[i].value.String(); s.takenBy(cmdDev) && d != def {
			def = strings.TrimPrefix(def+"; dev: "+d, "; ")
			if !s.takenBy(cmdServe) {
				def = d
			}
		}
		name := "`--" + s.name + "`"
		if s.arg != "" {
			name = "`--" + s.name + " " + s.arg + "`"
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s | %s |\n", name, s.Env(), strings.Join(s.commands, ", "), def, s.help)
	}
	b.WriteString(`
## Your own topics

In the file, ` + "`event_topics`" + ` is a list; an entry is a name or a mapping:

` + "```yaml" + `
event_topics:
  - orders                    # JSON envelopes or CloudEvents
  - topic: payments
    format: raw               # the value is the data
    type_header: kind         # or a fixed one: type: payment.made
    tenant_header: account    # or a fixed one: tenant: acme
    id_header: message-id     # without it, the id is made from the record's position
    key: true                 # the record's key is the ordering key
` + "```" + `

## Received webhooks

A source is a sender whose webhooks are received, at ` + "`/in/NAME`" + ` and at the paths
that it names. On the command line the flag repeats; in the variable sources are
parted by ` + "`;`" + `; in the file ` + "`source`" + ` is a list of such texts or of mappings. All
processes with the role ` + "`inbound`" + ` need the same sources.

` + "```yaml" + `
source:
  - cv=smartcv,secret-env=SMARTCV_SECRET,path=/webhooks/smartcv
  - name: interviews
    profile: aiinterview
    secret_env: WEBHOOK_SECRET   # a variable; two secrets in it, parted by a comma, while one replaces the other
    path: [/webhooks/ai-interview, /webhooks]
    tenant: acme
    topic: webhooks              # instead of hookstream.inbound
    answers: json                # a variant of the profile's answers
    allow: [203.0.113.0/24]      # who may send
    rate: 50                     # requests a second to each process, bursts of twice that; more get 429
    https: required              # by the connection, or by the word of --trusted-proxies
` + "```" + `
`)
	return b.String()
}

// To write the file anew: HOOKSTREAM_TEST_UPDATE=1 go test ./cmd/hookstream -run TestConfigurationDocument
func TestConfigurationDocument(t *testing.T) {
	name := filepath.Join(top, "docs/configuration.md")
	want := settingsTable()
	if os.Getenv("HOOKSTREAM_TEST_UPDATE") != "" {
		if err := os.WriteFile(name, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil || string(got) != want {
		t.Errorf("docs/configuration.md is not what the settings are (%v); write it anew with HOOKSTREAM_TEST_UPDATE=1", err)
	}
	block := want[strings.Index(want, "```yaml\n")+len("```yaml\n"):]
	block = block[:strings.Index(block, "```")]
	c := load(t, cmdServe, []string{"--config", yamlFile(t, block)}).Config
	for _, s := range c.EventTopics {
		if err := s.Validate(); err != nil {
			t.Error(err)
		}
	}
	if len(c.EventTopics) != 2 {
		t.Errorf("the example has %d topics", len(c.EventTopics))
	}
}

// Every command line that help and README show is one that is taken.
func TestExamplesAreTaken(t *testing.T) {
	tree := commands(Bodies{})
	var lines []string
	for _, c := range tree {
		lines = append(lines, c.examples...)
	}
	readme := repoFile(t, "README.md")
	for _, m := range regexp.MustCompile(`(?m)^(?:.* )?(?:bin/)?(hookstream [a-z].*)$`).FindAllStringSubmatch(codeBlocks(readme), -1) {
		lines = append(lines, m[1])
	}
	if len(lines) < 20 {
		t.Errorf("only %d command lines found", len(lines))
	}
	for _, line := range lines {
		at := strings.Index(line, "hookstream ")
		before, _, _ := strings.Cut(line[at:], "|")
		words := strings.Fields(before)[1:]
		for i, w := range words {
			if strings.HasPrefix(w, "#") {
				words = words[:i] // a comment
				break
			}
		}
		command := find(tree, words[0])
		if command == nil {
			t.Errorf("%s: there is no such command", line)
			continue
		}
		args, name := words[1:], command.name
		if name == cmdConfig && len(args) > 0 && !strings.HasPrefix(args[0], "-") {
			name, args = args[0], args[1:]
		} else if name == cmdConfig {
			name = cmdServe
		}
		if command.plain && command.name != cmdConfig {
			continue
		}
		kept := args[:0:0]
		for i := 0; i < len(args); i++ { // the files of examples are not here
			if args[i] == "--config" {
				i++
				continue
			}
			kept = append(kept, args[i])
		}
		var more []func(*flag.FlagSet)
		if c := find(tree, name); c.verbs != nil {
			v, rest, err := c.verbOf(kept)
			if err != nil {
				t.Errorf("%s: %v", line, err)
				continue
			}
			kept, more = rest, append(more, v.flags)
		}
		if _, err := Load(name, kept, nil, more...); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// codeBlocks are the lines between fences, continued lines joined.
func codeBlocks(markdown string) string {
	var b strings.Builder
	inside := false
	for line := range strings.SplitSeq(markdown, "\n") {
		switch {
		case strings.HasPrefix(line, "```"):
			inside = !inside
		case inside:
			b.WriteString(line)
			if !strings.HasSuffix(line, `\`) {
				b.WriteByte('\n')
			} else {
				s := strings.TrimSuffix(b.String(), `\`)
				b.Reset()
				b.WriteString(s)
			}
		}
	}
	return b.String()
}

// The documents name the files and targets that there are.
func TestReadmeLinks(t *testing.T) {
	readme := repoFile(t, "README.md")
	for _, m := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(readme, -1) {
		if _, err := os.Stat(filepath.Join(top, m[1])); err != nil {
			t.Errorf("README links to %s: %v", m[1], err)
		}
	}
	makefile := repoFile(t, "Makefile")
	for _, m := range regexp.MustCompile("`?\\bmake ([a-z-]+)").FindAllStringSubmatch(codeBlocks(readme), -1) {
		if !regexp.MustCompile(`(?m)^` + m[1] + `:`).MatchString(makefile) {
			t.Errorf("README shows make %s, which is no target", m[1])
		}
	}
}
