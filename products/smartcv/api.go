package smartcv

// The API: what it is made of, its routes, and the shape of its answers.

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/hookstream/hookstream/analytics"
	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/delivery/endpoint"
	"github.com/hookstream/hookstream/schemas/profile"
)

// ProfileName is the profile whose webhooks this API manages.
const ProfileName = "smartcv"

// path is where the API lies.
const path = "/api/webhooks"

// Config of an API.
type Config struct {
	Registry *endpoint.Registry
	Profile  *profile.Profile // the installed one of ProfileName
	// Logs lists deliveries, newest first; nil where there is no ClickHouse.
	Logs func(context.Context, analytics.LogQuery) (analytics.LogPage, error)
	// AsOf is the time up to which Logs is complete; needed beside it.
	AsOf func(context.Context) (time.Time, error)
	Log  *slog.Logger
}

// Validate names the field that is missing.
func (c Config) Validate() error {
	switch {
	case c.Registry == nil:
		return errors.New("smartcv: Registry is nil; it has to be wired")
	case c.Profile == nil:
		return errors.New("smartcv: Profile is nil; give the profile " + ProfileName)
	case c.Logs != nil && c.AsOf == nil:
		return errors.New("smartcv: AsOf is nil beside Logs; it has to be wired")
	case c.Log == nil:
		return errors.New("smartcv: Log is nil; pass a logger")
	}
	return nil
}

// API serves the routes.
type API struct{ cfg Config }

// New makes an API.
func New(cfg Config) (*API, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &API{cfg}, nil
}

// Routes are the API's routes; their problems take Shape.
func (a *API) Routes() []api.Route {
	tenant := api.Param{Name: "tenant", Doc: "root key only: whose; default when left out"}
	route := func(method, pattern, summary string, handle func(http.ResponseWriter, *http.Request) error, doc api.Doc) api.Route {
		doc.Summary, doc.Tag, doc.Problem = summary, "smartcv", problem{}
		return api.Route{Method: method, Pattern: path + pattern, Auth: api.Key, Handle: handle, Doc: doc}
	}
	return []api.Route{
		route(http.MethodPost, "", "Create a SmartCV webhook", a.create,
			api.Doc{Query: []api.Param{tenant}, Request: Draft{}, Response: answer[Webhook]{}, Status: http.StatusCreated}),
		route(http.MethodGet, "", "List SmartCV webhooks, newest first", a.list,
			api.Doc{Query: []api.Param{tenant}, Response: answer[[]Webhook]{}}),
		route(http.MethodGet, "/{id}", "Show a SmartCV webhook", a.get, api.Doc{Response: answer[Webhook]{}}),
		route(http.MethodPut, "/{id}", "Change the given fields of a SmartCV webhook", a.update,
			api.Doc{Request: Changes{}, Response: answer[Webhook]{}}),
		route(http.MethodDelete, "/{id}", "Delete a SmartCV webhook", a.delete, api.Doc{Response: done{}}),
		route(http.MethodPost, "/{id}/test", "Send a sample of a subscribed event; the body may be empty", a.test,
			api.Doc{Response: answer[Receipt]{}}),
		route(http.MethodGet, "/{id}/logs", "Deliveries of a SmartCV webhook, newest first, from their first attempt on", a.logs,
			api.Doc{Response: answer[[]LogRow]{}, Query: []api.Param{{Name: "limit", Type: "integer", Doc: "rows, 1 to 200; 50 when left out"}}}),
	}
}

// answer is what a request that was served gets.
type answer[T any] struct {
	Success bool `json:"success"` // always true
	Data    T    `json:"data"`
}

// done is an answer without data.
type done struct {
	Success bool `json:"success"` // always true
}

// problem is what any other request gets.
type problem struct {
	Success bool  `json:"success"` // always false
	Error   fault `json:"error"`
}

type fault struct {
	Code    string `json:"code" doc:"stable, for programs"`
	Message string `json:"message" doc:"for people: the field and the cure"`
}

// Shape is how problems look under the API's path: bad input is always 400
// there. The request's id is in X-Request-Id.
func Shape() api.Shape {
	return api.Shape{Prefix: path, Write: func(p api.Problem) (int, any) {
		out := problem{Error: fault{Code: p.Code, Message: p.Detail}}
		if p.Field != "" {
			out.Error.Message = p.Field + ": " + p.Detail
		}
		if p.Status == http.StatusUnprocessableEntity {
			p.Status = http.StatusBadRequest
		}
		return p.Status, out
	}}
}

func give[T any](w http.ResponseWriter, status int, data T) error {
	return api.WriteJSON(w, status, answer[T]{Success: true, Data: data})
}
