package main

// The command tree: which commands there are, how a command line finds its
// command, and what a command's body gets and may return.

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Names of the commands that have settings.
const (
	cmdDev        = "dev"
	cmdServe      = "serve"
	cmdProduce    = "produce"
	cmdListen     = "listen"
	cmdTopics     = "topics"
	cmdParked     = "parked"
	cmdConfig     = "config"
	cmdClickHouse = "clickhouse"
	cmdReady      = "ready"
	cmdEngine     = "fetch-engine"
	cmdVersion    = "version"
	cmdHelp       = "help"
	cmdWebhooks   = "webhooks"
	cmdEvents     = "events"
	cmdEventTypes = "event-types"
	cmdLogs       = "logs"
	cmdDeliveries = "deliveries"
	cmdTail       = "tail"
	cmdTest       = "test"
	cmdDead       = "dead"
	cmdBreakers   = "breakers"
	cmdSign       = "sign"
	cmdVerify     = "verify"
)

// askingCommands are those that ask a running hookstream by its API.
func askingCommands() []string {
	return []string{cmdWebhooks, cmdEvents, cmdEventTypes, cmdLogs, cmdDeliveries, cmdTail, cmdTest, cmdDead, cmdBreakers}
}

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // the command ran and failed
	exitUsage  = 2 // the command line or the configuration is wrong; nothing ran
)

// Invocation is what a command's body gets: its validated configuration, its
// arguments and the process's streams.
type Invocation struct {
	Config Config
	Loaded *Loaded // where each value came from
	Args   []string
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
}

// Body runs a command until it is done or ctx ends. A usage error (Usage) ends
// the process with 2, any other with 1.
type Body func(ctx context.Context, inv Invocation) error

// Bodies are the commands that need the whole of hookstream wired; main fills
// them in. The others stand beside the command tree.
type Bodies struct {
	Dev        Body
	Serve      Body
	Produce    Body
	ClickHouse Body
}

// usageError is a command line that makes no sense.
type usageError struct{ reason string }

func (e *usageError) Error() string { return e.reason }

// Usage makes an error about the command line; it names the cure.
func Usage(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// command is one entry of the tree.
type command struct {
	name     string
	args     string // after the flags
	short    string // one line
	long     string
	examples []string
	hidden   bool // not in the overview
	plain    bool // has no settings and reads no configuration
	body     Body
	verbs    []verb // stand for body
}

// commands is the tree in the order of help.
func commands(b Bodies) []command {
	return slices.Concat([]command{
		{name: cmdDev, short: "everything in one process, with its own Kafka and ClickHouse",
			long:     "Starts an embedded Kafka broker and an embedded ClickHouse engine on real ports, and every role on them. What it keeps lies in --data and survives restarts. Not for production.",
			examples: []string{"hookstream dev --demo", "hookstream dev --listen 127.0.0.1:9000 --data /tmp/hooks", "hookstream dev --no-clickhouse"}, body: b.Dev},
		{name: cmdServe, short: "run roles against your Kafka and your ClickHouse",
			long:     "Runs some or all roles. Start as many processes as you like: the work is shared out over them. The first interrupt or SIGTERM drains, the second ends at once.",
			examples: []string{"hookstream serve --brokers kafka:9092 --clickhouse clickhouse://hookstream:pw@clickhouse:9000/hookstream", "hookstream serve --config /etc/hookstream.yaml --roles dispatch,mover"}, body: b.Serve},
		{name: cmdProduce, args: "[FILE|-]", short: "events from a file or standard input to Kafka, one JSON object a line",
			long:     "Each line is an event: {\"type\":…,\"data\":…} with optional id, tenant, time and key.",
			examples: []string{"hookstream produce events.ndjson", "generate | hookstream produce --brokers kafka:9092 -"}, body: b.Produce},
		{name: cmdListen, short: "a local receiver that verifies signatures and prints what comes",
			long: "Verifies, prints and keeps the last 200 deliveries (GET /deliveries lists them as JSON), answers challenges, and answers as the profile's contract says: a refused signature, a repeat, a body without its fields. Without --secret nothing is checked. Any path will do; for one from outside, point a tunnel at the port (ngrok http 3000) and register its https URL and the path.",
			examples: []string{"hookstream listen --profile standard --secret whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "HOOKSTREAM_SECRET=… hookstream listen --profile /webhooks/ai-interview=aiinterview,/webhook=ihateppt",
				"hookstream listen --status 503 --fail-rate 0.3 --latency 50ms"}, body: runListen},
		{name: cmdTopics, args: "create|check", short: "create the topics of hookstream, or check that they are as they have to be",
			long:     "create makes what is missing and refuses what is there with a wrong partition count or policy; check changes nothing and ends with 1 when something is missing or wrong.",
			examples: []string{"hookstream topics create --brokers kafka:9092 --replicas 3 --min-isr 2", "hookstream topics check --brokers kafka:9092"}, body: runTopics},
		{name: cmdParked, args: "[show ID|retry ID…|retry all]", short: "received webhooks that no handler could handle: list, look, handle again",
			long:     "Reads the topic inbound.parked. retry hands webhooks back to the group whose handler failed, once what made it fail is mended.",
			examples: []string{"hookstream parked --brokers kafka:9092", "hookstream parked show in_4zt1mbr8q0v6ksn2e5xyah7d3c --brokers kafka:9092", "hookstream parked retry all --brokers kafka:9092"}, body: runParked},
	}, verbCommands(), []command{
		{name: cmdConfig, args: "[COMMAND]", short: "show the effective configuration, secrets masked, and where each value came from",
			long:     "Prints YAML that --config takes. COMMAND is whose configuration is meant (default: serve); its flags may follow.",
			examples: []string{"hookstream config", "hookstream config dev --slots 8", "HOOKSTREAM_ROLES=sink hookstream config serve"}, plain: true},
		{name: cmdClickHouse, short: "the embedded ClickHouse engine alone, behind its HTTP interface",
			long:     "What dev runs as a child process. It ends when its standard input closes.",
			examples: []string{"hookstream clickhouse --listen 127.0.0.1:8123 --data ./data/clickhouse"}, body: b.ClickHouse},
		{name: cmdReady, short: "ask a running process whether it is ready: 0 yes, 1 no",
			long:     "Asks /readyz at --listen. The container image uses it as its health check.",
			examples: []string{"hookstream ready", "hookstream ready --listen 10.0.0.5:8080"}, body: runReady},
		{name: cmdVersion, short: "the version of this binary", plain: true},
		{name: cmdHelp, args: "[COMMAND]", short: "what a command does and its flags", plain: true},
		{name: cmdEngine, short: "put the embedded engine's library into the cache folder", hidden: true, body: runFetchEngine},
	})
}

// streams are the process's, or a test's.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// run finds the command of a command line and runs it. The result is the
// process's exit code.
func run(ctx context.Context, args, environ []string, in io.Reader, out, errw io.Writer, bodies Bodies) int {
	io := streams{in, out, errw}
	tree := commands(bodies)
	if len(args) == 0 {
		return io.done(ctx, printOverview(out, tree))
	}
	name, rest := args[0], args[1:]
	if name == "-h" || name == "--help" || name == "-help" {
		name = cmdHelp
	}
	if name == "-v" || name == "--version" {
		name = cmdVersion
	}
	cmd := find(tree, name)
	if cmd == nil {
		return io.done(ctx, Usage("%q is no command; see: hookstream help", name))
	}
	switch cmd.name {
	case cmdHelp:
		return io.done(ctx, runHelp(out, tree, rest))
	case cmdVersion:
		return io.done(ctx, printVersion(out))
	case cmdConfig:
		return io.done(ctx, runConfig(out, errw, tree, rest, environ))
	}
	if cmd.verbs != nil {
		return io.done(ctx, cmd.startVerb(ctx, io, rest, environ))
	}
	return io.done(ctx, cmd.start(ctx, io, rest, environ))
}

func find(tree []command, name string) *command {
	for i := range tree {
		if tree[i].name == name {
			return &tree[i]
		}
	}
	return nil
}

// start loads and validates the command's configuration and runs its body.
func (c *command) start(ctx context.Context, io streams, args, environ []string) error {
	loaded, err := Load(c.name, args, environ)
	if errors.Is(err, flag.ErrHelp) {
		return c.printHelp(io.out)
	}
	if err != nil {
		return &usageError{err.Error()}
	}
	io.warn(loaded)
	if c.args == "" && len(loaded.Args) > 0 {
		return Usage("hookstream %s takes no argument %q; see: hookstream help %s", c.name, loaded.Args[0], c.name)
	}
	if err := loaded.Config.Validate(c.name); err != nil {
		return &usageError{err.Error()}
	}
	if c.body == nil {
		return fmt.Errorf("hookstream %s is not part of this binary", c.name)
	}
	return c.body(ctx, Invocation{Config: loaded.Config, Loaded: loaded, Args: loaded.Args, Stdin: io.in, Stdout: io.out, Stderr: io.err})
}

func (s streams) warn(l *Loaded) {
	for _, w := range l.Warnings {
		fmt.Fprintln(s.err, "hookstream: "+w)
	}
}

// done writes an error for people, one line each, and gives the exit code. When
// the command's context has ended, an error that says only that is none: a
// signal is how commands end.
func (s streams) done(ctx context.Context, err error) int {
	if err == nil || ctx.Err() != nil && onlyCanceled(err) {
		return exitOK
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintln(s.err, "hookstream: "+line)
	}
	var usage *usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

// onlyCanceled reports whether every error joined in err is the end of a
// context; one that hides another failure is not.
func onlyCanceled(err error) bool {
	switch e := err.(type) {
	case interface{ Unwrap() []error }:
		return !slices.ContainsFunc(e.Unwrap(), func(inner error) bool { return !onlyCanceled(inner) })
	case interface{ Unwrap() error }:
		return onlyCanceled(e.Unwrap())
	}
	return err == context.Canceled
}
