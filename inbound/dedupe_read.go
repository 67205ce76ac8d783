package inbound

// Reading a part of a topic once, outside of any group.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// span is the offsets [from, to) of one partition.
type span struct{ from, to int64 }

// readBack gives every record of the spans to take, in order within a
// partition. The topics that it is for have no transaction markers, so that the
// record before a span's end is there unless retention took the whole span.
func readBack(ctx context.Context, options []kgo.Opt, topic string, want map[int32]span, take func(*kgo.Record)) error {
	open := map[int32]kgo.Offset{}
	for p, s := range want {
		if s.from < s.to {
			open[p] = kgo.NewOffset().At(s.from)
		}
	}
	if len(open) == 0 {
		return nil
	}
	client, err := kgo.NewClient(append(options[:len(options):len(options)],
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: open}),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), // retention took the first of them meanwhile
		kgo.AlwaysRetryEOF(), kgo.FetchMaxWait(100*time.Millisecond))...)
	if err != nil {
		return fmt.Errorf("connecting to read %s: %w", topic, err)
	}
	defer client.Close()
	for len(open) > 0 {
		fetches := client.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("reading %s: %w", topic, err)
		}
		for _, e := range fetches.Errors() {
			var code *kerr.Error
			if !errors.As(e.Err, &code) || !code.Retriable {
				return fmt.Errorf("reading %s/%d: %w", topic, e.Partition, e.Err)
			}
		}
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			s := want[p.Partition]
			if _, reading := open[p.Partition]; !reading {
				return
			}
			for _, r := range p.Records {
				if r.Offset < s.to {
					take(r)
				}
				if r.Offset >= s.to-1 {
					delete(open, p.Partition)
					return
				}
			}
			if p.LogStartOffset >= s.to {
				delete(open, p.Partition)
			}
		})
	}
	return nil
}

// patiently calls until it succeeds, fails for good, or ctx ends: brokers that
// restart and topics that were just made are waited for.
func patiently(ctx context.Context, call func() error) error {
	for {
		err := call()
		var code *kerr.Error
		var auth *kadm.AuthError
		switch {
		case err == nil, errors.Is(err, errWentBack), errors.As(err, &auth), errors.As(err, &code) && !code.Retriable:
			return err
		}
		wait := time.NewTimer(200 * time.Millisecond)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return err
		}
	}
}

// maxErrorText bounds an error's text in a record, in bytes.
const maxErrorText = 4 << 10
