package schemas

// TenantType is the registry's row of an event type that a tenant made itself.

import (
	"strings"
	"time"

	"github.com/segmentio/encoding/json"
)

// typeKeyInfix stands between tenant and type in the row's key; no tenant's id
// has it.
const typeKeyInfix = "#type#"

// TenantType is a row of the tenants topic, in its tenant's partition.
type TenantType struct {
	Tenant      string          `json:"tenant"`
	Type        string          `json:"type"`
	Version     int64           `json:"version"` // grows by one with each write
	Description string          `json:"description,omitempty"`
	Schema      json.RawMessage `json:"schema,omitempty"` // JSON Schema 2020-12 of the data; none: any data
	Sample      json.RawMessage `json:"sample,omitempty"` // data of a test event
	CreatedAt   time.Time       `json:"created_at"`
	UpdatedAt   time.Time       `json:"updated_at"`
	Unknown     Unknown         `json:"-"`
}

// TenantTypeKey is the key of a type's row.
func TenantTypeKey(tenant, eventType string) string { return tenant + typeKeyInfix + eventType }

// ParseTenantTypeKey tells the key of a type's row from a tenant's own.
func ParseTenantTypeKey(key string) (tenant, eventType string, ok bool) {
	return strings.Cut(key, typeKeyInfix)
}

// Record writes the type's row.
func (x *TenantType) Record(t Topology) (Record, error) {
	return registryRecord(t.TenantsTopic(), t.RegistryPartition(x.Tenant), TenantTypeKey(x.Tenant, x.Type), x, x.Unknown)
}

// TenantTombstone removes the row under a key of the tenants topic.
func TenantTombstone(t Topology, key string) Record {
	tenant, _, _ := ParseTenantTypeKey(key)
	return Record{Topic: t.TenantsTopic(), Partition: t.RegistryPartition(tenant), Key: []byte(key)}
}
