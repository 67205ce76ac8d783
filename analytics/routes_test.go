package analytics

// The routes as clients see them: whose rows they show, what they refuse.

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/schemas"
)

// site serves the routes for a principal, as the API's own mux would.
type site struct {
	t      testing.TB
	routes []api.Route
}

func (s site) call(p api.Principal, method, target string) (status int, body map[string]any, problem *api.Problem) {
	s.t.Helper()
	mux := http.NewServeMux()
	var failed error
	for _, r := range s.routes {
		mux.HandleFunc(r.Method+" "+r.Pattern, func(w http.ResponseWriter, req *http.Request) {
			if failed = r.Handle(w, req); failed != nil {
				w.WriteHeader(http.StatusInternalServerError)
			}
		})
	}
	w := httptest.NewRecorder()
	req := httptest.NewRequest(method, target, nil)
	mux.ServeHTTP(w, req.WithContext(api.WithPrincipal(req.Context(), p)))
	if failed != nil {
		if !errors.As(failed, &problem) {
			s.t.Fatalf("%s %s: %v", method, target, failed)
		}
		return problem.Status, nil, problem
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		s.t.Fatalf("%s %s: %d %s", method, target, w.Code, w.Body)
	}
	return w.Code, body, nil
}

var (
	rootKey   = api.Principal{Root: true, KeyID: "root"}
	acmeKey   = api.Principal{Tenant: "acme", KeyID: "k1"}
	globexKey = api.Principal{Tenant: "globex", KeyID: "k2"}
)

func TestRoutes(t *testing.T) {
	h := startHouse(t)
	s := h.store(t)
	f := generate(60)
	put(t, s, f)
	var published []schemas.Event
	sourceGone := false
	st := site{t: t, routes: s.Routes(RoutesConfig{
		Owner: func(id string) (string, bool) {
			switch {
			case id == "wh_9":
				return "globex", true
			case strings.HasPrefix(id, "wh_"):
				return "acme", id != "wh_2" // wh_2 is deleted
			}
			return "", false
		},
		Payload: func(_ context.Context, p schemas.Position) ([]byte, error) {
			if sourceGone {
				return nil, errors.New("out of range")
			}
			return []byte(`{"from": "kafka"}`), nil
		},
		Publish: func(_ context.Context, ev schemas.Event) error { published = append(published, ev); return nil },
		AsOf:    func() (time.Time, bool) { return time.Unix(1700000000, 0), true },
	})}
	ids := map[string]LogRow{}
	for _, r := range f.rows {
		if r.Status == schemas.StateError {
			ids[r.WebhookID] = r
		}
	}

	t.Run("a tenant sees its own and nothing else", func(t *testing.T) {
		for _, c := range []struct {
			who    api.Principal
			target string
			status int
		}{
			{acmeKey, "/v1/webhooks/wh_0/logs", 200},
			{globexKey, "/v1/webhooks/wh_0/logs", 404},
			{rootKey, "/v1/webhooks/wh_0/logs", 200},
			{rootKey, "/v1/webhooks/wh_0/logs?tenant=globex", 404},
			{acmeKey, "/v1/webhooks/nothing/logs", 404},
			{acmeKey, "/v1/dead?tenant=globex", 403},
			{acmeKey, "/v1/dead?webhook_id=wh_9", 404},
			{acmeKey, "/v1/stats?webhook_id=wh_9", 404},
			{acmeKey, "/v1/stats?tenant=globex", 403},
			{acmeKey, "/v1/events?tenant=globex", 403},
			{acmeKey, "/v1/events/evt-0001", 200},
			{globexKey, "/v1/events/evt-0001", 404},
			{acmeKey, "/v1/deliveries/" + ids["wh_0"].ID, 200},
			{acmeKey, "/v1/deliveries/delivery_" + strings.TrimPrefix(ids["wh_0"].ID, "dlv_"), 200},
			{globexKey, "/v1/deliveries/" + ids["wh_0"].ID, 404},
			{rootKey, "/v1/deliveries/" + ids["wh_0"].ID, 200},
			{rootKey, "/v1/deliveries/" + ids["wh_0"].ID + "?tenant=globex", 404},
			{rootKey, "/v1/deliveries/dlv_nothing", 404},
		} {
			if status, _, _ := st.call(c.who, http.MethodGet, c.target); status != c.status {
				t.Errorf("%s as %q: %d, want %d", c.target, c.who.Tenant, status, c.status)
			}
		}
		for _, who := range []api.Principal{acmeKey, globexKey} {
			for _, list := range []string{"/v1/dead", "/v1/events"} {
				_, body, _ := st.call(who, http.MethodGet, list+"?limit=200")
				data, _ := body["data"].([]any)
				if len(data) == 0 {
					t.Errorf("%s as %s is empty", list, who.Tenant)
				}
				for _, row := range data {
					if got := row.(map[string]any)["tenant"]; got != who.Tenant {
						t.Errorf("%s as %s shows %v", list, who.Tenant, got)
					}
				}
			}
		}
	})

	t.Run("pages follow their cursor", func(t *testing.T) {
		want := f.expect(LogQuery{Tenant: "acme", WebhookID: "wh_0"})
		target, n := "/v1/webhooks/wh_0/logs?limit=5", 0
		for {
			_, body, _ := st.call(acmeKey, http.MethodGet, target)
			if body["as_of"] != "2023-11-14T22:13:20Z" {
				t.Fatalf("as_of is %v", body["as_of"])
			}
			for _, row := range body["data"].([]any) {
				if got := row.(map[string]any)["id"]; got != want[n].ID {
					t.Fatalf("row %d is %v, want %s", n, got, want[n].ID)
				}
				n++
			}
			next, _ := body["next_cursor"].(string)
			if next == "" {
				break
			}
			target = "/v1/webhooks/wh_0/logs?limit=5&cursor=" + url.QueryEscape(next)
		}
		if n != len(want) {
			t.Errorf("%d rows, want %d", n, len(want))
		}
	})

	t.Run("bad parameters are named", func(t *testing.T) {
		for target, field := range map[string]string{
			"/v1/webhooks/wh_0/logs?limit=0": "limit", "/v1/webhooks/wh_0/logs?limit=201": "limit", "/v1/webhooks/wh_0/logs?limit=x": "limit",
			"/v1/webhooks/wh_0/logs?status=ok": "status", "/v1/webhooks/wh_0/logs?since=yesterday": "since", "/v1/webhooks/wh_0/logs?cursor=abc": "cursor",
			"/v1/webhooks/wh_0/logs?response_code=99": "response_code", "/v1/webhooks/wh_0/logs?staus=error": "staus",
			"/v1/webhooks/wh_0/logs?since=2025-01-02T00:00:00Z&until=2025-01-01T00:00:00Z": "until",
			"/v1/webhooks/wh_0/logs?event_type=a%20b":                                      "event_type", "/v1/stats?period=2h": "period", "/v1/dead?status=error": "status",
		} {
			if status, _, p := st.call(acmeKey, http.MethodGet, target); status != 400 || p.Field != field {
				t.Errorf("%s: %d %+v", target, status, p)
			}
		}
		if status, _, p := st.call(rootKey, http.MethodGet, "/v1/dead?tenant=a%20b"); status != 400 || p.Field != "tenant" {
			t.Errorf("tenant: %d %+v", status, p)
		}
	})

	t.Run("log rows have exactly their fields", func(t *testing.T) {
		_, body, _ := st.call(acmeKey, http.MethodGet, "/v1/dead?webhook_id=wh_0&limit=1")
		row := body["data"].([]any)[0].(map[string]any)
		want := strings.Fields("id event_id event_type webhook_id tenant url status attempts response_code error_kind error response_body duration_ms slow created_at last_attempt_at next_retry_at")
		for _, name := range want {
			if _, ok := row[name]; !ok {
				t.Errorf("%s is missing", name)
			}
		}
		if len(row) != len(want) || row["status"] != "error" {
			t.Errorf("row %v", row)
		}
	})

	t.Run("retry makes a delivery of its own", func(t *testing.T) {
		d := ids["wh_0"]
		if status, _, _ := st.call(globexKey, http.MethodPost, "/v1/deliveries/"+d.ID+"/retry"); status != 404 || len(published) != 0 {
			t.Fatalf("a foreign tenant: %d, published %v", status, published)
		}
		if d, ok := ids["wh_2"]; ok {
			if status, _, _ := st.call(acmeKey, http.MethodPost, "/v1/deliveries/"+d.ID+"/retry"); status != 409 {
				t.Errorf("a deleted webhook: %d", status)
			}
		}
		made := map[string]bool{}
		for i, want := range []string{`{"from": "kafka"}`, `{"i": `} {
			sourceGone = i == 1
			status, body, p := st.call(acmeKey, http.MethodPost, "/v1/deliveries/"+d.ID+"/retry")
			if status != 202 || body["replay_of"] != d.ID || len(published) != i+1 {
				t.Fatalf("%d %v %v", status, body, p)
			}
			ev := published[i]
			if ev.Kind != schemas.KindReplay || ev.ReplayOf != d.ID || ev.EndpointID != "wh_0" || ev.ID != d.EventID || ev.Tenant != "acme" || !strings.HasPrefix(string(ev.Data), want) {
				t.Errorf("published %+v with %s", ev, ev.Data)
			}
			if id := schemas.DeliveryID("acme", d.EventID, "wh_0", ev.ReplayID); body["delivery_id"] != id || made[id] {
				t.Errorf("delivery %v, want %s, once", body["delivery_id"], id)
			} else {
				made[id] = true
			}
		}
	})

	t.Run("ClickHouse is down", func(t *testing.T) {
		h.kill()
		for _, target := range []string{"/v1/webhooks/wh_0/logs", "/v1/dead", "/v1/stats", "/v1/events"} {
			if status, _, p := st.call(acmeKey, http.MethodGet, target); status != 503 || p.RetryAfter == 0 {
				t.Errorf("%s: %d %+v", target, status, p)
			}
		}
	})
}
