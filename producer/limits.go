package producer

// What the broker takes: the largest record of each topic, asked for once, so
// that sizes are checked before producing.

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/hookstream/hookstream/schemas"
)

// defaultMaxMessage is Kafka's own default of max.message.bytes with room for
// the batch around it: what we assume when the broker won't tell.
const defaultMaxMessage = 1_000_012

// TooLargeError is a record that its topic can never take.
type TooLargeError struct {
	Topic string
	Size  int // upper bound of the record's bytes on the wire, uncompressed
	Limit int // the topic's max.message.bytes
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("record for %s has %d bytes, more than the topic's max.message.bytes of %d; send less or raise the topic's setting", e.Topic, e.Size, e.Limit)
}

// KeylessError is a record without a key for a compacted topic.
type KeylessError struct{ Topic string }

func (e *KeylessError) Error() string {
	return "record for the compacted topic " + e.Topic + " has no key; give one"
}

// Refused reports whether err blames the record alone: it can never be
// produced, whoever tries. Such an error goes to the record's done and ends
// nothing.
func Refused(err error) bool {
	var large *TooLargeError
	var keyless *KeylessError
	return errors.As(err, &large) || errors.As(err, &keyless)
}

// RecordSize is an upper bound of the bytes that a record takes as a batch of
// its own, which is what brokers compare with max.message.bytes.
func RecordSize(rec *schemas.Record) int {
	const batch, record, field = 65, 40, 10 // batch header; varints of one record; of one header
	n := batch + record + len(rec.Key) + len(rec.Value)
	for _, h := range rec.Headers {
		n += field + len(h.Key) + len(h.Value)
	}
	return n
}

// shape is what a topic takes.
type shape struct {
	max     int
	compact bool
}

// limits asks for a topic's shape when it is first written to. The answer
// holds for the life of the writer: one that was lowered meanwhile shows as a
// refused batch, which ends the process, and its successor asks again.
type limits struct {
	adm   *kadm.Client
	known atomic.Pointer[map[string]shape]
	turn  chan struct{} // one asker at a time; holding it guards the copy on write
}

func newLimits(adm *kadm.Client) *limits {
	l := &limits{adm: adm, turn: make(chan struct{}, 1)}
	l.known.Store(&map[string]shape{})
	return l
}

// get answers from memory only.
func (l *limits) get(topic string) (shape, bool) {
	s, ok := (*l.known.Load())[topic]
	return s, ok
}

// learn asks the broker about topics not known yet. Brokers that are away are
// waited for as long as ctx lasts; a topic that does not exist is given a few
// seconds to appear, because metadata of a new one spreads slowly.
func (l *limits) learn(ctx context.Context, topics ...string) error {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return fmt.Errorf("asking for topic settings: %w", ctx.Err())
	}
	var ask []string
	for _, t := range topics {
		if _, ok := l.get(t); !ok {
			ask = append(ask, t)
		}
	}
	if len(ask) == 0 {
		return nil
	}
	for missing := 0; ; {
		found, err := l.describe(ctx, ask)
		if err == nil {
			next := make(map[string]shape, len(*l.known.Load())+len(found))
			for t, s := range *l.known.Load() {
				next[t] = s
			}
			for t, s := range found {
				next[t] = s
			}
			l.known.Store(&next)
			return nil
		}
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			if missing++; missing > 15 {
				return fmt.Errorf("asking for topic settings: %w; create the topics first", err)
			}
		} else if permanent(err) {
			return fmt.Errorf("asking for topic settings: %w", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("asking for topic settings: %w (last: %w)", ctx.Err(), err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (l *limits) describe(ctx context.Context, topics []string) (map[string]shape, error) {
	configs, err := l.adm.DescribeTopicConfigs(ctx, topics...)
	if err != nil {
		var auth *kadm.AuthError
		if errors.As(err, &auth) { // not allowed to look: assume the default
			out := make(map[string]shape, len(topics))
			for _, t := range topics {
				out[t] = shape{max: defaultMaxMessage}
			}
			return out, nil
		}
		return nil, err
	}
	out := make(map[string]shape, len(topics))
	for _, rc := range configs {
		if rc.Err != nil {
			return nil, fmt.Errorf("topic %s: %w", rc.Name, rc.Err)
		}
		s := shape{max: defaultMaxMessage}
		for _, c := range rc.Configs {
			switch c.Key {
			case "max.message.bytes":
				if n, err := strconv.Atoi(c.MaybeValue()); err == nil && n > 0 {
					s.max = n
				}
			case "cleanup.policy":
				s.compact = c.MaybeValue() == "compact"
			}
		}
		out[rc.Name] = s
	}
	return out, nil
}

// permanent reports whether asking again cannot help.
func permanent(err error) bool {
	var ke *kerr.Error
	return errors.As(err, &ke) && !ke.Retriable
}
