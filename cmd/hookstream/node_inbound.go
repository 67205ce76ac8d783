package main

// The role inbound: receivers of others' webhooks on the node's HTTP server,
// and the deduper behind them.

import (
	"context"
	"net/http"
	"os"
	"strings"

	"github.com/hookstream/hookstream/inbound"
	"github.com/hookstream/hookstream/schemas"
)

// newReceiver looks the sources up, secrets included, before anything else is
// touched; without sources the role has nothing to do.
func (n *node) newReceiver() (err error) {
	if !n.cfg.Has(RoleInbound) || len(n.cfg.Inbound) == 0 {
		return nil
	}
	c := inbound.DefaultReceiverConfig()
	c.Options, c.Topology, c.Profiles = n.client("inbound"), n.topology, n.profiles
	c.Sources, c.Trusted, c.LookupEnv = n.cfg.Inbound, n.cfg.proxies(), os.LookupEnv
	c.Append = func(ctx context.Context, rec schemas.Record, done func(int64, error)) {
		n.writer.Append(ctx, rec, done)
	}
	c.Keys = n.windowKeys()
	c.MaxBody = max(c.MaxBody, int64(n.topology.DataLimit))
	c.Log, c.Registerer = n.log, n.metrics
	n.receiver, err = inbound.NewReceiver(c)
	return err
}

// windowKeys is a partition's share of the keys that are remembered.
func (n *node) windowKeys() int { return n.cfg.DedupeKeys/int(n.topology.Events) + 1 }

// mountInbound puts the sources' paths beside the API's.
func (n *node) mountInbound(mux *http.ServeMux) {
	if n.receiver == nil {
		return
	}
	for _, pattern := range n.receiver.Patterns() {
		mux.Handle(pattern, n.receiver)
	}
	for _, s := range n.cfg.Inbound {
		n.log.Info("receiving webhooks", "source", s.Name, "profile", s.Profile, "paths", strings.Join(append([]string{inbound.InPath + s.Name}, s.Paths...), " "))
	}
}

// newDeduper is the worker behind the receivers, which lets each event through
// once.
func (n *node) newDeduper() (*inbound.Deduper, error) {
	c := inbound.DefaultDeduperConfig()
	c.Options, c.Instance, c.Topology = n.options, n.memberID(RoleInbound), n.topology
	c.Group = n.group(RoleInbound)
	c.Keys = n.windowKeys()
	c.Rules = inbound.Rules(n.cfg.Inbound, n.profiles)
	c.Append, c.Log, c.Registerer = n.writer.Append, n.log, n.metrics
	return inbound.NewDeduper(c)
}
