package analytics

// Query parameters of the routes: each is read strictly, and what cannot be
// used is a 400 problem that names it.

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/schemas"
)

func badParam(field, detail string, args ...any) error {
	return api.Fail(http.StatusBadRequest, "bad_parameter", field, detail, args...)
}

// knownParams refuses a parameter that the route does not have: a misspelt
// filter would answer with too much. The key may come as one.
func knownParams(v url.Values, names ...string) error {
	for name := range v {
		if name != "api_key" && !slices.Contains(names, name) {
			return badParam(name, "there is no such parameter here; use %s", strings.Join(names, ", "))
		}
	}
	return nil
}

func timeParam(v url.Values, name string) (time.Time, error) {
	s := v.Get(name)
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t.UTC(), nil
	}
	// A '+' of a time zone that was not escaped arrives as a space.
	if t, err := time.Parse(time.RFC3339Nano, strings.Replace(s, " ", "+", 1)); err == nil {
		return t.UTC(), nil
	}
	return time.Time{}, badParam(name, "is %q; give RFC 3339, for example 2025-03-04T05:06:07Z", s)
}

func intParam(v url.Values, name string, least, most, otherwise int) (int, error) {
	s := v.Get(name)
	if s == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > most {
		return 0, badParam(name, "is %q; give a whole number from %d to %d", s, least, most)
	}
	return n, nil
}

func statusParam(v url.Values) (schemas.State, error) {
	switch s := schemas.State(v.Get("status")); s {
	case "", schemas.StatePending, schemas.StateSuccess, schemas.StateError, schemas.StateSkipped:
		return s, nil
	default:
		return "", badParam("status", "is %q; use pending, success, error or skipped", string(s))
	}
}

func cursorParam(v url.Values) (*Cursor, error) {
	s := v.Get("cursor")
	if s == "" {
		return nil, nil
	}
	var c Cursor
	if err := api.DecodeCursor(s, &c); err != nil {
		return nil, err
	}
	return &c, nil
}

// listParams reads what every list takes.
func listParams(v url.Values) (q LogQuery, err error) {
	if q.Limit, err = intParam(v, "limit", 1, MaxPage, DefaultPage); err != nil {
		return q, err
	}
	if q.After, err = cursorParam(v); err != nil {
		return q, err
	}
	if q.Since, err = timeParam(v, "since"); err != nil {
		return q, err
	}
	if q.Until, err = timeParam(v, "until"); err != nil {
		return q, err
	}
	if !q.Since.IsZero() && !q.Until.IsZero() && !q.Since.Before(q.Until) {
		return q, badParam("until", "is not after since; swap them")
	}
	q.EventType = v.Get("event_type")
	if q.EventType != "" {
		if err := schemas.CheckEventType(q.EventType); err != nil {
			_, reason, _ := strings.Cut(err.Error(), ": ")
			return q, badParam("event_type", "%s", reason)
		}
	}
	return q, nil
}

// tenantParam is the tenant that a request is about: a key's own, and for the
// root key what it names, or all.
func tenantParam(p api.Principal, v url.Values) (string, error) {
	named := v.Get("tenant")
	if !p.Root {
		if named != "" && named != p.Tenant {
			return "", api.Fail(http.StatusForbidden, "foreign_tenant", "tenant", "this key belongs to another tenant; leave tenant out, or use the root key")
		}
		return p.Tenant, nil
	}
	if named == "" {
		return "", nil
	}
	if err := schemas.CheckTenant(named); err != nil {
		_, reason, _ := strings.Cut(err.Error(), ": ")
		return "", badParam("tenant", "%s", reason)
	}
	return named, nil
}

// innerDeliveryID takes an id in either form: ours, or with a profile's prefix.
func innerDeliveryID(id string) string {
	return schemas.InnerID(id, schemas.DeliveryPrefix, "delivery_")
}

func innerWebhookID(id string) string { return schemas.InnerID(id, schemas.WebhookPrefix, "webhook_") }
