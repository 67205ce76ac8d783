package schemas

// The topics of one hookstream installation: their names, partition counts and
// policies, as functions of a prefix and a few counts.

import (
	"fmt"
	"strconv"
	"time"
)

// DefaultPrefix stands before every topic name unless configured otherwise.
const DefaultPrefix = "hookstream."

// Topology names and sizes all topics. The zero value is not usable; start
// from DefaultTopology or DevTopology.
type Topology struct {
	Prefix     string // stands before every topic name
	Slots      int32  // partitions of the co-partitioned topics; fixed for the life of an installation
	Events     int32  // partitions of events, events.invalid, routed, inbound.*
	Attempts   int32  // partitions of attempts and notices; partition = slot mod Attempts
	Tiers      int32  // partitions of each retry tier
	Registry   int32  // partitions of endpoints and tenants
	Replicas   int16  // replication factor
	MinISR     int    // min.insync.replicas; 0 leaves the broker's default
	DataLimit  int    // largest event data in bytes
	Compaction bool   // false on the embedded broker, whose compaction is unsafe: readers keep the last value per key
	DevBytes   int64  // > 0: bound topics by bytes instead of time (the embedded broker's time retention is unsafe)
}

// DefaultDataLimit is the largest event data accepted, in bytes.
const DefaultDataLimit = 256 << 10

// DefaultTopology is for a real Kafka cluster.
func DefaultTopology() Topology {
	return Topology{Prefix: DefaultPrefix, Slots: 64, Events: 16, Attempts: 8, Tiers: 8, Registry: 8,
		Replicas: 1, DataLimit: DefaultDataLimit, Compaction: true}
}

// DevTopology is for the embedded broker.
func DevTopology() Topology {
	return Topology{Prefix: DefaultPrefix, Slots: 4, Events: 4, Attempts: 2, Tiers: 1, Registry: 2,
		Replicas: 1, DataLimit: DefaultDataLimit, Compaction: false, DevBytes: 512 << 20}
}

// Topic is one topic as it has to be on the broker.
type Topic struct {
	Name          string
	Partitions    int32
	Compact       bool          // cleanup.policy=compact
	Retention     time.Duration // 0: for ever
	LogAppendTime bool          // message.timestamp.type=LogAppendTime
	MaxMessage    int           // max.message.bytes
}

// Tier is one fixed-delay retry topic.
type Tier struct {
	Name  string // "1s" … "10h"
	Delay time.Duration
}

// Tiers are the fixed delays, ascending. A delay equal to one of them costs
// one write; any other hops down through smaller ones.
func Tiers() []Tier {
	out := make([]Tier, 0, 14)
	for _, n := range []string{"1s", "2s", "5s", "10s", "30s", "1m", "2m", "5m", "10m", "30m", "1h", "2h", "5h", "10h"} {
		d, err := time.ParseDuration(n)
		if err != nil {
			panic("schemas: bad tier " + n)
		}
		out = append(out, Tier{Name: n, Delay: d})
	}
	return out
}

// TierFor is the largest tier not longer than d; ok is false when d is shorter
// than the shortest tier, and the record is then held in memory.
func TierFor(d time.Duration) (t Tier, ok bool) {
	for _, c := range Tiers() {
		if c.Delay <= d {
			t, ok = c, true
		}
	}
	return t, ok
}

// The names of the topics under the prefix.
const (
	topicEvents        = "events"
	topicEventsInvalid = "events.invalid"
	topicEndpoints     = "endpoints"
	topicTenants       = "tenants"
	topicDeliveries    = "deliveries"
	topicDue           = "due"
	topicPark          = "park"
	topicLanes         = "lanes"
	topicRouted        = "routed"
	topicAttempts      = "attempts"
	topicNotices       = "notices"
	topicDead          = "dead"
	topicControl       = "control"
	topicInboundRaw    = "inbound.raw"
	topicInbound       = "inbound"
	topicInboundParked = "inbound.parked"
	topicQuarantine    = "inbound.quarantine"
)

func (t Topology) EventsTopic() string        { return t.Prefix + topicEvents }
func (t Topology) EventsInvalidTopic() string { return t.Prefix + topicEventsInvalid }
func (t Topology) EndpointsTopic() string     { return t.Prefix + topicEndpoints }
func (t Topology) TenantsTopic() string       { return t.Prefix + topicTenants }
func (t Topology) DeliveriesTopic() string    { return t.Prefix + topicDeliveries }
func (t Topology) DueTopic() string           { return t.Prefix + topicDue }
func (t Topology) ParkTopic() string          { return t.Prefix + topicPark }
func (t Topology) LanesTopic() string         { return t.Prefix + topicLanes }
func (t Topology) RoutedTopic() string        { return t.Prefix + topicRouted }
func (t Topology) AttemptsTopic() string      { return t.Prefix + topicAttempts }
func (t Topology) NoticesTopic() string       { return t.Prefix + topicNotices }
func (t Topology) DeadTopic() string          { return t.Prefix + topicDead }
func (t Topology) ControlTopic() string       { return t.Prefix + topicControl }
func (t Topology) InboundRawTopic() string    { return t.Prefix + topicInboundRaw }
func (t Topology) InboundTopic() string       { return t.Prefix + topicInbound }
func (t Topology) InboundParkedTopic() string { return t.Prefix + topicInboundParked }
func (t Topology) QuarantineTopic() string    { return t.Prefix + topicQuarantine }

// TierTopic is the retry topic of one tier.
func (t Topology) TierTopic(tier Tier) string { return t.Prefix + "retry." + tier.Name }

// Slot is the partition of an endpoint in every co-partitioned topic.
func (t Topology) Slot(endpointID string) int32 { return SlotOf(endpointID, t.Slots) }

// AttemptsPartition is the partition of a slot in attempts and notices.
func (t Topology) AttemptsPartition(slot int32) int32 { return slot % t.Attempts }

// RegistryPartition is the partition of an endpoint or tenant in its registry topic.
func (t Topology) RegistryPartition(id string) int32 { return SlotOf(id, t.Registry) }

// kafkaDefaultMessage is the max.message.bytes of a topic that sets none
// (Kafka's broker configuration message.max.bytes).
const kafkaDefaultMessage = 1048588

// Topics lists every topic with its shape, in a fixed order.
func (t Topology) Topics() []Topic {
	const day = 24 * time.Hour
	event := t.DataLimit + 64<<10 // an event: data plus envelope and headers
	// What we make of it has 64 KiB more, and also takes what a topic of the
	// user's own holds under Kafka's default limit.
	ours := max(event, kafkaDefaultMessage) + 64<<10
	small := 1 << 20 // registry and lane rows
	topics := []Topic{
		{Name: t.EventsTopic(), Partitions: t.Events, Retention: 7 * day, LogAppendTime: true, MaxMessage: event},
		{Name: t.EventsInvalidTopic(), Partitions: t.Events, Retention: 30 * day, LogAppendTime: true, MaxMessage: ours},
		{Name: t.RoutedTopic(), Partitions: t.Events, Retention: 7 * day, LogAppendTime: true, MaxMessage: ours + 1<<20},
		{Name: t.EndpointsTopic(), Partitions: t.Registry, Compact: true, MaxMessage: small},
		{Name: t.TenantsTopic(), Partitions: t.Registry, Compact: true, MaxMessage: small},
		{Name: t.DeliveriesTopic(), Partitions: t.Slots, Retention: 3 * day, LogAppendTime: true, MaxMessage: ours},
		{Name: t.DueTopic(), Partitions: t.Slots, Retention: 3 * day, LogAppendTime: true, MaxMessage: ours},
		{Name: t.ParkTopic(), Partitions: t.Slots, Retention: 14 * day, LogAppendTime: true, MaxMessage: ours},
		{Name: t.LanesTopic(), Partitions: t.Slots, Compact: true, MaxMessage: small},
		{Name: t.DeadTopic(), Partitions: t.Slots, Retention: 30 * day, LogAppendTime: true, MaxMessage: ours},
		{Name: t.ControlTopic(), Partitions: t.Slots, Retention: 7 * day, LogAppendTime: true, MaxMessage: ours},
		{Name: t.AttemptsTopic(), Partitions: t.Attempts, Retention: 7 * day, LogAppendTime: true, MaxMessage: small},
		{Name: t.NoticesTopic(), Partitions: t.Attempts, Retention: 30 * day, LogAppendTime: true, MaxMessage: small},
		{Name: t.InboundRawTopic(), Partitions: t.Events, Retention: 7 * day, LogAppendTime: true, MaxMessage: ours},
		{Name: t.InboundTopic(), Partitions: t.Events, Retention: 7 * day, LogAppendTime: true, MaxMessage: ours},
		{Name: t.InboundParkedTopic(), Partitions: t.Events, Retention: 30 * day, LogAppendTime: true, MaxMessage: ours},
		{Name: t.QuarantineTopic(), Partitions: t.Events, Retention: 7 * day, LogAppendTime: true, MaxMessage: ours},
	}
	for _, tier := range Tiers() {
		keep := 10 * tier.Delay
		if keep < 7*day {
			keep = 7 * day
		}
		topics = append(topics, Topic{Name: t.TierTopic(tier), Partitions: t.Tiers, Retention: keep, LogAppendTime: true, MaxMessage: ours})
	}
	return topics
}

// Configs are the broker settings of a topic under this topology.
func (t Topology) Configs(topic Topic) map[string]string {
	c := map[string]string{"max.message.bytes": strconv.Itoa(topic.MaxMessage)}
	if t.MinISR > 0 {
		c["min.insync.replicas"] = strconv.Itoa(t.MinISR)
	}
	if topic.LogAppendTime {
		c["message.timestamp.type"] = "LogAppendTime"
	}
	switch {
	case topic.Compact && t.Compaction:
		c["cleanup.policy"] = "compact"
	case t.DevBytes > 0:
		// The embedded broker: never by time, never a snapshot of a compacted topic cut off.
		c["cleanup.policy"], c["retention.ms"], c["retention.bytes"] = "delete", "-1", "-1"
		if !topic.Compact {
			c["retention.bytes"] = strconv.FormatInt(t.DevBytes, 10)
		}
	default:
		c["cleanup.policy"], c["retention.ms"] = "delete", "-1"
		if topic.Retention > 0 {
			c["retention.ms"] = strconv.FormatInt(topic.Retention.Milliseconds(), 10)
		}
	}
	return c
}

// Validate says what is wrong with the counts, naming the field.
func (t Topology) Validate() error {
	for _, f := range []struct {
		name string
		n    int32
	}{{"slots", t.Slots}, {"events partitions", t.Events}, {"attempts partitions", t.Attempts}, {"tier partitions", t.Tiers}, {"registry partitions", t.Registry}} {
		if f.n < 1 || f.n > 4096 {
			return fmt.Errorf("topology: %s is %d; give a number from 1 to 4096", f.name, f.n)
		}
	}
	if t.Attempts > t.Slots {
		return fmt.Errorf("topology: attempts partitions (%d) exceed slots (%d); a partition above the slots would stay empty", t.Attempts, t.Slots)
	}
	if t.DataLimit < 1<<10 || t.DataLimit > 16<<20 {
		return fmt.Errorf("topology: data limit is %d bytes; give 1 KiB to 16 MiB", t.DataLimit)
	}
	return nil
}
