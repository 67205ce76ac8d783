package analytics

// The columns of the table attempts.

import (
	"time"

	"github.com/hookstream/hookstream/schemas"
)

var attemptsTable = tableSpec{name: "attempts", time: "created_at", retention: 97 * 24 * time.Hour, part: weekly}

type attemptColumns struct {
	tenant, endpoint, delivery, event, eventType, state, errorKind, errorMessage *vec[string]
	body, url, profile, kind, replayOf, trace, sourceTopic                       *vec[string]
	created, attempted, next                                                     *vec[int64]
	no, code                                                                     *vec[uint16]
	duration, sourcePartition                                                    *vec[uint32]
	sourceOffset                                                                 *vec[uint64]
	slow                                                                         *vec[bool]
	position                                                                     position
}

func newAttemptColumns(b *block) *attemptColumns {
	return &attemptColumns{
		tenant: col[string](b, "tenant_id"), endpoint: col[string](b, "endpoint_id"), created: col[int64](b, "created_at"),
		delivery: col[string](b, "delivery_id"), no: col[uint16](b, "attempt_no"), event: col[string](b, "event_id"),
		eventType: col[string](b, "event_type"), state: col[string](b, "state"), attempted: col[int64](b, "attempted_at"),
		next: col[int64](b, "next_retry_at"), duration: col[uint32](b, "duration_ms"), code: col[uint16](b, "response_code"),
		errorKind: col[string](b, "error_kind"), errorMessage: col[string](b, "error_message"), body: col[string](b, "response_body"),
		url: col[string](b, "url"), profile: col[string](b, "profile"), kind: col[string](b, "kind"), replayOf: col[string](b, "replay_of"),
		slow: col[bool](b, "slow"), trace: col[string](b, "trace_id"), sourceTopic: col[string](b, "source_topic"),
		sourcePartition: col[uint32](b, "source_partition"), sourceOffset: col[uint64](b, "source_offset"),
		position: positionColumns(b),
	}
}

func (c *attemptColumns) add(b *block, a *schemas.Attempt, at place) {
	created := firstMillis(a.CreatedAt, a.AttemptedAt, at.time)
	c.tenant.add(a.Tenant)
	c.endpoint.add(a.EndpointID)
	c.created.add(created)
	c.delivery.add(a.DeliveryID)
	c.no.add(clamp[uint16](int64(a.No)))
	c.event.add(a.EventID)
	c.eventType.add(a.EventType)
	c.state.add(string(a.State))
	c.attempted.add(firstMillis(a.AttemptedAt, at.time, created))
	c.next.add((clampMillis(a.NextRetryAt) + 999) / 1000) // whole seconds, never before the retry
	c.duration.add(clamp[uint32](a.DurationMS))
	c.code.add(clamp[uint16](int64(a.ResponseCode)))
	c.errorKind.add(a.ErrorKind)
	c.errorMessage.add(a.Error)
	c.body.add(a.ResponseBody)
	c.url.add(a.URL)
	c.profile.add(a.Profile)
	c.kind.add(kindOr(a.Kind))
	c.replayOf.add(a.ReplayOf)
	c.slow.add(a.Slow)
	c.trace.add(a.TraceID)
	c.sourceTopic.add(a.Source.Topic)
	c.sourcePartition.add(clamp[uint32](int64(a.Source.Partition)))
	c.sourceOffset.add(uint64(max(a.Source.Offset, 0)))
	c.position.add(b, at, created)
}

// kindOr names the usual kind, which records may leave out.
func kindOr(kind string) string {
	if kind == "" {
		return schemas.KindEvent
	}
	return kind
}
