// Command aiinterview is a program that handles the webhooks of AI Interview:
// it stores each interview with its transcript, stores feedback, and tells a
// team channel.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/hookstream/hookstream/delivery/egress"
	"github.com/hookstream/hookstream/inbound"
	"github.com/hookstream/hookstream/producer"
)

// settings is what the command line and the environment say.
type settings struct {
	brokers  string
	topic    string
	parked   string
	group    string
	database string
	slack    string
	policy   egress.Policy
	demo     bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "aiinterview:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, env func(string) string, out, log io.Writer) error {
	s, err := parse(args, env, log)
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(log, nil))
	if s.demo {
		return demo(ctx, out, logger)
	}
	return work(ctx, s, logger)
}

// parse reads the flags. The channel's address comes from the environment: who
// knows it can post.
func parse(args []string, env func(string) string, usage io.Writer) (settings, error) {
	d := inbound.DefaultHandlersConfig()
	var s settings
	f := flag.NewFlagSet("aiinterview", flag.ContinueOnError)
	f.SetOutput(usage)
	f.StringVar(&s.brokers, "brokers", "127.0.0.1:9092", "Kafka, HOST:PORT parted by commas")
	f.StringVar(&s.topic, "topic", d.Topic, "topic of the received webhooks: what the source's option topic says")
	f.StringVar(&s.parked, "parked", d.Parked, "topic that takes what could not be handled")
	f.StringVar(&s.group, "group", "aiinterview", "consumer group")
	f.StringVar(&s.database, "database", "aiinterview.db", "SQLite file")
	f.BoolVar(&s.policy.AllowPrivate, "allow-private", false, "fetch transcripts from loopback and private addresses too")
	f.BoolVar(&s.policy.AllowHTTP, "allow-http", false, "fetch transcripts over http too")
	f.BoolVar(&s.demo, "demo", false, "start a hookstream of its own, send it a signed webhook, and show what came of it")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	if f.NArg() > 0 {
		return s, fmt.Errorf("%q is no flag; see --help", f.Arg(0))
	}
	s.slack = env("SLACK_WEBHOOK_URL")
	return s, nil
}

// work handles webhooks until ctx ends.
func work(ctx context.Context, s settings, log *slog.Logger) error {
	store, err := openStore(ctx, s.database)
	if err != nil {
		return err
	}
	defer store.Close()
	guard, err := egress.NewGuard(s.policy)
	if err != nil {
		return err
	}
	opts, err := producer.Options(producer.Connection{Brokers: strings.Split(s.brokers, ","), ClientID: "aiinterview"})
	if err != nil {
		return err
	}
	c := inbound.DefaultHandlersConfig()
	c.Options, c.Group, c.Topic, c.Parked, c.Log = opts, s.group, s.topic, s.parked, log
	handlers, err := inbound.NewHandlers(c)
	if err != nil {
		return err
	}
	if s.slack == "" {
		log.Warn("SLACK_WEBHOOK_URL is not set; nobody is told of interviews")
	}
	j := &job{store: store, fetch: newFetcher(guard).get, tell: newChannel(s.slack, http.DefaultTransport).tell}
	j.register(handlers)
	return handlers.Run(ctx)
}
