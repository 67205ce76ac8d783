package main

// The command "serve": roles against a Kafka and a ClickHouse of the user's own.

import "context"

func runServe(ctx context.Context, inv Invocation) error {
	cfg := inv.Config
	log := cfg.Logger(inv.Stderr)
	n, err := newNode(ctx, &cfg, cfg.Topology(), log)
	if err != nil {
		return err
	}
	log.Info("starting", "roles", cfg.Roles, "instance", n.instance)
	return n.run(ctx, nil)
}
