package consumer

// Payload reads one event's data again from where its record lies: what a
// replay sends when the log still has it.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/schemas"
)

// ErrExpired says that a record is no longer in its topic.
var ErrExpired = errors.New("the record is no longer in its topic")

// Payload fetches the record at pos and returns its event's data, verbatim.
// sources are the configured event topics; a topic that is not among them is
// read as envelopes. ErrExpired means that retention has taken the record.
func Payload(ctx context.Context, options []kgo.Opt, sources []schemas.EventSource, pos schemas.Position) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	client, err := kgo.NewClient(append(options[:len(options):len(options)],
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{pos.Topic: {pos.Partition: kgo.NewOffset().At(pos.Offset)}}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.FetchMaxPartitionBytes(1<<10), kgo.FetchMaxWait(100*time.Millisecond))...)
	if err != nil {
		return nil, fmt.Errorf("connecting to read %s: %w", pos, err)
	}
	defer client.Close()
	fetches := client.PollRecords(ctx, 1)
	if errs := fetches.Errors(); len(errs) > 0 {
		err := errs[0].Err
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			return nil, fmt.Errorf("reading %s: %w", pos, err)
		}
		return nil, fmt.Errorf("reading %s: %w (%v)", pos, ErrExpired, err)
	}
	records := fetches.Records()
	if len(records) == 0 || records[0].Offset != pos.Offset {
		return nil, fmt.Errorf("reading %s: %w", pos, ErrExpired)
	}
	source := schemas.EventSource{Topic: pos.Topic}
	for _, s := range sources {
		if s.Topic == pos.Topic {
			source = s
		}
	}
	rec := FromKafka(records[0])
	ev, err := schemas.ParseEvent(source, &rec)
	if err != nil {
		return nil, fmt.Errorf("reading the event at %s again: %w", pos, err)
	}
	return ev.Data, nil
}
