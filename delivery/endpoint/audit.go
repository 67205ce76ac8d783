package endpoint

// Audit: who changed what, and which fields; never what is in them.

import (
	"reflect"
	"strings"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// actorSelf is who the audit names for what hookstream does by itself.
const actorSelf = "hookstream"

// audit reports a change. detail names fields, never what is in them.
func (r *Registry) audit(actor, action, tenant, endpointID, target, detail string) {
	r.cfg.Notice(schemas.Notice{Kind: schemas.NoticeAudit, Tenant: tenant, EndpointID: endpointID, At: time.Now().UnixMilli(),
		Actor: actor, Action: action, Target: target, Detail: detail})
}

// changedFields names the fields of two versions of a row that differ, by their
// JSON names; those that change with every write are left out.
func changedFields[T any](before, after T) string {
	var names []string
	a, b := reflect.ValueOf(before), reflect.ValueOf(after)
	for i := range a.NumField() {
		name, _, _ := strings.Cut(a.Type().Field(i).Tag.Get("json"), ",")
		if name == "-" || name == "version" || name == "created_at" || name == "updated_at" || reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			continue
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

// givenFields names the fields of a request that are not empty.
func givenFields[T any](request T) string {
	var none T
	return changedFields(none, request)
}
