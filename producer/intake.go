package producer

// Intake is HTTP's way in: one event a request, answered only when Kafka has it.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/schemas"
)

// IntakeConfig wires the intake.
type IntakeConfig struct {
	Publish   func(context.Context, []schemas.Event) []Result // Publisher.PublishBatch
	Check     func(context.Context, *schemas.Event) error     // profile rules; an error is a 422. nil: none
	Room      func() error                                    // an error is a 507: the backlog is too long. nil: always room
	Once      func(*schemas.Event) string                     // the id of an event that came without one and is published once only; empty: none. nil: none ever
	DataLimit int                                             // bytes of one event's data
	Timeout   time.Duration                                   // how long Kafka may take before the answer is 503
	MaxLines  int                                             // of one batch
	MaxBatch  int64                                           // bytes of one batch
	Window    time.Duration                                   // how long an id is remembered, to tell conflicts
	Remember  int                                             // how many ids are remembered at most

	// Published gives the data of those of a tenant's events that are on record.
	// It is asked for ids of Once that this process does not remember. nil: there
	// is no such record.
	Published     func(ctx context.Context, tenant string, ids []string) (map[string][]byte, error)
	RecallTimeout time.Duration // how long it may take
	Log           *slog.Logger  // nil: none
}

// DefaultIntakeConfig has everything but Publish.
func DefaultIntakeConfig() IntakeConfig {
	return IntakeConfig{DataLimit: schemas.DefaultDataLimit, Timeout: 10 * time.Second, MaxLines: 10_000, MaxBatch: 64 << 20,
		Window: 10 * time.Minute, Remember: 100_000, RecallTimeout: time.Second}
}

// Validate names the field that is wrong.
func (c IntakeConfig) Validate() error {
	switch {
	case c.Publish == nil:
		return errors.New("intake: publish is nil; give Publisher.PublishBatch")
	case c.DataLimit < 1:
		return fmt.Errorf("intake: data limit is %d bytes; give a positive number", c.DataLimit)
	case c.Timeout <= 0:
		return fmt.Errorf("intake: timeout is %s; give a positive time", c.Timeout)
	case c.MaxLines < 1 || c.MaxBatch < 1:
		return fmt.Errorf("intake: a batch may have %d lines and %d bytes; give positive numbers", c.MaxLines, c.MaxBatch)
	case c.Window < 0 || c.Remember < 1:
		return fmt.Errorf("intake: ids are remembered for %s, %d at most; give a time and a positive number", c.Window, c.Remember)
	case c.Published != nil && c.RecallTimeout <= 0:
		return fmt.Errorf("intake: the record of published events may take %s; give a positive time", c.RecallTimeout)
	}
	return nil
}

// Intake takes events by HTTP.
type Intake struct {
	cfg  IntakeConfig
	seen *seen
}

// NewIntake makes an intake.
func NewIntake(cfg IntakeConfig) (*Intake, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Intake{cfg: cfg, seen: newSeen(cfg.Window, cfg.Remember)}, nil
}

// Accepted is the answer to one event. Duplicate: it was accepted before, and
// nothing was published again.
type Accepted struct {
	ID        string `json:"id"`
	Duplicate bool   `json:"duplicate,omitempty"`
}

// EventBody documents the envelope that POST /v1/events takes.
type EventBody struct {
	ID          string `json:"id,omitempty"`
	Type        string `json:"type"`
	Tenant      string `json:"tenant,omitempty"`
	Time        string `json:"time,omitempty"`
	Key         string `json:"key,omitempty"`
	EndpointID  string `json:"endpoint_id,omitempty"`
	CallbackURL string `json:"callback_url,omitempty"`
	Profile     string `json:"profile,omitempty"`
	Data        any    `json:"data"`
}

// envelopeRoom is what may stand around an event's data in a body.
const envelopeRoom = 64 << 10

// Routes are POST /v1/events and POST /v1/events/batch.
func (in *Intake) Routes() []api.Route {
	return []api.Route{{
		Method: http.MethodPost, Pattern: "/v1/events", Auth: api.Key, Handle: in.one,
		// CloudEvents may carry the data in base64: a third more.
		MaxBody: int64(in.cfg.DataLimit)*4/3 + envelopeRoom,
		Doc: api.Doc{Summary: "Publish one event: the envelope, or a CloudEvent in structured or binary mode. The header Idempotency-Key is the event's id.",
			Tag: "events", Query: []api.Param{forceParam()}, Request: EventBody{}, Response: Accepted{}, Status: http.StatusAccepted},
	}, {
		Method: http.MethodPost, Pattern: "/v1/events/batch", Auth: api.Key, Handle: in.batch, MaxBody: in.cfg.MaxBatch,
		Doc: api.Doc{Summary: "Publish events, one envelope a line (NDJSON). Each line has its result: 202 when all were accepted, 207 when some were, else the status of the first that was refused.",
			Tag: "events", Query: []api.Param{forceParam()}, Response: BatchAnswer{}, Status: http.StatusAccepted,
			Others: []int{http.StatusMultiStatus, http.StatusBadRequest, http.StatusForbidden, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusServiceUnavailable}},
	}}
}

func forceParam() api.Param {
	return api.Param{Name: "force", Type: "boolean", Doc: "publish again what its profile takes once only"}
}

func (in *Intake) one(w http.ResponseWriter, r *http.Request) error {
	if err := in.room(); err != nil {
		return err
	}
	force, refused := forced(r)
	if refused != nil {
		return refused
	}
	body, err := api.ReadBody(r)
	if err != nil {
		return err
	}
	rec, err := recordOf(r, body)
	if err != nil {
		return err
	}
	ev, problem := in.parse(r, rec)
	if problem == nil {
		problem = idempotent(r.Header.Get("Idempotency-Key"), &ev)
	}
	if problem == nil {
		problem = in.check(r.Context(), &ev)
	}
	if problem != nil {
		return problem
	}
	ctx, cancel := context.WithTimeout(r.Context(), in.cfg.Timeout)
	defer cancel()
	res := in.publish(ctx, []offer{in.offer(ev, force)})[0]
	if res.problem != nil {
		return res.problem
	}
	return api.WriteJSON(w, http.StatusAccepted, Accepted{ID: res.id, Duplicate: res.duplicate})
}

func (in *Intake) room() error {
	if in.cfg.Room == nil {
		return nil
	}
	if err := in.cfg.Room(); err != nil {
		p := api.Fail(http.StatusInsufficientStorage, "backlog_full", "", "%v", err)
		p.RetryAfter = 30
		return p
	}
	return nil
}

// recordOf puts a request as the Kafka record that would say the same, so that
// there is one reading of events: the HTTP binding of CloudEvents has ce-
// headers, percent-encoded, where the Kafka binding has ce_.
func recordOf(r *http.Request, body []byte) (*schemas.Record, error) {
	rec := &schemas.Record{Value: body}
	contentType := r.Header.Get("Content-Type")
	if strings.HasPrefix(strings.ToLower(contentType), "application/cloudevents-batch") {
		return nil, api.Fail(http.StatusUnsupportedMediaType, "unsupported_media_type", "", "batches of CloudEvents are not taken; POST NDJSON to /v1/events/batch")
	}
	add := func(k, v string) { rec.Headers = append(rec.Headers, schemas.Header{Key: k, Value: []byte(v)}) }
	add("content-type", contentType)
	if t := r.Header.Get("Traceparent"); t != "" {
		add(schemas.HdrTrace, t)
	}
	for name, values := range r.Header {
		attribute, ok := strings.CutPrefix(strings.ToLower(name), "ce-")
		if !ok || len(values) == 0 {
			continue
		}
		v, err := url.PathUnescape(values[0])
		if err != nil {
			return nil, api.Fail(http.StatusUnprocessableEntity, "invalid_event", strings.ToLower(name), "is not percent-encoded rightly")
		}
		add("ce_"+attribute, v)
	}
	return rec, nil
}

// parse reads the event and settles whose it is: a key publishes for its own
// tenant only, root for any.
func (in *Intake) parse(r *http.Request, rec *schemas.Record) (schemas.Event, *api.Problem) {
	who := api.PrincipalOf(r.Context())
	source := schemas.EventSource{}
	if !who.Root {
		source.Tenant = who.Tenant
	}
	ev, err := schemas.ParseEvent(source, rec)
	if err != nil {
		return ev, problemOf(err, "")
	}
	if !who.Root && ev.Tenant != who.Tenant {
		return ev, api.Fail(http.StatusForbidden, "foreign_tenant", "tenant", "this key publishes for its own tenant only; leave tenant out, or use that tenant's key")
	}
	if len(ev.Data) > in.cfg.DataLimit {
		return ev, problemOf(&DataTooLargeError{Size: len(ev.Data), Limit: in.cfg.DataLimit}, "")
	}
	return ev, nil
}

// idempotent takes the header as the event's id.
func idempotent(key string, ev *schemas.Event) *api.Problem {
	switch {
	case key == "":
		return nil
	case ev.ID != "" && ev.ID != key:
		return api.Fail(http.StatusUnprocessableEntity, "invalid_event", "id", "differs from the header Idempotency-Key; the header is the event's id, so give one of them")
	}
	if err := schemas.CheckEventID(key); err != nil {
		_, reason, _ := strings.Cut(err.Error(), ": ")
		return api.Fail(http.StatusUnprocessableEntity, "invalid_event", "Idempotency-Key", "%s", reason)
	}
	ev.ID = key
	return nil
}

// check asks the profiles of the endpoints that match now.
func (in *Intake) check(ctx context.Context, ev *schemas.Event) *api.Problem {
	if in.cfg.Check == nil {
		return nil
	}
	err := in.cfg.Check(ctx, ev)
	if err == nil {
		return nil
	}
	var p *api.Problem
	var bad *schemas.InvalidEvent
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &bad):
		return api.Fail(http.StatusUnprocessableEntity, "invalid_event", bad.Field, "%s", bad.Reason)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return unavailable(ev.ID, "the registry did not answer in time; nothing was accepted: send it again")
	}
	return api.Fail(http.StatusUnprocessableEntity, "invalid_event", "data", "%s", err.Error())
}

// problemOf turns an error of reading or publishing an event into its answer.
func problemOf(err error, id string) *api.Problem {
	var bad *schemas.InvalidEvent
	var data *DataTooLargeError
	var record *TooLargeError
	var line *LineTooLongError
	switch {
	case errors.As(err, &bad) && bad.Field == "event":
		return api.Fail(http.StatusBadRequest, "bad_json", "", "the event %s", bad.Reason)
	case errors.As(err, &bad):
		return api.Fail(http.StatusUnprocessableEntity, "invalid_event", bad.Field, "%s", bad.Reason)
	case errors.As(err, &data):
		return api.Fail(http.StatusRequestEntityTooLarge, "too_large", "data", "has %d bytes; the limit is %d", data.Size, data.Limit)
	case errors.As(err, &record):
		return api.Fail(http.StatusRequestEntityTooLarge, "too_large", "", "the event has %d bytes with its fields; the limit is %d", record.Size, record.Limit)
	case errors.As(err, &line):
		return api.Fail(http.StatusRequestEntityTooLarge, "too_large", "", "the line is longer than %d bytes", line.Limit)
	case errors.Is(err, ErrNotSent):
		return unavailable(id, "Kafka takes no events at the moment; this one was not accepted: send it again")
	}
	return unavailable(id, "Kafka did not acknowledge the event in time; it may still be delivered: send it again with the header Idempotency-Key: "+id)
}

func unavailable(id, detail string) *api.Problem {
	if id == "" {
		detail = strings.TrimSuffix(detail, " with the header Idempotency-Key: ")
	}
	p := api.Fail(http.StatusServiceUnavailable, "unavailable", "", "%s", detail)
	p.RetryAfter = 2
	return p
}
