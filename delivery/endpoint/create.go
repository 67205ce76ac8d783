package endpoint

// Creating and deleting webhooks.

import (
	"context"
	"net/http"
	"time"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

// Create writes a new webhook and returns when this node has applied it. Its
// secret is in the answer if it was made here.
func (r *Registry) Create(ctx context.Context, by api.Principal, draft Draft) (Webhook, error) {
	owner, err := ownTenant(by, draft.Tenant)
	if err != nil {
		return Webhook{}, err
	}
	row, p, err := r.draftRow(owner, draft)
	if err == nil {
		err = r.checkNamed(by, row, p)
	}
	if err != nil {
		return Webhook{}, err
	}
	if row.Headers, err = r.sealHeaders(row.ID, p, draft.Headers, nil); err != nil {
		return Webhook{}, err
	}
	shown := ""
	if p.SecretOf() == profile.OfTenant {
		if draft.Secret != "" {
			return Webhook{}, refuse("secret", "the profile %s signs with the tenant's API Secret; leave it out", p.Name())
		}
	} else {
		text, made, err := webhookSecret(p, draft.Secret)
		if err != nil {
			return Webhook{}, faulty(err)
		}
		if made {
			shown = text
		}
		row.Secrets = []schemas.Sealed{r.cfg.Keyring.seal(row.ID, purposeEndpoint, []byte(text), row.CreatedAt)}
	}
	var view Webhook
	err = r.change(ctx, row.ID, func(ctx context.Context) error {
		if err := r.freeUID(owner, row.UID, row.ID); err != nil {
			return err // before a tenant is made for it
		}
		var err error
		if p.SecretOf() == profile.OfTenant {
			_, err = r.needTenantSecret(ctx, owner, by.KeyID)
		} else {
			_, err = r.needTenant(ctx, owner, by.KeyID)
		}
		if err != nil {
			return err
		}
		if err := r.putNamed(ctx, row, ""); err != nil {
			return err
		}
		r.audit(ctx, by.KeyID, "webhook.create", owner, row.ID, row.ID, givenFields(draft))
		if !row.Verified {
			if err := r.order(ctx, schemas.ControlVerify, row.ID); err != nil {
				return err
			}
		}
		view, err = r.seen(row.ID)
		return err
	})
	view.Secret = shown
	return view, err
}

// draftRow is the row that a draft asks for, checked, without secrets and
// headers.
func (r *Registry) draftRow(owner string, draft Draft) (*schemas.Endpoint, *profile.Profile, error) {
	name := draft.Profile
	if name == "" {
		name = DefaultProfile
		if t, ok := r.tenantRow(owner); ok && t.Profile != "" {
			name = t.Profile
		}
	}
	p, err := r.profileNamed(name)
	if err != nil {
		return nil, nil, err
	}
	now := stamp()
	row := &schemas.Endpoint{
		ID: randomID(schemas.WebhookPrefix), Tenant: owner, Version: 1, Name: draft.Name, Description: draft.Description, UID: draft.UID,
		Metadata: draft.Metadata, URL: draft.URL, Events: draft.Events, Profile: p.Name(), Active: draft.Active == nil || *draft.Active,
		Ordered: draft.Ordered, OnExhausted: draft.OnExhausted, Concurrency: draft.Concurrency, RateLimit: draft.RateLimit,
		TimeoutMS: draft.TimeoutMS, MaxBody: draft.MaxBody, SkipVerification: draft.SkipVerification,
		CreatedAt: now, UpdatedAt: now,
	}
	if len(row.Events) == 0 {
		row.Events = []string{"*"}
	}
	setRetry(row, draft.Retry)
	row.Verified = row.SkipVerification || !r.challenged(p)
	return row, p, r.checkRow(row, p)
}

// checkNamed wants the name that a product asks its customers for. The operator,
// and a tenant that is no customer of the product, need give none.
func (r *Registry) checkNamed(by api.Principal, row *schemas.Endpoint, p *profile.Profile) error {
	if t, ok := r.tenantRow(row.Tenant); !by.Root && row.Name == "" && p.Named() && ok && t.Profile == p.Name() {
		return refuse("name", "is missing; give the webhook a name, which %s shows in its lists", p.Title())
	}
	return nil
}

func setRetry(row *schemas.Endpoint, retry *[]float64) {
	if retry == nil {
		return
	}
	row.Retry, row.NoRetry = *retry, len(*retry) == 0
}

func (r *Registry) challenged(p *profile.Profile) bool {
	return r.cfg.Challenged != nil && r.cfg.Challenged(p)
}

// ownTenant is the tenant that a caller acts for: its own; for root the one
// that it names, else the default one.
func ownTenant(by api.Principal, named string) (string, error) {
	switch {
	case !by.Root && named != "" && named != by.Tenant:
		return "", api.Fail(http.StatusForbidden, "foreign_tenant", "tenant", "this key belongs to another tenant; leave tenant out, or use the root key")
	case !by.Root:
		return by.Tenant, nil
	case named == "":
		return schemas.DefaultTenant, nil
	}
	if err := schemas.CheckTenant(named); err != nil {
		return "", refuse("tenant", "use 1 to 64 letters, digits, '_', '-' and '.'")
	}
	return named, nil
}

// Delete removes a webhook with its status. What waits for it is skipped.
func (r *Registry) Delete(ctx context.Context, by api.Principal, id, ifMatch string) error {
	id = r.innerID(id)
	if _, err := r.visible(by, id); err != nil {
		return err
	}
	return r.change(ctx, id, func(ctx context.Context) error {
		x, err := r.visible(by, id)
		if err != nil {
			return err
		}
		if err := matchVersion(ifMatch, x.version); err != nil {
			return err
		}
		if err := r.put(ctx, r.tombstones(id)...); err != nil {
			return err
		}
		r.audit(ctx, by.KeyID, "webhook.delete", x.tenant.Value(), id, id, "")
		return nil
	})
}

// tombstones remove an endpoint, the rows beside it first: should a later write
// fail, the endpoint is still there to be deleted again.
func (r *Registry) tombstones(id string) []schemas.Record {
	records := r.beside(id)
	if o, ok := r.Outline(id); ok && !o.Callback {
		records = records[:1] // uses are recorded of callback endpoints only
	}
	return append(records, schemas.EndpointTombstone(r.cfg.Topology, id))
}

// visible is the entry that a caller may see: its own tenant's, or any for
// root. Others' are answered as if they did not exist.
func (r *Registry) visible(by api.Principal, id string) (*entry, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	x := r.endpoints[id]
	if x == nil || !by.Root && x.tenant.Value() != by.Tenant {
		return nil, api.NotFound("webhook", id)
	}
	return x, nil
}

// Get shows a webhook.
func (r *Registry) Get(by api.Principal, id string) (Webhook, error) {
	id = r.innerID(id)
	if _, err := r.visible(by, id); err != nil {
		return Webhook{}, err
	}
	return r.seen(id)
}

func (r *Registry) seen(id string) (Webhook, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	x := r.endpoints[id]
	if x == nil {
		return Webhook{}, api.NotFound("webhook", id)
	}
	return x.view(time.Now()), nil
}
