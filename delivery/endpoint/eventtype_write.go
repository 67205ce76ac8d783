package endpoint

// Making, changing and deleting a tenant's own event types.

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"unicode/utf8"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/schemas"
)

// EventTypeDraft is the body of PUT /v1/event-types/{type}. It replaces the
// whole type.
type EventTypeDraft struct {
	Description string          `json:"description,omitempty"`
	Schema      json.RawMessage `json:"schema,omitempty" doc:"JSON Schema 2020-12 of the data, up to 32 KiB, without references to other documents; absent: any data"`
	Sample      json.RawMessage `json:"sample,omitempty" doc:"data of a test event, up to 32 KiB; it has to satisfy the schema"`
}

// PutEventType makes or replaces a tenant's own event type; made says which.
// ifMatch is the If-Match header, empty for "whatever it is".
func (r *Registry) PutEventType(ctx context.Context, by api.Principal, tenantID, name, ifMatch string, draft EventTypeDraft) (view EventTypeView, made bool, err error) {
	owner, err := ownTenant(by, tenantID)
	if err != nil {
		return view, false, err
	}
	if err := r.checkTypeDraft(name, &draft); err != nil {
		return view, false, err
	}
	if ifMatch == "" { // a condition fails where there is no tenant yet
		if _, err := r.needTenant(ctx, owner, by.KeyID); err != nil {
			return view, false, err
		}
	}
	err = r.changeTenant(ctx, owner, func(ctx context.Context) error {
		before := r.ownType(owner, name)
		if before == nil && ifMatch != "" {
			return api.Fail(http.StatusPreconditionFailed, "stale", "", "there is no event type %q of your own; leave If-Match out to make it", name)
		}
		if _, ok := r.tenantRow(owner); !ok {
			return api.NotFound("tenant", owner) // deleted in between
		}
		row := schemas.TenantType{Tenant: owner, Type: name, CreatedAt: stamp()}
		if made = before == nil; !made {
			row = *before
		} else if len(r.typeNames(owner)) >= maxTypes {
			return api.Fail(http.StatusConflict, "too_many_event_types", "", "the tenant has %d event types of its own; delete one first", maxTypes)
		}
		if err := matchVersion(ifMatch, row.Version); err != nil {
			return err
		}
		was := row
		row.Description, row.Schema, row.Sample = draft.Description, draft.Schema, draft.Sample
		row.Version++
		row.UpdatedAt = stamp()
		rec, err := row.Record(r.cfg.Topology)
		if err != nil {
			return err
		}
		if err := r.put(ctx, rec); err != nil {
			return err
		}
		r.audit(ctx, by.KeyID, "event_type.put", owner, "", name, changedFields(was, row))
		view = typeView(&row)
		return nil
	})
	return view, made, err
}

// DeleteEventType removes a tenant's own event type. What profiles and
// hookstream list cannot be deleted.
func (r *Registry) DeleteEventType(ctx context.Context, by api.Principal, tenantID, name, ifMatch string) error {
	owner, err := ownTenant(by, tenantID)
	if err != nil {
		return err
	}
	return r.changeTenant(ctx, owner, func(ctx context.Context) error {
		row := r.ownType(owner, name)
		if row == nil {
			return api.NotFound("event type of your own", name)
		}
		if err := matchVersion(ifMatch, row.Version); err != nil {
			return err
		}
		if err := r.put(ctx, schemas.TenantTombstone(r.cfg.Topology, schemas.TenantTypeKey(owner, name))); err != nil {
			return err
		}
		r.audit(ctx, by.KeyID, "event_type.delete", owner, "", name, "")
		return nil
	})
}

// checkTypeDraft judges a type and leaves out what is null.
func (r *Registry) checkTypeDraft(name string, draft *EventTypeDraft) error {
	if err := schemas.CheckEventType(name); err != nil {
		return refuse("type", "%.128q: use 1 to 128 visible ASCII characters without '*', '\"' and '\\'", name)
	}
	if schemas.IsSystemEvent(name) {
		return refuse("type", "%q is hookstream's own; choose another name", name)
	}
	if len(draft.Description) > 2000 || !utf8.ValidString(draft.Description) {
		return refuse("description", "give at most 2000 bytes of text")
	}
	for _, f := range []struct {
		field string
		value *json.RawMessage
		most  int
	}{{"schema", &draft.Schema, maxSchemaBytes}, {"sample", &draft.Sample, maxSampleBytes}} {
		if bytes.Equal(*f.value, []byte("null")) {
			*f.value = nil
		}
		if len(*f.value) > f.most {
			return refuse(f.field, "has %d bytes; give at most %d", len(*f.value), f.most)
		}
	}
	if len(draft.Sample) > 0 {
		if _, err := decodeData(draft.Sample); err != nil {
			return refuse("sample", "%s", err)
		}
	}
	if len(draft.Schema) == 0 {
		return nil
	}
	schema, err := compileSchema(draft.Schema)
	if err != nil {
		return refuse("schema", "%s", err)
	}
	if len(draft.Sample) == 0 {
		return nil
	}
	if pointer, reason := schema.check(draft.Sample, &r.judging); reason != "" {
		return refuse("sample", "does not satisfy the schema: at %q: %s", pointer, reason)
	}
	return nil
}
