package schemas

// Registry rows: their bytes, and that a node keeps what a newer one wrote.

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/encoding/json"
)

func TestRegistryGoldens(t *testing.T) {
	top := DevTopology()
	x := TenantType{Tenant: "acme", Type: "order.paid", Version: 3, Description: "an order was paid", Schema: json.RawMessage(`{"type":"object"}`),
		Sample: json.RawMessage(`{"amount":25.0}`), CreatedAt: at(1741064767123), UpdatedAt: at(1741064767124)}
	rec := must(x.Record(top))(t)
	golden(t, "tenant_type", dump(rec))
	tenant := Tenant{ID: "acme"}
	if owner := must(tenant.Record(top))(t); owner.Partition != rec.Partition || owner.Topic != rec.Topic {
		t.Errorf("the type stands in %s/%d, its tenant in %s/%d", rec.Topic, rec.Partition, owner.Topic, owner.Partition)
	}
	if tenant, name, ok := ParseTenantTypeKey(string(rec.Key)); !ok || tenant != x.Tenant || name != x.Type {
		t.Errorf("key %s read as %q %q", rec.Key, tenant, name)
	}
	if _, _, ok := ParseTenantTypeKey("acme"); ok {
		t.Error("a tenant's own key is taken for a type's")
	}
	golden(t, "tenant_type_tombstone", dump(TenantTombstone(top, TenantTypeKey("acme", "order.paid"))))
	use := EndpointUse{ID: "wh_1", At: at(1741064767123)}
	golden(t, "endpoint_use", dump(must(use.Record(top))(t)))
	idle := IdleTombstone(top, "wh_1", at(1741064767123))
	golden(t, "endpoint_idle_tombstone", dump(idle))
	if since, ok := IdleSince(&idle); !ok || !since.Equal(at(1741064767123)) {
		t.Errorf("idle since %v %v", since, ok)
	}
	plain := EndpointTombstone(top, "wh_1")
	if _, ok := IdleSince(&plain); ok || plain.Partition != idle.Partition || string(plain.Key) != string(idle.Key) {
		t.Error("the two tombstones are of different rows, or one kind")
	}
}

// TestRowsKeepWhatNewerVersionsWrote: an older node reads a row, changes it and
// writes it without losing fields that it has never heard of.
func TestRowsKeepWhatNewerVersionsWrote(t *testing.T) {
	top := DevTopology()
	const newer = `"later_field":{"a":[1,25.0,"<&>"]},"zone":null,`
	for _, row := range []interface {
		Record(Topology) (Record, error)
	}{
		&Endpoint{ID: "wh_1", Tenant: "acme", Name: "before", UpdatedAt: time.Unix(1, 0).UTC()},
		&Tenant{ID: "acme", Name: "before", Keys: []TenantKey{{ID: "key_1"}}},
		&TenantType{Tenant: "acme", Type: "a", Description: "before", Sample: json.RawMessage(`{"x":1}`)},
	} {
		plain := must(row.Record(top))(t)
		rec := plain
		rec.Value = append([]byte(`{`+newer), plain.Value[1:]...)
		into := reflect.New(reflect.TypeOf(row).Elem()).Interface()
		if err := ParseRow(&rec, into); err != nil {
			t.Fatal(err)
		}
		again := must(into.(interface {
			Record(Topology) (Record, error)
		}).Record(top))(t)
		for _, want := range []string{`,"later_field":{"a":[1,25.0,"<&>"]},"zone":null}`, "before"} {
			if !strings.Contains(string(again.Value), want) {
				t.Errorf("%T: %s lost %s", row, again.Value, want)
			}
		}
		if !json.Valid(again.Value) || !bytes.HasPrefix(again.Value, plain.Value[:len(plain.Value)-1]) {
			t.Errorf("%T: %s", row, again.Value)
		}
		// Read once more, it is the same; and a row of this version has none.
		if err := ParseRow(&again, into); err != nil {
			t.Fatal(err)
		}
		if err := ParseRow(&plain, into); err != nil || reflect.ValueOf(into).Elem().FieldByName("Unknown").Len() != 0 {
			t.Errorf("%T: fields of another row stay: %v", row, err)
		}
		for _, bad := range []string{``, `{`, `[]`, `{} {}`, `{"later":1,"id":7}`} {
			rec.Value = []byte(bad)
			if err := ParseRow(&rec, into); err == nil && bad != `{"later":1,"id":7}` {
				t.Errorf("%T: %q is taken", row, bad)
			}
		}
	}
}
