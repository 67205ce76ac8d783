package endpoint

// entry is an endpoint's row as the registry keeps it: small, because there may
// be a hundred thousand.

import (
	"strings"
	"time"
	"unique"

	"github.com/hookstream/hookstream/schemas"
)

// entry is made of one row and not changed after, but for status, under the
// registry's lock. What repeats between endpoints is interned, what few have
// is in rare. Times are Unix microseconds, 0 for none.
type entry struct {
	id      string
	url     string
	name    string
	tenant  unique.Handle[string]
	profile unique.Handle[string]
	events  unique.Handle[string] // joined by line breaks, which no type has
	secret  sealed                // the newest
	version int64
	created int64
	updated int64
	flags   flags
	status  *schemas.EndpointStatus // of this very version, or nil
	rare    *rare
}

type flags uint8

const (
	isActive flags = 1 << iota
	isVerified
	isOrdered
	isCallback
	skipsVerification
)

func (f flags) has(x flags) bool { return f&x != 0 }

// rare is what most endpoints leave at its default.
type rare struct {
	description string
	uid         string
	metadata    map[string]string
	unknown     schemas.Unknown
	headers     []schemas.CustomHeader
	older       []sealed // secrets behind the newest
	retry       []float64
	noRetry     bool
	onExhausted string
	rateLimit   float64
	concurrency int
	timeoutMS   int
	maxBody     int
}

// sealed is schemas.Sealed without its slack.
type sealed struct {
	key   unique.Handle[string]
	box   string
	at    int64
	until int64
}

func compactSealed(s schemas.Sealed) sealed {
	return sealed{key: unique.Make(s.KeyID), box: string(s.Box), at: micros(s.CreatedAt), until: micros(s.ExpiresAt)}
}

func (s sealed) wide() schemas.Sealed {
	return schemas.Sealed{KeyID: s.key.Value(), Box: []byte(s.box), CreatedAt: timeOf(s.at), ExpiresAt: timeOf(s.until)}
}

// expired says whether a rotated secret's overlap is over.
func (s sealed) expired(now time.Time) bool { return s.until != 0 && now.UnixMicro() >= s.until }

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func timeOf(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

const eventsSeparator = "\n"

func newEntry(e *schemas.Endpoint) *entry {
	x := &entry{
		id: e.ID, url: e.URL, name: e.Name,
		tenant: unique.Make(e.Tenant), profile: unique.Make(e.Profile), events: unique.Make(strings.Join(e.Events, eventsSeparator)),
		version: e.Version, created: micros(e.CreatedAt), updated: micros(e.UpdatedAt),
	}
	x.set(isActive, e.Active)
	x.set(isVerified, e.Verified)
	x.set(isOrdered, e.Ordered)
	x.set(isCallback, e.Callback)
	x.set(skipsVerification, e.SkipVerification)
	if len(e.Secrets) > 0 {
		x.secret = compactSealed(e.Secrets[0])
	}
	r := rare{description: e.Description, uid: e.UID, metadata: e.Metadata, headers: e.Headers, retry: e.Retry, noRetry: e.NoRetry,
		onExhausted: e.OnExhausted, rateLimit: e.RateLimit, concurrency: e.Concurrency, timeoutMS: e.TimeoutMS, maxBody: e.MaxBody, unknown: e.Unknown}
	for i := 1; i < len(e.Secrets); i++ {
		r.older = append(r.older, compactSealed(e.Secrets[i]))
	}
	if !r.empty() {
		x.rare = &r
	}
	return x
}

func (x *entry) set(flag flags, on bool) {
	if on {
		x.flags |= flag
	}
}

func (r *rare) empty() bool {
	return r.description == "" && r.uid == "" && len(r.metadata) == 0 && len(r.headers) == 0 && len(r.older) == 0 &&
		len(r.retry) == 0 && !r.noRetry && r.onExhausted == "" && r.rateLimit == 0 && r.concurrency == 0 && r.timeoutMS == 0 && r.maxBody == 0 && len(r.unknown) == 0
}

// extra is the rare part, empty when there is none.
func (x *entry) extra() *rare {
	if x.rare == nil {
		return &rare{}
	}
	return x.rare
}

// types are the subscriptions; none means everything.
func (x *entry) types() []string {
	joined := x.events.Value()
	if joined == "" {
		return nil
	}
	return strings.Split(joined, eventsSeparator)
}

// secrets are the boxes, newest first.
func (x *entry) secrets() []sealed {
	if x.secret.box == "" {
		return nil
	}
	return append([]sealed{x.secret}, x.extra().older...)
}

// row is the endpoint as its row was, times to the microsecond.
func (x *entry) row() schemas.Endpoint {
	r := x.extra()
	e := schemas.Endpoint{
		ID: x.id, Tenant: x.tenant.Value(), Version: x.version, Name: x.name, URL: x.url, Events: x.types(), Profile: x.profile.Value(),
		Active: x.flags.has(isActive), Verified: x.flags.has(isVerified), Ordered: x.flags.has(isOrdered),
		Callback: x.flags.has(isCallback), SkipVerification: x.flags.has(skipsVerification),
		CreatedAt: timeOf(x.created), UpdatedAt: timeOf(x.updated),
		Description: r.description, UID: r.uid, Metadata: r.metadata, Headers: r.headers, Retry: r.retry, NoRetry: r.noRetry,
		OnExhausted: r.onExhausted, RateLimit: r.rateLimit, Concurrency: r.concurrency, TimeoutMS: r.timeoutMS, MaxBody: r.maxBody, Unknown: r.unknown,
	}
	for _, s := range x.secrets() {
		e.Secrets = append(e.Secrets, s.wide())
	}
	return e
}

// verified says whether the endpoint passed its challenge, or needs none.
func (x *entry) verified() bool {
	if x.flags.has(isVerified) || x.flags.has(skipsVerification) {
		return true
	}
	return x.status != nil && x.status.Verified
}

func (x *entry) standing() Standing {
	switch {
	case x.status != nil && x.status.Disabled:
		return Disabled
	case !x.flags.has(isActive):
		return Inactive
	case !x.verified():
		return Unverified
	}
	return Active
}
