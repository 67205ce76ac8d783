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
	b.WriteString("\nEvery flag is also an environment variable (HOOKSTREAM_ and the name in upper\ncase with _) and a key of the YAML file that --config names. Flags stand over\nthe environment, the environment over the file.\n\nhookstream help COMMAND says more.\n")
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
	return c.printHelp(w)
}

func (c *command) printHelp(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: hookstream %s", c.name)
	if !c.plain {
		b.WriteString(" [FLAGS]")
	}
	if c.args != "" {
		b.WriteString(" " + c.args)
	}
	fmt.Fprintf(&b, "\n\n%s.\n", upperFirst(c.short))
	if c.long != "" {
		b.WriteString("\n" + wrap(c.long, 78) + "\n")
	}
	c.writeFlags(&b)
	if len(c.examples) > 0 {
		b.WriteString("\nExamples:\n")
		for _, e := range c.examples {
			b.WriteString("  " + e + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeFlags lists the command's settings with defaults; help config lists
// everybody's.
func (c *command) writeFlags(b *strings.Builder) {
	def := Default(c.name)
	titled := false
	for _, s := range settings(&def) {
		if c.name != cmdConfig && !s.takenBy(c.name) {
			continue
		}
		if !titled {
			b.WriteString("\nFlags:\n")
			titled = true
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
