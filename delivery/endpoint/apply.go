package endpoint

// Apply: the registry's state, from the log's records alone.

import (
	"fmt"
	"strings"

	"github.com/hookstream/hookstream/schemas"
)

// Apply takes one record of endpoints or tenants; records of one key have to
// come in their order. The last row of a key wins, as it does in the log, so
// that every node ends with the same state. A row that cannot be read is
// logged and skipped.
func (r *Registry) Apply(rec *schemas.Record) {
	var err error
	switch rec.Topic {
	case r.cfg.Topology.EndpointsTopic():
		id, of, _ := strings.Cut(string(rec.Key), "#")
		switch "#" + of {
		case schemas.StatusKeySuffix:
			err = r.applyStatus(id, rec)
		case schemas.UseKeySuffix:
			err = r.applyUse(id, rec)
		default:
			err = r.applyEndpoint(string(rec.Key), rec)
		}
	case r.cfg.Topology.TenantsTopic():
		if owner, eventType, ok := schemas.ParseTenantTypeKey(string(rec.Key)); ok {
			err = r.applyType(owner, eventType, rec)
		} else {
			err = r.applyTenant(owner, rec)
		}
	default:
		err = fmt.Errorf("topic %s is none of the registry's", rec.Topic)
	}
	if err != nil {
		r.cfg.Log.Error("registry row skipped", "topic", rec.Topic, "partition", rec.Partition, "offset", rec.Offset, "err", err)
	}
}

func (r *Registry) applyEndpoint(id string, rec *schemas.Record) error {
	var x *entry
	if len(rec.Value) > 0 {
		var row schemas.Endpoint
		if err := schemas.ParseRow(rec, &row); err != nil {
			return err
		}
		if row.ID != id || row.Tenant == "" {
			return fmt.Errorf("row %q of tenant %q stands under the key %q", row.ID, row.Tenant, id)
		}
		x = newEntry(&row)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.endpoints[id]
	if old != nil {
		if x == nil && r.outlives(old, rec) {
			return nil
		}
		t := r.tenants[old.tenant.Value()]
		if !old.flags.has(isCallback) {
			t.index.remove(old)
			t.count(old.profile, -1)
		}
		t.endpoints--
		r.dropIfEmpty(t)
	}
	delete(r.rowless, id)
	if x == nil {
		delete(r.endpoints, id)
		delete(r.used, id)
		return nil
	}
	t := r.tenantOf(x.tenant.Value())
	if !x.flags.has(isCallback) {
		t.index.add(x)
		t.count(x.profile, 1)
	}
	t.endpoints++
	r.endpoints[id] = x
	r.warnKey(x)
	return nil
}

// warnKey reports a master key that this node lacks: what is sealed under it
// cannot be signed until the key is configured. The lock is held.
func (r *Registry) warnKey(x *entry) {
	if x.secret.box == "" {
		return
	}
	if id := x.secret.key.Value(); !r.cfg.Keyring.Has(id) && !r.foreign[id] {
		r.foreign[id] = true
		r.cfg.Log.Error("secrets are sealed under a master key that is not configured", "key_id", id, "endpoint", x.id)
	}
}

// applyStatus takes a status row. It counts only behind the endpoint's row in
// the log and for that very version: then what counts follows from the last
// row of either key and their order, which compaction keeps, and every node
// comes to the same state. A status without its endpoint is left over from one
// that was deleted.
func (r *Registry) applyStatus(id string, rec *schemas.Record) error {
	var status *schemas.EndpointStatus
	if len(rec.Value) > 0 {
		status = &schemas.EndpointStatus{}
		if err := schemas.ParseRow(rec, status); err != nil {
			return err
		}
		if status.ID != id {
			return fmt.Errorf("status of %q stands under the key of %q", status.ID, id)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	x := r.endpoints[id]
	if x == nil {
		return nil
	}
	if status != nil && status.ForVersion != x.version {
		status = nil
	}
	x.status = status
	return nil
}
