package schemas

// Inbound is a webhook that somebody sent to us, from the moment its signature
// was checked until a handler has done its work.

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Headers of the inbound topics, besides HdrType, HdrTenant, HdrProfile and
// HdrTrace.
const (
	HdrInbound     = "hs-in"       // the webhook's inbound id
	HdrSourceName  = "hs-source"   // name of the configured source
	HdrReceived    = "hs-recv"     // when it was received, Unix ms
	HdrContentType = "hs-ctype"    // content type as sent
	HdrUnlisted    = "hs-unlisted" // "1": the type is not in the profile's catalogue
	HdrRaw         = "hs-raw"      // topic/partition/offset in inbound.raw, on inbound and what follows it
	HdrError       = "hs-error"    // why handling failed, on inbound.parked
	HdrRetries     = "hs-retries"  // retries made, on inbound.parked
)

// InboundPrefix begins the ids that we give to received webhooks.
const InboundPrefix = "in_"

// inboundKeyPrefix stands before the dedupe key in record keys.
const inboundKeyPrefix = "webhook:"

// Inbound is one received webhook. Body is the sender's bytes, verbatim; it
// aliases the record that it was read from.
type Inbound struct {
	ID          string // made on receipt, one per request
	Source      string // name of the configured source
	Profile     string
	Tenant      string
	Key         string // what repeats of one event share within their source (profile.DedupeKey)
	Type        string // event type, from the signed body; empty when it has none
	Unlisted    bool   // the type is not in the profile's catalogue
	Received    time.Time
	ContentType string
	Body        []byte
	Raw         Position // where inbound.raw has it; zero on inbound.raw itself
	Trace       string
}

// InboundKey is the record key of a dedupe key: EVENT:SESSION becomes
// webhook:EVENT:SESSION.
func InboundKey(key string) []byte { return []byte(inboundKeyPrefix + key) }

// InboundPartition places a dedupe key of a source. Two sources that share a
// key may share a partition, never a verdict: repeats are told apart by source
// and key.
func InboundPartition(t Topology, key string) int32 {
	return SlotOf(inboundKeyPrefix+key, t.Events)
}

// Record writes a received webhook for a topic of the inbound family, which
// are co-partitioned by key.
func (in *Inbound) Record(t Topology, topic string) Record {
	rec := Record{Topic: topic, Partition: InboundPartition(t, in.Key), Key: InboundKey(in.Key), Value: in.Body}
	add := func(key, value string) {
		if value != "" {
			rec.Headers = append(rec.Headers, Header{Key: key, Value: []byte(value)})
		}
	}
	add(HdrInbound, in.ID)
	add(HdrSourceName, in.Source)
	add(HdrProfile, in.Profile)
	add(HdrTenant, in.Tenant)
	add(HdrType, in.Type)
	if in.Unlisted {
		add(HdrUnlisted, "1")
	}
	add(HdrReceived, strconv.FormatInt(in.Received.UnixMilli(), 10))
	add(HdrContentType, in.ContentType)
	if in.Raw != (Position{}) {
		add(HdrRaw, in.Raw.String())
	}
	add(HdrTrace, in.Trace)
	return rec
}

// ParseInbound reads what Inbound.Record wrote.
func ParseInbound(rec *Record) (Inbound, error) {
	in := Inbound{Body: rec.Value}
	for _, h := range rec.Headers {
		v := string(h.Value)
		switch h.Key {
		case HdrInbound:
			in.ID = v
		case HdrSourceName:
			in.Source = v
		case HdrProfile:
			in.Profile = v
		case HdrTenant:
			in.Tenant = v
		case HdrType:
			in.Type = v
		case HdrUnlisted:
			in.Unlisted = v == "1"
		case HdrReceived:
			ms, err := strconv.ParseInt(v, 10, 64)
			if err != nil {
				return Inbound{}, fmt.Errorf("reading header %s of the inbound record at %s/%d/%d: %w", HdrReceived, rec.Topic, rec.Partition, rec.Offset, err)
			}
			in.Received = time.UnixMilli(ms)
		case HdrContentType:
			in.ContentType = v
		case HdrRaw:
			p, err := ParsePosition(v)
			if err != nil {
				return Inbound{}, fmt.Errorf("reading header %s of the inbound record at %s/%d/%d: %w", HdrRaw, rec.Topic, rec.Partition, rec.Offset, err)
			}
			in.Raw = p
		case HdrTrace:
			in.Trace = v
		}
	}
	key := string(rec.Key)
	if len(key) < len(inboundKeyPrefix) || key[:len(inboundKeyPrefix)] != inboundKeyPrefix {
		return Inbound{}, fmt.Errorf("the record at %s/%d/%d is no received webhook: its key does not begin with %s", rec.Topic, rec.Partition, rec.Offset, inboundKeyPrefix)
	}
	in.Key = key[len(inboundKeyPrefix):]
	if in.ID == "" || in.Source == "" {
		return Inbound{}, errors.New("the record at " + Position{rec.Topic, rec.Partition, rec.Offset}.String() + " is no received webhook: headers " + HdrInbound + " and " + HdrSourceName + " are missing")
	}
	return in, nil
}
