package endpoint

// Changing webhooks: edits, rotated secrets, challenges, test deliveries.

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

// Update changes the fields that a patch has. Each write is a new version,
// which also ends a disabling by hookstream: the owner looked after it. ifMatch
// is the If-Match header, empty for "whatever it is".
func (r *Registry) Update(ctx context.Context, by api.Principal, id, ifMatch string, patch Patch) (Webhook, error) {
	return r.edit(ctx, by, id, ifMatch, "webhook.update", func(row *schemas.Endpoint, p *profile.Profile) error {
		if patch.Secret != nil {
			return refuse("secret", "is changed by POST /v1/webhooks/%s/rotate-secret", row.ID)
		}
		if patch.Profile != nil && *patch.Profile != row.Profile {
			return refuse("profile", "is %s and cannot change, because deliveries under way have it; make another webhook", row.Profile)
		}
		if patch.DefaultRetry && patch.Retry != nil {
			return refuse("default_retry", "stands beside retry; give one of them")
		}
		if patch.Headers != nil {
			headers, err := r.sealHeaders(row.ID, p, *patch.Headers, row.Headers)
			if err != nil {
				return err
			}
			row.Headers = headers
		}
		url := row.URL
		patch.apply(row)
		if patch.Name != nil {
			if err := r.checkNamed(by, row, p); err != nil {
				return err
			}
		}
		if err := r.checkRow(row, p); err != nil {
			return err
		}
		if row.URL != url && r.challenged(p) {
			row.Verified = false // another receiver has to answer the challenge
		}
		row.Verified = row.Verified || row.SkipVerification
		return nil
	})
}

func (p *Patch) apply(row *schemas.Endpoint) {
	set(&row.URL, p.URL)
	set(&row.Events, p.Events)
	if len(row.Events) == 0 {
		row.Events = []string{"*"}
	}
	set(&row.Name, p.Name)
	set(&row.Description, p.Description)
	set(&row.UID, p.UID)
	set(&row.Metadata, p.Metadata)
	set(&row.Active, p.Active)
	set(&row.Ordered, p.Ordered)
	set(&row.OnExhausted, p.OnExhausted)
	if p.OnExhausted == nil && !row.Ordered {
		row.OnExhausted = ""
	}
	set(&row.Concurrency, p.Concurrency)
	set(&row.RateLimit, p.RateLimit)
	set(&row.TimeoutMS, p.TimeoutMS)
	set(&row.MaxBody, p.MaxBody)
	set(&row.SkipVerification, p.SkipVerification)
	setRetry(row, p.Retry)
	if p.DefaultRetry {
		row.Retry, row.NoRetry = nil, false
	}
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

// edit is the one way to change an endpoint's row: locked, up to date, version
// checked, written, applied, audited; then the dispatcher is told what follows.
func (r *Registry) edit(ctx context.Context, by api.Principal, id, ifMatch, action string, change func(*schemas.Endpoint, *profile.Profile) error) (view Webhook, err error) {
	id = r.innerID(id)
	if _, err := r.visible(by, id); err != nil {
		return Webhook{}, err
	}
	err = r.change(ctx, id, func(ctx context.Context) error {
		if _, err := r.visible(by, id); err != nil {
			return err
		}
		before, standing, ok := r.rowNow(id)
		if !ok {
			return api.NotFound("webhook", id)
		}
		if before.Callback {
			return api.Fail(http.StatusConflict, "callback_webhook", "", "this webhook was made for a callback URL and cannot be changed; delete it, or make one of your own")
		}
		if err := matchVersion(ifMatch, before.Version); err != nil {
			return err
		}
		p, err := r.profileNamed(before.Profile)
		if err != nil {
			return err
		}
		row := before
		row.Headers, row.Secrets = slices.Clone(before.Headers), slices.Clone(before.Secrets)
		if err := change(&row, p); err != nil {
			return err
		}
		row.Version = before.Version + 1
		row.UpdatedAt = stamp()
		if err := r.putNamed(ctx, &row, before.UID); err != nil {
			return err
		}
		r.audit(ctx, by.KeyID, action, row.Tenant, id, id, changedFields(before, row))
		if err := r.follow(ctx, &row, standing, before.Verified); err != nil {
			return err
		}
		view, err = r.seen(id)
		return err
	})
	return view, err
}

// rowNow is an endpoint's row with what its status adds: being verified must
// survive the next version, which no longer counts the status.
func (r *Registry) rowNow(id string) (schemas.Endpoint, Standing, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	x := r.endpoints[id]
	if x == nil {
		return schemas.Endpoint{}, Deleted, false
	}
	row := x.row()
	row.Verified = x.verified()
	return row, x.standing(), true
}

// follow tells the dispatcher what a change asks of it.
func (r *Registry) follow(ctx context.Context, row *schemas.Endpoint, before Standing, wasVerified bool) error {
	if row.Active && (before == Disabled || before == Inactive) {
		if err := r.orderOf(ctx, schemas.Control{Action: schemas.ControlEnable, EndpointID: row.ID, Disabled: before == Disabled}); err != nil {
			return err
		}
	}
	if !row.Verified && wasVerified {
		return r.order(ctx, schemas.ControlVerify, row.ID)
	}
	return nil
}

// matchVersion judges an If-Match header: one or more versions, or *.
func matchVersion(ifMatch string, version int64) error {
	if ifMatch == "" {
		return nil
	}
	for _, tag := range strings.Split(ifMatch, ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" || strings.Trim(tag, `"`) == strconv.FormatInt(version, 10) {
			return nil
		}
	}
	return api.Fail(http.StatusPreconditionFailed, "stale", "", "it is at version %d now; read it again and repeat your change", version)
}

// RotateRequest is the body of rotate-secret; it may be empty.
type RotateRequest struct {
	OverlapSeconds *int   `json:"overlap_seconds,omitempty" doc:"how long the old secret signs beside the new one, where the profile can carry both; absent: 86400"`
	Secret         string `json:"secret,omitempty" doc:"the new secret; absent: one is made"`
}

// maxOverlap bounds how long an old secret may go on.
const maxOverlap = 30 * 24 * time.Hour

func (r *Registry) overlap(req RotateRequest) (time.Duration, error) {
	if req.OverlapSeconds == nil {
		return r.cfg.Overlap, nil
	}
	if n := *req.OverlapSeconds; n < 0 || n > int(maxOverlap/time.Second) {
		return 0, refuse("overlap_seconds", "is %d; give 0 to %d", n, int(maxOverlap/time.Second))
	}
	return time.Duration(*req.OverlapSeconds) * time.Second, nil
}

// RotateSecret gives a webhook a new secret, shown in the answer. A profile
// that can send one signature only signs with the new one at once; the others
// send both until the overlap ends.
func (r *Registry) RotateSecret(ctx context.Context, by api.Principal, id, ifMatch string, req RotateRequest) (Webhook, error) {
	overlap, err := r.overlap(req)
	if err != nil {
		return Webhook{}, err
	}
	shown := ""
	view, err := r.edit(ctx, by, id, ifMatch, "webhook.rotate_secret", func(row *schemas.Endpoint, p *profile.Profile) error {
		if p.SecretOf() == profile.OfTenant {
			return api.Fail(http.StatusConflict, "tenant_secret", "", "the profile %s signs with the tenant's API Secret; rotate that by POST /v1/tenants/%s/rotate", p.Name(), row.Tenant)
		}
		text, _, err := webhookSecret(p, req.Secret)
		if err != nil {
			return faulty(err)
		}
		now := stamp()
		row.Secrets = rotated(row.Secrets, r.cfg.Keyring.seal(row.ID, purposeEndpoint, []byte(text), now), now, overlap)
		shown = text
		return nil
	})
	if err != nil {
		return Webhook{}, err
	}
	view.Secret = shown
	return view, nil
}

// Verify orders a new challenge.
func (r *Registry) Verify(ctx context.Context, by api.Principal, id string) (Webhook, error) {
	id = r.innerID(id)
	x, err := r.visible(by, id)
	if err != nil {
		return Webhook{}, err
	}
	p, err := r.profileNamed(x.profile.Value())
	if err != nil {
		return Webhook{}, err
	}
	if !r.challenged(p) {
		return Webhook{}, api.Fail(http.StatusConflict, "no_challenge", "", "the profile %s has no challenge; the webhook needs no verification", p.Name())
	}
	if err := r.order(ctx, schemas.ControlVerify, id); err != nil {
		return Webhook{}, err
	}
	r.audit(ctx, by.KeyID, "webhook.verify", x.tenant.Value(), id, id, "")
	return r.seen(id)
}
