package consumer

// When a delivery was created, decided from the log alone, so that a re-run
// makes the same row key.

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/schemas"
)

// earliestCreated is the oldest time that a publisher's clock is believed.
var earliestCreated = time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC)

// createdAt is the time of the event's record. A time that the broker set is
// taken as it is. One that the publisher set is taken when it is plausible:
// after 2015 and at most a day ahead. (A time in the past cannot be told from a
// backlog, so it stands.) Otherwise the event's own time stands in, else that
// of the nearest plausible record before it in the partition, else 2015: all of
// them are in the log, so the wall clock never enters a row key.
func (f *Fanout) createdAt(b *Batch, r *kgo.Record, ev *schemas.Event) time.Time {
	at := topicPartition{b.Topic, b.Partition}
	f.mu.Lock()
	defer f.mu.Unlock()
	const logAppendTime = 1
	if r.Attrs.TimestampType() == logAppendTime || plausible(r.Timestamp) {
		f.clock[at] = r.Timestamp
		return toMillis(r.Timestamp)
	}
	switch before, ok := f.clock[at]; {
	case !ev.Time.Equal(r.Timestamp) && plausible(ev.Time):
		return toMillis(ev.Time)
	case ok:
		return toMillis(before)
	default:
		return earliestCreated
	}
}

func plausible(t time.Time) bool {
	return t.After(earliestCreated) && time.Until(t) < 24*time.Hour
}

// toMillis drops what a header or column does not carry.
func toMillis(t time.Time) time.Time { return time.UnixMilli(t.UnixMilli()).UTC() }
