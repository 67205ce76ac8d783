package smartcv_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hookstream/hookstream/analytics"
	"github.com/hookstream/hookstream/products/smartcv"
	"github.com/hookstream/hookstream/schemas"
)

func ptr[T any](v T) *T { return &v }

var at = time.Date(2025, 3, 4, 5, 6, 7, 89_000_000, time.UTC)

// delivery is a row of the store, of what a webhook at https://cv.example/hooks
// got.
func delivery(n int, change func(*analytics.LogRow)) analytics.LogRow {
	var b [16]byte
	b[0], b[1] = byte(n>>8), byte(n)
	row := analytics.LogRow{ID: schemas.NewID("dlv_", b), EventID: schemas.NewID("evt_", b), EventType: "resume.created", URL: "https://cv.example/hooks",
		Status: schemas.StateSuccess, Attempts: 1, ResponseCode: ptr(200), DurationMS: 145, CreatedAt: at, LastAttemptAt: &at}
	if change != nil {
		change(&row)
	}
	return row
}

func TestLogRowsOfSmartCV(t *testing.T) {
	b := newBench(t, nil)
	key := b.tenant("acme", "smartcv")
	id := b.call(key, "POST", "/api/webhooks", full).is(201).data()["id"].(string)
	next := at.Add(2 * time.Second)
	const success, failure = "attempts delivered_at event_id event_type id response_time status_code url",
		"attempts error event_id event_type id last_attempt_at next_retry_at response_time status_code url"
	for _, c := range []struct {
		name   string
		change func(*analytics.LogRow)
		fields string
		want   map[string]any
	}{
		{"arrived", nil, success, map[string]any{"status_code": 200.0, "response_time": 145.0, "attempts": 1.0, "delivered_at": "2025-03-04T05:06:07.089Z"}},
		{"arrived at the third attempt", func(r *analytics.LogRow) { r.Attempts, r.Error = 3, "left over" }, success, map[string]any{"attempts": 3.0}},
		{"a retry is planned", func(r *analytics.LogRow) {
			r.Status, r.ResponseCode, r.ErrorKind, r.Error, r.Attempts, r.NextRetryAt = schemas.StatePending, ptr(500), "http_5xx", "HTTP 500 Internal Server Error", 2, &next
		}, failure, map[string]any{"status_code": 500.0, "attempts": 2.0, "last_attempt_at": "2025-03-04T05:06:07.089Z", "next_retry_at": "2025-03-04T05:06:09.089Z", "error": "HTTP 500 Internal Server Error"}},
		{"given up", func(r *analytics.LogRow) {
			r.Status, r.ResponseCode, r.ErrorKind, r.Error, r.Attempts = schemas.StateError, ptr(400), "http_4xx", "HTTP 400 Bad Request", 4
		}, failure, map[string]any{"status_code": 400.0, "attempts": 4.0, "next_retry_at": nil, "error": "HTTP 400 Bad Request"}},
		{"timed out", func(r *analytics.LogRow) {
			r.Status, r.ResponseCode, r.ErrorKind, r.DurationMS = schemas.StateError, nil, schemas.ErrTimeout, 30000
		}, failure, map[string]any{"status_code": nil, "response_time": 30000.0, "error": "Connection timeout"}},
		{"timed out in the body", func(r *analytics.LogRow) {
			r.Status, r.ResponseCode, r.ErrorKind = schemas.StateError, ptr(200), schemas.ErrTimeout
		}, failure, map[string]any{"status_code": nil, "error": "Connection timeout"}},
		{"refused", func(r *analytics.LogRow) {
			r.Status, r.ResponseCode, r.ErrorKind, r.Error = schemas.StateError, nil, "refused", "Connection refused"
		}, failure, map[string]any{"status_code": nil, "error": "Connection refused"}},
		{"set inactive between attempts", func(r *analytics.LogRow) {
			r.Status, r.ResponseCode, r.ErrorKind = schemas.StateSkipped, nil, schemas.SkipInactive
		}, failure, map[string]any{"status_code": nil, "next_retry_at": nil, "error": "Given up: the webhook was set inactive"}},
		{"given up without an attempt", func(r *analytics.LogRow) {
			r.Status, r.ResponseCode, r.ErrorKind, r.Attempts, r.URL, r.LastAttemptAt, r.DurationMS = schemas.StateError, nil, schemas.ErrRejected, 0, "", nil, 0
		}, failure, map[string]any{"status_code": nil, "attempts": 0.0, "url": "https://cv.example/hooks", "last_attempt_at": nil, "error": "Given up: rejected"}},
		{"waits for its first attempt", func(r *analytics.LogRow) {
			r.Status, r.ResponseCode, r.Attempts, r.LastAttemptAt = schemas.StatePending, nil, 0, nil
		}, "", nil},
		{"skipped", func(r *analytics.LogRow) {
			r.Status, r.ResponseCode, r.Attempts, r.ErrorKind = schemas.StateSkipped, nil, 0, schemas.SkipInactive
		}, "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.rows = []analytics.LogRow{delivery(7, c.change)}
			reply := b.call(rootKey, "GET", "/api/webhooks/"+id+"/logs", "").is(200)
			if reply.header.Get(smartcv.AsOfHeader) != "2025-03-04T05:06:07Z" {
				t.Errorf("as of %q", reply.header.Get(smartcv.AsOfHeader))
			}
			rows := reply.list()
			if c.fields == "" {
				if len(rows) != 0 {
					t.Errorf("%s", reply.text)
				}
				return
			}
			if len(rows) != 1 || keysOf(rows[0]) != c.fields {
				t.Fatalf("%s", reply.text)
			}
			row := rows[0]
			if row["id"] != "delivery_"+b.rows[0].ID[4:] || row["event_id"] != "event_"+b.rows[0].EventID[4:] || row["event_type"] != "resume.created" || row["url"] != "https://cv.example/hooks" {
				t.Errorf("%v", row)
			}
			for name, want := range c.want {
				if row[name] != want {
					t.Errorf("%s is %v, want %v", name, row[name], want)
				}
			}
		})
	}
	b.rows = []analytics.LogRow{delivery(1, func(r *analytics.LogRow) { r.EventID = "a publisher's own id" })}
	if rows := b.call(rootKey, "GET", "/api/webhooks/"+id+"/logs", "").list(); rows[0]["event_id"] != "a publisher's own id" {
		t.Errorf("%v", rows)
	}
}

// TestLogLimitOfSmartCV: at most so many rows, in the log's order, whatever
// lies between that does not show.
func TestLogLimitOfSmartCV(t *testing.T) {
	b := newBench(t, nil)
	key := b.tenant("acme", "smartcv")
	id := b.call(key, "POST", "/api/webhooks", full).is(201).data()["id"].(string)
	for n := range 900 {
		b.rows = append(b.rows, delivery(n, func(r *analytics.LogRow) {
			if n%3 > 0 {
				r.Status, r.Attempts = schemas.StateSkipped, 0
			}
		}))
	}
	for query, want := range map[string]int{"": 50, "?limit=50": 50, "?limit=1": 1, "?limit=200": 200, "?limit=100&_=cachebuster": 100} {
		rows := b.call(rootKey, "GET", "/api/webhooks/"+id+"/logs"+query, "").is(200).list()
		if len(rows) != want {
			t.Errorf("%q: %d rows, want %d", query, len(rows), want)
		}
		for i, row := range rows {
			if row["id"] != "delivery_"+b.rows[3*i].ID[4:] {
				t.Fatalf("%q: row %d is %v", query, i, row["id"])
			}
		}
	}
	for _, q := range b.queries {
		if q.Tenant != "acme" || !strings.HasPrefix(q.WebhookID, "wh_") || q.Limit > analytics.MaxPage {
			t.Fatalf("asked for %+v", q)
		}
	}
	// A log of nothing but skipped deliveries is not read to its end.
	for i := range b.rows {
		b.rows[i].Status, b.rows[i].Attempts = schemas.StateSkipped, 0
	}
	for len(b.rows) < 30_000 {
		b.rows = append(b.rows, delivery(len(b.rows), func(r *analytics.LogRow) { r.Status, r.Attempts = schemas.StateSkipped, 0 }))
	}
	b.queries = nil
	if rows := b.call(rootKey, "GET", "/api/webhooks/"+id+"/logs", "").is(200).list(); len(rows) != 0 || len(b.queries) > 50 {
		t.Errorf("%d rows in %d reads", len(rows), len(b.queries))
	}
}

func TestLogsThatCannotBeRead(t *testing.T) {
	b := newBench(t, nil)
	id := b.call(rootKey, "POST", "/api/webhooks", full).is(201).data()["id"].(string)
	b.trouble = errors.New("the secret address of the database does not answer")
	reply := b.call(rootKey, "GET", "/api/webhooks/"+id+"/logs", "")
	reply.refused(503, "cannot be read")
	if reply.header.Get("Retry-After") == "" || strings.Contains(reply.text, "secret address") {
		t.Errorf("%v %s", reply.header, reply.text)
	}
	b = newBench(t, func(c *smartcv.Config) { c.Logs, c.AsOf = nil, nil })
	id = b.call(rootKey, "POST", "/api/webhooks", full).is(201).data()["id"].(string)
	b.call(rootKey, "GET", "/api/webhooks/"+id+"/logs", "").refused(503, "ClickHouse")
}

// TestOpenAPIOfSmartCV: the document has the routes with this product's errors.
func TestOpenAPIOfSmartCV(t *testing.T) {
	b := newBench(t, nil)
	doc := b.call("", "GET", "/openapi.json", "").is(200)
	paths := doc.body["paths"].(map[string]any)
	for path, methods := range map[string]string{"/api/webhooks": "get post", "/api/webhooks/{id}": "delete get put", "/api/webhooks/{id}/test": "post", "/api/webhooks/{id}/logs": "get"} {
		item, _ := paths[path].(map[string]any)
		if keysOf(item) != methods {
			t.Errorf("%s has %s", path, keysOf(item))
		}
		for _, op := range item {
			responses := op.(map[string]any)["responses"].(map[string]any)
			if text := fmt.Sprint(responses["default"]); !strings.Contains(text, "application/json") {
				t.Errorf("%s: %s", path, text)
			}
		}
	}
	row := doc.body["components"].(map[string]any)["schemas"].(map[string]any)["LogRow"].(map[string]any)
	if got := keysOf(row["properties"].(map[string]any)); got != "attempts delivered_at error event_id event_type id last_attempt_at next_retry_at response_time status_code url" {
		t.Errorf("LogRow has %s", got)
	}
	if got := fmt.Sprint(row["required"]); got != "[attempts event_id event_type id response_time status_code url]" {
		t.Errorf("LogRow requires %s", got)
	}
}
