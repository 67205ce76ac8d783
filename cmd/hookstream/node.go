package main

// A node is one process's rooms, made and wired: this is the screen on which
// the rooms meet.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/hookstream/hookstream/analytics"
	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/consumer"
	"github.com/hookstream/hookstream/delivery"
	"github.com/hookstream/hookstream/delivery/egress"
	"github.com/hookstream/hookstream/delivery/endpoint"
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
	store     *analytics.Store         // nil with --no-clickhouse
	members   []member                 // of consumer groups
	asOf      func() (time.Time, bool) // of the sink; nil without its role
	health    health
}

// member is this process in the consumer group of a role.
type member struct {
	role       string
	assignment func() map[string][]int32
}

// newNode makes the rooms that several roles share. It provisions the topics
// and connects; nothing runs before run.
func newNode(ctx context.Context, cfg *Config, topology schemas.Topology, log *slog.Logger) (n *node, err error) {
	n = &node{cfg: cfg, topology: topology, log: log, metrics: prometheus.NewRegistry()}
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
	if n.profiles, err = profiles(cfg); err != nil {
		return n, err
	}
	if n.guard, err = egress.NewGuard(cfg.Egress()); err != nil {
		return n, err
	}
	if err = n.provision(ctx); err != nil {
		return n, err
	}
	if n.writer, err = producer.NewWriter(n.options); err != nil {
		return n, err
	}
	n.publisher, err = producer.NewPublisher(producer.PublisherConfig{Options: n.options, Topic: topology.EventsTopic(), DataLimit: topology.DataLimit})
	if err != nil {
		return n, err
	}
	keyring, err := endpoint.ParseKeyring(cfg.MasterKey)
	if err != nil {
		return n, fmt.Errorf("--master-key: %w", err)
	}
	n.registry, err = endpoint.NewRegistry(endpoint.Config{
		Topology: topology, Profiles: n.profiles, Keyring: keyring, Log: log, Overlap: endpoint.DefaultOverlap,
		CheckURL: n.guard.CheckURL, Write: n.write, Barrier: n.barrier, Publish: n.publish, Notice: n.notice,
		Challenged: (*profile.Profile).Challenged,
	})
	if err != nil {
		return n, err
	}
	n.endpoints = consumer.NewTail(consumer.TailConfig{Options: n.options, Topic: topology.EndpointsTopic(), Apply: n.registry.Apply, Log: log})
	n.tenants = consumer.NewTail(consumer.TailConfig{Options: n.options, Topic: topology.TenantsTopic(), Apply: n.registry.Apply, Log: log})
	if !cfg.NoClickHouse {
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

// provision makes or checks our topics and checks the users' own.
func (n *node) provision(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("no answer from Kafka within a minute; are --brokers and the TLS settings right?"))
	defer cancel()
	changes, err := producer.Provision(ctx, n.options, n.topology)
	if err == nil {
		err = producer.CheckSources(ctx, n.options, n.topology, topicsOf(n.cfg.EventTopics)...)
	}
	if err != nil {
		return patience(ctx, err)
	}
	if len(changes) > 0 {
		n.log.Info("topics created", "count", len(changes), "prefix", n.topology.Prefix)
	}
	return nil
}

func topicsOf(sources []schemas.EventSource) []string {
	topics := make([]string, len(sources))
	for i, s := range sources {
		topics[i] = s.Topic
	}
	return topics
}

// profiles are the built-in ones and those of the configured folder.
func profiles(cfg *Config) (*profile.Set, error) {
	if cfg.Profiles == "" {
		return profile.Builtin()
	}
	return profile.Load(cfg.Profiles)
}

// barrier waits until the registry has applied all that its topics hold now.
func (n *node) barrier(ctx context.Context) error {
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() error { return n.endpoints.Barrier(ctx) })
	both.Go(func() error { return n.tenants.Barrier(ctx) })
	return both.Wait()
}

func (n *node) write(ctx context.Context, rec schemas.Record) error {
	return n.writer.AppendAll(ctx, rec)
}

func (n *node) publish(ctx context.Context, ev schemas.Event) error {
	_, err := n.publisher.Publish(ctx, ev)
	return err
}

// notice is best effort: what it reports has happened, and the log has it too.
func (n *node) notice(notice schemas.Notice) {
	rec, err := notice.Record(n.topology)
	if err != nil {
		n.log.Error("notice not written", "error", err)
		return
	}
	n.writer.Append(context.Background(), rec, func(_ int64, err error) {
		if err != nil {
			n.log.Error("notice not written", "kind", notice.Kind, "endpoint", notice.EndpointID, "error", err)
		}
	})
}

// status writes what a dispatcher found out about an endpoint.
func (n *node) status(ctx context.Context, s *schemas.EndpointStatus) error {
	rec, err := s.Record(n.topology)
	if err != nil {
		return err
	}
	return n.writer.AppendAll(ctx, rec)
}

// challenge sends an endpoint its profile's challenge and writes down the
// answer: the status for the registry, the exchange for the log.
func (n *node) challenge(ctx context.Context, courier *delivery.Courier, id string) {
	v := courier.Challenge(ctx, id)
	if v.Canceled || v.Version == 0 {
		return
	}
	now := time.Now().UTC()
	err := n.status(ctx, &schemas.EndpointStatus{ID: id, ForVersion: v.Version, Verified: v.Verified, VerifyError: v.Reason, VerifyAttempted: now, At: now})
	if err == nil && v.Row.No == 1 {
		var rec schemas.Record
		if rec, err = v.Row.Record(n.topology); err == nil {
			err = n.writer.AppendAll(ctx, rec)
		}
	}
	if err != nil && ctx.Err() == nil {
		n.log.Error("the result of a verification was not written", "endpoint", id, "error", err)
	}
}

// lane is what a dispatcher needs to know of an endpoint.
func (n *node) lane(id string) (consumer.Lane, bool) {
	t, ok := n.registry.Outline(id)
	if !ok {
		return consumer.Lane{}, false
	}
	return consumer.Lane{Tenant: t.Tenant, Version: t.Version, Ordered: t.Ordered, Concurrency: t.Concurrency, Halt: t.OnExhausted == "halt"}, true
}

// run starts the configured roles and returns when all have ended; announce is
// called with the listening address once the API can be reached.
func (n *node) run(ctx context.Context, announce func(addr string)) error {
	defer n.close(n.log)
	stages := [][]part{
		{{"writer", n.watchWriter}, {"tail of endpoints", n.endpoints.Run}, {"tail of tenants", n.tenants.Run}},
	}
	if n.cfg.Has(RoleSink) && n.store != nil {
		sink, err := n.newSink()
		if err != nil {
			return err
		}
		stages = append(stages, []part{{"sink", func(ctx context.Context) error { return n.afterMigration(ctx, sink.Run) }}})
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
	server, err := n.newServer()
	if err != nil {
		return err
	}
	stages = append(stages, []part{{"http server", func(ctx context.Context) error { return server.run(ctx, announce) }}})
	l := lifecycle{stages: stages, deadline: n.cfg.Drain + 5*time.Second, draining: n.health.drain, log: n.log}
	return l.Run(ctx)
}

// workers are the roles between the topics. done frees what they held.
func (n *node) workers() (parts []part, done func(), err error) {
	done = func() {}
	if n.cfg.Has(RoleFanout) {
		c := consumer.DefaultFanoutConfig()
		c.Options, c.Instance, c.Topology, c.Sources = n.options, n.memberID(RoleFanout), n.topology, n.cfg.EventTopics
		c.Group = n.group(RoleFanout)
		c.Barrier, c.Match, c.Append = n.barrier, n.registry.Match, n.writer.Append
		c.Log, c.Registerer = n.log, n.metrics
		fanout, err := consumer.NewFanout(c)
		if err != nil {
			return nil, done, err
		}
		n.members = append(n.members, member{RoleFanout, fanout.Assignment})
		parts = append(parts, part{"fan-out", fanout.Run})
	}
	if n.cfg.Has(RoleMover) {
		c := consumer.DefaultMoverConfig()
		c.Options, c.Instance, c.Topology = n.options, n.memberID(RoleMover), n.topology
		c.Group = n.group(RoleMover)
		c.Append, c.Log, c.Registerer = n.writer.Append, n.log, n.metrics
		mover, err := consumer.NewMover(c)
		if err != nil {
			return nil, done, err
		}
		parts = append(parts, part{"mover", mover.Run})
	}
	if n.cfg.Has(RoleDispatch) {
		courier, err := delivery.New(n.cfg.Delivery(n.registry.Target, n.profiles, n.notice, n.metrics, n.log))
		if err != nil {
			return nil, done, err
		}
		done = courier.Close
		c := consumer.DefaultDispatcherConfig()
		c.Options, c.Instance, c.Topology = n.options, n.memberID(RoleDispatch), n.topology
		c.Group, c.Limits = n.group(RoleDispatch), n.cfg.Limits()
		c.Barrier, c.Append, c.Lookup = n.barrier, n.writer.Append, n.lane
		c.Admit, c.Deliver, c.Release = courier.Admit, courier.Deliver, courier.Release
		c.Breaker, c.Restore = courier.Breaker, courier.Restore
		c.Probe, c.Forget = courier.Probe, courier.Forget
		c.Verify = func(ctx context.Context, id string) { n.challenge(ctx, courier, id) }
		c.Status, c.Notice = n.status, n.notice
		c.Logger, c.Registerer = n.log, n.metrics
		dispatcher, err := consumer.NewDispatcher(c)
		if err != nil {
			return nil, done, err
		}
		parts = append(parts, part{"dispatcher", dispatcher.Run})
	}
	return parts, done, nil
}

// group is the consumer group of a role: one per installation, which is what
// the prefix names.
func (n *node) group(role string) string { return n.topology.Prefix + role }

// memberID is this process's static membership id in a role's group.
func (n *node) memberID(role string) string { return n.instance + "-" + role }

func (n *node) newSink() (*analytics.Sink, error) {
	c := analytics.DefaultSinkConfig()
	c.Options, c.Topology, c.Store = n.options, n.topology, n.store
	c.Group, c.Instance = n.group(RoleSink), n.memberID(RoleSink)
	c.FlushInterval, c.FlushRows, c.FlushBytes = n.cfg.Flush, n.cfg.FlushRows, int(n.cfg.FlushBytes)
	c.Append, c.Metrics, c.Log = n.writer.Append, n.metrics, n.log
	return analytics.NewSink(c)
}

// afterMigration runs the sink once the schema is there. ClickHouse may come
// later than this process: deliveries do not wait for it.
func (n *node) afterMigration(ctx context.Context, sink func(context.Context) error) error {
	for wait := 500 * time.Millisecond; ; wait = min(2*wait, 15*time.Second) {
		err := n.store.Migrate(ctx)
		var schema *analytics.SchemaError
		switch {
		case err == nil:
			return sink(ctx)
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &schema):
			return err
		}
		n.log.Warn("ClickHouse is not ready; outcomes wait in Kafka", "error", err, "again_in", wait)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// payload reads an event's data again from where its record lies.
func (n *node) payload(ctx context.Context, pos schemas.Position) ([]byte, error) {
	return consumer.Payload(ctx, n.options, n.cfg.EventTopics, pos)
}

// watchWriter ends the process when a record that was taken could not be
// written: what was not acked is read again by the next process.
func (n *node) watchWriter(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-n.writer.Fatal():
		return err
	}
}

// routes are what this node serves besides health and metrics.
func (n *node) routes() ([]api.Route, error) {
	if !n.cfg.Has(RoleAPI) {
		return nil, nil
	}
	c := producer.DefaultIntakeConfig()
	c.Publish, c.Check, c.DataLimit = n.publisher.PublishBatch, n.registry.Check, n.topology.DataLimit
	intake, err := producer.NewIntake(c)
	if err != nil {
		return nil, err
	}
	routes := append(intake.Routes(), n.registry.Routes()...)
	if n.store != nil {
		routes = append(routes, n.store.Routes(analytics.RoutesConfig{Owner: n.registry.Owner, Payload: n.payload, Publish: n.publish, AsOf: n.asOf, Log: n.log})...)
	}
	return routes, nil
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
