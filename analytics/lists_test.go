package analytics

// The lists over all of a tenant: deliveries, breakers, the audit log; who may
// see which of their rows, and the success rate of each webhook.

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/schemas"
)

// putNotices stores notices as the sink does.
func putNotices(t testing.TB, s *Store, notices ...schemas.Notice) {
	t.Helper()
	d := newNoticesDecoder()
	for i := range notices {
		rec, err := notices[i].Record(schemas.DevTopology())
		if err == nil {
			err = d.add(&rec, place{topic: "notices#1", offset: int64(i)})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range d.blocks {
		if b.rows() == 0 {
			continue
		}
		if err := s.insert(t.Context(), b, nil, fmt.Sprintf("notices-%s-%d", b.spec.name, time.Now().UnixNano())); err != nil {
			t.Fatal(err)
		}
	}
}

// column reads one field of every row of every page.
func (s site) column(p api.Principal, target, field string) (values []string) {
	s.t.Helper()
	for next := target; ; {
		status, body, problem := s.call(p, http.MethodGet, next)
		if status != http.StatusOK {
			s.t.Fatalf("%s: %d %+v", next, status, problem)
		}
		for _, row := range body["data"].([]any) {
			values = append(values, fmt.Sprint(row.(map[string]any)[field]))
		}
		cursor, ok := body["next_cursor"].(string)
		if !ok {
			return values
		}
		next = target + "&cursor=" + url.QueryEscape(cursor)
	}
}

func TestTenantWideLists(t *testing.T) {
	h := startHouse(t)
	s := h.store(t)
	f := generate(90)
	put(t, s, f)
	now := time.Now().UTC().Truncate(time.Millisecond)
	at := func(ago time.Duration) int64 { return now.Add(-ago).UnixMilli() }
	// Where an event went to nobody, only an attempt's row tells.
	put(t, s, &fixture{attempts: []schemas.Attempt{{Tenant: "acme", DeliveryID: "dlv_unmatched", EventID: "evt-lonely", EventType: "user.new",
		State: schemas.StateSkipped, ErrorKind: schemas.SkipNoMatch, CreatedAt: at(time.Minute), AttemptedAt: at(time.Minute)}}})
	owner := func(id string) (string, bool) {
		switch {
		case id == "wh_9":
			return "globex", true
		case strings.HasPrefix(id, "wh_"):
			return "acme", id != "wh_2" // wh_2 is deleted
		}
		return "", false
	}
	st := site{t: t, routes: s.Routes(RoutesConfig{Owner: owner})}

	t.Run("deliveries of every webhook, by each filter", func(t *testing.T) {
		st := site{t: t, routes: st.routes}
		rows := f.expect(LogQuery{Tenant: "acme"})
		since, until := rows[60].CreatedAt, rows[5].CreatedAt
		failed := rows[slices.IndexFunc(rows, func(r LogRow) bool { return r.Status == schemas.StateError })]
		for query, want := range map[string]func(LogRow) bool{
			"":                            func(LogRow) bool { return true },
			"status=pending":              func(r LogRow) bool { return r.Status == schemas.StatePending },
			"status=skipped":              func(r LogRow) bool { return r.Status == schemas.StateSkipped },
			"error_kind=inactive":         func(r LogRow) bool { return r.ErrorKind == schemas.SkipInactive },
			"error_kind=http_5xx":         func(r LogRow) bool { return r.ErrorKind == schemas.ErrHTTP5xx },
			"response_code=410":           func(r LogRow) bool { return r.ResponseCode != nil && *r.ResponseCode == 410 },
			"event_type=user.new":         func(r LogRow) bool { return r.EventType == "user.new" },
			"webhook_id=wh_1":             func(r LogRow) bool { return r.WebhookID == "wh_1" },
			"webhook_id=wh_2":             func(r LogRow) bool { return r.WebhookID == "wh_2" }, // its log outlives a webhook
			"event_id=" + rows[3].EventID: func(r LogRow) bool { return r.EventID == rows[3].EventID },
			"status=error&error_kind=" + failed.ErrorKind + "&webhook_id=" + failed.WebhookID: func(r LogRow) bool {
				return r.Status == schemas.StateError && r.ErrorKind == failed.ErrorKind && r.WebhookID == failed.WebhookID
			},
			"since=" + url.QueryEscape(since.Format(time.RFC3339Nano)) + "&until=" + url.QueryEscape(until.Format(time.RFC3339Nano)): func(r LogRow) bool {
				return !r.CreatedAt.Before(since) && r.CreatedAt.Before(until)
			},
		} {
			ids := []string{}
			for _, r := range rows {
				if want(r) {
					ids = append(ids, r.ID)
				}
			}
			if len(ids) == 0 {
				t.Errorf("%q tests nothing", query)
			}
			got := slices.DeleteFunc(st.column(acmeKey, "/v1/deliveries?limit=29&"+query, "id"), func(id string) bool { return id == "dlv_unmatched" })
			if !slices.Equal(got, ids) {
				t.Errorf("%q: %d rows %v\nwant %d %v", query, len(got), got, len(ids), ids)
			}
		}
		if got := st.column(acmeKey, "/v1/deliveries?error_kind=no_match", "id"); !slices.Equal(got, []string{"dlv_unmatched"}) {
			t.Errorf("an event that matched nothing: %v", got)
		}
	})

	t.Run("deliveries show a tenant its own", func(t *testing.T) {
		st := site{t: t, routes: st.routes}
		for _, who := range []api.Principal{acmeKey, globexKey} {
			got := st.column(who, "/v1/deliveries?limit=50", "tenant")
			if len(got) == 0 || slices.ContainsFunc(got, func(tenant string) bool { return tenant != who.Tenant }) {
				t.Errorf("%s sees rows of %v", who.Tenant, slices.Compact(slices.Sorted(slices.Values(got))))
			}
		}
		if got := st.column(globexKey, "/v1/deliveries?webhook_id=wh_0", "id"); len(got) != 0 {
			t.Errorf("a foreign webhook's deliveries: %v", got)
		}
		if got := st.column(rootKey, "/v1/deliveries?limit=200", "id"); len(got) != len(f.rows)+1 {
			t.Errorf("root sees %d deliveries, want %d", len(got), len(f.rows)+1)
		}
		if got := st.column(rootKey, "/v1/deliveries?limit=200&tenant=globex", "tenant"); len(got) == 0 || len(got) != len(f.expect(LogQuery{Tenant: "globex"})) {
			t.Errorf("root asks for one tenant: %d rows", len(got))
		}
	})

	t.Run("events by type, time and the beginning of an id", func(t *testing.T) {
		st := site{t: t, routes: st.routes}
		if got := st.column(acmeKey, "/v1/events?limit=9&q=evt-003", "id"); len(got) != 8 || slices.ContainsFunc(got, func(id string) bool { return !strings.HasPrefix(id, "evt-003") }) {
			t.Errorf("q: %v", got)
		}
		a, b := st.column(acmeKey, "/v1/events?limit=9&type=user.new", "type"), st.column(acmeKey, "/v1/events?limit=9&event_type=user.new", "type")
		if len(a) == 0 || !slices.Equal(a, b) || slices.ContainsFunc(a, func(kind string) bool { return kind != "user.new" }) {
			t.Errorf("type: %v, event_type: %v", a, b)
		}
	})

	t.Run("each webhook's success rate is shown", func(t *testing.T) {
		st := site{t: t, routes: st.routes}
		_, body, _ := st.call(acmeKey, http.MethodGet, "/v1/stats?period=28d")
		list := body["webhooks"].([]any)
		if len(list) != 3 {
			t.Fatalf("%d webhooks: %v", len(list), list)
		}
		var failures []float64
		for _, x := range list {
			w := x.(map[string]any)
			_, one, _ := st.call(acmeKey, http.MethodGet, "/v1/stats?period=28d&webhook_id="+w["webhook_id"].(string))
			if w["webhook_id"] == "wh_2" { // deleted: only in the list
				one = map[string]any{"total": w}
			}
			total := one["total"].(map[string]any)
			rate := w["success"].(float64) / w["attempts"].(float64)
			if w["tenant"] != "acme" || w["success_rate"] != rate || total["success_rate"] != rate || total["attempts"] != w["attempts"] {
				t.Errorf("%v, alone %v", w, total)
			}
			failures = append(failures, w["success"].(float64)-w["attempts"].(float64))
		}
		if !slices.IsSorted(failures) {
			t.Errorf("most failures first: %v", failures)
		}
	})

	t.Run("breakers that are not closed, and all", func(t *testing.T) {
		st := site{t: t, routes: st.routes}
		b := func(tenant, id, state string, ago time.Duration, failures int, reason string) schemas.Notice {
			n := schemas.Notice{Kind: schemas.NoticeBreaker, Tenant: tenant, EndpointID: id, State: state, At: at(ago), Failures: failures, Reason: reason}
			if state == "open" {
				n.OpenUntil = at(ago) + 30_000
			}
			return n
		}
		putNotices(t, s,
			b("acme", "wh_0", "open", time.Hour, 10, "timeout"), b("acme", "wh_0", "half_open", 50*time.Minute, 10, ""), b("acme", "wh_0", "closed", 49*time.Minute, 0, ""),
			b("acme", "wh_0", "open", 40*time.Minute, 10, "http_5xx"), b("acme", "wh_0", "half_open", 30*time.Minute, 10, "http_5xx"), b("acme", "wh_0", "open", 29*time.Minute, 11, "refused"),
			b("acme", "wh_1", "open", 20*time.Minute, 5, "dns"), b("acme", "wh_1", "closed", 10*time.Minute, 0, ""),
			b("acme", "wh_2", "open", 5*time.Minute, 10, "tls"), // deleted
			b("acme", "wh_3", "half_open", 4*time.Minute, 12, "reset"),
			b("globex", "wh_9", "open", 3*time.Minute, 10, "timeout"))
		status, body, problem := st.call(acmeKey, http.MethodGet, "/v1/breakers")
		if status != http.StatusOK || body["next_cursor"] != nil || body["as_of"] == nil {
			t.Fatalf("%d %v %+v", status, body, problem)
		}
		row := func(i int) string {
			r := body["data"].([]any)[i].(map[string]any)
			return fmt.Sprint(len(r), r["webhook_id"], r["tenant"], r["state"], r["since"], r["open_until"], r["failures"], r["reason"])
		}
		when := func(ago time.Duration) string { return now.Add(-ago).Format(time.RFC3339Nano) }
		if len(body["data"].([]any)) != 2 {
			t.Fatalf("%v", body["data"])
		}
		if want := fmt.Sprint(7, "wh_0", "acme", "open", when(40*time.Minute), when(29*time.Minute-30*time.Second), 11, "refused"); row(0) != want {
			t.Errorf("%s\nwant %s", row(0), want)
		}
		if want := fmt.Sprint(7, "wh_3", "acme", "half_open", when(4*time.Minute), nil, 12, "reset"); row(1) != want {
			t.Errorf("%s\nwant %s", row(1), want)
		}
		for target, want := range map[string][]string{
			"/v1/breakers?limit=1&":                 {"wh_0", "wh_3"},
			"/v1/breakers?all=true&limit=1&":        {"wh_0", "wh_1", "wh_3"},
			"/v1/breakers?webhook_id=wh_1":          nil,
			"/v1/breakers?all=true&webhook_id=wh_1": {"wh_1"},
		} {
			if got := st.column(acmeKey, target, "webhook_id"); !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", target, got, want)
			}
		}
		if got := st.column(rootKey, "/v1/breakers?", "webhook_id"); !slices.Equal(got, []string{"wh_0", "wh_3", "wh_9"}) {
			t.Errorf("root sees %v", got)
		}
	})

	t.Run("the audit log says who did what when", func(t *testing.T) {
		st := site{t: t, routes: st.routes}
		a := func(tenant, actor, action, target string, ago time.Duration) schemas.Notice {
			return schemas.Notice{Kind: schemas.NoticeAudit, Tenant: tenant, EndpointID: target, Actor: actor, Action: action, Target: target, At: at(ago), Detail: "url"}
		}
		putNotices(t, s,
			a("acme", "key_1", "webhook.create", "wh_0", 9*time.Hour), a("acme", "root", "webhook.update", "wh_0", 8*time.Hour), a("acme", "key_1", "webhook.rotate_secret", "wh_0", 7*time.Hour),
			a("acme", "key_1", "webhook.test", "wh_1", 6*time.Hour), a("acme", "key_2", "webhook.delete", "wh_1", 6*time.Hour), // the same millisecond
			schemas.Notice{Kind: schemas.NoticeDisabled, Tenant: "acme", EndpointID: "wh_0", At: at(5 * time.Hour), Reason: "gone"},
			a("globex", "key_9", "webhook.create", "wh_9", 4*time.Hour))
		_, body, _ := st.call(acmeKey, http.MethodGet, "/v1/audit?action=webhook.update")
		rows := body["data"].([]any)
		if len(rows) != 1 {
			t.Fatalf("%v", rows)
		}
		if r := rows[0].(map[string]any); r["actor"] != "root" || r["target"] != "wh_0" || r["webhook_id"] != "wh_0" || r["tenant"] != "acme" ||
			r["at"] != now.Add(-8*time.Hour).Format(time.RFC3339Nano) || r["detail"] != "url" || r["id"] == "" {
			t.Errorf("%v", r)
		}
		since, until := url.QueryEscape(now.Add(-8*time.Hour).Format(time.RFC3339Nano)), url.QueryEscape(now.Add(-6*time.Hour).Format(time.RFC3339Nano))
		for query, want := range map[string][]string{
			"limit=1":                            {"webhook.disable", "webhook.delete", "webhook.test", "webhook.rotate_secret", "webhook.update", "webhook.create"},
			"limit=4":                            {"webhook.disable", "webhook.delete", "webhook.test", "webhook.rotate_secret", "webhook.update", "webhook.create"},
			"actor=key_1":                        {"webhook.test", "webhook.rotate_secret", "webhook.create"},
			"actor=hookstream":                   {"webhook.disable"},
			"target=wh_1":                        {"webhook.delete", "webhook.test"},
			"since=" + since + "&until=" + until: {"webhook.rotate_secret", "webhook.update"},
		} {
			if got := st.column(acmeKey, "/v1/audit?"+query, "action"); !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", query, got, want)
			}
		}
		if got := st.column(globexKey, "/v1/audit?limit=50", "tenant"); !slices.Equal(got, []string{"globex"}) {
			t.Errorf("globex sees %v", got)
		}
	})

	t.Run("a forged cursor leads nowhere", func(t *testing.T) {
		for _, at := range []int64{math.MinInt64, -1, 1 << 60, math.MaxInt64} {
			cursor, err := api.EncodeCursor(Cursor{Created: at, Delivery: "' OR 1=1 --\x00"})
			if err != nil {
				t.Fatal(err)
			}
			for _, list := range []string{"/v1/deliveries", "/v1/deliveries?status=pending", "/v1/dead", "/v1/events", "/v1/breakers", "/v1/audit"} {
				sep := "?"
				if strings.Contains(list, "?") {
					sep = "&"
				}
				status, body, problem := st.call(acmeKey, http.MethodGet, list+sep+"cursor="+url.QueryEscape(cursor))
				if status != http.StatusOK {
					t.Errorf("%s at %d: %d %+v", list, at, status, problem)
					continue
				}
				for _, row := range body["data"].([]any) {
					if row.(map[string]any)["tenant"] != "acme" {
						t.Errorf("%s at %d shows %v", list, at, row)
					}
				}
			}
		}
	})

	t.Run("bad parameters of the lists are named", func(t *testing.T) {
		for target, field := range map[string]string{
			"/v1/deliveries?error_kind=HTTP": "error_kind", "/v1/deliveries?webhook=wh_0": "webhook", "/v1/deliveries?status=ok": "status", "/v1/deliveries?cursor=x": "cursor",
			"/v1/breakers?all=maybe": "all", "/v1/breakers?limit=0": "limit", "/v1/breakers?state=open": "state",
			"/v1/deliveries?=1": "query", "/v1/audit?since=today": "since", "/v1/audit?who=me": "who", "/v1/events?type=a%20b": "type", "/v1/events?type=a.b&event_type=c.d": "type",
		} {
			if status, _, p := st.call(acmeKey, http.MethodGet, target); status != http.StatusBadRequest || p.Field != field {
				t.Errorf("%s: %d %+v", target, status, p)
			}
		}
		for _, target := range []string{"/v1/deliveries?tenant=globex", "/v1/breakers?tenant=globex", "/v1/audit?tenant=globex"} {
			if status, _, _ := st.call(acmeKey, http.MethodGet, target); status != http.StatusForbidden {
				t.Errorf("%s: %d", target, status)
			}
		}
	})
}
