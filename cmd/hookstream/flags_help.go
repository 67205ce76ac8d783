package main

// Help for people: the overview, a command's own page, the list of all
// settings, and the version.

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
)

func printOverview(w io.Writer, tree []command) error {
	var b strings.Builder
	b.WriteString("hookstream delivers webhooks from Kafka and keeps the record in ClickHouse.\n\nUsage: hookstream COMMAND [FLAGS] [ARGUMENTS]\n\nCommands:\n")
	for _, c := range tree {
		if !c.hidden {
			fmt.Fprintf(&b, "  %-11s %s\n", c.name, c.short)
		}
	}
	b.WriteString("\nEvery setting is a flag, an environment variable (HOOKSTREAM_ and the name in\nupper case with _) and a key of the YAML file that --config names. Flags stand over\nthe environment, the environment over the file.\n\nExit codes: 0 done, 1 failed, 2 the command line or the configuration is wrong.\nhookstream help COMMAND says more.\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func runHelp(w io.Writer, tree []command, args []string) error {
	if len(args) == 0 {
		return printOverview(w, tree)
	}
	c := find(tree, args[0])
	if c == nil {
		return Usage("%q is no command; see: hookstream help", args[0])
	}
	if len(args) > 1 && len(c.verbs) > 1 {
		v, _, err := c.verbOf(args[1:])
		if err != nil {
			return err
		}
		return c.printVerbHelp(w, v)
	}
	return c.printHelp(w)
}

func (c *command) printHelp(w io.Writer) error {
	if len(c.verbs) == 1 {
		return c.printVerbHelp(w, &c.verbs[0])
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: hookstream %s", c.name)
	if c.verbs != nil {
		b.WriteString(" VERB [FLAGS] [ARGUMENTS]")
	} else if !c.plain {
		b.WriteString(" [FLAGS]")
	}
	if c.args != "" {
		b.WriteString(" " + c.args)
	}
	fmt.Fprintf(&b, "\n\n%s.\n", upperFirst(c.short))
	if c.long != "" {
		b.WriteString("\n" + wrap(c.long, 78) + "\n")
	}
	if c.verbs != nil {
		b.WriteString("\nVerbs:\n")
		c.writeVerbs(&b)
	}
	c.writeFlags(&b)
	writeExamples(&b, c.examples)
	_, err := io.WriteString(w, b.String())
	return err
}

func writeExamples(b *strings.Builder, examples []string) {
	if len(examples) == 0 {
		return
	}
	b.WriteString("\nExamples:\n")
	for _, e := range examples {
		b.WriteString("  " + e + "\n")
	}
}

// writeFlags lists the command's settings under a title; help config lists
// everybody's.
func (c *command) writeFlags(b *strings.Builder) {
	var flags strings.Builder
	c.writeSettings(&flags)
	if flags.Len() > 0 {
		b.WriteString("\nFlags:\n" + flags.String())
	}
}

func (c *command) writeSettings(b *strings.Builder) {
	def := Default(c.name)
	for _, s := range settings(&def) {
		if c.name != cmdConfig && !s.takenBy(c.name) {
			continue
		}
		fmt.Fprintf(b, "  --%s", s.name)
		if s.arg != "" {
			b.WriteString(" " + s.arg)
		}
		fmt.Fprintf(b, "\n        %s", s.help)
		if c.name == cmdConfig {
			fmt.Fprintf(b, " [%s]", strings.Join(s.commands, ", "))
		} else if v := s.value.String(); v != "" && v != "false" && v != "0" && v != "0s" {
			fmt.Fprintf(b, " (default %s)", v)
		}
		b.WriteByte('\n')
	}
}

func printVersion(w io.Writer) error {
	version, revision := "(devel)", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = " " + s.Value
			}
		}
	}
	_, err := fmt.Fprintf(w, "hookstream %s%s %s %s/%s\n", version, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// wrap breaks text into lines of at most width bytes, between words.
func wrap(s string, width int) string {
	var b strings.Builder
	column := 0
	for word := range strings.FieldsSeq(s) {
		if column > 0 && column+1+len(word) > width {
			b.WriteByte('\n')
			column = 0
		} else if column > 0 {
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}
