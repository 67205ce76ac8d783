package endpoint

// Lists of webhooks: newest first, a page at a time.

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/hookstream/hookstream/api"
)

const (
	defaultPage = 50
	maxPage     = 200
)

// allTenants is what root names to list every tenant's webhooks.
const allTenants = "*"

// place is where a list goes on: behind the entry of this creation and id.
type place struct {
	Created int64  `json:"c"`
	ID      string `json:"i"`
}

// List pages through the webhooks of one tenant, or of all for root with
// tenant "*". query has tenant, uid, limit and cursor.
func (r *Registry) List(by api.Principal, query url.Values) (api.Page[Webhook], error) {
	limit, err := pageLimit(query)
	if err != nil {
		return api.Page[Webhook]{}, err
	}
	after := &entry{}
	if c := query.Get("cursor"); c != "" {
		var at place
		if err := api.DecodeCursor(c, &at); err != nil {
			return api.Page[Webhook]{}, err
		}
		after.created, after.id = at.Created, at.ID
	}
	named := query.Get("tenant")
	owner := allTenants
	if !by.Root || named != allTenants {
		if owner, err = ownTenant(by, named); err != nil {
			return api.Page[Webhook]{}, err
		}
	}
	now := time.Now()
	r.mu.RLock()
	defer r.mu.RUnlock()
	var list []*entry
	if uid := query.Get("uid"); uid != "" {
		list = r.withUID(owner, uid)
	} else {
		list = r.listed(owner)
	}
	end := len(list)
	if after.id != "" {
		end, _ = slices.BinarySearchFunc(list, after, order)
	}
	var data []Webhook
	next := ""
	for i := end - 1; i >= 0; i-- {
		if len(data) == limit {
			last := list[i+1]
			if next, err = api.EncodeCursor(place{last.created, last.id}); err != nil {
				return api.Page[Webhook]{}, err
			}
			break
		}
		data = append(data, list[i].view(now))
	}
	return api.NewPage(data, next, now), nil
}

// listed is the sorted list of a tenant, or of all; the lock is held.
func (r *Registry) listed(owner string) []*entry {
	if owner != allTenants {
		if t := r.tenants[owner]; t != nil {
			return t.index.all
		}
		return nil
	}
	var all []*entry
	for _, t := range r.tenants {
		all = append(all, t.index.all...)
	}
	slices.SortFunc(all, order)
	return all
}

func pageLimit(query url.Values) (int, error) {
	text := query.Get("limit")
	if text == "" {
		return defaultPage, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxPage {
		return 0, api.Fail(http.StatusBadRequest, "invalid_parameter", "limit", "give a whole number from 1 to %d", maxPage)
	}
	return n, nil
}
