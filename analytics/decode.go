package analytics

// From records of a topic to rows of its tables.

import (
	"fmt"

	"github.com/hookstream/hookstream/schemas"
)

// decoder turns the records of one topic into rows of one or two tables. It
// belongs to one goroutine.
type decoder struct {
	blocks []*block
	add    func(rec *schemas.Record, at place) error // an error: the record is none of ours and made no row
}

func (d *decoder) reset() {
	for _, b := range d.blocks {
		b.reset()
	}
}

func newAttemptsDecoder() *decoder {
	b := &block{spec: attemptsTable}
	c := newAttemptColumns(b)
	return &decoder{blocks: []*block{b}, add: func(rec *schemas.Record, at place) error {
		a, err := schemas.ParseAttempt(rec)
		if err != nil {
			return err
		}
		switch a.State {
		case schemas.StatePending, schemas.StateSuccess, schemas.StateError, schemas.StateSkipped:
		default:
			return fmt.Errorf("reading attempt: state is %q", a.State)
		}
		if a.DeliveryID == "" {
			return fmt.Errorf("reading attempt: the delivery id is missing")
		}
		c.add(b, &a, at)
		return nil
	}}
}

func newRoutedDecoder() *decoder {
	b := &block{spec: eventsTable}
	c := newEventColumns(b)
	return &decoder{blocks: []*block{b}, add: func(rec *schemas.Record, at place) error {
		r, err := schemas.ParseRouted(rec)
		if err != nil {
			return err
		}
		if r.EventID == "" || len(r.DeliveryIDs) != len(r.EndpointIDs) {
			return fmt.Errorf("reading routed event: %d delivery ids beside %d endpoint ids, event id %q", len(r.DeliveryIDs), len(r.EndpointIDs), r.EventID)
		}
		c.add(b, &r, at)
		return nil
	}}
}

func newNoticesDecoder() *decoder {
	breaker, audit := &block{spec: breakerTable}, &block{spec: auditTable}
	bc, ac := newBreakerColumns(breaker), newAuditColumns(audit)
	return &decoder{blocks: []*block{breaker, audit}, add: func(rec *schemas.Record, at place) error {
		n, err := schemas.ParseNotice(rec)
		if err != nil {
			return err
		}
		switch n.Kind {
		case schemas.NoticeBreaker:
			if n.State != "closed" && n.State != "half_open" && n.State != "open" {
				return fmt.Errorf("reading notice: breaker state is %q", n.State)
			}
			bc.add(breaker, &n, at)
		case schemas.NoticeDisabled, schemas.NoticeAudit:
			ac.add(audit, &n, at)
		default:
			return fmt.Errorf("reading notice: kind is %q", n.Kind)
		}
		return nil
	}}
}
