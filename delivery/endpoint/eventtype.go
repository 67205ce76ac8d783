package endpoint

// Event types that a tenant made itself: kept, looked up, enforced.

import (
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/schemas"
)

// eventType is one version of a tenant's event type. The row is not changed;
// the rest is readySchemas'.
type eventType struct {
	row     *schemas.TenantType
	schema  *dataSchema // compiled when an event needs it
	invalid error
}

// maxReady is how many schemas of one tenant stay compiled: of 500 large ones
// each may take two MiB.
const maxReady = 32

// readySchemas are the types of one tenant whose schemas are compiled, those
// that were asked for last in front.
type readySchemas struct {
	mu   sync.Mutex
	list []*eventType
}

// of is the compiled schema of a type; another one may have to go for it. The
// lock is held while a schema is compiled: that keeps a tenant to one at a time.
func (s *readySchemas) of(t *eventType) (*dataSchema, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.list, t); i >= 0 {
		copy(s.list[1:i+1], s.list[:i])
		s.list[0] = t
	} else {
		s.list = slices.Insert(s.list, 0, t)
	}
	for len(s.list) > maxReady {
		last := len(s.list) - 1
		s.list[last].schema = nil
		s.list[last] = nil
		s.list = s.list[:last]
	}
	if t.schema == nil && t.invalid == nil {
		t.schema, t.invalid = compileSchema(t.row.Schema)
	}
	return t.schema, t.invalid
}

// applyType takes the row of an event type.
func (r *Registry) applyType(owner, name string, rec *schemas.Record) error {
	var row *schemas.TenantType
	if len(rec.Value) > 0 {
		row = &schemas.TenantType{}
		if err := schemas.ParseRow(rec, row); err != nil {
			return err
		}
		if row.Tenant != owner || row.Type != name {
			return fmt.Errorf("event type %q of tenant %q stands under the key %q", row.Type, row.Tenant, rec.Key)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.tenantOf(owner)
	if row == nil {
		delete(t.types, name)
		r.dropIfEmpty(t)
		return nil
	}
	if t.types == nil {
		t.types = map[string]*eventType{}
	}
	t.types[name] = &eventType{row: row}
	return nil
}

// typeFault is why an event is not what its tenant says that its events are.
type typeFault struct {
	eventType string
	version   int64  // of the type; 0: there is none
	pointer   string // JSON pointer into the data, "" for all of it
	reason    string
}

// Error names the event type, the place in the data and the reason.
func (f *typeFault) Error() string {
	if f.version == 0 {
		return fmt.Sprintf("event type %q %s", f.eventType, f.reason)
	}
	place := f.pointer
	if place == "" {
		place = "the whole"
	}
	return fmt.Sprintf("event type %q (schema version %d): data at %s: %s", f.eventType, f.version, place, f.reason)
}

func (f *typeFault) problem() error {
	if f.version == 0 {
		return api.Fail(http.StatusUnprocessableEntity, "unknown_event_type", "type", "%s", f.Error())
	}
	return api.Fail(http.StatusUnprocessableEntity, "schema_mismatch", "data"+f.pointer, "%s", f.Error())
}

// CheckType is Check for an event that came by Kafka, where nobody could be
// answered: it judges the delivery by what its tenant asks of event types. Only
// what a publisher sent is judged; tests, replays and hookstream's own events
// are not. An error is the reason for people.
func (r *Registry) CheckType(d *schemas.Delivery) error {
	if d.Kind != schemas.KindEvent {
		return nil
	}
	if fault := r.typeFault(d.Tenant, d.EventType, d.Profile, d.Data); fault != nil {
		return fault
	}
	return nil
}

// typeFault judges an event; without enforcement it costs a map look-up. The
// profile is that of the event or its endpoint, "" for none.
func (r *Registry) typeFault(owner, name, profileName string, data []byte) *typeFault {
	r.mu.RLock()
	t := r.tenants[owner]
	if t == nil || t.row == nil || t.row.Enforce == schemas.EnforceOff {
		r.mu.RUnlock()
		return nil
	}
	own := t.types[name]
	known := own != nil || schemas.IsSystemEvent(name) || r.lists(profileName, name) || r.lists(t.row.Profile, name)
	for p := range t.profiles {
		known = known || r.lists(p.Value(), name)
	}
	enforce := t.row.Enforce
	r.mu.RUnlock()
	if !known {
		return &typeFault{eventType: name, reason: "is not among the event types of tenant " + owner + ", which takes no others; add it by PUT /v1/event-types/{type}"}
	}
	if own == nil || enforce != schemas.EnforceSchema || len(own.row.Schema) == 0 {
		return nil
	}
	schema, err := t.ready.of(own)
	if err != nil {
		return &typeFault{eventType: name, version: own.row.Version, reason: "the schema cannot be used: " + err.Error()}
	}
	if pointer, reason := schema.check(data, &r.judging); reason != "" {
		return &typeFault{eventType: name, version: own.row.Version, pointer: pointer, reason: reason}
	}
	return nil
}

// lists says whether a profile's catalogue has a type.
func (r *Registry) lists(profileName, eventType string) bool {
	if profileName == "" {
		return false
	}
	p, ok := r.cfg.Profiles.Get(profileName)
	return ok && p.Listed(eventType)
}

// ownType is a tenant's event type, or nil.
func (r *Registry) ownType(owner, name string) *schemas.TenantType {
	r.mu.RLock()
	defer r.mu.RUnlock()
	t := r.tenants[owner]
	if t == nil || t.types[name] == nil {
		return nil
	}
	return t.types[name].row
}
