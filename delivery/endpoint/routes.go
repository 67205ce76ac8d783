package endpoint

// Routes: the registry's part of the HTTP API, and what its handlers share.

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/hookstream/hookstream/api"
)

// Routes are the registry's part of the HTTP API.
func (r *Registry) Routes() []api.Route {
	return r.TakeUIDs(slices.Concat(r.webhookRoutes(), r.eventTypeRoutes(), r.tenantRoutes()))
}

var pageParams = []api.Param{
	{Name: "limit", Type: "integer", Doc: "rows in a page, 1 to 200; 50 when absent"},
	{Name: "cursor", Doc: "next_cursor of the page before"},
}

func by(req *http.Request) api.Principal { return api.PrincipalOf(req.Context()) }

// answer writes a webhook with its version as the ETag.
func answer(w http.ResponseWriter, status int, v Webhook) error {
	setETag(w, v.Version)
	return api.WriteJSON(w, status, v)
}

// setETag names the version that a later If-Match is held against.
func setETag(w http.ResponseWriter, version int64) {
	w.Header().Set("ETag", strconv.Quote(strconv.FormatInt(version, 10)))
}

// optionalJSON is ReadJSON for a body that may be empty.
func optionalJSON(req *http.Request, into any) error {
	b, err := api.ReadBody(req)
	if err != nil || len(b) == 0 {
		return err
	}
	return api.ParseJSON(b, into)
}
