package producer

// Offers: events that were checked and are to be published, with what tells
// whether one of them was published before.

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/schemas"
)

// offer is one event to publish. once: its id is made from what it is about,
// and it is published once only.
type offer struct {
	event schemas.Event
	once  bool
}

// body is what two publishes of one id have to agree in. Of an event that is
// published once that is its data: its time may be when it was sent.
func (o *offer) body() fingerprint {
	if o.once {
		return half(o.event.Data)
	}
	return half(o.event.AppendEnvelope(nil))
}

// offer takes a checked event; force lets one through that is published once.
func (in *Intake) offer(ev schemas.Event, force bool) offer {
	o := offer{event: ev}
	if ev.ID == "" && in.cfg.Once != nil && !force {
		o.event.ID = in.cfg.Once(&ev)
		o.once = o.event.ID != ""
	}
	return o
}

// forced is what the query says.
func forced(r *http.Request) (bool, *api.Problem) {
	given := r.URL.Query()["force"]
	switch {
	case len(given) == 0 || len(given) == 1 && given[0] == "false":
		return false, nil
	case len(given) == 1 && given[0] == "true":
		return true, nil
	}
	return false, api.Fail(http.StatusUnprocessableEntity, "invalid_field", "force", "is neither true nor false; give ?force=true, or leave it out")
}

// recall asks the record of what was delivered about events that are published
// once and that this process has not seen: another process may have, or this
// one before it was restarted. Without an answer in time it is as if there
// were none: publishing does not depend on that record.
func (in *Intake) recall(ctx context.Context, offers []offer, now time.Time) {
	if in.cfg.Published == nil {
		return
	}
	asked := map[string][]string{} // ids by tenant
	for i := range offers {
		if ev := &offers[i].event; offers[i].once && !in.seen.knows(ev, now) {
			asked[ev.Tenant] = append(asked[ev.Tenant], ev.ID)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, in.cfg.RecallTimeout)
	defer cancel()
	for tenant, ids := range asked {
		found, err := in.cfg.Published(ctx, tenant, ids)
		if err != nil {
			in.log().Warn("whether events were published before is not known; they are published", "tenant", tenant, "events", len(ids), "error", err)
			return
		}
		for id, data := range found {
			in.seen.learn(tenant, id, half(data), now)
		}
	}
}

func (in *Intake) log() *slog.Logger {
	if in.cfg.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return in.cfg.Log
}

// outcome is what became of one offer: an id, or a problem.
type outcome struct {
	id        string
	duplicate bool // it was accepted before, and is not published again
	problem   *api.Problem
}

// publish writes checked events and says for each what to answer.
func (in *Intake) publish(ctx context.Context, offers []offer) []outcome {
	out := make([]outcome, len(offers))
	send := make([]schemas.Event, 0, len(offers))
	at := make([]int, 0, len(offers))
	now := time.Now()
	in.recall(ctx, offers, now)
	for i := range offers {
		ev := &offers[i].event
		if ev.ID != "" {
			switch in.seen.begin(ev, offers[i].body(), now) {
			case seenConflict:
				out[i].problem = conflict(&offers[i])
				continue
			case seenAccepted:
				out[i].id, out[i].duplicate = ev.ID, true
				continue
			case seenNew:
			}
		}
		send, at = append(send, *ev), append(at, i)
	}
	if len(send) == 0 {
		return out
	}
	for j, res := range in.cfg.Publish(ctx, send) {
		i := at[j]
		if res.Err != nil {
			out[i].problem = problemOf(res.Err, res.ID)
			if send[j].ID != "" && neverSent(res.Err) {
				in.seen.drop(&send[j], offers[i].body())
			}
			continue
		}
		out[i].id = res.ID
		if send[j].ID != "" {
			in.seen.accept(&send[j])
		}
	}
	return out
}

// neverSent reports whether an error of publishing leaves no doubt that the
// event is not in Kafka.
func neverSent(err error) bool {
	var invalid *schemas.InvalidEvent
	var data *DataTooLargeError
	var record *TooLargeError
	return errors.Is(err, ErrNotSent) || errors.As(err, &invalid) || errors.As(err, &data) || errors.As(err, &record)
}

// conflict is the problem of an id that another event has.
func conflict(o *offer) *api.Problem {
	if o.once {
		return api.Fail(http.StatusConflict, "duplicate_event", "data", "its profile takes one event of this subject, and %s was published for it with other data; add ?force=true to deliver this one too", o.event.ID)
	}
	return api.Fail(http.StatusConflict, "id_conflict", "id", "%q was used for another event within the last minutes; give every event its own id", o.event.ID)
}
