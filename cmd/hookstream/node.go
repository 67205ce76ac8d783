package main

// A node is one process's rooms, made and wired: this is the screen on which
// the rooms meet.

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/analytics"
	"github.com/hookstream/hookstream/consumer"
	"github.com/hookstream/hookstream/delivery/egress"
	"github.com/hookstream/hookstream/delivery/endpoint"
	"github.com/hookstream/hookstream/inbound"
	"github.com/hookstream/hookstream/producer"
	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

// node holds what more than one role uses.
type node struct {
	cfg      *Config
	topology schemas.Topology
	options  []kgo.Opt // how to reach Kafka
	instance string
	log      *slog.Logger
	metrics  *prometheus.Registry

	profiles  *profile.Set
	guard     *egress.Guard
	writer    *producer.Writer    // what the pipeline writes
	publisher *producer.Publisher // events
	registry  *endpoint.Registry
	endpoints *consumer.Tail
	tenants   *consumer.Tail
	store     *analytics.Store         // nil with --no-clickhouse, and for roles that do not use it
	room      *producer.Room           // nil where retention goes by time
	receiver  *inbound.Receiver        // nil without sources
	live      *consumer.Live           // nil without the API
	members   []member                 // of consumer groups
	asOf      func() (time.Time, bool) // of the sink; nil without its role
	health    health
}

// member is this process in the consumer group of a role.
type member struct {
	role   string
	joined func() bool
}

// newNode makes the rooms that several roles share. It provisions the topics
// and connects; nothing runs before run.
func newNode(ctx context.Context, cfg *Config, topology schemas.Topology, log *slog.Logger) (n *node, err error) {
	n = &node{cfg: cfg, topology: topology, log: log, metrics: prometheus.NewRegistry()}
	n.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	n.health.node = n
	defer func() {
		if err != nil {
			n.close(log)
		}
	}()
	if n.instance, err = instanceName(cfg); err != nil {
		return n, err
	}
	if n.options, err = producer.Options(cfg.Connection()); err != nil {
		return n, err
	}
	if n.profiles, err = profile.Load(cfg.Profiles); err != nil {
		return n, err
	}
	if n.guard, err = egress.NewGuard(cfg.Egress()); err != nil {
		return n, err
	}
	if err = n.newReceiver(); err != nil {
		return n, err
	}
	if err = n.provision(ctx); err != nil {
		return n, err
	}
	if n.writer, err = producer.NewWriter(n.client("writer")); err != nil {
		return n, err
	}
	n.publisher, err = producer.NewPublisher(producer.PublisherConfig{Options: n.client("publisher"), Topic: topology.EventsTopic(), DataLimit: topology.DataLimit})
	if err != nil {
		return n, err
	}
	if err = n.prepare(ctx); err != nil {
		return n, err
	}
	keys := cfg.MasterKey
	if keys == "" {
		keys = endpoint.NewMasterKey() // none of this process's roles opens what is sealed: they need no key
	}
	keyring, err := endpoint.ParseKeyring(keys)
	if err != nil {
		return n, fmt.Errorf("--master-key: %w", err)
	}
	n.registry, err = endpoint.NewRegistry(endpoint.Config{
		Topology: topology, Profiles: n.profiles, Keyring: keyring, Log: log, Overlap: endpoint.DefaultOverlap,
		CheckURL: n.guard.CheckURL, Write: n.write, Barrier: n.barrier, Publish: n.publish, Notice: n.audit,
		Challenged: (*profile.Profile).Challenged,
	})
	if err != nil {
		return n, err
	}
	n.endpoints = consumer.NewTail(consumer.TailConfig{Options: n.client("endpoints"), Topic: topology.EndpointsTopic(), Apply: n.registry.Apply, Log: log})
	n.tenants = consumer.NewTail(consumer.TailConfig{Options: n.client("tenants"), Topic: topology.TenantsTopic(), Apply: n.registry.Apply, Log: log})
	if !cfg.NoClickHouse && (cfg.Has(RoleAPI) || cfg.Has(RoleSink)) { // the others neither need it nor wait for it
		var c analytics.Config
		if c, err = cfg.Analytics(log); err != nil {
			return n, err
		}
		if n.store, err = analytics.Open(ctx, c); err != nil {
			return n, err
		}
	}
	return n, nil
}

// run starts the configured roles and returns when all have ended; announce is
// called with the listening address once the API can be reached.
func (n *node) run(ctx context.Context, announce func(addr string)) error {
	defer n.close(n.log)
	stages := [][]part{
		{{"writer", n.watchWriter}, {"tail of endpoints", n.endpoints.Run}, {"tail of tenants", n.tenants.Run}},
	}
	if n.receiver != nil {
		stages[0] = append(stages[0], part{"tail of received webhooks", n.receiver.Run})
	}
	if n.cfg.Has(RoleSink) && n.store != nil {
		sink, err := n.newSink()
		if err != nil {
			return err
		}
		stages = append(stages, []part{{"sink", func(ctx context.Context) error { return n.afterMigration(ctx, sink.Run) }}, {"count of webhooks", n.watchWebhooks}})
		n.asOf = sink.AsOf
	}
	workers, done, err := n.workers()
	if err != nil {
		return err
	}
	defer done()
	if len(workers) > 0 {
		stages = append(stages, workers)
	}
	if n.room, err = n.newRoom(); err != nil {
		return err
	}
	if n.room != nil {
		stages = append(stages, []part{{"backlog", n.room.Run}})
	}
	if n.live, err = n.newLive(); err != nil {
		return err
	}
	server, err := n.newServer()
	if err != nil {
		return err
	}
	stages = append(stages, []part{{"http server", func(ctx context.Context) error { return server.run(ctx, announce) }}})
	if n.live != nil { // stopped first: its clients would hold the server
		stages = append(stages, []part{{"live view", n.live.Run}})
	}
	l := lifecycle{stages: stages, deadline: n.cfg.Drain + 5*time.Second, draining: n.health.drain, log: n.log}
	return l.Run(ctx)
}

// close ends the clients, as far as they were made.
func (n *node) close(log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if n.publisher != nil {
		if err := n.publisher.Close(ctx); err != nil {
			log.Error("closing the publisher", "error", err)
		}
	}
	if n.writer != nil {
		if err := n.writer.Close(ctx); err != nil {
			log.Error("closing the writer", "error", err)
		}
	}
	if n.store != nil {
		if err := n.store.Close(); err != nil {
			log.Error("closing ClickHouse", "error", err)
		}
	}
}
