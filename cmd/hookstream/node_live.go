package main

// The live view of attempts: part of a node's API.

import (
	"github.com/hookstream/hookstream/api"
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
	c.Known = func(by api.Principal) bool {
		_, _, ok := n.sessionKey(by.Tenant, by.KeyID)
		return ok
	}
	return consumer.NewLive(c)
}
