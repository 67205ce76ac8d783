package main

// What a node asks of Kafka and writes to it: the seams between the rooms and
// the topics.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kprom"
	"golang.org/x/sync/errgroup"

	"github.com/hookstream/hookstream/consumer"
	"github.com/hookstream/hookstream/delivery"
	"github.com/hookstream/hookstream/producer"
	"github.com/hookstream/hookstream/schemas"
)

// client is how to reach Kafka with the client's metrics, for a part that makes
// one client in its life. Groups, which make more, have metrics of their own.
func (n *node) client(name string) []kgo.Opt {
	labelled := prometheus.WrapRegistererWith(prometheus.Labels{"client": name}, n.metrics)
	hooks := kprom.NewMetrics("hookstream_kafka", kprom.Registerer(labelled), kprom.Gatherer(n.metrics))
	return append(n.options[:len(n.options):len(n.options)], kgo.WithHooks(hooks))
}

// prepare asks for the settings of the topics that the pipeline writes, so that
// the first record of each need not wait for them.
func (n *node) prepare(ctx context.Context) error {
	var names []string
	for _, t := range n.topology.Topics() {
		names = append(names, t.Name)
	}
	if err := n.writer.Prepare(ctx, names...); err != nil {
		return fmt.Errorf("asking for the topics' settings: %w", err)
	}
	return n.publisher.Prepare(ctx)
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

// audit writes an audit entry; nil once it is acked.
func (n *node) audit(ctx context.Context, entry schemas.Notice) error {
	rec, err := entry.Record(n.topology)
	if err != nil {
		return err
	}
	return n.write(ctx, rec)
}

// noticeWait is how long a notice may wait for room in the writer. Whoever tells
// it, a slot with all of its endpoints perhaps, stands still meanwhile.
const noticeWait = 200 * time.Millisecond

// notice is best effort: what it reports has happened, and the log has it too.
func (n *node) notice(notice schemas.Notice) {
	rec, err := notice.Record(n.topology)
	if err != nil {
		n.log.Error("notice not written", "error", err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), noticeWait)
	defer cancel()
	n.writer.Append(ctx, rec, func(_ int64, err error) {
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
	return consumer.Lane{Tenant: t.Tenant, URL: t.URL, Version: t.Version, Ordered: t.Ordered, Concurrency: t.Concurrency, Halt: t.OnExhausted == "halt"}, true
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
