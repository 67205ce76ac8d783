package endpoint

// Changing an API key: its name and how often it may call.

import (
	"context"
	"slices"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/schemas"
)

// KeyPatch is the body of PATCH /v1/tenants/{id}/keys/{key}: absent fields stay.
type KeyPatch struct {
	Name      *string  `json:"name,omitempty"`
	RateLimit *float64 `json:"rate_limit,omitempty" doc:"requests per minute, bursts are twice that; 0: the default"`
}

// PatchKey changes a key. Its next request is under the new limit, on every node
// that has read the row.
func (r *Registry) PatchKey(ctx context.Context, by api.Principal, id, keyID string, patch KeyPatch) (view KeyView, err error) {
	var given KeyDraft
	set(&given.Name, patch.Name)
	set(&given.RateLimit, patch.RateLimit)
	if err := checkKey(given); err != nil {
		return view, err
	}
	_, err = r.editTenant(ctx, by, id, "key.update", func(row *schemas.Tenant) (KeyMade, error) {
		i := slices.IndexFunc(row.Keys, func(k schemas.TenantKey) bool { return k.ID == keyID })
		if i < 0 {
			return KeyMade{}, api.NotFound("key", keyID)
		}
		set(&row.Keys[i].Name, patch.Name)
		set(&row.Keys[i].RateLimit, patch.RateLimit)
		view = viewOf(row.Keys[i])
		return KeyMade{ID: keyID}, nil
	})
	return view, err
}

// viewOf masks a key.
func viewOf(k schemas.TenantKey) KeyView {
	return KeyView{ID: k.ID, Name: k.Name, Key: keyPrefix + "…" + k.Hint, RateLimit: k.RateLimit, CreatedAt: k.CreatedAt}
}
