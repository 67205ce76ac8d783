package main

// The command "topics": create what is missing, or check what is there.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/hookstream/hookstream/producer"
	"github.com/hookstream/hookstream/schemas"
)

// topicsPatience bounds the command: a cluster that answers nothing for so
// long is not there.
const topicsPatience = time.Minute

func runTopics(ctx context.Context, inv Invocation) error {
	if len(inv.Args) != 1 || (inv.Args[0] != "create" && inv.Args[0] != "check") {
		return Usage("hookstream topics takes create or check; see: hookstream help topics")
	}
	opts, err := producer.Options(inv.Config.Connection())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, topicsPatience, errors.New("no answer from the brokers; are --brokers and --kafka-tls right?"))
	defer cancel()
	topology := inv.Config.Topology()
	if inv.Args[0] == "check" {
		if err := producer.Check(ctx, opts, topology); err != nil {
			return patience(ctx, fmt.Errorf("checking topics: %w", err))
		}
		_, err := fmt.Fprintf(inv.Stdout, "%d topics are as they have to be\n", len(topology.Topics()))
		return err
	}
	changes, err := producer.Provision(ctx, opts, topology)
	if err != nil {
		return patience(ctx, errors.Join(printChanges(inv.Stdout, topology, changes), fmt.Errorf("creating topics: %w", err)))
	}
	return printChanges(inv.Stdout, topology, changes)
}

// patience says why the command gave up, when it was the clock.
func patience(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return errors.Join(err, context.Cause(ctx))
	}
	return err
}

func printChanges(w io.Writer, topology schemas.Topology, changes []producer.Change) error {
	shapes := map[string]schemas.Topic{}
	for _, t := range topology.Topics() {
		shapes[t.Name] = t
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range changes {
		t := shapes[c.Topic]
		fmt.Fprintf(tw, "%s\t%s\t%d partitions\t%s\n", c.Action, c.Topic, t.Partitions, topology.Configs(t)["cleanup.policy"])
	}
	return tw.Flush()
}
