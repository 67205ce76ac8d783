package consumer

// Which retry tier takes a delivery, and when the tier lets go of it again.

import (
	"slices"
	"strconv"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// nominalSlack is taken off the clock when a tier is chosen: the time that
// passed between deciding on a delay and writing it must not turn a delay of
// exactly one tier into several hops. The absolute due time stays what it is.
const nominalSlack = 50 * time.Millisecond

// holdLimit is the longest wait that is spent in memory instead of a tier.
const holdLimit = 2 * time.Second

// TierRecord is d as a record of the tier that its wait until due asks for: the
// largest not longer than the nominal delay. ok is false when the wait is
// shorter than the shortest tier: it has to be spent in memory. d is not
// changed.
func TierRecord(t schemas.Topology, d *schemas.Delivery, due, now time.Time) (rec schemas.Record, ok bool) {
	tier, ok := tierFor(due, now)
	if !ok {
		return schemas.Record{}, false
	}
	next := *d
	next.Due, next.Enqueued = ceilMillisecond(due), now
	return next.Record(t.TierTopic(tier), t.Slot(d.EndpointID)%t.Tiers), true
}

func tierFor(due, now time.Time) (schemas.Tier, bool) {
	return schemas.TierFor(due.Sub(now) + nominalSlack)
}

// ceilMillisecond rounds up: headers hold milliseconds, and never is earlier
// than due.
func ceilMillisecond(t time.Time) time.Time {
	ms := t.Truncate(time.Millisecond)
	if ms.Before(t) {
		ms = ms.Add(time.Millisecond)
	}
	return ms
}

// fireAt is when a record leaves its tier: at its delay's end, or when it is
// due if that is sooner. Without a readable due time it is due now; without
// the time it was enqueued, it leaves now and is looked at again.
func fireAt(tier schemas.Tier, due, enqueued time.Time) time.Time {
	at := enqueued.Add(tier.Delay)
	if due.Before(at) {
		return due
	}
	return at
}

// onFire says what becomes of a record whose tier has let go of it: wait in
// memory until due, go to due now, or take another tier.
func onFire(due, now time.Time) (next schemas.Tier, hop, wait bool) {
	remaining := due.Sub(now)
	if remaining <= 0 {
		return schemas.Tier{}, false, false
	}
	if remaining > holdLimit {
		if next, hop = tierFor(due, now); hop {
			return next, true, false
		}
	}
	return schemas.Tier{}, false, true
}

// millisHeader reads a header of Unix milliseconds; zero when it is missing or
// is no number.
func millisHeader(rec *schemas.Record, key string) time.Time {
	v, ok := rec.Header(key)
	if !ok {
		return time.Time{}
	}
	ms, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// moved is a tier's record as it goes on: everything as it is, but the topic,
// the partition and when it was enqueued. Zero enqueued: out of the tiers.
func moved(rec *schemas.Record, topic string, partition int32, enqueued time.Time) schemas.Record {
	out := schemas.Record{Topic: topic, Partition: partition, Key: rec.Key, Value: rec.Value}
	out.Headers = slices.DeleteFunc(slices.Clone(rec.Headers), func(h schemas.Header) bool { return h.Key == schemas.HdrEnqueued })
	if !enqueued.IsZero() {
		out.Headers = append(out.Headers, schemas.Header{Key: schemas.HdrEnqueued, Value: strconv.AppendInt(nil, enqueued.UnixMilli(), 10)})
	}
	return out
}
