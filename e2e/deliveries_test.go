package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestRedelivery: a dead letter, delivered again by hand, is a new delivery of
// the same event that names the one it repeats.
func TestRedelivery(t *testing.T) {
	t.Parallel()
	s := start(t)
	var well atomic.Bool
	r := newSink(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
		if !well.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write([]byte("out of order"))
		}
	})
	id, _ := s.webhook(map[string]any{"url": r.URL + "/", "retry": []float64{}})
	s.record(s.prefix+"events", `{"id":"given-up","type":"a.b","data":`+nasty+`}`)
	s.wantSQL("SELECT state, attempts FROM hookstream.deliveries", "error\t1")
	var dead page
	s.call(http.MethodGet, "/v1/dead", nil, http.StatusOK, &dead)
	if len(dead.Data) != 1 || dead.Data[0].EventID != "given-up" || dead.Data[0].WebhookID != id || dead.Data[0].ResponseBody != "out of order" || dead.AsOf == "" {
		t.Fatalf("dead letters: %+v", dead)
	}
	if letters := readAll(t, s, s.prefix+"dead"); len(letters) != 1 || letters[0] != nasty {
		t.Errorf("the topic of dead letters holds %q", letters)
	}
	well.Store(true)
	first := dead.Data[0].ID
	var again struct {
		DeliveryID string `json:"delivery_id"`
		ReplayOf   string `json:"replay_of"`
	}
	s.call(http.MethodPost, "/v1/deliveries/"+first+"/retry", nil, http.StatusAccepted, &again)
	if again.ReplayOf != first || again.DeliveryID == first {
		t.Fatalf("%+v", again)
	}
	got := r.arrived(t, "/", 2)
	if got[0].body != got[1].body || got[1].header.Get("webhook-id") != "given-up" {
		t.Errorf("delivered again: %s\nthe first time: %s", got[1].body, got[0].body)
	}
	s.wantSQL("SELECT state, replay_of, kind FROM hookstream.deliveries WHERE delivery_id = '"+again.DeliveryID+"'", "success\t"+first+"\treplay")
	s.wantSQL("SELECT state FROM hookstream.deliveries WHERE delivery_id = '"+first+"'", "error")
	var detail struct {
		Status   string
		Kind     string
		ReplayOf string `json:"replay_of"`
		Attempts []struct {
			No           int
			ResponseCode int `json:"response_code"`
		} `json:"attempts_list"`
	}
	s.call(http.MethodGet, "/v1/deliveries/"+again.DeliveryID, nil, http.StatusOK, &detail)
	if detail.Status != "success" || detail.Kind != "replay" || detail.ReplayOf != first || len(detail.Attempts) != 1 || detail.Attempts[0].ResponseCode != 200 {
		t.Errorf("%+v", detail)
	}
	refused(t, "a delivery that does not exist", s.ask(http.MethodPost, "/v1/deliveries/dlv_00000000000000000000000000/retry", nil, nil), http.StatusNotFound, "")
	if a := s.ask(http.MethodDelete, "/v1/webhooks/"+id, nil, nil); a.status != http.StatusNoContent {
		t.Fatalf("%d %s", a.status, a.body)
	}
	refused(t, "a deleted webhook's delivery", s.ask(http.MethodPost, "/v1/deliveries/"+first+"/retry", nil, nil), http.StatusConflict, "")
	s.wantSQL("SELECT made, terminal, difference FROM hookstream.conservation", "2\t2\t0")
}

// TestLogs: pages through 120 deliveries have no gap and no doublet, though
// more come meanwhile; filters find what they name.
func TestLogs(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := newSink(t, func(w http.ResponseWriter, r *http.Request, n int) {
		if n%4 == 3 {
			w.WriteHeader(http.StatusTeapot)
		}
	})
	id, _ := s.webhook(map[string]any{"url": r.URL + "/", "events": []string{"odd.made", "even.made", "late.made"}, "retry": []float64{}, "concurrency": 1})
	s.webhook(map[string]any{"url": r.URL + "/other", "events": []string{"odd.made"}})
	var lines []string
	for i := range 120 {
		lines = append(lines, fmt.Sprintf(`{"id":"log-%d","type":"%s.made","data":%d}`, i, []string{"even", "odd"}[i%2], i))
	}
	s.publish(lines[:60]...)
	s.wantSQL("SELECT count() FROM hookstream.deliveries WHERE endpoint_id = '"+id+"' AND state != 'pending'", "60")
	middle := time.Now().UTC()
	time.Sleep(5 * time.Millisecond)
	s.publish(lines[60:]...)
	s.wantSQL("SELECT count() FROM hookstream.deliveries WHERE endpoint_id = '"+id+"' AND state != 'pending'", "120")
	logs := "/v1/webhooks/" + id + "/logs"
	collect := func(query string, limit int, between func()) (rows []logRow) {
		t.Helper()
		cursor := ""
		for pages := 0; ; pages++ {
			var p page
			s.call(http.MethodGet, fmt.Sprintf("%s?limit=%d%s%s", logs, limit, query, cursor), nil, http.StatusOK, &p)
			if len(p.Data) > limit || p.AsOf == "" {
				t.Fatalf("page of %d, as of %q", len(p.Data), p.AsOf)
			}
			rows = append(rows, p.Data...)
			if p.NextCursor == nil {
				return rows
			}
			if pages > 100 {
				t.Fatal("pages without end")
			}
			cursor = "&cursor=" + url.QueryEscape(*p.NextCursor)
			if between != nil {
				between()
			}
		}
	}
	late := 0
	for _, limit := range []int{7, 40, 50, 119, 120, 200} {
		before := late
		seen := map[string]bool{}
		rows := collect("", limit, func() {
			late++
			s.publish(fmt.Sprintf(`{"id":"late-%d","type":"late.made","data":1}`, late))
		})
		s.wantSQL("SELECT count() FROM hookstream.deliveries WHERE endpoint_id = '"+id+"' AND state != 'pending'", strconv.Itoa(120+late))
		for _, row := range rows {
			if seen[row.ID] {
				t.Errorf("limit %d: %s is there twice", limit, row.EventID)
			}
			seen[row.ID] = true
			if row.WebhookID != id || row.Attempts != 1 {
				t.Errorf("limit %d: %+v", limit, row)
			}
		}
		if len(rows) != 120+before {
			t.Errorf("limit %d: %d rows, want the %d that were there when it began", limit, len(rows), 120+before)
		}
	}
	count := func(query string, want int) {
		t.Helper()
		if rows := collect(query, 33, nil); len(rows) != want {
			t.Errorf("%s: %d rows, want %d", query, len(rows), want)
		}
	}
	total := 120 + late
	failed := 0
	for i := range r.count("/") {
		if i%4 == 3 {
			failed++
		}
	}
	count("&event_type=odd.made", 60)
	count("&event_type=no.such", 0)
	count("&status=error", failed)
	count("&response_code=418", failed)
	count("&status=success", total-failed)
	count("&status=skipped", 0)
	count("&status=error&response_code=200", 0)
	count("&until="+url.QueryEscape(middle.Format(time.RFC3339Nano)), 60)
	count("&since="+url.QueryEscape(middle.Format(time.RFC3339Nano)), total-60)
	for query, field := range map[string]string{"limit=0": "limit", "limit=201": "limit", "status=maybe": "status", "since=yesterday": "since", "cursor=!": "cursor", "response_code=7": "response_code", "colour=red": "colour"} {
		a := s.ask(http.MethodGet, logs+"?"+query, nil, nil)
		if (a.status != http.StatusUnprocessableEntity && a.status != http.StatusBadRequest) || !strings.Contains(string(a.body), `"field":"`+field+`"`) {
			t.Errorf("%s: %d %s", query, a.status, a.body)
		}
	}
	var dead page
	s.call(http.MethodGet, "/v1/dead?limit=200&webhook_id="+id, nil, http.StatusOK, &dead)
	if len(dead.Data) != failed {
		t.Errorf("%d dead letters, want %d", len(dead.Data), failed)
	}
	var stats struct {
		Total struct {
			Attempts, Success, Error, Skipped int
			SuccessRate                       *float64 `json:"success_rate"`
			P50                               *float64 `json:"p50_ms"`
		}
		Errors []struct {
			ResponseCode *int `json:"response_code"`
			Count        int
		}
	}
	s.call(http.MethodGet, "/v1/stats?period=1h&webhook_id="+id, nil, http.StatusOK, &stats)
	if stats.Total.Attempts != total || stats.Total.Error != failed || stats.Total.Success != total-failed || stats.Total.P50 == nil {
		t.Errorf("stats: %+v, want %d attempts, %d failed", stats.Total, total, failed)
	}
	if len(stats.Errors) != 1 || stats.Errors[0].Count != failed || *stats.Errors[0].ResponseCode != http.StatusTeapot {
		t.Errorf("errors of stats: %+v", stats.Errors)
	}
	s.call(http.MethodGet, "/v1/stats", nil, http.StatusOK, &stats)
	if stats.Total.Attempts < total+60 {
		t.Errorf("stats of everything: %+v", stats.Total)
	}
}
