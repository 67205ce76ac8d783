package endpoint

// Tenants through the API: made, listed, deleted, their keys and API Secret.

import (
	"context"
	"crypto/sha256"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/schemas"
)

// maxKeys bounds a tenant's keys.
const maxKeys = 100

// keyPrefix begins the text of every API key, so that scanners find leaked ones.
const keyPrefix = "hsk_"

// TenantDraft is the body of POST /v1/tenants.
type TenantDraft struct {
	ID      string `json:"id" doc:"1 to 64 letters, digits, '_', '-' and '.'"`
	Name    string `json:"name,omitempty"`
	Profile string `json:"profile,omitempty" doc:"of its webhooks that name none; absent: standard"`
	Enforce string `json:"enforce_event_types,omitempty" doc:"off (when absent), known or schema"`
	Secret  string `json:"secret,omitempty" doc:"the API Secret that its receivers have already; absent: one is made and shown with the first key"`
}

// TenantView is a tenant as the API shows it.
type TenantView struct {
	ID        string    `json:"id"`
	Name      string    `json:"name,omitempty"`
	Profile   string    `json:"profile"`
	Webhooks  int       `json:"webhooks"`
	Keys      int       `json:"keys"`
	Enforce   string    `json:"enforce_event_types" doc:"off, known or schema"`
	Version   int64     `json:"version" doc:"also the ETag"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// KeyDraft is the body of POST /v1/tenants/{id}/keys; it may be empty.
type KeyDraft struct {
	Name      string  `json:"name,omitempty"`
	RateLimit float64 `json:"rate_limit,omitempty" doc:"requests per minute, bursts are twice that; absent: the default"`
	Key       string  `json:"key,omitempty" doc:"a key that the tenant has already, 16 to 256 characters; absent: one is made"`
}

// KeyMade is the answer that shows a new key, and the tenant's API Secret with
// its first one. Neither is ever shown again.
type KeyMade struct {
	ID     string `json:"id"`
	Key    string `json:"key,omitempty" doc:"unless it was brought along"`
	Secret string `json:"secret,omitempty" doc:"the tenant's API Secret, with its first key or when it was rotated"`
}

// KeyView is a key in lists: masked but for its last characters.
type KeyView struct {
	ID        string    `json:"id"`
	Name      string    `json:"name,omitempty"`
	Key       string    `json:"key"`
	RateLimit float64   `json:"rate_limit,omitempty"`
	CreatedAt time.Time `json:"created_at"`
}

// CreateTenant writes a new tenant.
func (r *Registry) CreateTenant(ctx context.Context, by api.Principal, draft TenantDraft) (view TenantView, err error) {
	if err := schemas.CheckTenant(draft.ID); err != nil {
		return view, refuse("id", "use 1 to 64 letters, digits, '_', '-' and '.'")
	}
	given := TenantPatch{Name: &draft.Name}
	if draft.Profile != "" {
		given.Profile = &draft.Profile
	}
	if draft.Enforce != "" {
		given.Enforce = &draft.Enforce
	}
	if err := r.checkTenant(given); err != nil {
		return view, err
	}
	if err := r.checkAPISecret(draft); err != nil {
		return view, err
	}
	err = r.changeTenant(ctx, draft.ID, func(ctx context.Context) error {
		if _, ok := r.tenantRow(draft.ID); ok {
			return api.Fail(http.StatusConflict, "tenant_exists", "id", "there is a tenant %q already", draft.ID)
		}
		row := edited(newTenant(draft.ID, draft.Name, draft.Profile))
		if draft.Enforce != enforceOff {
			row.Enforce = draft.Enforce
		}
		if draft.Secret != "" {
			row.Secrets = []schemas.Sealed{r.cfg.Keyring.seal(draft.ID, purposeTenant, []byte(draft.Secret), row.UpdatedAt)}
			row.Revealed = true // its owner has it
		}
		if err := r.putTenant(ctx, &row); err != nil {
			return err
		}
		r.audit(ctx, by.KeyID, "tenant.create", draft.ID, "", draft.ID, givenFields(draft))
		view, err = r.Tenant(draft.ID)
		return err
	})
	return view, err
}

// Tenant shows a tenant.
func (r *Registry) Tenant(id string) (TenantView, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	t := r.tenants[id]
	if t == nil || t.row == nil {
		return TenantView{}, api.NotFound("tenant", id)
	}
	return t.view(), nil
}

func (t *tenant) view() TenantView {
	enforce := t.row.Enforce
	if enforce == schemas.EnforceOff {
		enforce = enforceOff
	}
	return TenantView{ID: t.id, Name: t.row.Name, Profile: t.row.Profile, Webhooks: len(t.index.all), Keys: len(t.row.Keys), Enforce: enforce,
		Version: t.row.Version, CreatedAt: t.row.CreatedAt, UpdatedAt: t.row.UpdatedAt}
}

// Tenants pages through all tenants by id.
func (r *Registry) Tenants(query url.Values) (api.Page[TenantView], error) {
	limit, err := pageLimit(query)
	if err != nil {
		return api.Page[TenantView]{}, err
	}
	var after place
	if c := query.Get("cursor"); c != "" {
		if err := api.DecodeCursor(c, &after); err != nil {
			return api.Page[TenantView]{}, err
		}
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	var list []*tenant
	for _, t := range r.tenants {
		if t.row != nil && t.id > after.ID {
			list = append(list, t)
		}
	}
	slices.SortFunc(list, func(a, b *tenant) int { return strings.Compare(a.id, b.id) })
	next := ""
	if len(list) > limit {
		list = list[:limit]
		if next, err = api.EncodeCursor(place{ID: list[limit-1].id}); err != nil {
			return api.Page[TenantView]{}, err
		}
	}
	var data []TenantView
	for _, t := range list {
		data = append(data, t.view())
	}
	return api.NewPage(data, next, time.Now()), nil
}

// DeleteTenant removes a tenant's webhooks and then the tenant, so that one
// that was cut off can be repeated.
func (r *Registry) DeleteTenant(ctx context.Context, by api.Principal, id string) error {
	return r.changeTenant(ctx, id, func(ctx context.Context) error {
		if _, ok := r.tenantRow(id); !ok {
			return api.NotFound("tenant", id)
		}
		var records []schemas.Record
		for _, endpointID := range r.owned(id) {
			records = append(records, r.tombstones(endpointID)...)
		}
		for _, name := range r.typeNames(id) {
			records = append(records, schemas.TenantTombstone(r.cfg.Topology, schemas.TenantTypeKey(id, name)))
		}
		records = append(records, schemas.TenantTombstone(r.cfg.Topology, id))
		if err := r.put(ctx, records...); err != nil {
			return err
		}
		r.audit(ctx, by.KeyID, "tenant.delete", id, "", id, "")
		return nil
	})
}

// owned lists a tenant's endpoints, callback ones included.
func (r *Registry) owned(id string) []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var ids []string
	for _, x := range r.endpoints {
		if x.tenant.Value() == id {
			ids = append(ids, x.id)
		}
	}
	slices.Sort(ids)
	return ids
}

// AddKey makes an API key. The tenant's first key comes with its API Secret.
func (r *Registry) AddKey(ctx context.Context, by api.Principal, id string, draft KeyDraft) (KeyMade, error) {
	if err := checkKey(draft); err != nil {
		return KeyMade{}, err
	}
	return r.editTenant(ctx, by, id, "key.create", func(row *schemas.Tenant) (KeyMade, error) {
		if _, taken := r.Authenticate(draft.Key); taken {
			return KeyMade{}, api.Fail(http.StatusConflict, "key_taken", "key", "this key is there already; give another one, or leave it out and one is made")
		}
		made, err := addKey(row, draft)
		if err != nil {
			return KeyMade{}, err
		}
		if len(row.Secrets) == 0 {
			row.Secrets = []schemas.Sealed{r.cfg.Keyring.seal(id, purposeTenant, []byte(apiSecret()), row.UpdatedAt)}
		}
		if !row.Revealed {
			plain, err := r.cfg.Keyring.open(id, purposeTenant, row.Secrets[0].KeyID, row.Secrets[0].Box)
			if err != nil {
				return KeyMade{}, err
			}
			made.Secret, row.Revealed = string(plain), true
		}
		return made, nil
	})
}

// Rotate gives a tenant a new API Secret and a new key; its other keys stay
// until they are deleted.
func (r *Registry) Rotate(ctx context.Context, by api.Principal, id string, req RotateRequest) (KeyMade, error) {
	overlap, err := r.overlap(req)
	if err != nil {
		return KeyMade{}, err
	}
	if req.Secret != "" {
		return KeyMade{}, refuse("secret", "is always made by hookstream for a tenant; leave it out")
	}
	return r.editTenant(ctx, by, id, "tenant.rotate", func(row *schemas.Tenant) (KeyMade, error) {
		made, err := addKey(row, KeyDraft{Name: "rotated"})
		if err != nil {
			return KeyMade{}, err
		}
		made.Secret = apiSecret()
		row.Secrets = rotated(row.Secrets, r.cfg.Keyring.seal(id, purposeTenant, []byte(made.Secret), row.UpdatedAt), row.UpdatedAt, overlap)
		row.Revealed = true
		return made, nil
	})
}

// DeleteKey ends a key at once.
func (r *Registry) DeleteKey(ctx context.Context, by api.Principal, id, keyID string) error {
	_, err := r.editTenant(ctx, by, id, "key.delete", func(row *schemas.Tenant) (KeyMade, error) {
		i := slices.IndexFunc(row.Keys, func(k schemas.TenantKey) bool { return k.ID == keyID })
		if i < 0 {
			return KeyMade{}, api.NotFound("key", keyID)
		}
		row.Keys = slices.Delete(row.Keys, i, i+1)
		return KeyMade{ID: keyID}, nil
	})
	return err
}

// Keys lists a tenant's keys, masked.
func (r *Registry) Keys(id string) (api.Page[KeyView], error) {
	row, ok := r.tenantRow(id)
	if !ok {
		return api.Page[KeyView]{}, api.NotFound("tenant", id)
	}
	var data []KeyView
	for _, k := range row.Keys {
		data = append(data, viewOf(k))
	}
	return api.NewPage(data, "", time.Now()), nil
}

// editTenant is the one way to change a tenant's row through the API.
func (r *Registry) editTenant(ctx context.Context, by api.Principal, id, action string, change func(*schemas.Tenant) (KeyMade, error)) (made KeyMade, err error) {
	err = r.changeTenant(ctx, id, func(ctx context.Context) error {
		row, ok := r.tenantRow(id)
		if !ok {
			return api.NotFound("tenant", id)
		}
		next := edited(row)
		if made, err = change(&next); err != nil {
			return err
		}
		if err := r.putTenant(ctx, &next); err != nil {
			return err
		}
		r.audit(ctx, by.KeyID, action, id, "", made.ID, changedFields(*row, next))
		return nil
	})
	if err != nil {
		return KeyMade{}, err // what was not written is not shown
	}
	return made, nil
}

func checkKey(draft KeyDraft) error {
	if len(draft.Name) > 200 || strings.ContainsAny(draft.Name, "\x00\r\n") {
		return refuse("name", "give at most 200 bytes of text without line breaks")
	}
	if draft.RateLimit != 0 && (draft.RateLimit < 1 || draft.RateLimit > api.MaxRate) {
		return refuse("rate_limit", "is %v; give 1 to %d requests per minute, or leave it out", draft.RateLimit, api.MaxRate)
	}
	if draft.Key != "" && (len(draft.Key) < minBrought || len(draft.Key) > maxBrought || strings.Trim(draft.Key, "*") == "" ||
		strings.ContainsFunc(draft.Key, func(c rune) bool { return c <= ' ' || c > '~' })) {
		return refuse("key", "give %d to %d printable characters of ASCII without blanks, or leave it out and one is made", minBrought, maxBrought)
	}
	return nil
}

// Length of a key that a tenant brings along, in characters.
const (
	minBrought = 16
	maxBrought = 256
)

// addKey puts a new key into a row. The row has its hash only: keys that we
// make have 256 random bits, so a fast hash is enough; one that was brought
// along is as good as who made it.
func addKey(row *schemas.Tenant, draft KeyDraft) (KeyMade, error) {
	if len(row.Keys) >= maxKeys {
		return KeyMade{}, api.Fail(http.StatusConflict, "too_many_keys", "", "the tenant has %d keys; delete one first", len(row.Keys))
	}
	text, shown := draft.Key, ""
	if text == "" {
		text = keyPrefix + randomID("") + randomID("")
		shown = text
	}
	sum := sha256.Sum256([]byte(text))
	key := schemas.TenantKey{ID: randomID("key_"), Name: draft.Name, Hash: sum[:], Hint: text[len(text)-4:], RateLimit: draft.RateLimit, CreatedAt: row.UpdatedAt}
	row.Keys = append(row.Keys, key)
	return KeyMade{ID: key.ID, Key: shown}, nil
}
