package endpoint

// The routes of event types.

import (
	"net/http"

	"github.com/hookstream/hookstream/api"
)

func (r *Registry) eventTypeRoutes() []api.Route {
	const tag = "event types"
	whose := api.Param{Name: "tenant", Doc: "root key only: whose; absent: default"}
	of := api.Param{Name: "profile", Doc: "of this profile's catalogue only"}
	return []api.Route{
		{Method: http.MethodGet, Pattern: "/v1/event-types", Auth: api.Key, Handle: r.handleEventTypes,
			Doc: api.Doc{Summary: "List event types: the tenant's own, hookstream's, and each profile's catalogue", Tag: tag, Response: api.Page[EventTypeView]{},
				Query: []api.Param{whose, of, {Name: "limit", Type: "integer", Doc: "rows in a page, 1 to 200; 200 when absent"}, {Name: "cursor", Doc: "next_cursor of the page before"}}}},
		{Method: http.MethodGet, Pattern: "/v1/event-types/{type}", Auth: api.Key, Handle: r.handleEventType,
			Doc: api.Doc{Summary: "Show an event type", Tag: tag, Response: EventTypeView{}, Query: []api.Param{whose, of}}},
		{Method: http.MethodPut, Pattern: "/v1/event-types/{type}", Auth: api.Key, Handle: r.handlePutEventType,
			Doc: api.Doc{Summary: "Make or replace an event type of the tenant's own: 201 when it was made, 200 when it was replaced; If-Match guards against changes in between",
				Tag: tag, Request: EventTypeDraft{}, Response: EventTypeView{}, Others: []int{http.StatusCreated}, Query: []api.Param{whose}}},
		{Method: http.MethodDelete, Pattern: "/v1/event-types/{type}", Auth: api.Key, Handle: r.handleDeleteEventType,
			Doc: api.Doc{Summary: "Delete an event type of the tenant's own", Tag: tag, Status: http.StatusNoContent, Query: []api.Param{whose}}},
	}
}

func (r *Registry) handleEventTypes(w http.ResponseWriter, req *http.Request) error {
	page, err := r.EventTypes(by(req), req.URL.Query())
	if err != nil {
		return err
	}
	return api.WriteJSON(w, http.StatusOK, page)
}

func (r *Registry) handleEventType(w http.ResponseWriter, req *http.Request) error {
	v, err := r.EventType(by(req), req.PathValue("type"), req.URL.Query())
	if err != nil {
		return err
	}
	if v.Version > 0 {
		setETag(w, v.Version)
	}
	return api.WriteJSON(w, http.StatusOK, v)
}

func (r *Registry) handlePutEventType(w http.ResponseWriter, req *http.Request) error {
	var draft EventTypeDraft
	if err := optionalJSON(req, &draft); err != nil {
		return err
	}
	v, made, err := r.PutEventType(req.Context(), by(req), req.URL.Query().Get("tenant"), req.PathValue("type"), req.Header.Get("If-Match"), draft)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if made {
		status = http.StatusCreated
	}
	setETag(w, v.Version)
	return api.WriteJSON(w, status, v)
}

func (r *Registry) handleDeleteEventType(w http.ResponseWriter, req *http.Request) error {
	if err := r.DeleteEventType(req.Context(), by(req), req.URL.Query().Get("tenant"), req.PathValue("type"), req.Header.Get("If-Match")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
