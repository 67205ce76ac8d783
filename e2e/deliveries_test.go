package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
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

// TestDeliveryLog: what the log says of a delivery while it is tried, once it
// succeeded, and once it was given up; of tests, of slow answers and of events
// that an inactive webhook did not get; and who changed what meanwhile.
func TestDeliveryLog(t *testing.T) {
	t.Parallel()
	s := start(t)
	began := time.Now()
	markup := `<script>alert("1")</script>` + "\n\x01" + strings.Repeat("é", 3000)
	late := make(chan struct{})
	r := newSink(t, func(w http.ResponseWriter, r *http.Request, n int) {
		switch r.URL.Path {
		case "/slow":
			select {
			case <-time.After(5200 * time.Millisecond):
			case <-r.Context().Done():
			}
		case "/recovers":
			if n == 0 {
				w.WriteHeader(http.StatusServiceUnavailable)
				_, _ = w.Write([]byte("come back"))
			}
		case "/fails":
			if n == 1 {
				<-late
			}
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write([]byte(markup))
		case "/down":
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	t.Cleanup(func() {
		select {
		case <-late:
		default:
			close(late)
		}
	})
	hook := func(name string, more map[string]any) string {
		fields := map[string]any{"url": r.URL + "/" + name, "events": []string{name + ".made"}}
		for k, v := range more {
			fields[k] = v
		}
		id, _ := s.webhook(fields)
		return id
	}
	slow := hook("slow", map[string]any{"profile": "ihateppt", "skip_verification": true, "events": []string{"ppt.generation.completed"}})
	recovers, fails := hook("recovers", map[string]any{"retry": []float64{1}}), hook("fails", map[string]any{"retry": []float64{1, 1}, "timeout_ms": 20_000})
	off, down := hook("off", map[string]any{"active": false}), hook("down", map[string]any{"retry": []float64{}})
	s.publish(`{"type":"ppt.generation.completed","data":{"ppt_id":"p1","download_url":"https://example.com/p1"}}`,
		`{"id":"r1","type":"recovers.made","data":1}`, `{"id":"f1","type":"fails.made","data":1}`, `{"id":"o1","type":"off.made","data":1}`)

	var rows struct {
		Data []struct {
			logRow
			URL           string
			Tenant        string
			Slow          bool
			CreatedAt     time.Time  `json:"created_at"`
			LastAttemptAt *time.Time `json:"last_attempt_at"`
			NextRetryAt   *time.Time `json:"next_retry_at"`
		}
		NextCursor *string `json:"next_cursor"`
	}
	// of waits until the one row of a webhook is as it should be.
	of := func(id, what string, ok func() bool) {
		t.Helper()
		eventually(t, what, func() error {
			s.call(http.MethodGet, "/v1/deliveries?webhook_id="+id, nil, http.StatusOK, &rows)
			if len(rows.Data) != 1 || !ok() {
				return fmt.Errorf("%+v", rows.Data)
			}
			return nil
		})
	}
	of(fails, "a delivery between its attempts is pending, with the time of the next one", func() bool {
		x := rows.Data[0]
		return x.Status == "pending" && x.Attempts == 1 && x.NextRetryAt != nil && x.NextRetryAt.After(*x.LastAttemptAt) && *x.ResponseCode == 500 && x.Error != "" && x.ErrorKind == "http_5xx"
	})
	sent := r.arrived(t, "/fails", 1)[0].at
	if at := rows.Data[0].LastAttemptAt; at.Before(began.Truncate(time.Millisecond)) || at.After(sent) {
		t.Errorf("sent at %v, says the log; it arrived at %v", at, sent)
	}
	close(late)
	of(fails, "given up after three attempts: still one row, and no next attempt", func() bool {
		x := rows.Data[0]
		return x.Status == "error" && x.Attempts == 3 && x.NextRetryAt == nil && *x.ResponseCode == 500 && x.DurationMS >= 0
	})
	if x := rows.Data[0]; !strings.HasPrefix(x.ResponseBody, `<script>alert("1")</script>`+"\n\x01éé") || len(x.ResponseBody) > 4096 || len(x.ResponseBody) < 4000 {
		t.Errorf("the answer is kept as %.60q, %d bytes", x.ResponseBody, len(x.ResponseBody))
	}
	if a := s.ask(http.MethodGet, "/v1/deliveries/"+rows.Data[0].ID, nil, nil); a.header.Get("Content-Type") != "application/json" || a.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("an answer with foreign markup goes out as %v", a.header)
	}
	var detail struct {
		Attempts []struct {
			No           int
			Status       string
			ResponseCode *int `json:"response_code"`
			Error        string
			DurationMS   *int64 `json:"duration_ms"`
		} `json:"attempts_list"`
	}
	s.call(http.MethodGet, "/v1/deliveries/"+rows.Data[0].ID, nil, http.StatusOK, &detail)
	for i, a := range detail.Attempts {
		if a.No != i+1 || a.Status != []string{"pending", "pending", "error"}[i] || *a.ResponseCode != 500 || a.Error == "" || a.DurationMS == nil {
			t.Errorf("attempt %d: %+v", i+1, a)
		}
	}
	if len(detail.Attempts) != 3 {
		t.Errorf("%d attempts", len(detail.Attempts))
	}
	of(recovers, "a success has no error and no next attempt", func() bool {
		x := rows.Data[0]
		return x.Status == "success" && x.Attempts == 2 && *x.ResponseCode == 200 && x.Error == "" && x.ErrorKind == "" && x.NextRetryAt == nil && x.LastAttemptAt != nil && !x.Slow
	})
	of(off, "an inactive webhook's event is skipped and shown as such", func() bool {
		x := rows.Data[0]
		return x.Status == "skipped" && x.ErrorKind == "inactive" && x.Attempts == 0 && x.LastAttemptAt == nil && x.ResponseCode == nil
	})
	if n := r.count("/off"); n != 0 {
		t.Errorf("an inactive webhook got %d requests", n)
	}
	of(slow, "an answer after 5 s is a success, marked slow", func() bool {
		x := rows.Data[0]
		return x.Status == "success" && x.Slow && x.DurationMS > 5000 && x.Attempts == 1
	})

	var test struct {
		DeliveryID string `json:"delivery_id"`
	}
	s.call(http.MethodPost, "/v1/webhooks/"+recovers+"/test", nil, http.StatusAccepted, &test)
	eventually(t, "the test's outcome is in the log", func() error {
		s.call(http.MethodGet, "/v1/webhooks/"+recovers+"/logs?limit=1", nil, http.StatusOK, &rows)
		if len(rows.Data) != 1 || rows.Data[0].ID != test.DeliveryID || rows.Data[0].Status != "success" || rows.NextCursor == nil {
			return fmt.Errorf("%+v", rows.Data)
		}
		return nil
	})

	var lines []string
	for i := range 10 {
		lines = append(lines, fmt.Sprintf(`{"id":"d%d","type":"down.made","data":1}`, i))
	}
	s.publish(lines...)
	eventually(t, "the open breaker is listed", func() error {
		var open struct {
			Data []struct {
				WebhookID string `json:"webhook_id"`
				State     string
				Since     time.Time
				OpenUntil *time.Time `json:"open_until"`
				Failures  int
			}
		}
		s.call(http.MethodGet, "/v1/breakers", nil, http.StatusOK, &open)
		if len(open.Data) != 1 || open.Data[0].WebhookID != down || open.Data[0].State != "open" || open.Data[0].Failures < 10 || open.Data[0].OpenUntil == nil || open.Data[0].Since.Before(began.Truncate(time.Millisecond)) {
			return fmt.Errorf("%+v", open)
		}
		return nil
	})
	metrics := string(s.ask(http.MethodGet, "/metrics", nil, nil).body)
	for _, line := range []string{"hookstream_slow_deliveries_total 1", "hookstream_breakers_open 1", `hookstream_attempts_total{error_kind="http_5xx",verdict="exhausted"} 11`, "hookstream_attempt_duration_seconds_bucket"} {
		if !strings.Contains(metrics, line) {
			t.Errorf("no metric says %s", line)
		}
	}
	if strings.Contains(metrics, down) {
		t.Error("metrics name a webhook")
	}

	s.call(http.MethodPatch, "/v1/webhooks/"+off, map[string]any{"active": true}, http.StatusOK, nil)
	s.call(http.MethodPost, "/v1/webhooks/"+off+"/rotate-secret", nil, http.StatusOK, nil)
	s.call(http.MethodPost, "/v1/webhooks/"+off+"/test", nil, http.StatusAccepted, nil)
	if a := s.ask(http.MethodDelete, "/v1/webhooks/"+off, nil, nil); a.status != http.StatusNoContent {
		t.Fatalf("%d %s", a.status, a.body)
	}
	eventually(t, "the audit log says who did what", func() error {
		var audit struct {
			Data []struct {
				At                    time.Time
				Actor, Action, Target string
			}
		}
		s.call(http.MethodGet, "/v1/audit?target="+off, nil, http.StatusOK, &audit)
		var did []string
		for _, x := range audit.Data {
			did = append(did, x.Action)
			if x.Actor != "root" || x.Target != off || x.At.Before(began.Truncate(time.Millisecond)) || x.At.After(time.Now()) {
				return fmt.Errorf("%+v", x)
			}
		}
		slices.Sort(did)
		if want := "webhook.create webhook.delete webhook.rotate_secret webhook.test webhook.update"; strings.Join(did, " ") != want {
			return fmt.Errorf("%v", did)
		}
		return nil
	})
}
