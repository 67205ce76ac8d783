package endpoint

// Tenants and whose an API key is.

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"unique"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/schemas"
)

// tenant is what the registry knows of one tenant. row is nil while only its
// endpoints are known; it is replaced, never changed.
type tenant struct {
	id        string
	row       *schemas.Tenant
	index     index
	endpoints int                           // callback ones included
	profiles  map[unique.Handle[string]]int // of the webhooks, and how many have it
	types     map[string]*eventType         // its own event types
	ready     readySchemas                  // of those
}

// count adds a webhook's profile, or takes it away.
func (t *tenant) count(profile unique.Handle[string], n int) {
	if t.profiles == nil {
		t.profiles = map[unique.Handle[string]]int{}
	}
	if t.profiles[profile] += n; t.profiles[profile] == 0 {
		delete(t.profiles, profile)
	}
}

type keyHash [sha256.Size]byte

// tenantOf finds or makes a tenant; the lock is held.
func (r *Registry) tenantOf(id string) *tenant {
	t := r.tenants[id]
	if t == nil {
		t = &tenant{id: id}
		r.tenants[id] = t
	}
	return t
}

func (r *Registry) dropIfEmpty(t *tenant) {
	if t.row == nil && t.endpoints == 0 && len(t.types) == 0 {
		delete(r.tenants, t.id)
	}
}

func (r *Registry) applyTenant(id string, rec *schemas.Record) error {
	var row *schemas.Tenant
	if len(rec.Value) > 0 {
		row = &schemas.Tenant{}
		if err := schemas.ParseRow(rec, row); err != nil {
			return err
		}
		if row.ID != id {
			return fmt.Errorf("tenant %q stands under the key %q", row.ID, id)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.tenantOf(id)
	if t.row != nil {
		for _, k := range t.row.Keys {
			if h, ok := hashOf(k.Hash); ok && r.keys[h] == t {
				delete(r.keys, h)
			}
		}
	}
	t.row = row
	if row == nil {
		r.dropIfEmpty(t)
		return nil
	}
	for _, k := range row.Keys {
		if h, ok := hashOf(k.Hash); ok {
			r.keys[h] = t
		}
	}
	return nil
}

func hashOf(b []byte) (keyHash, bool) {
	if len(b) != sha256.Size {
		return keyHash{}, false
	}
	return keyHash(b), true
}

// Authenticate says whose an API key is. Keys are looked up by their hash, so
// how long it takes tells nothing about them.
func (r *Registry) Authenticate(key string) (api.Principal, bool) {
	hash := keyHash(sha256.Sum256([]byte(key)))
	r.mu.RLock()
	defer r.mu.RUnlock()
	t := r.keys[hash]
	if t == nil || t.row == nil {
		return api.Principal{}, false
	}
	for _, k := range t.row.Keys {
		if bytes.Equal(k.Hash, hash[:]) {
			return api.Principal{Tenant: t.id, KeyID: k.ID, Rate: k.RateLimit}, true
		}
	}
	return api.Principal{}, false
}

// tenantRow is a tenant's row; not to be changed.
func (r *Registry) tenantRow(id string) (*schemas.Tenant, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	t := r.tenants[id]
	if t == nil || t.row == nil {
		return nil, false
	}
	return t.row, true
}
