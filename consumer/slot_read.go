package consumer

// Reading a stretch of a partition once, outside of any group: how a slot gets
// at what earlier owners wrote.

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// stretch is the offsets [from, to) of one partition.
type stretch struct{ from, to int64 }

// readStretches gives every record of the stretches to take, in order within
// a partition. It needs logs without transaction markers, as ours are; the
// last record of a stretch may be missing only if the log was cut off meanwhile,
// which is an error.
func readStretches(ctx context.Context, options []kgo.Opt, topic string, want map[int32]stretch, take func(*kgo.Record)) error {
	from := map[int32]kgo.Offset{}
	for p, s := range want {
		if s.from < s.to {
			from[p] = kgo.NewOffset().At(s.from)
		}
	}
	if len(from) == 0 {
		return nil
	}
	client, err := kgo.NewClient(append(options[:len(options):len(options)],
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), // retention took the first of them meanwhile
		kgo.FetchMaxWait(100*time.Millisecond))...)
	if err != nil {
		return fmt.Errorf("connecting to read %s: %w", topic, err)
	}
	defer client.Close()
	for left := len(from); left > 0; {
		fetches := client.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("reading %s: %w", topic, err)
		}
		for _, e := range fetches.Errors() {
			return fmt.Errorf("reading %s/%d: %w", topic, e.Partition, e.Err)
		}
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			s, reading := want[p.Partition]
			if _, ok := from[p.Partition]; !reading || !ok {
				return
			}
			for _, r := range p.Records {
				if r.Offset < s.to {
					take(r)
				}
				if r.Offset >= s.to-1 {
					delete(from, p.Partition)
					left--
					break
				}
			}
		})
	}
	return nil
}
