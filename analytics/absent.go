package analytics

// The routes of a server that runs without ClickHouse.

import (
	"log/slog"
	"net/http"

	"github.com/hookstream/hookstream/api"
)

// AbsentRoutes are the routes that Store.Routes has, for a server without a
// store: each says so, rather than that there is no such page.
func AbsentRoutes() []api.Route {
	none := &Store{log: slog.New(slog.DiscardHandler)}
	routes := none.Routes(RoutesConfig{})
	for i := range routes {
		routes[i].Handle = func(http.ResponseWriter, *http.Request) error {
			return api.Fail(http.StatusNotImplemented, "no_clickhouse", "", "this server runs without ClickHouse, so it keeps no log of deliveries and events; start it with --clickhouse and without --no-clickhouse")
		}
	}
	return routes
}
