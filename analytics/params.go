package analytics

// Query parameters of the routes: each is read strictly, and what cannot be
// used is a 400 problem that names it.

import (
	"cmp"
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
			return badParam(cmp.Or(name, "query"), "there is no such parameter here; use %s", strings.Join(names, ", "))
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
	// A cursor is checked, not secret: a forged one may hold any time.
	c.Created = clampMillis(c.Created)
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
	q.EventType, err = eventTypeParam(v, "event_type")
	return q, err
}

func eventTypeParam(v url.Values, name string) (string, error) {
	kind := v.Get(name)
	if kind == "" {
		return "", nil
	}
	if err := schemas.CheckEventType(kind); err != nil {
		_, reason, _ := strings.Cut(err.Error(), ": ")
		return "", badParam(name, "%s", reason)
	}
	return kind, nil
}

func boolParam(v url.Values, name string) (bool, error) {
	switch s := v.Get(name); s {
	case "true", "1":
		return true, nil
	case "", "false", "0":
		return false, nil
	default:
		return false, badParam(name, "is %q; give true or false", s)
	}
}

// wordParam is a name of our own: lower-case letters, digits and underscores.
func wordParam(v url.Values, name string) (string, error) {
	s := v.Get(name)
	if len(s) > 40 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return "", badParam(name, "is %q; give one as the rows show it, for example http_5xx", s)
	}
	return s, nil
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

func innerEventID(id string) string {
	return schemas.InnerID(id, schemas.EventPrefix, "event_")
}

func innerWebhookID(id string) string { return schemas.InnerID(id, schemas.WebhookPrefix, "webhook_") }
