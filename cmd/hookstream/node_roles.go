package main

// The roles of a node: what runs between the topics, and what it serves.

import (
	"context"
	"errors"
	"time"

	"github.com/hookstream/hookstream/analytics"
	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/consumer"
	"github.com/hookstream/hookstream/delivery"
	"github.com/hookstream/hookstream/producer"
)

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
		n.members = append(n.members, member{RoleFanout, fanout.Joined})
		parts = append(parts, part{"fan-out", fanout.Run}, part{"idle callback endpoints", n.registry.Run})
	}
	if n.receiver != nil {
		deduper, err := n.newDeduper()
		if err != nil {
			return nil, done, err
		}
		n.members = append(n.members, member{RoleInbound, deduper.Joined})
		parts = append(parts, part{"deduper", deduper.Run})
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
		n.members = append(n.members, member{RoleMover, mover.Joined})
		parts = append(parts, part{"mover", mover.Run})
	}
	if n.cfg.Has(RoleDispatch) {
		attempts := n.cfg.Delivery(n.registry.Target, n.profiles, n.notice, n.metrics, n.log)
		attempts.CheckType = n.registry.CheckType
		courier, err := delivery.New(attempts)
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
		c.Wants, c.Announce = n.registry.Wants, announce(courier)
		c.Logger, c.Registerer = n.log, n.metrics
		dispatcher, err := consumer.NewDispatcher(c)
		if err != nil {
			return nil, done, err
		}
		n.members = append(n.members, member{RoleDispatch, dispatcher.Joined})
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

// routes are what this node serves besides health and metrics.
func (n *node) routes() ([]api.Route, error) {
	if !n.cfg.Has(RoleAPI) {
		return nil, nil
	}
	c := producer.DefaultIntakeConfig()
	c.Publish, c.Check, c.DataLimit = n.publisher.PublishBatch, n.registry.Check, n.topology.DataLimit
	c.Once, c.Log = n.registry.OnceID, n.log
	if n.store != nil {
		c.Published = n.store.Published
	}
	if n.room != nil {
		c.Room = n.room.Check
	}
	intake, err := producer.NewIntake(c)
	if err != nil {
		return nil, err
	}
	products, err := n.productRoutes()
	if err != nil {
		return nil, err
	}
	routes := append(append(intake.Routes(), n.registry.Routes()...), products...)
	if n.live != nil {
		routes = append(routes, n.live.Routes()...)
	}
	if n.store != nil {
		routes = append(routes, n.store.Routes(analytics.RoutesConfig{Owner: n.registry.Owner, Payload: n.payload, Publish: n.publish, AsOf: n.asOf, Log: n.log})...)
	} else {
		routes = append(routes, analytics.AbsentRoutes()...)
	}
	return n.registry.TakeUIDs(routes), nil
}

// newRoom watches the backlog where topics are bounded by bytes; nil elsewhere.
func (n *node) newRoom() (*producer.Room, error) {
	if n.topology.DevBytes == 0 || !n.cfg.Has(RoleAPI) {
		return nil, nil
	}
	t := n.topology
	return producer.NewRoom(producer.RoomConfig{Options: n.options, Bound: t.DevBytes, Every: 5 * time.Second, Log: n.log,
		Readers: map[string][]string{n.group(RoleFanout): {t.EventsTopic()}, n.group(RoleDispatch): {t.DeliveriesTopic(), t.DueTopic()}}})
}
