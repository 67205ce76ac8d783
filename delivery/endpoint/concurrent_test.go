package endpoint_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/hookstream/hookstream/schemas"
)

// TestConcurrentChanges: on one node no change is lost, one uid has one owner,
// and each If-Match lets one change through, while others read.
func TestConcurrentChanges(t *testing.T) {
	const n = 20
	l := newLoop(t, nil)
	key, _ := l.tenantKey("acme", "standard")
	id := l.call(key, "POST", "/v1/webhooks", `{`+aURL+`}`).is(201).str("id")
	var wg sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for i := range n {
		wg.Go(func() { // a lost update would lose a key
			if r := l.call(rootKey, "POST", "/v1/tenants/acme/keys", fmt.Sprintf(`{"name":"key %d"}`, i)); r.status != 201 {
				t.Errorf("%d %s", r.status, r.text)
			}
		})
		wg.Go(func() {
			r := l.call(key, "PATCH", "/v1/webhooks/"+id, fmt.Sprintf(`{"name":"name %d"}`, i), "If-Match", `"1"`)
			mu.Lock()
			statuses[r.status]++
			mu.Unlock()
		})
		wg.Go(func() {
			r := l.call(key, "POST", "/v1/webhooks", `{`+aURL+`,"uid":"the one"}`)
			mu.Lock()
			statuses[1000+r.status]++
			mu.Unlock()
		})
		wg.Go(func() {
			ev := &schemas.Event{ID: "e", Type: "a", Tenant: "acme", CallbackURL: "https://example.com/cb", Profile: "standard"}
			if m, err := l.registry.Match(t.Context(), ev); err != nil || len(m) != 1 {
				t.Errorf("%v %v", m, err)
			}
			l.registry.Target(id)
			if r := l.call(key, "GET", "/v1/webhooks", ""); r.status != 200 {
				t.Errorf("%d %s", r.status, r.text)
			}
		})
	}
	wg.Wait()
	if statuses[200] != 1 || statuses[412] != n-1 || statuses[1201] != 1 || statuses[1409] != n-1 {
		t.Errorf("answers %v", statuses)
	}
	row := l.call(rootKey, "GET", "/v1/tenants/acme", "").is(200)
	if keys := row.body["keys"]; keys != float64(n+1) {
		t.Errorf("%v keys, want %d", keys, n+1)
	}
	if version := l.call(key, "GET", "/v1/webhooks/"+id, "").is(200).body["version"]; version != float64(2) {
		t.Errorf("version %v", version)
	}
	callbacks := 0
	for _, rec := range l.records {
		var row schemas.Endpoint
		if rec.Topic == l.topology.EndpointsTopic() && schemas.ParseRow(&rec, &row) == nil && row.Callback {
			callbacks++
		}
	}
	if callbacks != 1 {
		t.Errorf("the callback endpoint was written %d times", callbacks)
	}
}
