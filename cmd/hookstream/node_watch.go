package main

// Counting webhooks by their success, where the sink runs.

import (
	"context"

	"github.com/hookstream/hookstream/analytics"
)

// watchWebhooks counts until ctx ends.
func (n *node) watchWebhooks(ctx context.Context) error {
	c := analytics.DefaultWatchConfig()
	c.Store, c.Metrics, c.Log = n.store, n.metrics, n.log
	watch, err := analytics.NewWatch(c)
	if err != nil {
		return err
	}
	return watch.Run(ctx)
}
