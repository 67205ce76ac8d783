package endpoint

// The catalogue: every event type that webhooks of a tenant can be for, from
// the profiles, from hookstream itself and from the tenant.

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/schemas"
)

// Sources of an event type.
const (
	fromTenant  = "tenant"
	fromProfile = "profile"
	fromSystem  = "hookstream"
)

// maxTypes bounds a tenant's own event types.
const maxTypes = 500

// maxTypePage is the largest and the default page: most tenants see it all.
const maxTypePage = 200

// EventTypeView is an event type as the API shows it.
type EventTypeView struct {
	Type        string          `json:"type"`
	Source      string          `json:"source" doc:"tenant, profile or hookstream"`
	Profile     string          `json:"profile,omitempty" doc:"whose catalogue it stands in"`
	Tenant      string          `json:"tenant,omitempty"`
	Description string          `json:"description,omitempty"`
	Required    []string        `json:"required,omitempty" doc:"top-level fields of the data that the profile insists on"`
	Schema      json.RawMessage `json:"schema,omitempty" doc:"JSON Schema 2020-12 of the data"`
	Sample      json.RawMessage `json:"sample,omitempty" doc:"data of a test event"`
	Version     int64           `json:"version,omitempty" doc:"of a tenant's own type; also the ETag"`
	CreatedAt   *time.Time      `json:"created_at,omitempty"`
	UpdatedAt   *time.Time      `json:"updated_at,omitempty"`
}

// EventTypes pages through the catalogue: the tenant's own types, hookstream's,
// then each profile's. query has tenant (root key only), profile, limit and
// cursor.
func (r *Registry) EventTypes(by api.Principal, query url.Values) (api.Page[EventTypeView], error) {
	var none api.Page[EventTypeView]
	owner, err := ownTenant(by, query.Get("tenant"))
	if err != nil {
		return none, err
	}
	limit := maxTypePage
	if text := query.Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxTypePage {
			return none, api.Fail(http.StatusBadRequest, "invalid_parameter", "limit", "give a whole number from 1 to %d", maxTypePage)
		}
	}
	var after typePlace
	if c := query.Get("cursor"); c != "" {
		if err := api.DecodeCursor(c, &after); err != nil {
			return none, err
		}
	}
	all, err := r.catalogue(owner, query.Get("profile"))
	if err != nil {
		return none, err
	}
	if after.Type != "" {
		i, found := slices.BinarySearchFunc(all, after, func(v EventTypeView, p typePlace) int { return placeOf(v).compare(p) })
		if found {
			i++
		}
		all = all[i:]
	}
	next := ""
	if len(all) > limit {
		all = all[:limit]
		if next, err = api.EncodeCursor(placeOf(all[limit-1])); err != nil {
			return none, err
		}
	}
	return api.NewPage(all, next, time.Now()), nil
}

// typePlace is where the list goes on: behind this entry.
type typePlace struct {
	Rank    int    `json:"r"`
	Profile string `json:"p"`
	Type    string `json:"t"`
}

func placeOf(v EventTypeView) typePlace {
	return typePlace{slices.Index([]string{fromTenant, fromSystem, fromProfile}, v.Source), v.Profile, v.Type}
}

func (p typePlace) compare(q typePlace) int {
	return cmp.Or(cmp.Compare(p.Rank, q.Rank), cmp.Compare(p.Profile, q.Profile), cmp.Compare(p.Type, q.Type))
}

// catalogue lists all types that a tenant sees, or those of one profile,
// sorted by their places.
func (r *Registry) catalogue(owner, profileName string) ([]EventTypeView, error) {
	names := r.cfg.Profiles.Names()
	var list []EventTypeView
	if profileName != "" {
		if _, err := r.profileNamed(profileName); err != nil {
			return nil, err
		}
		names = []string{profileName}
	} else {
		for _, name := range r.typeNames(owner) {
			if row := r.ownType(owner, name); row != nil {
				list = append(list, typeView(row))
			}
		}
		for _, e := range schemas.SystemEvents() {
			list = append(list, EventTypeView{Type: e.Type, Source: fromSystem, Description: e.Doc, Sample: json.RawMessage(e.Sample)})
		}
	}
	for _, name := range names {
		p, ok := r.cfg.Profiles.Get(name)
		if !ok {
			continue
		}
		for _, e := range p.Events() {
			list = append(list, EventTypeView{Type: e.Type, Source: fromProfile, Profile: name, Description: e.Doc, Required: e.Required, Sample: json.RawMessage(e.Sample)})
		}
	}
	slices.SortFunc(list, func(a, b EventTypeView) int { return placeOf(a).compare(placeOf(b)) })
	return list, nil
}

// EventType shows one type: the tenant's own, else hookstream's, else that of
// the tenant's profile, else of the first profile that lists it. query has
// tenant (root key only) and profile.
func (r *Registry) EventType(by api.Principal, name string, query url.Values) (EventTypeView, error) {
	owner, err := ownTenant(by, query.Get("tenant"))
	if err != nil {
		return EventTypeView{}, err
	}
	list, err := r.catalogue(owner, query.Get("profile"))
	if err != nil {
		return EventTypeView{}, err
	}
	list = slices.DeleteFunc(list, func(v EventTypeView) bool { return v.Type != name })
	if len(list) == 0 {
		return EventTypeView{}, api.NotFound("event type", name)
	}
	if row, ok := r.tenantRow(owner); ok && list[0].Source == fromProfile {
		if i := slices.IndexFunc(list, func(v EventTypeView) bool { return v.Profile == row.Profile }); i >= 0 {
			return list[i], nil
		}
	}
	return list[0], nil
}

func typeView(row *schemas.TenantType) EventTypeView {
	created, updated := row.CreatedAt, row.UpdatedAt
	return EventTypeView{Type: row.Type, Source: fromTenant, Tenant: row.Tenant, Description: row.Description, Schema: row.Schema,
		Sample: row.Sample, Version: row.Version, CreatedAt: &created, UpdatedAt: &updated}
}

// typeNames lists a tenant's own types.
func (r *Registry) typeNames(owner string) []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	t := r.tenants[owner]
	if t == nil {
		return nil
	}
	names := make([]string, 0, len(t.types))
	for name := range t.types {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
