package endpoint

// UIDs: the owner's own ids of webhooks, unique within a tenant, and taken
// wherever a webhook's id is, as uid:order-system.

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/schemas"
)

// uidPrefix tells an owner's id from ours.
const uidPrefix = "uid:"

// WebhookID is the id of a webhook in any form that clients may use: ours, with
// the prefix that a profile gives it, or uid: and the owner's own. Only a uid
// can fail: root, who sees all tenants, names the one that it means where
// several have it.
func (r *Registry) WebhookID(by api.Principal, tenantID, id string) (string, error) {
	uid, named := strings.CutPrefix(id, uidPrefix)
	if !named {
		return r.innerID(id), nil
	}
	if !by.Root {
		tenantID = by.Tenant
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if tenantID == "" {
		tenantID = allTenants
	}
	found := r.withUID(tenantID, uid)
	switch len(found) {
	case 0:
		return "", api.NotFound("webhook", id)
	case 1:
		return found[0].id, nil
	}
	return "", api.Fail(http.StatusConflict, "uid_ambiguous", "uid", "webhooks %s and %s have this uid; give the id of one, or ?tenant= with the root key", found[0].id, found[1].id)
}

// withUID lists the webhooks of a tenant, or of all, that have a uid; the lock
// is held.
func (r *Registry) withUID(owner, uid string) []*entry {
	if owner != allTenants {
		if t := r.tenants[owner]; t != nil {
			return t.index.uids[uid]
		}
		return nil
	}
	var found []*entry
	for _, t := range r.tenants {
		found = append(found, t.index.uids[uid]...)
	}
	slices.SortFunc(found, order)
	return found
}

// TakeUIDs makes routes take a webhook's uid in place of {id}, and of the
// webhook_id that a query filters by.
func (r *Registry) TakeUIDs(routes []api.Route) []api.Route {
	for i, route := range routes {
		if slices.ContainsFunc(route.Doc.Query, func(p api.Param) bool { return p.Name == webhookParam }) {
			routes[i].Handle = r.filterByUID(route.Handle)
			continue
		}
		if !strings.HasPrefix(route.Pattern, "/v1/webhooks/{id}") {
			continue
		}
		handle := route.Handle
		routes[i].Handle = func(w http.ResponseWriter, req *http.Request) error {
			if id := req.PathValue("id"); strings.HasPrefix(id, uidPrefix) {
				id, err := r.WebhookID(by(req), req.URL.Query().Get("tenant"), id)
				if err != nil {
					return err
				}
				req.SetPathValue("id", id)
			}
			return handle(w, req)
		}
	}
	return routes
}

// webhookParam is the query parameter that filters by a webhook.
const webhookParam = "webhook_id"

func (r *Registry) filterByUID(handle func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, req *http.Request) error {
		query := req.URL.Query()
		if !strings.HasPrefix(query.Get(webhookParam), uidPrefix) {
			return handle(w, req)
		}
		id, err := r.WebhookID(by(req), query.Get("tenant"), query.Get(webhookParam))
		if err != nil {
			return err
		}
		query.Set(webhookParam, id)
		req = req.WithContext(req.Context()) // a copy: others hold the request too
		at := *req.URL
		at.RawQuery = query.Encode()
		req.URL = &at
		return handle(w, req)
	}
}

// freeUID refuses an owner's id that another webhook of the tenant has.
func (r *Registry) freeUID(tenantID, uid, self string) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	t := r.tenants[tenantID]
	if t == nil {
		return nil
	}
	for _, x := range t.index.uids[uid] {
		if x.id != self {
			return api.Fail(http.StatusConflict, "uid_taken", "uid", "webhook %s has this uid already; choose another, or change that one", x.id)
		}
	}
	return nil
}

// putNamed writes an endpoint's row whose uid is new to it. Those who want one
// uid wait for each other on this node; of two nodes in the same moment both
// may get it, and then it names neither.
func (r *Registry) putNamed(ctx context.Context, row *schemas.Endpoint, uid string) error {
	if row.UID == uid || row.UID == "" {
		return r.putEndpoint(ctx, row)
	}
	return r.exclusive(ctx, uidLocks, row.Tenant+"\x00"+row.UID, func(ctx context.Context) error {
		if err := r.freeUID(row.Tenant, row.UID, row.ID); err != nil {
			return err
		}
		return r.putEndpoint(ctx, row)
	})
}
