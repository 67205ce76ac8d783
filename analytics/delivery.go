package analytics

// One delivery with all of its attempts, and doing it again.

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"sort"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/schemas"
)

// Delivery finds a delivery by its id, among those of a tenant (empty: any). ok
// is false when there is none.
func (s *Store) Delivery(ctx context.Context, tenant, id string) (d DeliveryDetail, ok bool, err error) {
	a, m := &clause{}, &clause{}
	a.and("delivery_id = ?", id)
	m.and("has(delivery_ids, ?)", id)
	m.and("delivery = ?", id)
	if tenant != "" {
		a.and("tenant_id = ?", tenant)
		m.and("tenant_id = ?", tenant)
	}
	records, err := s.scanAll(ctx, fmt.Sprintf("SELECT * FROM (SELECT %s FROM hookstream.attempts WHERE %s UNION ALL SELECT %s%s%s)",
		recordColumns, a, madeColumns, fromMade, m), append(a.args, m.args...))
	if err != nil {
		return d, false, fmt.Errorf("finding delivery %s: %w", id, err)
	}
	if len(records) == 0 {
		return d, false, nil
	}
	sort.Slice(records, func(i, j int) bool {
		if records[i].no != records[j].no {
			return records[i].no < records[j].no
		}
		return records[i].attempted.Before(records[j].attempted)
	})
	d = DeliveryDetail{LogRow: fold(records), AttemptsList: []AttemptRow{}}
	for _, r := range records {
		made := r.no == 0 && !schemas.State(r.state).Terminal() // of events: no exchange
		if !made {
			d.AttemptsList = append(d.AttemptsList, r.attempt())
		}
		d.Kind, d.ReplayOf = orElse(d.Kind, r.kind), orElse(d.ReplayOf, r.replayOf)
		d.Profile = orElse(d.Profile, r.profile)
		if d.Source.Topic == "" && r.sourceTopic != "" {
			d.Source = schemas.Position{Topic: r.sourceTopic, Partition: int32(r.sourcePartition), Offset: int64(r.sourceOffset)}
		}
	}
	return d, true, nil
}

func orElse(have, other string) string {
	if have != "" {
		return have
	}
	return other
}

// Redelivery is a delivery made to repeat another.
type Redelivery struct {
	DeliveryID string `json:"delivery_id"`
	ReplayOf   string `json:"replay_of"`
}

// Redeliver makes a new delivery of the same event to the same endpoint. The
// event's data comes from payload by its source position, and from the table
// events when that is gone or payload is nil. The error is a *api.Problem when
// there is nothing to repeat.
func (s *Store) Redeliver(ctx context.Context, tenant, id string,
	payload func(context.Context, schemas.Position) ([]byte, error), publish func(context.Context, schemas.Event) error) (Redelivery, error) {
	d, ok, err := s.Delivery(ctx, tenant, id)
	if err != nil {
		return Redelivery{}, err
	}
	if !ok {
		return Redelivery{}, api.NotFound("delivery", id)
	}
	var data []byte
	var lost error
	if payload != nil && d.Source.Topic != "" {
		data, lost = payload(ctx, d.Source)
	}
	stored, happened, found, err := s.eventData(ctx, d.Tenant, d.EventID)
	if err != nil {
		return Redelivery{}, err
	}
	if !found {
		happened = d.CreatedAt
	}
	if len(data) == 0 {
		data = stored
	}
	if len(data) == 0 {
		if lost != nil {
			s.log.Warn("payload of a delivery is gone from Kafka and from events", "delivery", id, "source", d.Source, "error", lost)
		}
		return Redelivery{}, api.Fail(http.StatusGone, "payload_gone", "", "the event of delivery %q is neither in Kafka nor in the events table any more; publish it again", id)
	}
	var random [16]byte
	if _, err := rand.Read(random[:]); err != nil {
		return Redelivery{}, fmt.Errorf("making a replay id: %w", err)
	}
	replay := schemas.NewID("", random)
	ev := schemas.Event{ID: d.EventID, Type: d.EventType, Tenant: d.Tenant, Time: happened, EndpointID: d.WebhookID, Data: data,
		Kind: schemas.KindReplay, ReplayOf: d.ID, ReplayID: replay}
	if publish == nil {
		return Redelivery{}, errors.New("redelivering: this process publishes nothing")
	}
	if err := publish(ctx, ev); err != nil {
		return Redelivery{}, fmt.Errorf("redelivering %s: %w", id, err)
	}
	return Redelivery{DeliveryID: schemas.DeliveryID(d.Tenant, d.EventID, d.WebhookID, replay), ReplayOf: d.ID}, nil
}

// eventData is what the table events has of an event's data.
func (s *Store) eventData(ctx context.Context, tenant, id string) (data []byte, happened time.Time, ok bool, err error) {
	err = s.query(ctx, "SELECT data, time FROM hookstream.events WHERE tenant_id = ? AND event_id = ? ORDER BY created_at DESC LIMIT 1",
		[]any{tenant, id}, func(r driver.Rows) error {
			var text string
			ok = true
			err := r.Scan(&text, &happened)
			data = []byte(text)
			return err
		})
	if err != nil {
		return nil, happened, false, fmt.Errorf("finding the data of event %s: %w", id, err)
	}
	return data, happened.UTC(), ok, nil
}
