package endpoint

// Changing a tenant: its name, the profile of its next webhooks, and what it
// asks of its event types.

import (
	"context"
	"strings"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/schemas"
)

// enforceOff is how the API names schemas.EnforceOff.
const enforceOff = "off"

// TenantPatch is the body of PATCH /v1/tenants/{id}: absent fields stay.
type TenantPatch struct {
	Name    *string `json:"name,omitempty"`
	Profile *string `json:"profile,omitempty" doc:"of webhooks that are made from now on and name none"`
	Enforce *string `json:"enforce_event_types,omitempty" doc:"off: events of any type; known: only types of /v1/event-types; schema: these, and their data satisfies the type's schema"`
}

// PatchTenant changes a tenant. ifMatch is the If-Match header, empty for
// "whatever it is".
func (r *Registry) PatchTenant(ctx context.Context, by api.Principal, id, ifMatch string, patch TenantPatch) (view TenantView, err error) {
	if err := r.checkTenant(patch); err != nil {
		return view, err
	}
	err = r.changeTenant(ctx, id, func(ctx context.Context) error {
		before, ok := r.tenantRow(id)
		if !ok {
			return api.NotFound("tenant", id)
		}
		if err := matchVersion(ifMatch, before.Version); err != nil {
			return err
		}
		row := edited(before)
		set(&row.Name, patch.Name)
		set(&row.Profile, patch.Profile)
		set(&row.Enforce, patch.Enforce)
		if row.Enforce == enforceOff {
			row.Enforce = schemas.EnforceOff
		}
		if err := r.putTenant(ctx, &row); err != nil {
			return err
		}
		r.audit(ctx, by.KeyID, "tenant.update", id, "", id, changedFields(*before, row))
		view, err = r.Tenant(id)
		return err
	})
	return view, err
}

// checkTenant judges the fields that a request gives.
func (r *Registry) checkTenant(patch TenantPatch) error {
	if name := patch.Name; name != nil && (len(*name) > 200 || strings.ContainsAny(*name, "\x00\r\n")) {
		return refuse("name", "give at most 200 bytes of text without line breaks")
	}
	if patch.Profile != nil {
		if _, err := r.profileNamed(*patch.Profile); err != nil {
			return err
		}
	}
	if e := patch.Enforce; e != nil && *e != enforceOff && *e != schemas.EnforceKnown && *e != schemas.EnforceSchema {
		return refuse("enforce_event_types", "is %.40q; give %s, %s or %s", *e, enforceOff, schemas.EnforceKnown, schemas.EnforceSchema)
	}
	return nil
}
