package endpoint

// The JSON forms of a webhook: what a client sends and what it sees.

import (
	"slices"
	"time"
)

// Mask stands for the value of a custom header in every answer. Sent back in
// an update, it keeps the value as it is.
const Mask = "********"

// Draft is the body of POST /v1/webhooks. Absent fields take the tenant's and
// the profile's defaults.
type Draft struct {
	Tenant           string            `json:"tenant,omitempty" doc:"root key only: whose webhook it is; a new name makes a new tenant"`
	URL              string            `json:"url" doc:"where deliveries are POSTed to"`
	Events           []string          `json:"events,omitempty" doc:"event types: exact, resume.* or *; absent: all"`
	Profile          string            `json:"profile,omitempty" doc:"how its deliveries look on the wire; absent: the tenant's"`
	Secret           string            `json:"secret,omitempty" doc:"what signs; absent: one is made and shown once"`
	Name             string            `json:"name,omitempty"`
	Description      string            `json:"description,omitempty"`
	UID              string            `json:"uid,omitempty" doc:"your own id for it, unique within the tenant"`
	Metadata         map[string]string `json:"metadata,omitempty"`
	Active           *bool             `json:"active,omitempty" doc:"false: paused, its events are skipped; absent: true"`
	Headers          map[string]string `json:"headers,omitempty" doc:"custom request headers; values are never shown again"`
	Ordered          bool              `json:"ordered,omitempty" doc:"one delivery at a time, in order; a failing one holds the rest"`
	OnExhausted      string            `json:"on_exhausted,omitempty" doc:"ordered only: skip (default) or halt when a delivery is given up"`
	Concurrency      int               `json:"concurrency,omitempty" doc:"requests in flight; absent: the default"`
	RateLimit        float64           `json:"rate_limit,omitempty" doc:"requests per second; absent: no limit"`
	Retry            *[]float64        `json:"retry,omitempty" doc:"seconds between attempts; empty: no retry; absent: the profile's"`
	TimeoutMS        int               `json:"timeout_ms,omitempty" doc:"of one whole exchange; absent: the profile's"`
	MaxBody          int               `json:"max_body,omitempty" doc:"largest request body in bytes; absent: the profile's"`
	SkipVerification bool              `json:"skip_verification,omitempty" doc:"no challenge before the first event"`
}

// Patch is the body of PATCH /v1/webhooks/{id}: absent fields stay.
type Patch struct {
	URL              *string            `json:"url,omitempty"`
	Events           *[]string          `json:"events,omitempty"`
	Name             *string            `json:"name,omitempty"`
	Description      *string            `json:"description,omitempty"`
	UID              *string            `json:"uid,omitempty"`
	Metadata         *map[string]string `json:"metadata,omitempty" doc:"replaces all metadata"`
	Active           *bool              `json:"active,omitempty" doc:"true also enables a disabled webhook again"`
	Headers          *map[string]string `json:"headers,omitempty" doc:"replaces all custom headers; the mask as a value keeps that header's value"`
	Ordered          *bool              `json:"ordered,omitempty"`
	OnExhausted      *string            `json:"on_exhausted,omitempty"`
	Concurrency      *int               `json:"concurrency,omitempty" doc:"0: the default"`
	RateLimit        *float64           `json:"rate_limit,omitempty" doc:"0: no limit"`
	Retry            *[]float64         `json:"retry,omitempty" doc:"empty: no retry"`
	DefaultRetry     bool               `json:"default_retry,omitempty" doc:"true: the profile's schedule again"`
	TimeoutMS        *int               `json:"timeout_ms,omitempty" doc:"0: the profile's"`
	MaxBody          *int               `json:"max_body,omitempty" doc:"0: the profile's"`
	SkipVerification *bool              `json:"skip_verification,omitempty"`
	Profile          *string            `json:"profile,omitempty" doc:"cannot change; may be repeated"`
	Secret           *string            `json:"secret,omitempty" doc:"refused: use rotate-secret"`
}

// Webhook is an endpoint as the API shows it. It never holds a secret but the
// one that was just made, and no header value.
type Webhook struct {
	ID                  string            `json:"id"`
	Tenant              string            `json:"tenant"`
	Name                string            `json:"name,omitempty"`
	Description         string            `json:"description,omitempty"`
	UID                 string            `json:"uid,omitempty"`
	Metadata            map[string]string `json:"metadata,omitempty"`
	URL                 string            `json:"url"`
	Events              []string          `json:"events"`
	Profile             string            `json:"profile"`
	Secret              string            `json:"secret,omitempty" doc:"only where it was made, and only that once"`
	Active              bool              `json:"active"`
	Verified            bool              `json:"verified"`
	Status              string            `json:"status" doc:"active, inactive (by its owner), pending (not verified) or disabled (by hookstream)"`
	DisabledReason      string            `json:"disabled_reason,omitempty" doc:"gone (410) or failing"`
	VerifyError         string            `json:"verify_error,omitempty"`
	Headers             map[string]string `json:"headers,omitempty" doc:"names, with masked values"`
	Ordered             bool              `json:"ordered"`
	OnExhausted         string            `json:"on_exhausted,omitempty"`
	Concurrency         int               `json:"concurrency,omitempty"`
	RateLimit           float64           `json:"rate_limit,omitempty"`
	Retry               *[]float64        `json:"retry,omitempty" doc:"absent: the profile's"`
	TimeoutMS           int               `json:"timeout_ms,omitempty"`
	MaxBody             int               `json:"max_body,omitempty"`
	SkipVerification    bool              `json:"skip_verification"`
	PreviousSecretUntil *time.Time        `json:"previous_secret_until,omitempty" doc:"until then a rotated secret signs beside the new one"`
	Version             int64             `json:"version" doc:"also the ETag; send it as If-Match to change only what you saw"`
	CreatedAt           time.Time         `json:"created_at"`
	Created             time.Time         `json:"created" doc:"created_at, by the name that I Hate PPT gives it"`
	UpdatedAt           time.Time         `json:"updated_at"`
}

// view is what a client may see of an entry; the lock is held.
func (x *entry) view(now time.Time) Webhook {
	row := x.row()
	v := Webhook{
		ID: row.ID, Tenant: row.Tenant, Name: row.Name, Description: row.Description, UID: row.UID, Metadata: row.Metadata,
		URL: row.URL, Events: row.Events, Profile: row.Profile, Active: row.Active, Verified: x.verified(), Status: x.standing().String(),
		Ordered: row.Ordered, OnExhausted: row.OnExhausted, Concurrency: row.Concurrency, RateLimit: row.RateLimit,
		TimeoutMS: row.TimeoutMS, MaxBody: row.MaxBody, SkipVerification: row.SkipVerification,
		Version: row.Version, CreatedAt: row.CreatedAt, Created: row.CreatedAt, UpdatedAt: row.UpdatedAt,
	}
	if len(v.Events) == 0 {
		v.Events = []string{"*"}
	}
	if s := x.status; s != nil {
		v.VerifyError = s.VerifyError
		if s.Disabled {
			v.DisabledReason = s.Reason
		}
	}
	for _, h := range row.Headers {
		if v.Headers == nil {
			v.Headers = make(map[string]string, len(row.Headers))
		}
		v.Headers[h.Name] = Mask
	}
	switch {
	case row.NoRetry:
		v.Retry = &[]float64{}
	case len(row.Retry) > 0:
		retry := slices.Clone(row.Retry)
		v.Retry = &retry
	}
	for i, s := range row.Secrets {
		if i > 0 && s.ExpiresAt.After(now) {
			until := s.ExpiresAt
			v.PreviousSecretUntil = &until
			break
		}
	}
	return v
}
