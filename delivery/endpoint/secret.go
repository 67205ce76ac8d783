package endpoint

// Secrets: made, checked, sealed, rotated.

import (
	"context"
	"encoding/base64"
	"slices"
	"time"

	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

// maxSecrets bounds how many secrets of one owner may sign at a time.
const maxSecrets = 5

// secretBytes is the strength of a made secret.
const secretBytes = 32

// webhookSecret takes the owner's secret, or makes one when it is empty; an
// error is the profile's and names the field secret.
func webhookSecret(p *profile.Profile, given string) (text string, made bool, err error) {
	if given == "" {
		return p.NewSecret(randomBytes(secretBytes)), true, nil
	}
	if given == Mask { // an answer sent back as it was read: everybody knows it
		return "", false, &profile.Fault{Field: "secret", Reason: "is the mask that answers show; give the secret itself, or leave it out"}
	}
	return given, false, p.CheckSecret(given)
}

// apiSecret makes a tenant's API Secret. Its form is one that every built-in
// profile takes, because webhooks of several may sign with it.
func apiSecret() string {
	return "whsec_" + base64.StdEncoding.EncodeToString(randomBytes(secretBytes))
}

// checkAPISecret judges the API Secret that a tenant brings along: callback URLs
// are signed with it, and the webhooks of profiles that have one for the tenant.
func (r *Registry) checkAPISecret(draft TenantDraft) error {
	if draft.Secret == "" {
		return nil
	}
	name := draft.Profile
	if name == "" {
		name = DefaultProfile
	}
	p, err := r.profileNamed(name)
	if err != nil {
		return err
	}
	if _, _, err := webhookSecret(p, draft.Secret); err != nil {
		return faulty(err)
	}
	return nil
}

// rotated puts a new secret in front of the others, which sign on until now +
// overlap at most; those whose time is over are dropped.
func rotated(secrets []schemas.Sealed, newest schemas.Sealed, now time.Time, overlap time.Duration) []schemas.Sealed {
	out := []schemas.Sealed{newest}
	end := now.Add(overlap)
	for _, s := range secrets {
		if s.ExpiresAt.IsZero() || s.ExpiresAt.After(end) {
			s.ExpiresAt = end
		}
		if s.ExpiresAt.After(now) && len(out) < maxSecrets {
			out = append(out, s)
		}
	}
	return out
}

// needTenant returns a tenant's row and writes it first when there is none.
func (r *Registry) needTenant(ctx context.Context, id, actor string) (*schemas.Tenant, error) {
	if row, ok := r.tenantRow(id); ok {
		return row, nil
	}
	return r.completeTenant(ctx, id, actor, false)
}

// needTenantSecret is needTenant for one that has to sign: a tenant without an
// API Secret gets one, which its first key will show.
func (r *Registry) needTenantSecret(ctx context.Context, id, actor string) (*schemas.Tenant, error) {
	if row, ok := r.tenantRow(id); ok && len(row.Secrets) > 0 {
		return row, nil
	}
	return r.completeTenant(ctx, id, actor, true)
}

func (r *Registry) completeTenant(ctx context.Context, id, actor string, secret bool) (row *schemas.Tenant, err error) {
	err = r.changeTenant(ctx, id, func(ctx context.Context) error {
		old, ok := r.tenantRow(id)
		if ok && (!secret || len(old.Secrets) > 0) {
			row = old // another request was faster
			return nil
		}
		action, detail := "tenant.update", "secret"
		if !ok {
			old, action, detail = newTenant(id, "", ""), "tenant.create", ""
		}
		next := edited(old)
		if secret {
			next.Secrets = []schemas.Sealed{r.cfg.Keyring.seal(id, purposeTenant, []byte(apiSecret()), next.UpdatedAt)}
		}
		if err := r.putTenant(ctx, &next); err != nil {
			return err
		}
		r.audit(ctx, actor, action, id, "", id, detail)
		row = &next
		return nil
	})
	return row, err
}

// DefaultProfile is the profile of tenants that name none.
const DefaultProfile = "standard"

func newTenant(id, name, profileName string) *schemas.Tenant {
	if profileName == "" {
		profileName = DefaultProfile
	}
	return &schemas.Tenant{ID: id, Name: name, Profile: profileName, CreatedAt: stamp()}
}

// edited is a copy of a row to write next: rows themselves are shared.
func edited(row *schemas.Tenant) schemas.Tenant {
	next := *row
	next.Version++
	next.UpdatedAt = stamp()
	next.Secrets = slices.Clone(row.Secrets)
	next.Keys = slices.Clone(row.Keys)
	return next
}
