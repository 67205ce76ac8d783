package endpoint_test

import (
	"fmt"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hookstream/hookstream/delivery/endpoint"
	"github.com/hookstream/hookstream/schemas"
)

// model is the registry as one would write it down: the last row per key, and
// a status only behind its endpoint's row and for that version.
type model struct {
	rows     map[string]schemas.Endpoint
	statuses map[string]schemas.EndpointStatus
}

func (m *model) standing(e *schemas.Endpoint) endpoint.Standing {
	s, counts := m.statuses[e.ID]
	switch {
	case counts && s.Disabled:
		return endpoint.Disabled
	case !e.Active:
		return endpoint.Inactive
	case !e.Verified && !e.SkipVerification && (!counts || !s.Verified):
		return endpoint.Unverified
	}
	return endpoint.Active
}

// match is the naive answer: every row looked at.
func (m *model) match(ev *schemas.Event) []schemas.Match {
	var found []schemas.Endpoint
	for _, e := range m.rows {
		takes := e.Matches(ev.Type)
		if ev.Kind == schemas.KindSystem || ev.Kind == schemas.KindNotice {
			takes = schemas.NamesType(e.Events, ev.Type)
		}
		if e.Tenant != ev.Tenant || ev.EndpointID != "" && e.ID != ev.EndpointID || ev.EndpointID == "" && (e.Callback || !takes) {
			continue
		}
		found = append(found, e)
	}
	slices.SortFunc(found, func(a, b schemas.Endpoint) int {
		if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	out := []schemas.Match{}
	for _, e := range found {
		out = append(out, schemas.Match{EndpointID: e.ID, Profile: e.Profile, Skip: m.standing(&e).Skip(ev.Kind)})
	}
	return out
}

func genEndpoint(t *rapid.T, id string) schemas.Endpoint {
	pick := func(name string, of ...string) string { return rapid.SampledFrom(of).Draw(t, name) }
	at := time.Unix(1_700_000_000, 0).UTC()
	e := schemas.Endpoint{
		ID: id, Tenant: pick("tenant", "t1", "t2"), Version: int64(rapid.IntRange(1, 4).Draw(t, "version")), URL: "https://example.com/" + id,
		Profile: pick("profile", "uninstalled", "other"), Active: rapid.Bool().Draw(t, "active"), Verified: rapid.Bool().Draw(t, "verified"),
		Callback: rapid.IntRange(0, 9).Draw(t, "callback") == 0, SkipVerification: rapid.IntRange(0, 4).Draw(t, "skip") == 0,
		CreatedAt: at.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "created")) * time.Millisecond), UpdatedAt: at,
		Events: rapid.SliceOfN(rapid.SampledFrom([]string{"*", "a", "a.b", "a.*", "a.b.*", "b.*", "c"}), 0, 4).Draw(t, "events"),
	}
	if rapid.Bool().Draw(t, "rare") {
		e.Name, e.UID, e.Ordered, e.RateLimit, e.NoRetry = "n", "u", true, 3, true
		e.Metadata = map[string]string{"k": "v"}
		e.Secrets = []schemas.Sealed{{KeyID: "k1", Box: []byte("box"), CreatedAt: at}, {KeyID: "k2", Box: []byte("old"), CreatedAt: at, ExpiresAt: at.Add(time.Hour)}}
	}
	return e
}

// TestRegistryModel applies random rows, statuses and tombstones and compares
// every answer with the model's.
func TestRegistryModel(t *testing.T) {
	set := builtin(t)
	rapid.Check(t, func(t *rapid.T) {
		l := &loop{t: nilT{}, topology: schemas.DevTopology()}
		r, err := endpoint.NewRegistry(l.config(set))
		if err != nil {
			t.Fatal(err)
		}
		l.registry = r // old callback endpoints put their use on record
		m := &model{rows: map[string]schemas.Endpoint{}, statuses: map[string]schemas.EndpointStatus{}}
		apply := func(rec schemas.Record, err error) {
			if err != nil {
				t.Fatal(err)
			}
			r.Apply(&rec)
		}
		ids := []string{"wh_1", "wh_2", "wh_3", "wh_4", "wh_5"}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			id := rapid.SampledFrom(ids).Draw(t, "id")
			switch rapid.IntRange(0, 6).Draw(t, "what") {
			case 0: // deleted
				apply(schemas.EndpointTombstone(l.topology, id), nil)
				delete(m.rows, id)
				delete(m.statuses, id)
			case 1: // status deleted
				apply(schemas.EndpointTombstone(l.topology, id+schemas.StatusKeySuffix), nil)
				delete(m.statuses, id)
			case 2, 3: // found out by a dispatcher
				s := schemas.EndpointStatus{ID: id, ForVersion: int64(rapid.IntRange(1, 4).Draw(t, "for")), Disabled: rapid.Bool().Draw(t, "disabled"), Verified: rapid.Bool().Draw(t, "ok")}
				apply(s.Record(l.topology))
				delete(m.statuses, id)
				if e, ok := m.rows[id]; ok && e.Version == s.ForVersion {
					m.statuses[id] = s
				}
			case 4: // no row
				rec := schemas.EndpointTombstone(l.topology, id)
				rec.Value = []byte(`{"id":`)
				apply(rec, nil)
			default:
				e := genEndpoint(t, id)
				apply(e.Record(l.topology))
				delete(m.statuses, id)
				m.rows[id] = e
			}
			for _, tenant := range []string{"t1", "t2"} {
				for _, kind := range []string{schemas.KindEvent, schemas.KindTest, schemas.KindSystem} {
					for _, eventType := range []string{"a", "a.b", "a.b.c", "b", "b.x", "c", "ab"} {
						compare(t, r, m, &schemas.Event{ID: "e", Tenant: tenant, Type: eventType, Kind: kind})
						named := m.match(&schemas.Event{Tenant: tenant, Type: eventType, Kind: schemas.KindSystem})
						want := slices.ContainsFunc(named, func(x schemas.Match) bool { return x.Skip == "" })
						if r.Wants(tenant, eventType) != want {
							t.Fatalf("wants %s of %s: %v; %+v", eventType, tenant, !want, m.rows)
						}
					}
					compare(t, r, m, &schemas.Event{ID: "e", Tenant: tenant, Type: "zzz", Kind: kind, EndpointID: id})
				}
			}
			row, had := m.rows[id]
			target, ok := r.Target(id)
			if ok != had || had && (target.Standing != m.standing(&row) || target.URL != row.URL || target.Version != row.Version || target.Tenant != row.Tenant) {
				t.Fatalf("target %v %v of %+v", target, ok, row)
			}
			if outline, ok := r.Outline(id); ok != had || had && !reflect.DeepEqual(outline, endpoint.Target{ID: target.ID, Tenant: target.Tenant, Version: target.Version,
				Standing: target.Standing, URL: target.URL, Profile: target.Profile, Retry: target.Retry, RateLimit: target.RateLimit, Ordered: target.Ordered, Callback: target.Callback}) {
				t.Fatalf("outline %+v", outline)
			}
			if owner, ok := r.Owner(id); ok != had || owner != row.Tenant {
				t.Fatalf("owner %q %v", owner, ok)
			}
		}
		tenants := map[string]bool{}
		for _, e := range m.rows {
			tenants[e.Tenant] = true
		}
		if e, n := r.Len(); e != len(m.rows) || n != len(tenants) {
			t.Fatalf("%d endpoints of %d tenants, want %d of %d", e, n, len(m.rows), len(tenants))
		}
	})
}

// TestCompactionChangesNothing: a node that reads only the last row of each key,
// in the log's order, ends where the one ends that read everything.
func TestCompactionChangesNothing(t *testing.T) {
	set := builtin(t)
	rapid.Check(t, func(t *rapid.T) {
		l := &loop{t: nilT{}, topology: schemas.DevTopology()}
		var log []schemas.Record
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			id := rapid.SampledFrom([]string{"wh_1", "wh_2"}).Draw(t, "id")
			var rec schemas.Record
			var err error
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				rec = schemas.EndpointTombstone(l.topology, id)
			case 1, 2:
				s := schemas.EndpointStatus{ID: id, ForVersion: int64(rapid.IntRange(1, 4).Draw(t, "for")), Disabled: rapid.Bool().Draw(t, "disabled"), Verified: rapid.Bool().Draw(t, "ok")}
				rec, err = s.Record(l.topology)
			default:
				e := genEndpoint(t, id)
				rec, err = e.Record(l.topology)
			}
			if err != nil {
				t.Fatal(err)
			}
			log = append(log, rec)
		}
		last := map[string]int{}
		for i, rec := range log {
			last[string(rec.Key)] = i
		}
		var nodes [2]*endpoint.Registry
		for n := range nodes {
			var err error
			if nodes[n], err = endpoint.NewRegistry(l.config(set)); err != nil {
				t.Fatal(err)
			}
			for i := range log {
				if n == 0 || last[string(log[i].Key)] == i {
					nodes[n].Apply(&log[i])
				}
			}
		}
		for _, id := range []string{"wh_1", "wh_2"} {
			all, okAll := nodes[0].Target(id)
			few, okFew := nodes[1].Target(id)
			all.Fault, few.Fault = "", "" // the boxes are no real ones
			if okAll != okFew || !reflect.DeepEqual(all, few) {
				t.Fatalf("%s: %v %v after everything, %v %v after compaction", id, all.Standing, okAll, few.Standing, okFew)
			}
		}
	})
}

func compare(t *rapid.T, r *endpoint.Registry, m *model, ev *schemas.Event) {
	got, err := r.Match(t.Context(), ev)
	if err != nil {
		t.Fatal(err)
	}
	want := m.match(ev)
	if len(got) == 0 && len(want) == 0 {
		return
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("event %+v:\n got %+v\nwant %+v\nrows %+v", *ev, got, want, slices.Sorted(maps.Keys(m.rows)))
	}
}

// nilT stands for the test in a loop that only makes a configuration.
type nilT struct{ testing.TB }

func TestApplySkipsWhatItCannotRead(t *testing.T) {
	l := newLoop(t, nil)
	good := schemas.Endpoint{ID: "wh_1", Tenant: "t", Version: 1, URL: "https://a.example", Profile: "standard", Active: true, Verified: true}
	rec, err := good.Record(l.topology)
	if err != nil {
		t.Fatal(err)
	}
	l.registry.Apply(&rec)
	for _, bad := range []schemas.Record{
		{Topic: rec.Topic, Key: rec.Key, Value: []byte("not json")},
		{Topic: rec.Topic, Key: rec.Key, Value: []byte("null")},
		{Topic: rec.Topic, Key: []byte("wh_2"), Value: rec.Value},
		{Topic: rec.Topic, Key: []byte("wh_1#status"), Value: []byte(`{"id":"wh_9"}`)},
		{Topic: l.topology.TenantsTopic(), Key: []byte("t"), Value: []byte(`[]`)},
		{Topic: "elsewhere", Key: rec.Key},
	} {
		l.registry.Apply(&bad)
	}
	if target, ok := l.registry.Target("wh_1"); !ok || target.Standing != endpoint.Active {
		t.Errorf("%v %v", target, ok)
	}
	if n := strings.Count(l.log.String(), "registry row skipped"); n != 6 {
		t.Errorf("%d rows logged, want 6: %s", n, l.log.String())
	}
}

func TestCallbackURL(t *testing.T) {
	l := newLoop(t, nil)
	ev := schemas.Event{ID: "e1", Type: "resume.created", Tenant: "acme", Kind: schemas.KindEvent, CallbackURL: "HTTPS://Example.com:443/cb?x=1#frag", Profile: "standard", Data: []byte(`{}`)}
	first, err := l.registry.Match(t.Context(), &ev)
	if err != nil || len(first) != 1 || !strings.HasPrefix(first[0].EndpointID, "wh_cb") || first[0].ProfileVersion == 0 {
		t.Fatalf("%+v %v", first, err)
	}
	written := len(l.records)
	ev.CallbackURL = "https://example.com/cb?x=1"
	again, err := l.registry.Match(t.Context(), &ev)
	if err != nil || !reflect.DeepEqual(first, again) || len(l.records) != written {
		t.Fatalf("%+v %v, %d records", again, err, len(l.records)-written)
	}
	id := first[0].EndpointID
	target, ok := l.registry.Target(id)
	if !ok || !target.Callback || target.URL != "https://example.com/cb?x=1" || len(target.Secrets) != 1 {
		t.Fatalf("%v %q", target, target.Fault)
	}
	// The tenant's first key shows the secret that was made for the callback.
	l.call(rootKey, "POST", "/v1/tenants", `{"id":"acme"}`).is(409)
	made := l.call(rootKey, "POST", "/v1/tenants/acme/keys", "").is(201)
	if made.str("secret") != string(target.Secrets[0]) {
		t.Error("the key does not show the secret that signs")
	}
	if r := l.call(made.str("key"), "GET", "/v1/webhooks", "").is(200); !strings.Contains(r.text, `"data":[]`) {
		t.Errorf("the callback endpoint is in the list: %s", r.text)
	}
	l.call(made.str("key"), "PATCH", "/v1/webhooks/"+id, `{"name":"x"}`).is(409)
	plain := schemas.Event{ID: "e2", Type: "resume.created", Tenant: "acme", Kind: schemas.KindEvent}
	if m, _ := l.registry.Match(t.Context(), &plain); len(m) != 0 {
		t.Errorf("an event without a callback URL goes to %+v", m)
	}
	ev.Profile = "nope"
	if m, err := l.registry.Match(t.Context(), &ev); len(m) != 0 || err == nil {
		t.Errorf("%+v %v", m, err)
	}
	ev.Profile, ev.CallbackURL = "standard", "https://example.com/other"
	l.fail = fmt.Errorf("away")
	if _, err := l.registry.Match(t.Context(), &ev); err == nil {
		t.Error("a write that failed is no error")
	}
}

func TestClosedCatalogueIsNotMatched(t *testing.T) {
	l := newLoop(t, nil)
	key, _ := l.tenantKey("acme", "smartcv")
	l.call(key, "POST", "/v1/webhooks", `{`+aURL+`}`).is(201)
	p, _ := builtin(t).Get("smartcv")
	known := p.Events()[0].Type
	for eventType, want := range map[string]int{known: 1, "no.such.type": 0} {
		if m, _ := l.registry.Match(t.Context(), &schemas.Event{ID: "e", Type: eventType, Tenant: "acme"}); len(m) != want {
			t.Errorf("%s: %+v", eventType, m)
		}
	}
	good, _ := p.Sample(known)
	if err := l.registry.Check(t.Context(), &schemas.Event{ID: "e", Type: known, Tenant: "acme", Data: good}); err != nil {
		t.Error(err)
	}
	if err := l.registry.Check(t.Context(), &schemas.Event{ID: "e", Type: known, Tenant: "acme", Data: []byte(`5`)}); err == nil || !strings.Contains(err.Error(), "wh_") {
		t.Error(err)
	}
}

// BenchmarkMemory reports the bytes that one endpoint costs, at 100,000 of
// them in 100 tenants.
func BenchmarkMemory(b *testing.B) {
	const n = 100_000
	var last *endpoint.Registry
	for b.Loop() {
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		last = fill(b, n, 100)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/endpoint")
	}
	runtime.KeepAlive(last)
}

func fill(tb testing.TB, n, tenants int) *endpoint.Registry {
	l := &loop{t: tb, topology: schemas.DevTopology()}
	r, err := endpoint.NewRegistry(l.config(builtin(tb)))
	if err != nil {
		tb.Fatal(err)
	}
	at := time.Now().UTC()
	for i := range n {
		var id [16]byte
		copy(id[:], fmt.Sprintf("%016d", i))
		e := schemas.Endpoint{ID: schemas.NewID(schemas.WebhookPrefix, id), Tenant: fmt.Sprintf("tenant_%d", i%tenants), Version: 1, Name: fmt.Sprintf("webhook %d", i),
			URL: fmt.Sprintf("https://customer-%d.example.com/webhooks/incoming", i), Events: []string{"invoice.paid", "invoice.created"}, Profile: "standard",
			Active: true, Verified: true, Secrets: []schemas.Sealed{{KeyID: "abcdef01", Box: make([]byte, 78), CreatedAt: at}},
			CreatedAt: at.Add(time.Duration(i) * time.Millisecond), UpdatedAt: at}
		rec, err := e.Record(l.topology)
		if err != nil {
			tb.Fatal(err)
		}
		r.Apply(&rec)
	}
	return r
}

func BenchmarkMatch(b *testing.B) {
	r := fill(b, 10_000, 1_000)
	ev := &schemas.Event{ID: "e", Type: "invoice.paid", Tenant: "tenant_7", Kind: schemas.KindEvent}
	for b.Loop() {
		if m, err := r.Match(b.Context(), ev); err != nil || len(m) != 10 {
			b.Fatal(len(m), err)
		}
	}
}

func BenchmarkTarget(b *testing.B) {
	l := newLoop(b, nil)
	key, _ := l.tenantKey("acme", "standard")
	id := l.call(key, "POST", "/v1/webhooks", `{`+aURL+`,"headers":{"X-Auth":"token"}}`).is(201).str("id")
	for b.Loop() {
		if target, ok := l.registry.Target(id); !ok || target.Fault != "" {
			b.Fatal(target.Fault)
		}
	}
}
