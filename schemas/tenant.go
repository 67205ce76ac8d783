package schemas

// Tenant is the registry's row of an owner of endpoints and keys.

import "time"

// Tenant is one row of the tenants topic.
type Tenant struct {
	ID        string      `json:"id"`
	Name      string      `json:"name,omitempty"`
	Version   int64       `json:"version"`
	Profile   string      `json:"profile"`           // what its webhooks take when they name none
	Secrets   []Sealed    `json:"secrets,omitempty"` // the API Secret, newest first
	Revealed  bool        `json:"revealed,omitempty"`
	Keys      []TenantKey `json:"keys,omitempty"`
	CreatedAt time.Time   `json:"created_at"`
	UpdatedAt time.Time   `json:"updated_at"`
}

// TenantKey is an API key, kept as the SHA-256 of its text (the keys have 128
// random bits and more, so no slow hash is needed).
type TenantKey struct {
	ID        string    `json:"id"`
	Name      string    `json:"name,omitempty"`
	Hash      []byte    `json:"hash"`
	Hint      string    `json:"hint"`                 // the last characters, to tell keys apart
	RateLimit float64   `json:"rate_limit,omitempty"` // requests per minute; 0: the default
	CreatedAt time.Time `json:"created_at"`
}

// Record writes the tenant's row.
func (x *Tenant) Record(t Topology) (Record, error) {
	return registryRecord(t.TenantsTopic(), t.RegistryPartition(x.ID), x.ID, x)
}
