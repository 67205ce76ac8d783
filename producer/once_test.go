package producer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hookstream/hookstream/producer"
	"github.com/hookstream/hookstream/schemas"
)

// onceDesk takes events of the type "pair" once per data up to the colon.
func onceDesk(t *testing.T, set func(*producer.IntakeConfig)) *desk {
	return openDesk(t, func(c *producer.IntakeConfig) {
		c.Once = func(ev *schemas.Event) string {
			subject, _, _ := strings.Cut(strings.Trim(string(ev.Data), `"`), ":")
			if ev.Type != "pair" {
				return ""
			}
			return "evt_of_" + subject
		}
		if set != nil {
			set(c)
		}
	})
}

const pairOne, pairTwo = `{"type":"pair","data":"s1:one"}`, `{"type":"pair","data":"s1:two"}`

// TestIntakePublishesAPairOnce: a repeat is reported and not published, with
// other data it is a conflict, and force publishes it under an id of its own.
func TestIntakePublishesAPairOnce(t *testing.T) {
	d := onceDesk(t, nil)
	const again = `{"type":"pair","time":"2025-03-04T05:06:07Z","data":"s1:one"}`
	if r := d.post("/v1/events", "root", pairOne); r.Status != 202 || r.ID != "evt_of_s1" || r.Duplicate {
		t.Fatalf("the first: %+v", r)
	}
	for _, body := range []string{pairOne, again} {
		if r := d.post("/v1/events", "root", body); r.Status != 202 || r.ID != "evt_of_s1" || !r.Duplicate {
			t.Errorf("a repeat: %+v", r)
		}
	}
	if r := d.post("/v1/events", "root", pairTwo); r.Status != 409 || r.Code != "duplicate_event" || r.Field != "data" || !strings.Contains(r.Detail, "force=true") {
		t.Errorf("with other data: %+v", r)
	}
	if len(d.events) != 1 {
		t.Fatalf("%d were published", len(d.events))
	}
	for range 2 {
		if r := d.post("/v1/events?force=true", "root", pairTwo); r.Status != 202 || r.ID == "evt_of_s1" || r.Duplicate {
			t.Errorf("forced: %+v", r)
		}
	}
	if r := d.post("/v1/events?force=maybe", "root", pairTwo); r.Status != 422 || r.Field != "force" {
		t.Errorf("force=maybe: %+v", r)
	}
	// Another tenant's pair is another event, and a publisher's own id stands.
	if r := d.post("/v1/events", "key-of-t1", pairOne); r.Status != 202 || r.Duplicate {
		t.Errorf("of another tenant: %+v", r)
	}
	if r := d.post("/v1/events", "root", pairOne, "Idempotency-Key", "mine"); r.Status != 202 || r.ID != "mine" || r.Duplicate {
		t.Errorf("with an id: %+v", r)
	}
	if r := d.post("/v1/events", "root", pairOne, "Idempotency-Key", "mine"); r.Status != 202 || r.ID != "mine" || !r.Duplicate {
		t.Errorf("with an id, again: %+v", r)
	}
	before := len(d.events)
	batch := strings.Join([]string{`{"type":"pair","data":"s2:one"}`, pairOne, pairTwo, `{"type":"other","data":1}`, `{"type":"other","data":1}`}, "\n")
	r := d.post("/v1/events/batch", "root", batch)
	if r.Status != 207 || r.Accepted != 4 || r.Results[0].Duplicate || !r.Results[1].Duplicate || r.Results[2].Error == nil || r.Results[2].Error.Status != 409 || r.Results[3].Duplicate || r.Results[4].Duplicate {
		t.Errorf("a batch: %+v", r)
	}
	if len(d.events) != before+3 {
		t.Errorf("a batch published %d", len(d.events)-before)
	}
	if r := d.post("/v1/events/batch?force=true", "root", batch); r.Status != 202 || r.Accepted != 5 || r.Results[1].Duplicate {
		t.Errorf("a forced batch: %+v", r)
	}
}

// TestIntakeRecallsWhatWasPublishedBefore: what this process never saw is
// looked up in the record, and without an answer the event is published.
func TestIntakeRecallsWhatWasPublishedBefore(t *testing.T) {
	var asked [][]string
	var fail error
	d := onceDesk(t, func(c *producer.IntakeConfig) {
		c.Published = func(_ context.Context, tenant string, ids []string) (map[string][]byte, error) {
			asked = append(asked, append([]string{tenant}, ids...))
			return map[string][]byte{"evt_of_s1": []byte(`"s1:one"`)}, fail
		}
	})
	for range 2 {
		if r := d.post("/v1/events", "root", pairOne); r.Status != 202 || r.ID != "evt_of_s1" || !r.Duplicate {
			t.Errorf("published before a restart: %+v", r)
		}
	}
	if r := d.post("/v1/events", "root", pairTwo); r.Status != 409 {
		t.Errorf("with other data: %+v", r)
	}
	if r := d.post("/v1/events/batch", "root", `{"type":"pair","data":"s2:"}`+"\n"+`{"type":"pair","data":"s3:"}`+"\n"+`{"type":"other","data":"s4:"}`); r.Status != 202 || r.Accepted != 3 {
		t.Errorf("new ones: %+v", r)
	}
	if len(asked) != 2 || strings.Join(asked[0], " ") != "default evt_of_s1" || strings.Join(asked[1], " ") != "default evt_of_s2 evt_of_s3" || len(d.events) != 3 {
		t.Errorf("asked %q, published %d", asked, len(d.events))
	}
	fail = errors.New("connection refused")
	if r := d.post("/v1/events", "root", `{"type":"pair","data":"s5:"}`); r.Status != 202 || r.Duplicate {
		t.Errorf("without the record: %+v", r)
	}
}

// TestIntakeForgetsWhatWasNeverSent: an id whose event certainly did not reach
// Kafka is free for another one; after a doubt it stays taken.
func TestIntakeForgetsWhatWasNeverSent(t *testing.T) {
	for name, c := range map[string]struct {
		fail error
		want int
	}{
		"not sent":  {fmt.Errorf("x: %w: %w", producer.ErrNotSent, context.DeadlineExceeded), 202},
		"too large": {&producer.TooLargeError{Size: 2, Limit: 1}, 202},
		"unknown":   {fmt.Errorf("x: %w", producer.ErrOutcomeUnknown), 409},
	} {
		d := onceDesk(t, nil)
		for i, bodies := range [][2]string{{pairOne, pairTwo}, {`{"id":"mine","type":"a","data":1}`, `{"id":"mine","type":"a","data":2}`}} {
			d.fail = c.fail
			if r := d.post("/v1/events", "root", bodies[0]); r.Status < 400 {
				t.Fatalf("%s: %+v", name, r)
			}
			d.fail = nil
			if r := d.post("/v1/events", "root", bodies[1]); r.Status != c.want || r.Duplicate {
				t.Errorf("%s, %d: %+v", name, i, r)
			}
			if r := d.post("/v1/events", "root", bodies[0]); r.Status != 202+409-c.want {
				t.Errorf("%s, %d, the first body again: %+v", name, i, r)
			}
		}
	}
}

// TestForceNeedsAWord: a force that says nothing is refused rather than taken
// for no.
func TestForceNeedsAWord(t *testing.T) {
	d := onceDesk(t, nil)
	for query, want := range map[string]int{"": 202, "force=false": 202, "force=true": 202, "force": 422, "force=": 422, "force=1": 422, "force=true&force=false": 422} {
		if r := d.post("/v1/events?"+query, "root", pairOne); r.Status != want || want == 422 && r.Field != "force" {
			t.Errorf("?%s: %+v", query, r)
		}
	}
}
