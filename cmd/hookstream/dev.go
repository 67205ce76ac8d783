package main

// The command "dev": every role in one process on an embedded Kafka broker and
// an embedded ClickHouse engine.

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/hookstream/hookstream/internal/devstack"
	"github.com/hookstream/hookstream/producer"
)

func runDev(ctx context.Context, inv Invocation) error {
	cfg := inv.Config
	if err := devKeys(&cfg); err != nil {
		return err
	}
	if _, given := inv.Loaded.From["log-level"]; cfg.Demo && !given {
		cfg.LogLevel = slog.LevelWarn // the demo shows each delivery itself
	}
	log := cfg.Logger(inv.Stderr)
	k := devstack.DefaultKafkaConfig()
	k.Listen, k.Dir, k.Reserved, k.Logger = cfg.KafkaListen, filepath.Join(cfg.Data, "kafka"), cfg.TopicPrefix, log
	kafka, err := devstack.StartKafka(k)
	if err != nil {
		return fmt.Errorf("%w (--kafka %s, --data %s)", err, cfg.KafkaListen, cfg.Data)
	}
	defer kafka.Close()
	cfg.Brokers = []string{kafka.Addr()}
	if err := makeEventTopics(ctx, &cfg); err != nil {
		return err
	}

	var stages [][]part
	var engine *devstack.Supervisor
	if !cfg.NoClickHouse {
		if engine, err = newEngine(ctx, &cfg, inv.Stderr, log); err != nil {
			return err
		}
		stages = append(stages, []part{{"clickhouse", engine.Run}})
		cfg.ClickHouse = "http://" + cfg.ClickHouse
	}
	up := make(chan *devNode, 1)
	stages = append(stages, []part{{"node", func(ctx context.Context) error {
		n, err := startWith(ctx, engine, &cfg, log)
		if n == nil || err != nil {
			return err
		}
		return n.run(ctx, func(addr string) {
			greetDev(inv.Stdout, &cfg, addr)
			up <- &devNode{n, addr}
		})
	}}})
	if cfg.Demo {
		stages = append(stages, []part{{"demo", func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return nil
			case n := <-up:
				return runDemo(ctx, n, inv.Stdout)
			}
		}}})
	}
	l := lifecycle{stages: stages, deadline: cfg.Drain + 15*time.Second, log: log}
	return l.Run(ctx)
}

// makeEventTopics makes the user's own topics on the embedded broker: nobody
// can have made them before it ran.
func makeEventTopics(ctx context.Context, cfg *Config) error {
	opts, err := producer.Options(cfg.Connection())
	if err != nil {
		return err
	}
	return producer.MakeSources(ctx, opts, topicsOf(cfg.EventTopics)...)
}

// devNode is the node of dev once it listens.
type devNode struct {
	*node
	addr string // of its API
}

// engineWait is how long the node waits for the ClickHouse child; afterwards
// it starts without, and outcomes wait in Kafka.
const engineWait = 20 * time.Second

// startWith makes the node once the engine answers. No node and no error means
// that ctx ended first.
func startWith(ctx context.Context, engine *devstack.Supervisor, cfg *Config, log *slog.Logger) (*node, error) {
	if engine != nil {
		select {
		case <-ctx.Done():
			return nil, nil
		case <-engine.Ready():
		case <-time.After(engineWait):
			log.Warn("ClickHouse has not answered yet; starting without it", "waited", engineWait)
		}
	}
	n, err := newNode(ctx, cfg, cfg.DevTopology(), log)
	if err != nil && ctx.Err() != nil {
		return nil, nil
	}
	return n, err
}

// newEngine prepares the ClickHouse child. Fetching its library, the first
// time, shows its progress on w.
func newEngine(ctx context.Context, cfg *Config, w io.Writer, log *slog.Logger) (*devstack.Supervisor, error) {
	if _, err := devstack.FetchLibrary(ctx, w); err != nil {
		return nil, fmt.Errorf("%w; or run without analytics: --no-clickhouse", err)
	}
	c := devstack.DefaultSupervisorConfig()
	c.Args = []string{cmdClickHouse, "--listen", cfg.ClickHouse, "--data", filepath.Join(cfg.Data, "clickhouse"),
		"--log-level", cfg.LogLevel.String(), "--log-format", cfg.LogFormat}
	c.Addr, c.Stderr, c.Logger = cfg.ClickHouse, w, log
	return devstack.NewSupervisor(c)
}

// greetDev says where everything is and what to try.
func greetDev(w io.Writer, cfg *Config, addr string) {
	fmt.Fprintf(w, `
hookstream dev is up. Data: %s
  API         http://%s       (OpenAPI at /openapi.json, /readyz, /metrics)
  root key    %s
  Kafka       %s
`, cfg.Data, addr, cfg.APIKey, cfg.Brokers[0])
	if !cfg.NoClickHouse {
		fmt.Fprintf(w, "  ClickHouse  %s\n", cfg.ClickHouse)
	}
	fmt.Fprintf(w, `
Make a webhook (its secret is shown once), publish by HTTP or by Kafka, look at the log:
  curl -s http://%[1]s/v1/webhooks -H 'Authorization: Bearer %[2]s' -H 'Content-Type: application/json' \
       -d '{"url":"http://127.0.0.1:3000/","events":["invoice.*"]}'
  curl -s http://%[1]s/v1/events -H 'Authorization: Bearer %[2]s' -H 'Content-Type: application/json' \
       -d '{"type":"invoice.paid","data":{"amount":25.0}}'
  echo '{"type":"invoice.paid","data":{"amount":25.0}}' | kcat -P -b %[3]s -t %[4]sevents
`, addr, cfg.APIKey, cfg.Brokers[0], cfg.TopicPrefix)
	if !cfg.NoClickHouse {
		fmt.Fprintf(w, "  curl -s %s/ --data-binary 'SELECT * FROM hookstream.deliveries ORDER BY created_at DESC LIMIT 5 FORMAT Vertical'\n", cfg.ClickHouse)
	}
	fmt.Fprintln(w)
}
