// Command smartcv is a program that handles the webhooks of SmartCV: it keeps
// resumes, analyses and plans in step, and sends what people are to be told.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/hookstream/hookstream/inbound"
	"github.com/hookstream/hookstream/producer"
)

// settings is what the command line says.
type settings struct {
	brokers  string
	topic    string
	parked   string
	group    string
	sources  string
	database string
	demo     bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "smartcv:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, log io.Writer) error {
	s, err := parse(args, log)
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(log, nil))
	if s.demo {
		return demo(ctx, out, logger)
	}
	return work(ctx, s, printer(out), logger)
}

func parse(args []string, usage io.Writer) (settings, error) {
	d := inbound.DefaultHandlersConfig()
	var s settings
	f := flag.NewFlagSet("smartcv", flag.ContinueOnError)
	f.SetOutput(usage)
	f.StringVar(&s.brokers, "brokers", "127.0.0.1:9092", "Kafka, HOST:PORT parted by commas")
	f.StringVar(&s.topic, "topic", d.Topic, "topic of the received webhooks")
	f.StringVar(&s.parked, "parked", d.Parked, "topic that takes what could not be handled")
	f.StringVar(&s.group, "group", "smartcv", "consumer group")
	f.StringVar(&s.sources, "sources", "", "names of the sources whose webhooks are SmartCV's, parted by commas; empty: all")
	f.StringVar(&s.database, "database", "smartcv.db", "SQLite file")
	f.BoolVar(&s.demo, "demo", false, "start a hookstream of its own, send it signed webhooks, and show what came of them")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	if f.NArg() > 0 {
		return s, fmt.Errorf("%q is no flag; see --help", f.Arg(0))
	}
	return s, nil
}

// printer stands where a mail server would.
func printer(out io.Writer) func(context.Context, notice) error {
	return func(_ context.Context, n notice) error {
		_, err := fmt.Fprintf(out, "To %s: %s: %s\n", n.To, n.Kind, n.Message)
		return err
	}
}

// work handles webhooks until ctx ends.
func work(ctx context.Context, s settings, send func(context.Context, notice) error, log *slog.Logger) error {
	store, err := openStore(ctx, s.database)
	if err != nil {
		return err
	}
	defer store.Close()
	opts, err := producer.Options(producer.Connection{Brokers: strings.Split(s.brokers, ","), ClientID: "smartcv"})
	if err != nil {
		return err
	}
	c := inbound.DefaultHandlersConfig()
	c.Options, c.Group, c.Topic, c.Parked, c.Log = opts, s.group, s.topic, s.parked, log
	if s.sources != "" {
		c.Sources = strings.Split(s.sources, ",")
	}
	handlers, err := inbound.NewHandlers(c)
	if err != nil {
		return err
	}
	(&job{store: store, send: send}).register(handlers)
	return handlers.Run(ctx)
}
