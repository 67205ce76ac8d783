package main

// Commands with verbs: those that ask a running hookstream, and those that
// need flags of their own. A verb's flags stand on the command line only; how
// to reach the API is a setting like any other.

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// verb is one thing that a command does, "list" of "webhooks". A command that
// does one thing only has one verb without a name.
type verb struct {
	name     string
	args     string // in help
	min, max int    // number of arguments; max below 0: any
	short    string // one line
	flags    func(*flag.FlagSet)
	run      func(context.Context, *errand) error
}

// errand is one run of a verb: what it was asked and where it answers.
type errand struct {
	cfg     Config
	args    []string
	environ []string
	in      io.Reader
	out     io.Writer
	err     io.Writer
}

// env is a variable of the environment, empty when it is not set.
func (e *errand) env(name string) string {
	value := ""
	for _, kv := range e.environ {
		if k, v, ok := strings.Cut(kv, "="); ok && k == name {
			value = v
		}
	}
	return value
}

// verbOf finds the verb of a command line. No name, or a flag first, is the
// first verb.
func (c *command) verbOf(args []string) (*verb, []string, error) {
	if len(args) > 0 {
		for i := range c.verbs {
			if c.verbs[i].name == args[0] {
				return &c.verbs[i], args[1:], nil
			}
		}
	}
	first := &c.verbs[0]
	if first.name == "" || len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return first, args, nil
	}
	names := make([]string, len(c.verbs))
	for i, v := range c.verbs {
		names[i] = v.name
	}
	return nil, nil, Usage("hookstream %s has no %q; it has %s", c.name, args[0], strings.Join(names, ", "))
}

// startVerb reads the verb's flags and the command's settings and runs it.
func (c *command) startVerb(ctx context.Context, io streams, args, environ []string) error {
	v, rest, err := c.verbOf(args)
	if err != nil {
		return err
	}
	loaded, err := Load(c.name, rest, environ, v.flags)
	if errors.Is(err, flag.ErrHelp) {
		if len(rest) == len(args) && len(c.verbs) > 1 {
			return c.printHelp(io.out)
		}
		return c.printVerbHelp(io.out, v)
	}
	if err != nil {
		return &usageError{err.Error()}
	}
	io.warn(loaded)
	if n := len(loaded.Args); n < v.min || v.max >= 0 && n > v.max {
		return Usage("%s takes %s; see: hookstream help %s", c.title(v), orNothing(v.args), c.helpName(v))
	}
	if err := loaded.Config.Validate(c.name); err != nil {
		return &usageError{err.Error()}
	}
	return v.run(ctx, &errand{cfg: loaded.Config, args: loaded.Args, environ: environ, in: io.in, out: io.out, err: io.err})
}

func orNothing(args string) string {
	if args == "" {
		return "no argument"
	}
	return args
}

func (c *command) title(v *verb) string { return "hookstream " + c.helpName(v) }

func (c *command) helpName(v *verb) string { return strings.TrimSpace(c.name + " " + v.name) }

// writeVerbs lists the verbs of a command.
func (c *command) writeVerbs(b *strings.Builder) {
	width := 0
	for _, v := range c.verbs {
		width = max(width, len(strings.TrimSpace(v.name+" "+v.args)))
	}
	for _, v := range c.verbs {
		fmt.Fprintf(b, "  %-*s  %s\n", width, strings.TrimSpace(v.name+" "+v.args), v.short)
	}
	fmt.Fprintf(b, "\nhookstream help %s VERB says more. Without a verb: %s.\n", c.name, c.verbs[0].name)
}

func (c *command) printVerbHelp(w io.Writer, v *verb) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: %s [FLAGS]", c.title(v))
	if v.args != "" {
		b.WriteString(" " + v.args)
	}
	fmt.Fprintf(&b, "\n\n%s.\n", upperFirst(v.short))
	if c.long != "" && v.name == "" {
		b.WriteString("\n" + wrap(c.long, 78) + "\n")
	}
	b.WriteString("\nFlags:\n")
	writeVerbFlags(&b, v)
	c.writeSettings(&b)
	var examples []string
	for _, e := range c.examples {
		if v.name == "" || strings.HasPrefix(e, c.title(v)) {
			examples = append(examples, e)
		}
	}
	writeExamples(&b, examples)
	_, err := io.WriteString(w, b.String())
	return err
}

func writeVerbFlags(b *strings.Builder, v *verb) {
	if v.flags == nil {
		return
	}
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	v.flags(fs)
	fs.VisitAll(func(f *flag.Flag) {
		arg, usage := flag.UnquoteUsage(f)
		if bf, ok := f.Value.(interface{ IsBoolFlag() bool }); ok && bf.IsBoolFlag() {
			arg = ""
		}
		line := "  --" + f.Name
		if arg != "" {
			line += " " + arg
		}
		fmt.Fprintf(b, "%s\n        %s", line, usage)
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" && f.DefValue != "0s" {
			fmt.Fprintf(b, " (default %s)", f.DefValue)
		}
		b.WriteByte('\n')
	})
}

// flagsOf joins the flags that several verbs share.
func flagsOf(all ...func(*flag.FlagSet)) func(*flag.FlagSet) {
	return func(fs *flag.FlagSet) {
		for _, f := range all {
			f(fs)
		}
	}
}
