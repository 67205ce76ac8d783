package main

// What a node serves of the products' own APIs, and the sessions that their
// clients sign in by.

import (
	"context"
	"fmt"
	"time"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/delivery/endpoint"
	"github.com/hookstream/hookstream/products/smartcv"
)

// productRoutes are the routes of the products' management APIs. A profile that
// a folder took away takes its API along.
func (n *node) productRoutes() ([]api.Route, error) {
	p, ok := n.profiles.Get(smartcv.ProfileName)
	if !ok {
		return nil, nil
	}
	c := smartcv.Config{Registry: n.registry, Profile: p, Log: n.log}
	if n.store != nil {
		c.Logs, c.AsOf = n.store.Logs, n.logsAsOf
	}
	cv, err := smartcv.New(c)
	if err != nil {
		return nil, err
	}
	return cv.Routes(), nil
}

// productShapes are how problems look under the products' paths.
func productShapes() []api.Shape { return []api.Shape{smartcv.Shape()} }

// logsAsOf is the time up to which the delivery log is complete.
func (n *node) logsAsOf(ctx context.Context) (time.Time, error) {
	if n.asOf != nil {
		if t, ok := n.asOf(); ok {
			return t.UTC().Truncate(time.Millisecond), nil
		}
	}
	return n.store.AsOf(ctx)
}

// sessions lets browsers sign in. Cookies are signed with keys derived from the
// master keys, so every node with the same ones takes them, and a master key
// that was put behind a newer one ends no session.
func (n *node) sessions() (*api.SessionConfig, error) {
	if n.cfg.MasterKey == "" {
		return nil, nil // none of this process's roles serves the API
	}
	keyring, err := endpoint.ParseKeyring(n.cfg.MasterKey)
	if err != nil {
		return nil, fmt.Errorf("reading the master key: %w", err)
	}
	secrets, err := keyring.Derive("hookstream session cookies")
	if err != nil {
		return nil, err
	}
	return &api.SessionConfig{Secrets: secrets, Known: n.sessionKey, Life: api.DefaultSessionLife, Secure: n.cfg.SecureCookies}, nil
}

// sessionKey finds the key that a session was made with. What its tenant's list
// shows of it is the fingerprint: none of that changes while the key lives.
func (n *node) sessionKey(tenant, keyID string) (api.Principal, string, bool) {
	page, err := n.registry.Keys(tenant)
	if err != nil {
		return api.Principal{}, "", false // the tenant is gone
	}
	for _, k := range page.Data {
		if k.ID == keyID {
			return api.Principal{Tenant: tenant, KeyID: k.ID, Rate: k.RateLimit}, k.Key + " " + k.CreatedAt.UTC().Format(time.RFC3339Nano), true
		}
	}
	return api.Principal{}, "", false
}
