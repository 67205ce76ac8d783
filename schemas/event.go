package schemas

// Event is one domain event, read from a Kafka record in any of the forms that
// publishers may use, and written in the one form that hookstream itself uses.

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/encoding/json"
)

// DefaultTenant owns events and endpoints that name no tenant.
const DefaultTenant = "default"

// Kinds of delivery.
const (
	KindEvent     = "event"
	KindTest      = "test"
	KindReplay    = "replay"
	KindChallenge = "challenge"
	KindNotice    = "notice" // a profile's announcement of a retry: tried once
)

// Event is what happened, for one tenant. Data is the publisher's bytes,
// verbatim; it aliases the record it was read from.
type Event struct {
	ID          string
	Type        string
	Tenant      string
	Time        time.Time // when it happened; the record's time when the publisher gave none
	Key         string    // ordering key, optional
	EndpointID  string    // deliver to just this endpoint
	CallbackURL string    // deliver to just this URL, under Profile
	Profile     string    // with CallbackURL
	Data        []byte
	Kind        string // KindEvent unless the API made it otherwise
	ReplayOf    string // the delivery that is repeated, with KindReplay
	ReplayID    string // makes the delivery id of a test or replay its own
	Trace       string // traceparent of the publisher, optional
}

// Formats of a users' own topic.
const (
	FormatEnvelope    = "envelope"    // the JSON envelope, or CloudEvents when headers say so
	FormatCloudEvents = "cloudevents" // CloudEvents 1.0 only, structured or binary
	FormatRaw         = "raw"         // the value is the data; the rest comes from headers or constants
)

// EventSource says how records of one topic become events.
type EventSource struct {
	Topic        string `yaml:"topic" json:"topic"`
	Format       string `yaml:"format" json:"format"`               // default: envelope
	Type         string `yaml:"type" json:"type"`                   // raw: the event type …
	TypeHeader   string `yaml:"type_header" json:"type_header"`     // … or the header that has it
	Tenant       string `yaml:"tenant" json:"tenant"`               // default tenant of the topic …
	TenantHeader string `yaml:"tenant_header" json:"tenant_header"` // … or the header that has it
	IDHeader     string `yaml:"id_header" json:"id_header"`         // raw: the header that has the event's id
	Key          bool   `yaml:"key" json:"key"`                     // raw: the record's key is the ordering key
}

// Validate names the field that is wrong and the cure.
func (s EventSource) Validate() error {
	switch {
	case s.Topic == "":
		return errors.New("event topic: topic is empty; name a Kafka topic")
	case s.Format != "" && s.Format != FormatEnvelope && s.Format != FormatCloudEvents && s.Format != FormatRaw:
		return fmt.Errorf("event topic %s: format is %q; use envelope, cloudevents or raw", s.Topic, s.Format)
	case s.Format == FormatRaw && s.Type == "" && s.TypeHeader == "":
		return fmt.Errorf("event topic %s: format raw needs type or type_header", s.Topic)
	}
	if s.Tenant != "" {
		if err := CheckTenant(s.Tenant); err != nil {
			return fmt.Errorf("event topic %s: %w", s.Topic, err)
		}
	}
	return nil
}

// InvalidEvent says why a record is no event. Field is the part that is wrong.
type InvalidEvent struct {
	Field  string
	Reason string
}

func (e *InvalidEvent) Error() string { return e.Field + ": " + e.Reason }

func invalid(field, format string, args ...any) error {
	return &InvalidEvent{Field: field, Reason: fmt.Sprintf(format, args...)}
}

// ParseEvent reads a record of source's topic as an event. The ID stays empty
// when the publisher gave none: the caller makes it from the record's position
// (EventIDAt). The error is an *InvalidEvent. Data aliases rec.Value.
func ParseEvent(source EventSource, rec *Record) (Event, error) {
	var ev Event
	var err error
	contentType, _ := rec.Header("content-type")
	_, ceType := rec.Header("ce_type")
	_, ceSpec := rec.Header("ce_specversion")
	switch {
	case source.Format == FormatRaw:
		ev, err = parseRaw(source, rec)
	case ceType || ceSpec:
		ev, err = parseBinaryCloudEvent(rec)
	case isCloudEventsJSON(contentType):
		ev, err = ParseCloudEvent(rec.Value)
	case source.Format == FormatCloudEvents:
		return ev, invalid("content-type", "is %q and there is no ce_type header; send CloudEvents 1.0 structured or binary", contentType)
	default:
		ev, err = ParseEnvelope(rec.Value)
	}
	if err != nil {
		return Event{}, err
	}
	if ev.Tenant == "" {
		if h, ok := rec.Header(source.TenantHeader); ok && source.TenantHeader != "" {
			ev.Tenant = h
		} else {
			ev.Tenant = source.Tenant
		}
	}
	if ev.Time.IsZero() {
		ev.Time = rec.Time
	}
	if t, ok := rec.Header(HdrTrace); ok {
		ev.Trace = t
	}
	ev.Kind = KindEvent
	if k, ok := rec.Header(HdrKind); ok && (k == KindTest || k == KindReplay || k == KindChallenge || k == KindNotice || k == KindSystem) {
		ev.Kind = k
		ev.ReplayOf, _ = rec.Header(HdrReplayOf)
		ev.ReplayID, _ = rec.Header(HdrReplayID)
	}
	return ev, ev.Check()
}

func isCloudEventsJSON(contentType string) bool {
	mediaType, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(mediaType), "application/cloudevents+json")
}

// Check fills the default tenant and says which field of the event cannot be
// taken, as an *InvalidEvent.
func (e *Event) Check() error {
	if e.Tenant == "" {
		e.Tenant = DefaultTenant
	}
	if err := CheckTenant(e.Tenant); err != nil {
		return splitField(err)
	}
	if e.Type == "" {
		return invalid("type", "is missing; give the event's type, for example invoice.paid")
	}
	if err := CheckEventType(e.Type); err != nil {
		return splitField(err)
	}
	if e.ID != "" {
		if err := CheckEventID(e.ID); err != nil {
			return splitField(err)
		}
	}
	if len(e.Key) > 1024 {
		return invalid("key", "has %d bytes; give at most 1024", len(e.Key))
	}
	if e.CallbackURL != "" {
		if e.EndpointID != "" {
			return invalid("callback_url", "stands beside endpoint_id; give one of them")
		}
		if e.Profile == "" {
			return invalid("profile", "is missing; callback_url needs the profile to deliver under")
		}
		if u, err := url.Parse(e.CallbackURL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return invalid("callback_url", "is no absolute http or https URL")
		}
	}
	if len(e.Data) == 0 {
		return invalid("data", "is missing; give any JSON value")
	}
	if TooDeep(e.Data) {
		return invalid("data", "is nested more than %d levels deep", MaxDepth)
	}
	if !json.Valid(e.Data) {
		return invalid("data", "is not valid JSON")
	}
	return nil
}

func splitField(err error) error {
	field, reason, ok := strings.Cut(err.Error(), ": ")
	if !ok {
		return invalid("event", "%s", err)
	}
	return invalid(field, "%s", reason)
}

// envelope is hookstream's own JSON form. Data must stay a raw slice of the
// input: encoders compact what they are given.
type envelope struct {
	ID          *string         `json:"id"`
	Type        *string         `json:"type"`
	Tenant      *string         `json:"tenant"`
	Time        *string         `json:"time"`
	Key         *string         `json:"key"`
	EndpointID  *string         `json:"endpoint_id"`
	CallbackURL *string         `json:"callback_url"`
	Profile     *string         `json:"profile"`
	Data        json.RawMessage `json:"data"`
}

// parseFlags: names match exactly (JSON names are case sensitive), and raw
// values alias the input.
const parseFlags = json.DontMatchCaseInsensitiveStructFields | json.ZeroCopy

// ParseEnvelope reads the JSON envelope {"type":…,"data":…}. It checks the
// form only; Check judges the values.
func ParseEnvelope(b []byte) (Event, error) {
	var env envelope
	if err := parseObject(b, &env); err != nil {
		return Event{}, err
	}
	ev := Event{ID: deref(env.ID), Type: deref(env.Type), Tenant: deref(env.Tenant), Key: deref(env.Key),
		EndpointID: deref(env.EndpointID), CallbackURL: deref(env.CallbackURL), Profile: deref(env.Profile), Data: env.Data}
	var err error
	ev.Time, err = parseTime("time", env.Time)
	return ev, err
}

// cloudEvent is CloudEvents 1.0, structured mode (cloudevents/spec, json-format).
type cloudEvent struct {
	SpecVersion *string         `json:"specversion"`
	ID          *string         `json:"id"`
	Source      *string         `json:"source"`
	Type        *string         `json:"type"`
	Time        *string         `json:"time"`
	Tenant      *string         `json:"tenant"`
	PartKey     *string         `json:"partitionkey"`
	Trace       *string         `json:"traceparent"`
	Data        json.RawMessage `json:"data"`
	DataBase64  *string         `json:"data_base64"`
}

// ParseCloudEvent reads CloudEvents 1.0 in structured mode. An event without
// data has the data null.
func ParseCloudEvent(b []byte) (Event, error) {
	var ce cloudEvent
	if err := parseObject(b, &ce); err != nil {
		return Event{}, err
	}
	if v := deref(ce.SpecVersion); !strings.HasPrefix(v, "1.") {
		return Event{}, invalid("specversion", "is %q; send CloudEvents 1.0", v)
	}
	if deref(ce.ID) == "" {
		return Event{}, invalid("id", "is missing; CloudEvents requires it")
	}
	if deref(ce.Source) == "" {
		return Event{}, invalid("source", "is missing; CloudEvents requires it")
	}
	ev := Event{ID: *ce.ID, Type: deref(ce.Type), Tenant: deref(ce.Tenant), Key: deref(ce.PartKey), Trace: deref(ce.Trace), Data: ce.Data}
	if ce.DataBase64 != nil {
		data, err := base64.StdEncoding.DecodeString(*ce.DataBase64)
		if err != nil {
			return Event{}, invalid("data_base64", "is no base64: %v", err)
		}
		ev.Data = data
	}
	if len(ev.Data) == 0 {
		ev.Data = []byte("null")
	}
	var err error
	ev.Time, err = parseTime("time", ce.Time)
	return ev, err
}

// parseBinaryCloudEvent reads the Kafka binding's binary mode: attributes in
// ce_ headers, the value is the data (cloudevents/spec, kafka-protocol-binding).
func parseBinaryCloudEvent(rec *Record) (Event, error) {
	h := func(k string) string { v, _ := rec.Header("ce_" + k); return v }
	if v := h("specversion"); v != "" && !strings.HasPrefix(v, "1.") {
		return Event{}, invalid("ce_specversion", "is %q; send CloudEvents 1.0", v)
	}
	ev := Event{ID: h("id"), Type: h("type"), Tenant: h("tenant"), Key: h("partitionkey"), Data: rec.Value}
	if len(ev.Data) == 0 {
		ev.Data = []byte("null")
	}
	var err error
	if t := h("time"); t != "" {
		ev.Time, err = parseTime("ce_time", &t)
	}
	return ev, err
}

func parseRaw(source EventSource, rec *Record) (Event, error) {
	ev := Event{Type: source.Type, Data: rec.Value}
	if source.TypeHeader != "" {
		if t, ok := rec.Header(source.TypeHeader); ok {
			ev.Type = t
		}
	}
	if ev.Type == "" {
		return Event{}, invalid("type", "header %q is missing and the topic has no type of its own", source.TypeHeader)
	}
	if source.IDHeader != "" {
		ev.ID, _ = rec.Header(source.IDHeader)
	}
	if source.Key {
		ev.Key = string(rec.Key)
	}
	return ev, nil
}

// parseObject decodes one JSON object and nothing after it.
func parseObject(b []byte, into any) error {
	trimmed := bytes.TrimLeft(b, " \t\r\n")
	if len(trimmed) == 0 {
		return invalid("event", "is empty; send a JSON object with type and data")
	}
	if trimmed[0] != '{' {
		return invalid("event", "is no JSON object; send {\"type\":…,\"data\":…}")
	}
	if TooDeep(trimmed) {
		return invalid("event", "is nested more than %d levels deep", MaxDepth)
	}
	rest, err := json.Parse(trimmed, into, parseFlags)
	if err != nil {
		var te *json.UnmarshalTypeError
		if errors.As(err, &te) && te.Field != "" {
			return invalid(te.Field, "is of another JSON type; it has to be a string")
		}
		return invalid("event", "is not valid JSON: %s", strings.TrimRight(strings.TrimPrefix(err.Error(), "json: "), ": "))
	}
	if len(bytes.TrimLeft(rest, " \t\r\n")) != 0 {
		return invalid("event", "has more after its JSON object; send one event in one record")
	}
	return nil
}

func parseTime(field string, s *string) (time.Time, error) {
	if s == nil || *s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, *s)
	if err != nil {
		return time.Time{}, invalid(field, "is %q; give RFC 3339, for example 2025-03-04T05:06:07Z", *s)
	}
	return t.UTC(), nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// AppendEnvelope writes the event as hookstream's own producers put it on the
// events topic. Data is spliced in verbatim.
func (e *Event) AppendEnvelope(dst []byte) []byte {
	dst = append(dst, '{')
	field := func(name, value string) {
		if value == "" {
			return
		}
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = append(dst, name...)
		dst = append(dst, '"', ':')
		dst = json.AppendEscape(dst, value, 0)
	}
	field("id", e.ID)
	field("type", e.Type)
	field("tenant", e.Tenant)
	if !e.Time.IsZero() {
		field("time", e.Time.UTC().Format(time.RFC3339Nano))
	}
	field("key", e.Key)
	field("endpoint_id", e.EndpointID)
	field("callback_url", e.CallbackURL)
	field("profile", e.Profile)
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	dst = append(dst, `"data":`...)
	dst = append(dst, e.Data...)
	return append(dst, '}')
}

// Record is the event as a record of topic, keyed so that events with one
// ordering key stay in order, and others spread.
func (e *Event) Record(topic string) Record {
	key := e.Key
	if key == "" {
		key = e.Tenant + "/" + e.ID
	}
	rec := Record{Topic: topic, Partition: -1, Key: []byte(key), Value: e.AppendEnvelope(nil)}
	add := func(k, v string) {
		if v != "" {
			rec.Headers = append(rec.Headers, Header{Key: k, Value: []byte(v)})
		}
	}
	add(HdrTrace, e.Trace)
	if e.Kind != "" && e.Kind != KindEvent {
		add(HdrKind, e.Kind)
		add(HdrReplayOf, e.ReplayOf)
		add(HdrReplayID, e.ReplayID)
	}
	return rec
}

// millis is a time as Unix milliseconds in decimal; zero is empty.
func millis(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strconv.FormatInt(t.UnixMilli(), 10)
}
