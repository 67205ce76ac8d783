package endpoint

// Wants: whether an event that hookstream makes itself would reach anybody.

import "github.com/hookstream/hookstream/schemas"

// Wants reports whether an active webhook of the tenant names a type and its
// profile takes it. Whoever makes events that nobody asked for asks this first;
// it costs a map look-up where nobody does.
func (r *Registry) Wants(tenant, eventType string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	t := r.tenants[tenant]
	if t == nil {
		return false
	}
	ev := schemas.Event{Tenant: tenant, Type: eventType, Kind: schemas.KindSystem}
	for _, x := range t.index.named(eventType) {
		if m, knows := r.match(x, &ev); knows && m.Skip == "" {
			return true
		}
	}
	return false
}
