package analytics

// The columns of the tables breaker_events and audit.

import (
	"time"

	"github.com/hookstream/hookstream/schemas"
)

var (
	breakerTable = tableSpec{name: "breaker_events", time: "at", retention: 400 * 24 * time.Hour, part: monthly}
	auditTable   = tableSpec{name: "audit", time: "at", retention: 400 * 24 * time.Hour, part: monthly}
)

type breakerColumns struct {
	tenant, endpoint, state, reason *vec[string]
	at, openUntil                   *vec[int64]
	failures                        *vec[uint32]
	position                        position
}

func newBreakerColumns(b *block) *breakerColumns {
	return &breakerColumns{
		tenant: col[string](b, "tenant_id"), endpoint: col[string](b, "endpoint_id"), at: col[int64](b, "at"),
		state: col[string](b, "state"), reason: col[string](b, "reason"), failures: col[uint32](b, "failures"),
		openUntil: col[int64](b, "open_until"), position: positionColumns(b),
	}
}

func (c *breakerColumns) add(b *block, n *schemas.Notice, at place) {
	when := firstMillis(n.At, at.time)
	c.tenant.add(n.Tenant)
	c.endpoint.add(n.EndpointID)
	c.at.add(when)
	c.state.add(n.State)
	c.reason.add(n.Reason)
	c.failures.add(clamp[uint32](int64(n.Failures)))
	c.openUntil.add(clampMillis(n.OpenUntil))
	c.position.add(b, at, when)
}

type auditColumns struct {
	tenant, kind, actor, action, target, endpoint, reason, detail *vec[string]
	at                                                            *vec[int64]
	position                                                      position
}

func newAuditColumns(b *block) *auditColumns {
	return &auditColumns{
		tenant: col[string](b, "tenant_id"), at: col[int64](b, "at"), kind: col[string](b, "kind"), actor: col[string](b, "actor"),
		action: col[string](b, "action"), target: col[string](b, "target"), endpoint: col[string](b, "endpoint_id"),
		reason: col[string](b, "reason"), detail: col[string](b, "detail"), position: positionColumns(b),
	}
}

// add fills in what a disable by hookstream itself leaves open, so that the
// audit log reads the same whoever acted.
func (c *auditColumns) add(b *block, n *schemas.Notice, at place) {
	actor, action, target := n.Actor, n.Action, n.Target
	if n.Kind == schemas.NoticeDisabled {
		if actor == "" {
			actor = "hookstream"
		}
		if action == "" {
			action = "webhook.disable"
		}
		if target == "" {
			target = n.EndpointID
		}
	}
	when := firstMillis(n.At, at.time)
	c.tenant.add(n.Tenant)
	c.at.add(when)
	c.kind.add(n.Kind)
	c.actor.add(actor)
	c.action.add(action)
	c.target.add(target)
	c.endpoint.add(n.EndpointID)
	c.reason.add(n.Reason)
	c.detail.add(n.Detail)
	c.position.add(b, at, when)
}
