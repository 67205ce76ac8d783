package analytics

// The queries on a real engine, against the same questions answered in Go.

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// fixture is generated data and what it means.
type fixture struct {
	attempts []schemas.Attempt
	routed   []schemas.Routed
	rows     map[string]LogRow // by delivery id: the expected latest state
}

// put stores rows as the sink does.
func put(t testing.TB, s *Store, f *fixture) {
	t.Helper()
	ad, rd := newAttemptsDecoder(), newRoutedDecoder()
	top := schemas.DevTopology()
	for i := range f.attempts {
		rec, err := f.attempts[i].Record(top)
		if err == nil {
			err = ad.add(&rec, place{topic: "attempts#1", offset: int64(i)})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range f.routed {
		rec, err := f.routed[i].Record(top, 0)
		if err == nil {
			err = rd.add(&rec, place{topic: "routed#1", offset: int64(i)})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range []*block{ad.blocks[0], rd.blocks[0]} {
		if b.rows() == 0 {
			continue
		}
		if err := s.insert(t.Context(), b, nil, fmt.Sprintf("put-%s-%d", b.spec.name, rand.Uint64())); err != nil {
			t.Fatal(err)
		}
	}
}

// generate makes n deliveries over 40 days for a few endpoints of two tenants;
// many share a millisecond, some have many attempts, some none yet.
func generate(n int) *fixture {
	rng := rand.New(rand.NewPCG(1, 2))
	f := &fixture{rows: map[string]LogRow{}}
	now := time.Now().UTC().Truncate(time.Millisecond)
	for i := range n {
		tenant, endpoint := "acme", fmt.Sprintf("wh_%d", i%3)
		if i%5 == 4 {
			tenant, endpoint = "globex", "wh_9"
		}
		back := time.Duration(rng.IntN(20)) * time.Hour
		switch rng.IntN(6) {
		case 0:
			back = 3*24*time.Hour + time.Duration(rng.IntN(48))*time.Hour
		case 1:
			back = 20*24*time.Hour + time.Duration(rng.IntN(24*15))*time.Hour
		}
		created := now.Add(-back)
		kind := []string{"invoice.paid", "invoice.sent", "user.new"}[rng.IntN(3)]
		event := fmt.Sprintf("evt-%04d", i)
		id := schemas.DeliveryID(tenant, event, endpoint, "")
		f.routed = append(f.routed, schemas.Routed{EventID: event, Tenant: tenant, Type: kind, Time: created.UnixMilli(), CreatedAt: created.UnixMilli(),
			DeliveryIDs: []string{id}, EndpointIDs: []string{endpoint}, Data: []byte(`{"i": ` + itoa(i) + `}`), Source: schemas.Position{Topic: "events", Offset: int64(i)}})
		row := LogRow{ID: id, EventID: event, EventType: kind, WebhookID: endpoint, Tenant: tenant, Status: schemas.StatePending, CreatedAt: created}
		fate := rng.IntN(10)
		tries := 1 + rng.IntN(4)
		if rng.IntN(40) == 0 {
			tries = 150 // spans pages
		}
		if fate == 0 {
			tries = 0 // not attempted yet
		}
		for no := 1; no <= tries; no++ {
			a := schemas.Attempt{Tenant: tenant, EndpointID: endpoint, DeliveryID: id, No: no, EventID: event, EventType: kind, State: schemas.StatePending,
				CreatedAt: created.UnixMilli(), AttemptedAt: created.Add(time.Duration(no) * time.Second).UnixMilli(), DurationMS: int64(rng.IntN(500)),
				ResponseCode: []int{500, 503, 0}[rng.IntN(3)], ErrorKind: schemas.ErrHTTP5xx, Error: "no", URL: "https://example.org/" + endpoint, Profile: "standard",
				Source: schemas.Position{Topic: "events", Offset: int64(i)}}
			a.NextRetryAt = a.AttemptedAt + 5000
			if no == tries {
				switch {
				case fate <= 5:
					a.State, a.ResponseCode, a.ErrorKind, a.Error, a.NextRetryAt = schemas.StateSuccess, 200, "", "", 0
				case fate <= 7:
					a.State, a.ResponseCode, a.NextRetryAt = schemas.StateError, 410, 0
				case fate == 8:
					a.No, a.State, a.ResponseCode, a.ErrorKind, a.NextRetryAt = 0, schemas.StateSkipped, 0, schemas.SkipInactive, 0
				}
			}
			f.attempts = append(f.attempts, a)
			row.URL, row.Status, row.ErrorKind, row.Error, row.DurationMS = a.URL, a.State, a.ErrorKind, a.Error, a.DurationMS
			row.ResponseCode, row.NextRetryAt = code(uint16(a.ResponseCode)), nil
			if a.NextRetryAt > 0 {
				row.NextRetryAt = moment(time.Unix((a.NextRetryAt+999)/1000, 0))
			}
			if a.No > 0 {
				row.Attempts, row.LastAttemptAt = a.No, moment(time.UnixMilli(a.AttemptedAt))
			}
		}
		f.rows[id] = row
	}
	return f
}

// expect answers a query from the fixture.
func (f *fixture) expect(q LogQuery) []LogRow {
	var out []LogRow
	for _, r := range f.rows {
		switch {
		case q.Tenant != "" && r.Tenant != q.Tenant, q.WebhookID != "" && r.WebhookID != q.WebhookID,
			q.Status != "" && r.Status != q.Status, q.EventType != "" && r.EventType != q.EventType,
			q.ResponseCode != 0 && (r.ResponseCode == nil || *r.ResponseCode != q.ResponseCode),
			!q.Since.IsZero() && r.CreatedAt.Before(q.Since), !q.Until.IsZero() && !r.CreatedAt.Before(q.Until):
			continue
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b LogRow) int {
		if c := b.CreatedAt.Compare(a.CreatedAt); c != 0 {
			return c
		}
		return strings.Compare(b.ID, a.ID)
	})
	return out
}

// all pages through a list.
func all(t testing.TB, s *Store, q LogQuery) []LogRow {
	t.Helper()
	var out []LogRow
	for {
		page, err := s.Logs(context.Background(), q)
		if err != nil {
			t.Fatalf("%+v: %v", q, err)
		}
		out = append(out, page.Rows...)
		if page.Next == nil {
			return out
		}
		if len(page.Rows) != q.Limit {
			t.Fatalf("%+v: a page of %d with a cursor", q, len(page.Rows))
		}
		q.After = page.Next
	}
}

func same(t testing.TB, what string, got, want []LogRow) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d rows, want %d", what, len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		g, _ := json.Marshal(got[i])
		w, _ := json.Marshal(want[i])
		if string(g) != string(w) {
			t.Fatalf("%s: row %d is\n%s, want\n%s", what, i, g, w)
		}
	}
}

func TestQueries(t *testing.T) {
	h := startHouse(t)
	s := h.store(t)
	f := generate(300)
	put(t, s, f)

	t.Run("logs", func(t *testing.T) {
		now := time.Now().UTC()
		queries := []LogQuery{
			{Tenant: "acme", WebhookID: "wh_0"},
			{Tenant: "acme"},
			{},
			{Tenant: "acme", WebhookID: "wh_1", EventType: "user.new"},
			{Tenant: "acme", WebhookID: "wh_1", Since: now.Add(-26 * 24 * time.Hour), Until: now.Add(-4 * 24 * time.Hour)},
			{Tenant: "acme", WebhookID: "wh_9"}, // another tenant's
			{Tenant: "globex", ResponseCode: 410},
			{Tenant: "acme", WebhookID: "wh_0", ResponseCode: 503},
			{Tenant: "acme", WebhookID: "wh_2", Status: schemas.StateError, ResponseCode: 410},
			{Tenant: "acme", Status: schemas.StatePending, EventType: "invoice.paid"},
		}
		for _, status := range []schemas.State{schemas.StatePending, schemas.StateSuccess, schemas.StateError, schemas.StateSkipped} {
			queries = append(queries, LogQuery{Tenant: "acme", WebhookID: "wh_0", Status: status}, LogQuery{Status: status})
		}
		for _, q := range queries {
			for _, limit := range []int{17, 200} {
				q.Limit = limit
				same(t, fmt.Sprintf("%+v", q), all(t, s, q), f.expect(q))
			}
		}
	})

	t.Run("a cursor stays while rows arrive", func(t *testing.T) {
		q := LogQuery{Tenant: "acme", WebhookID: "wh_0", Limit: 20}
		want := f.expect(q)
		first, err := s.Logs(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		late := &fixture{attempts: []schemas.Attempt{
			{Tenant: "acme", EndpointID: "wh_0", DeliveryID: "dlv_new", No: 1, EventID: "evt-new", EventType: "user.new", State: schemas.StateSuccess,
				CreatedAt: time.Now().Add(time.Minute).UnixMilli(), AttemptedAt: time.Now().UnixMilli()}}}
		put(t, s, late)
		q.After = first.Next
		rest := all(t, s, q)
		same(t, "both pages", append(first.Rows, rest...), want)
	})

	t.Run("a repeated attempt and a fork keep the terminal state", func(t *testing.T) {
		base := schemas.Attempt{Tenant: "forks", EndpointID: "wh_f", DeliveryID: "dlv_fork", EventID: "e", EventType: "x.y", CreatedAt: time.Now().UnixMilli()}
		row := func(no int, state schemas.State, after int64) schemas.Attempt {
			a := base
			a.No, a.State, a.AttemptedAt = no, state, a.CreatedAt+after
			return a
		}
		put(t, s, &fixture{attempts: []schemas.Attempt{row(1, schemas.StatePending, 1), row(1, schemas.StateSuccess, 2), row(2, schemas.StatePending, 3), row(1, schemas.StateSuccess, 2)}})
		page, err := s.Logs(t.Context(), LogQuery{Tenant: "forks", WebhookID: "wh_f"})
		if err != nil || len(page.Rows) != 1 || page.Rows[0].Status != schemas.StateSuccess || page.Rows[0].Attempts != 2 {
			t.Fatalf("%+v %v", page, err)
		}
		if page, err := s.Logs(t.Context(), LogQuery{Tenant: "forks", Status: schemas.StatePending}); err != nil || len(page.Rows) != 0 {
			t.Errorf("pending: %+v %v", page, err)
		}
		var state string
		if err := s.conn.QueryRow(t.Context(), "SELECT state FROM hookstream.deliveries WHERE delivery_id = 'dlv_fork'").Scan(&state); err != nil || state != "success" {
			t.Errorf("view: %q %v", state, err)
		}
	})

	t.Run("the view deliveries says the same", func(t *testing.T) {
		rows, err := s.conn.Query(t.Context(), "SELECT delivery_id, state, attempts, response_code, error_kind FROM hookstream.deliveries WHERE tenant_id IN ('acme', 'globex') AND delivery_id != 'dlv_new'")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for rows.Next() {
			var id, state, kind string
			var attempts, answer uint16
			if err := rows.Scan(&id, &state, &attempts, &answer, &kind); err != nil {
				t.Fatal(err)
			}
			n++
			if w := f.rows[id]; string(w.Status) != state || w.Attempts != int(attempts) || w.ErrorKind != kind {
				t.Errorf("%s: %s, %d attempts, %s; want %+v", id, state, attempts, kind, w)
			}
		}
		if err := rows.Err(); err != nil || n != len(f.rows) {
			t.Errorf("%d rows, want %d (%v)", n, len(f.rows), err)
		}
	})

	t.Run("one delivery", func(t *testing.T) {
		looked, long := 0, false
		for id, want := range f.rows {
			if want.Tenant != "acme" || looked > 20 && want.Attempts < 149 {
				continue
			}
			looked++
			d, ok, err := s.Delivery(t.Context(), "acme", id)
			if err != nil || !ok {
				t.Fatalf("%s: %v %v", id, ok, err)
			}
			same(t, "delivery", []LogRow{d.LogRow}, []LogRow{want})
			if want.LastAttemptAt == nil && want.Status == schemas.StatePending && len(d.AttemptsList) != 0 {
				t.Errorf("%s has attempts before the first: %+v", id, d.AttemptsList)
			}
			if d.Source.Topic != "events" {
				t.Errorf("%s: source %v", id, d.Source)
			}
			if len(d.AttemptsList) >= 149 {
				if _, ok, _ := s.Delivery(t.Context(), "globex", id); ok {
					t.Error("a foreign tenant sees it")
				}
				long = true
			}
		}
		if !long {
			t.Error("no delivery with many attempts was looked at")
		}
	})

	t.Run("events", func(t *testing.T) {
		q := LogQuery{Tenant: "globex", Limit: 11}
		seen := map[string]bool{}
		for {
			page, err := s.Events(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Rows {
				if seen[e.ID] || e.Tenant != "globex" || e.Deliveries != 1 {
					t.Fatalf("event %+v", e)
				}
				seen[e.ID] = true
			}
			if page.Next == nil {
				break
			}
			q.After = page.Next
		}
		if len(seen) != 60 {
			t.Errorf("%d events, want 60", len(seen))
		}
		d, ok, err := s.Event(t.Context(), "acme", "evt-0001")
		if err != nil || !ok || string(d.Data) != `{"i": 1}` || len(d.DeliveriesList)+len(d.SkippedList) > 1 {
			t.Errorf("%+v %v %v", d, ok, err)
		}
		if _, ok, _ := s.Event(t.Context(), "globex", "evt-0001"); ok {
			t.Error("a foreign tenant sees the event")
		}
	})

	t.Run("stats", func(t *testing.T) {
		st, err := s.Stats(t.Context(), "acme", "wh_0", "28d")
		if err != nil {
			t.Fatal(err)
		}
		var want Numbers
		for _, a := range f.attempts {
			if a.Tenant != "acme" || a.EndpointID != "wh_0" || a.AttemptedAt < st.Since.UnixMilli() {
				continue
			}
			if a.No > 0 {
				want.Attempts++
			}
			switch a.State {
			case schemas.StateSuccess:
				want.Success++
			case schemas.StateError:
				want.Error++
			case schemas.StateSkipped:
				want.Skipped++
			}
		}
		want.Attempts, want.Success = want.Attempts+1, want.Success+1 // the row that arrived late
		got := st.Total
		if got.Attempts != want.Attempts || got.Success != want.Success || got.Error != want.Error || got.Skipped != want.Skipped {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if got.P50 == nil || got.SuccessRate == nil || len(st.Hours) == 0 || len(st.Errors) == 0 || len(st.ByHour) == 0 {
			t.Errorf("incomplete: %+v", st)
		}
		var hours int64
		for _, h := range st.Hours {
			hours += h.Attempts
		}
		if hours != got.Attempts {
			t.Errorf("the hours have %d attempts, the total %d", hours, got.Attempts)
		}
		if empty, err := s.Stats(t.Context(), "nobody", "", "24h"); err != nil || empty.Total.Attempts != 0 || empty.Total.P99 != nil {
			t.Errorf("nobody: %+v %v", empty.Total, err)
		}
	})

	t.Run("statistics come from the rollups", func(t *testing.T) {
		for sql, want := range map[string]string{
			"SELECT bucket, attempts FROM hookstream.endpoint_1h WHERE tenant_id = 'acme' AND endpoint_id = 'wh_0'": "p_endpoint_1h",
			"SELECT bucket, p50_p95_p99 FROM hookstream.type_1h WHERE tenant_id = 'acme'":                           "p_type_1h",
			"SELECT n FROM hookstream.error_1h WHERE tenant_id = 'acme' AND endpoint_id = 'wh_0'":                   "p_error_1h",
		} {
			var plan strings.Builder
			rows, err := s.conn.Query(t.Context(), "EXPLAIN "+sql)
			if err != nil {
				t.Fatal(err)
			}
			for rows.Next() {
				var line string
				if err := rows.Scan(&line); err != nil {
					t.Fatal(err)
				}
				plan.WriteString(line + "\n")
			}
			if !strings.Contains(plan.String(), want) {
				t.Errorf("%s does not use %s:\n%s", sql, want, &plan)
			}
		}
	})
}
