package analytics

// Fuzzing of what clients ask, of commit metadata, and of records as the sink
// may find them.

import (
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/schemas"
)

// FuzzListParams: a query string is one that the lists can answer, or a problem
// that names the parameter; and a key asks for its own tenant whatever it says.
func FuzzListParams(f *testing.F) {
	for _, q := range []string{"", "limit=5&status=error&since=2025-03-04T05:06:07Z&until=2025-03-04T06:06:07%2B00:00", "limit=0", "limit=1e2", "cursor=AAAA", "since=0000-01-01T00:00:00Z&until=9999-12-31T23:59:59.999999999Z",
		"event_type=a%20b", "error_kind=HTTP", "tenant=globex", "all=yes", "response_code=-1", "event_id=event_0123456789abcdefghjkmnpqrs", "limit=1&limit=2", "%", "a=%zz;b"} {
		f.Add(q)
	}
	h := &routes{}
	f.Fuzz(func(t *testing.T, raw string) {
		v, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		judge := func(err error) bool {
			var p *api.Problem
			if err != nil && (!errors.As(err, &p) || p.Field == "" || p.Detail == "" || p.Status != http.StatusBadRequest && p.Status != http.StatusForbidden) {
				t.Fatalf("%q: %v names no parameter", raw, err)
			}
			return err == nil
		}
		judge(knownParams(v, "limit", "cursor", "status"))
		tenant, err := tenantParam(api.Principal{Tenant: "acme", KeyID: "k"}, v)
		if judge(err) && tenant != "acme" {
			t.Fatalf("%q lets a key ask for %q", raw, tenant)
		}
		_, err = tenantParam(api.Principal{Root: true}, v)
		judge(err)
		_, err = boolParam(v, "all")
		judge(err)
		q, err := h.logQuery(v)
		if !judge(err) {
			return
		}
		if q.Limit < 1 || q.Limit > MaxPage || q.ResponseCode != 0 && (q.ResponseCode < 100 || q.ResponseCode > 599) {
			t.Fatalf("%q asks for %+v", raw, q)
		}
		last := int64(maxMillis) + 1
		for _, w := range windows(q, time.Unix(1700000000, 0)) {
			if w.lo >= w.hi || w.hi > last || w.lo < minMillis {
				t.Fatalf("%q cuts time into %+v", raw, windows(q, time.Unix(1700000000, 0)))
			}
			last = w.lo
		}
	})
}

// FuzzCommitMeta: metadata that anybody may have written into the group is an
// intent of ours or none, and ours reads back.
func FuzzCommitMeta(f *testing.F) {
	f.Add("i1:5:3:0;d1:9", int64(5), int64(9), 3)
	f.Add("i1:-1:0:0", int64(0), int64(-1), 0)
	f.Add("kgo-member-1", int64(1), int64(1), 1)
	f.Add("i1:1:2", int64(1), int64(1), 1)
	f.Fuzz(func(t *testing.T, meta string, last, doubtful int64, rows int) {
		if in, _ := parseMeta(meta); in != nil && (in.last < 0 || in.repair < 0) {
			t.Fatalf("%q is %+v", meta, in)
		}
		if last < 0 || doubtful < 0 {
			return
		}
		wrote := &intent{last: last, rows: rows, repair: rows & 7}
		in, doubt := parseMeta(commitMeta(0, wrote, doubtful))
		if in == nil || *in != *wrote || doubt != doubtful {
			t.Fatalf("%+v and %d came back as %+v and %d", wrote, doubtful, in, doubt)
		}
	})
}

// FuzzDecoders: a record of a topic that feeds a table makes exactly one row, or
// none and an error; the columns stay as long as each other.
func FuzzDecoders(f *testing.F) {
	top := schemas.DevTopology()
	a := schemas.Attempt{Tenant: "t", EndpointID: "w", DeliveryID: "d", No: 1, State: schemas.StatePending, CreatedAt: 1700000000000, AttemptedAt: 1, NextRetryAt: -5, DurationMS: -1, ResponseCode: 70000, ResponseBody: "x"}
	rec, _ := a.Record(top)
	f.Add(rec.Value, int64(0))
	r := schemas.Routed{EventID: "e", Tenant: "t", DeliveryIDs: []string{"d"}, EndpointIDs: []string{"w"}, Skipped: []schemas.Skip{{}}, Data: []byte("[ ]")}
	rec, _ = r.Record(top, 0)
	f.Add(rec.Value, int64(-1))
	for _, kind := range []string{schemas.NoticeBreaker, schemas.NoticeAudit, schemas.NoticeDisabled, "other"} {
		n := schemas.Notice{Kind: kind, Tenant: "t", EndpointID: "w", State: "open", At: 1 << 60, OpenUntil: -1 << 60, Failures: -1}
		rec, _ = n.Record(top)
		f.Add(rec.Value, int64(1<<60))
	}
	f.Add([]byte("{\n"), int64(0))
	f.Fuzz(func(t *testing.T, value []byte, at int64) {
		rec := schemas.Record{Topic: "x", Key: []byte("w"), Value: value}
		for _, d := range []*decoder{newAttemptsDecoder(), newRoutedDecoder(), newNoticesDecoder()} {
			rows := 0
			err := d.add(&rec, place{topic: "x#1", offset: 7, time: at})
			for _, b := range d.blocks {
				rows += b.rows()
				for _, c := range b.cols {
					if n := c.pick([]int{}); n == nil {
						t.Fatalf("column %s has no values", c.name())
					}
				}
				if lo, hi := b.span(); b.rows() > 0 && (lo > hi || lo < minMillis || hi > maxMillis) {
					t.Fatalf("%q spans %d to %d", value, lo, hi)
				}
			}
			if err == nil && rows != 1 || err != nil && rows != 0 {
				t.Fatalf("%q made %d rows and %v", value, rows, err)
			}
		}
	})
}
