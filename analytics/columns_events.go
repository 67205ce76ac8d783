package analytics

// The columns of the table events.

import (
	"time"

	"github.com/hookstream/hookstream/schemas"
)

var eventsTable = tableSpec{name: "events", time: "created_at", retention: 97 * 24 * time.Hour, part: weekly}

type eventColumns struct {
	tenant, event, eventType, kind, replayOf, sourceTopic *vec[string]
	created, time                                         *vec[int64]
	data                                                  *vec[[]byte]
	deliveries, endpoints                                 *vec[[]string]
	skippedEndpoints, skippedDeliveries, skippedReasons   *vec[[]string]
	sourcePartition                                       *vec[uint32]
	sourceOffset                                          *vec[uint64]
	position                                              position
}

func newEventColumns(b *block) *eventColumns {
	return &eventColumns{
		tenant: col[string](b, "tenant_id"), created: col[int64](b, "created_at"), event: col[string](b, "event_id"),
		eventType: col[string](b, "event_type"), time: col[int64](b, "time"), kind: col[string](b, "kind"),
		replayOf: col[string](b, "replay_of"), data: col[[]byte](b, "data"),
		deliveries: col[[]string](b, "delivery_ids"), endpoints: col[[]string](b, "endpoint_ids"),
		skippedEndpoints: col[[]string](b, "skipped.endpoint_id"), skippedDeliveries: col[[]string](b, "skipped.delivery_id"),
		skippedReasons: col[[]string](b, "skipped.reason"), sourceTopic: col[string](b, "source_topic"),
		sourcePartition: col[uint32](b, "source_partition"), sourceOffset: col[uint64](b, "source_offset"),
		position: positionColumns(b),
	}
}

func (c *eventColumns) add(b *block, r *schemas.Routed, at place) {
	created := firstMillis(r.CreatedAt, at.time)
	c.tenant.add(r.Tenant)
	c.created.add(created)
	c.event.add(r.EventID)
	c.eventType.add(r.Type)
	c.time.add(firstMillis(r.Time, created))
	c.kind.add(kindOr(r.Kind))
	c.replayOf.add(r.ReplayOf)
	c.data.add(r.Data)
	c.deliveries.add(r.DeliveryIDs)
	c.endpoints.add(r.EndpointIDs)
	endpoints, deliveries, reasons := make([]string, len(r.Skipped)), make([]string, len(r.Skipped)), make([]string, len(r.Skipped))
	for i, s := range r.Skipped {
		endpoints[i], deliveries[i], reasons[i] = s.EndpointID, s.DeliveryID, s.Reason
	}
	c.skippedEndpoints.add(endpoints)
	c.skippedDeliveries.add(deliveries)
	c.skippedReasons.add(reasons)
	c.sourceTopic.add(r.Source.Topic)
	c.sourcePartition.add(clamp[uint32](int64(r.Source.Partition)))
	c.sourceOffset.add(uint64(max(r.Source.Offset, 0)))
	c.position.add(b, at, created)
}
