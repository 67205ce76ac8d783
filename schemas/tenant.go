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
	Enforce   string      `json:"enforce_event_types,omitempty"` // of its events: EnforceOff, EnforceKnown or EnforceSchema
	Unknown   Unknown     `json:"-"`
}

// What is asked of the type of a tenant's events.
const (
	EnforceOff    = ""       // any type
	EnforceKnown  = "known"  // one of the tenant's own, of its profiles' catalogues, or of hookstream's
	EnforceSchema = "schema" // the same, and the data satisfies the type's schema where it has one
)

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
	return registryRecord(t.TenantsTopic(), t.RegistryPartition(x.ID), x.ID, x, x.Unknown)
}
