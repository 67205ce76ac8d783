package endpoint

// Checks of what a client wants an endpoint to be; each problem names its
// field and the cure.

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

// Bounds of an endpoint's fields.
const (
	maxURLBytes    = 2048
	maxEvents      = 100
	maxHeaders     = 32
	maxHeaderBytes = 4096
	maxMetadata    = 50
	maxRetries     = 20
	maxRetryDelay  = 7 * 24 * 3600 // seconds
	maxTimeoutMS   = 120_000
	minTimeoutMS   = 100
	maxConcurrency = 256
	maxRateLimit   = 100_000
	maxBodyBytes   = 16 << 20
)

// refuse is a 422 for a field.
func refuse(field, detail string, args ...any) error {
	return api.Fail(http.StatusUnprocessableEntity, "invalid_field", field, detail, args...)
}

// faulty turns a profile's refusal into the API's.
func faulty(err error) error {
	var fault *profile.Fault
	if errors.As(err, &fault) {
		return refuse(fault.Field, "%s", fault.Reason)
	}
	return err
}

// checkRow judges everything about a row but its secrets and headers.
func (r *Registry) checkRow(row *schemas.Endpoint, p *profile.Profile) error {
	if err := r.checkURL(row.URL); err != nil {
		return err
	}
	if err := checkEvents(row, p); err != nil {
		return err
	}
	for _, f := range []struct {
		field, value string
		most         int
	}{{"name", row.Name, 200}, {"description", row.Description, 2000}, {"uid", row.UID, 200}} {
		if len(f.value) > f.most || !utf8.ValidString(f.value) || strings.ContainsAny(f.value, "\x00\r\n") && f.field != "description" {
			return refuse(f.field, "give at most %d bytes of text without line breaks", f.most)
		}
	}
	if len(row.Metadata) > maxMetadata {
		return refuse("metadata", "has %d entries; give at most %d", len(row.Metadata), maxMetadata)
	}
	for _, k := range slices.Sorted(maps.Keys(row.Metadata)) {
		if k == "" || len(k) > 64 || len(row.Metadata[k]) > 512 {
			return refuse("metadata", "entry %.64q: give a name of 1 to 64 bytes and a value of at most 512", k)
		}
	}
	return checkLimits(row)
}

func (r *Registry) checkURL(raw string) error {
	if raw == "" {
		return refuse("url", "is missing; give where to POST to, for example https://example.com/hooks")
	}
	if len(raw) > maxURLBytes {
		return refuse("url", "has %d bytes; give at most %d", len(raw), maxURLBytes)
	}
	if err := r.cfg.CheckURL(raw); err != nil {
		var problem *api.Problem
		if errors.As(err, &problem) {
			return err
		}
		return refuse("url", "%s", strings.TrimPrefix(err.Error(), "url: "))
	}
	return nil
}

func checkEvents(row *schemas.Endpoint, p *profile.Profile) error {
	if len(row.Events) > maxEvents {
		return refuse("events", "has %d entries; give at most %d, or a pattern like resume.*", len(row.Events), maxEvents)
	}
	seen := map[string]bool{}
	row.Events = slices.DeleteFunc(slices.Clone(row.Events), func(t string) bool {
		twice := seen[t]
		seen[t] = true
		return twice
	})
	return faulty(p.CheckEvents(row.Events))
}

func checkLimits(row *schemas.Endpoint) error {
	switch {
	case row.OnExhausted != "" && row.OnExhausted != "skip" && row.OnExhausted != "halt":
		return refuse("on_exhausted", "is %q; give skip or halt", row.OnExhausted)
	case row.OnExhausted != "" && !row.Ordered:
		return refuse("on_exhausted", "is for ordered webhooks only; set ordered, or leave it out")
	case row.Concurrency < 0 || row.Concurrency > maxConcurrency:
		return refuse("concurrency", "is %d; give 1 to %d, or 0 for the default", row.Concurrency, maxConcurrency)
	case row.Ordered && row.Concurrency > 1:
		return refuse("concurrency", "is %d; an ordered webhook has one request in flight", row.Concurrency)
	case row.RateLimit < 0 || row.RateLimit > maxRateLimit:
		return refuse("rate_limit", "is %v; give requests per second up to %d, or 0 for no limit", row.RateLimit, maxRateLimit)
	case row.RateLimit > 0 && row.RateLimit < 0.001:
		return refuse("rate_limit", "is %v; give at least 0.001 requests per second", row.RateLimit)
	case row.TimeoutMS != 0 && (row.TimeoutMS < minTimeoutMS || row.TimeoutMS > maxTimeoutMS):
		return refuse("timeout_ms", "is %d; give %d to %d, or 0 for the profile's", row.TimeoutMS, minTimeoutMS, maxTimeoutMS)
	case row.MaxBody < 0 || row.MaxBody > maxBodyBytes:
		return refuse("max_body", "is %d; give bytes up to %d, or 0 for the profile's", row.MaxBody, maxBodyBytes)
	case len(row.Retry) > maxRetries:
		return refuse("retry", "has %d entries; give at most %d", len(row.Retry), maxRetries)
	}
	for i, s := range row.Retry {
		if s <= 0 || s > maxRetryDelay {
			return refuse("retry", "entry %d is %v; give seconds up to %d", i+1, s, maxRetryDelay)
		}
	}
	return nil
}

// sealHeaders checks custom headers and seals their values, sorted by name. A
// masked value keeps what the header of that name had before.
func (r *Registry) sealHeaders(id string, p *profile.Profile, headers map[string]string, before []schemas.CustomHeader) ([]schemas.CustomHeader, error) {
	if len(headers) > maxHeaders {
		return nil, refuse("headers", "has %d entries; give at most %d", len(headers), maxHeaders)
	}
	var out []schemas.CustomHeader
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		value := headers[name]
		if err := r.checkHeader(p, name, value); err != nil {
			return nil, err
		}
		lower := strings.ToLower(name)
		if seen[lower] {
			return nil, refuse("headers", "%q is there twice in different cases; give it once", name)
		}
		seen[lower] = true
		if value == Mask {
			i := slices.IndexFunc(before, func(h schemas.CustomHeader) bool { return strings.EqualFold(h.Name, name) })
			if i < 0 {
				return nil, refuse("headers", "%q has the mask as its value; give the value itself", name)
			}
			out = append(out, schemas.CustomHeader{Name: name, Value: before[i].Value})
			continue
		}
		out = append(out, schemas.CustomHeader{Name: name, Value: r.cfg.Keyring.seal(id, headerPurpose(name), []byte(value), stamp())})
	}
	return out, nil
}

// checkHeader refuses what collides with any profile's own headers: a signature
// header of another product would mislead its receivers.
func (r *Registry) checkHeader(p *profile.Profile, name, value string) error {
	if len(name)+len(value) > maxHeaderBytes {
		return refuse("headers", "%.100q has more than %d bytes", name, maxHeaderBytes)
	}
	if err := p.CheckHeader(name, value); err != nil {
		return faulty(err)
	}
	for _, other := range r.cfg.Profiles.Names() {
		if q, ok := r.cfg.Profiles.Get(other); ok && q.Reserved(name) {
			return refuse("headers", "%q is reserved: the profile %s signs or marks its requests with it", name, other)
		}
	}
	return nil
}

// profileNamed finds an installed profile.
func (r *Registry) profileNamed(name string) (*profile.Profile, error) {
	p, ok := r.cfg.Profiles.Get(name)
	if !ok {
		return nil, refuse("profile", "there is no profile %q; use one of %s", name, strings.Join(r.cfg.Profiles.Names(), ", "))
	}
	return p, nil
}
