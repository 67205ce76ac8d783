package endpoint

// Routes: the registry's part of the HTTP API, and what its handlers share.

import (
	"net/http"
	"strconv"

	"github.com/hookstream/hookstream/api"
)

// Routes are the registry's part of the HTTP API.
func (r *Registry) Routes() []api.Route {
	return append(r.webhookRoutes(), r.tenantRoutes()...)
}

var pageParams = []api.Param{
	{Name: "limit", Type: "integer", Doc: "rows in a page, 1 to 200; 50 when absent"},
	{Name: "cursor", Doc: "next_cursor of the page before"},
}

func by(req *http.Request) api.Principal { return api.PrincipalOf(req.Context()) }

// answer writes a webhook with its version as the ETag.
func answer(w http.ResponseWriter, status int, v Webhook) error {
	w.Header().Set("ETag", strconv.Quote(strconv.FormatInt(v.Version, 10)))
	return api.WriteJSON(w, status, v)
}

// optionalJSON is ReadJSON for a body that may be empty.
func optionalJSON(req *http.Request, into any) error {
	b, err := api.ReadBody(req)
	if err != nil || len(b) == 0 {
		return err
	}
	return api.ParseJSON(b, into)
}
