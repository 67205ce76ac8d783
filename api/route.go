// Package api is the HTTP edge: routes, problem answers, keys, rate limits,
// cursors and the OpenAPI document. It knows no noun of hookstream; the rooms
// bring their routes.
package api

import (
	"context"
	"net/http"
)

// Auth is who may call a route.
type Auth uint8

// Who may call.
const (
	Public Auth = iota // anybody
	Key                // any API key
	Root               // the root key only
)

// Route is one method and path of the API. A handler returns an error instead
// of writing it: a *Problem is answered as it is, anything else is a 500 whose
// cause only the log has.
type Route struct {
	Method  string
	Pattern string // net/http.ServeMux path pattern, for example /v1/webhooks/{id}
	Auth    Auth
	Handle  func(w http.ResponseWriter, r *http.Request) error
	MaxBody int64 // largest request body in bytes; 0: the mux's default
	Doc     Doc
}

// Doc is what the OpenAPI document says of a route.
type Doc struct {
	Summary  string
	Tag      string
	Query    []Param // query parameters
	Request  any     // zero value of the request body's Go type; nil: none
	Response any     // zero value of the success body's Go type; nil: none
	Status   int     // success status; 0: 200
	Others   []int   // further statuses whose body is Response; errors among them may be problems too
	Problem  any     // zero value of the error body's Go type, where a Shape holds; nil: Problem
}

// Param is one query parameter or header.
type Param struct {
	Name, Doc, Type string // Type: string, integer, boolean
	Required        bool
}

// Principal is who a request comes from.
type Principal struct {
	Tenant string // empty for root
	KeyID  string // the key's id, "root", or the session's key
	Root   bool
	Rate   float64 // requests per minute; 0: the default
}

type principalKey struct{}

// WithPrincipal puts who asks into a request's context.
func WithPrincipal(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// PrincipalOf is who asks; the zero value on public routes.
func PrincipalOf(ctx context.Context) Principal {
	p, _ := ctx.Value(principalKey{}).(Principal)
	return p
}
