package main

// The live view of attempts: part of a node's API.

import (
	"github.com/hookstream/hookstream/consumer"
)

// newLive makes the live view; nil without the API.
func (n *node) newLive() (*consumer.Live, error) {
	if !n.cfg.Has(RoleAPI) {
		return nil, nil
	}
	c := consumer.DefaultLiveConfig()
	c.Options, c.Topology, c.Owner, c.Log = n.options, n.topology, n.registry.Owner, n.log
	c.WebhookID = n.registry.WebhookID
	return consumer.NewLive(c)
}
