package endpoint

// Audit: who changed what, and which fields; never what is in them.

import (
	"context"
	"reflect"
	"strings"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// actorSelf is who the audit names for what hookstream does by itself.
const actorSelf = "hookstream"

// audit reports a change that was made, and returns when the entry is as
// durable as the change. detail names fields, never what is in them. A caller
// that went away does not keep it from being written; a log that cannot be
// reached does, and that is told to the program's own log.
func (r *Registry) audit(ctx context.Context, actor, action, tenant, endpointID, target, detail string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	err := r.cfg.Notice(ctx, schemas.Notice{Kind: schemas.NoticeAudit, Tenant: tenant, EndpointID: endpointID, At: time.Now().UnixMilli(),
		Actor: actor, Action: action, Target: target, Detail: detail})
	if err != nil {
		r.cfg.Log.Error("audit entry not written", "actor", actor, "action", action, "tenant", tenant, "target", target, "fields", detail, "err", err)
	}
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
