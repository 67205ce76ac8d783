package main

// Evidence: what the receivers wrote down, what the attempts topic holds, and
// what ClickHouse stores, read after the faults are over.

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/schemas"
)

const attemptsTopic = "hookstream.attempts"

// place is where a row lies in the attempts topic.
type place struct {
	partition int32
	offset    int64
}

// evidence is everything that a verdict rests on.
type evidence struct {
	accepted []event
	unknown  int
	receipts []receipt
	rows     map[place]schemas.Attempt // of the attempts topic
	stored   map[place]int             // how often ClickHouse has it
	balance  balance
	faults   []fault
	ended    map[string]int // processes that ended by themselves
	settled  time.Duration  // from the last fault until nothing was outstanding
	unsettle error          // why it never settled
}

// balance is the conservation law as ClickHouse tells it.
type balance struct{ Made, Terminal, Pending, Difference int64 }

// settle waits until everything has arrived and is stored, or the time is up,
// and gathers the evidence.
func (s *stack) settle(ctx context.Context, fleet []webhook, accepted []event, unknown int, say func(string, ...any)) (*evidence, error) {
	began := time.Now()
	e := &evidence{accepted: accepted, unknown: unknown}
	if err := s.awaitReady(ctx, 2*time.Minute); err != nil {
		return nil, err
	}
	reported := time.Time{}
	e.unsettle = await(ctx, "everything to arrive", s.cfg.Settle, func() error {
		var err error
		if e.receipts, err = s.readReceipts(); err != nil {
			return err
		}
		open := outstanding(fleet, e)
		if time.Since(reported) > 10*time.Second {
			reported = time.Now()
			say("torture: %d of %d deliveries outstanding", open, pairs(fleet, accepted))
		}
		if open > 0 {
			return fmt.Errorf("%d deliveries are outstanding", open)
		}
		if e.balance, err = s.conservation(ctx); err != nil {
			return err
		}
		if e.balance.Pending != 0 {
			return fmt.Errorf("ClickHouse tells of %d pending deliveries", e.balance.Pending)
		}
		return nil
	})
	e.settled = time.Since(began)
	var err error
	if e.rows, err = s.readAttempts(ctx); err != nil {
		return nil, err
	}
	complete := await(ctx, "ClickHouse to store every row", time.Minute, func() error {
		if e.stored, err = s.readStored(ctx); err != nil {
			return err
		}
		if len(e.stored) < len(e.rows) {
			return fmt.Errorf("%d of %d rows", len(e.stored), len(e.rows))
		}
		return nil
	})
	if e.unsettle == nil {
		e.unsettle = complete
	}
	if e.balance, err = s.conservation(ctx); err != nil {
		return nil, err
	}
	e.receipts, err = s.readReceipts()
	return e, err
}

// readReceipts reads what the receivers wrote; a line that a kill cut off is none.
func (s *stack) readReceipts() ([]receipt, error) {
	var all []receipt
	for _, file := range s.receipts {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading receipts: %w", err)
		}
		for line := range bytes.Lines(text) {
			var r receipt
			if json.Unmarshal(line, &r) == nil && r.Event != "" {
				all = append(all, r)
			}
		}
	}
	return all, nil
}

// readAttempts reads the attempts topic from its beginning to its present end.
func (s *stack) readAttempts(ctx context.Context) (map[place]schemas.Attempt, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.brokers), kgo.ConsumeTopics(attemptsTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, fmt.Errorf("connecting to Kafka: %w", err)
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, attemptsTopic)
	if err != nil {
		return nil, fmt.Errorf("listing the ends of %s: %w", attemptsTopic, err)
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	rows := map[place]schemas.Attempt{}
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("reading %s: %w", attemptsTopic, err)
		}
		var failed error
		fetches.EachRecord(func(r *kgo.Record) {
			rec := schemas.Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value}
			a, err := schemas.ParseAttempt(&rec)
			if err != nil {
				failed = err
			}
			a.ResponseBody = "" // not part of any question
			rows[place{r.Partition, r.Offset}] = a
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
		if failed != nil {
			return nil, failed
		}
	}
	return rows, nil
}

func (s *stack) sql(ctx context.Context, query string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.engine+"/", strings.NewReader(query))
	if err != nil {
		return "", fmt.Errorf("asking ClickHouse: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("asking ClickHouse: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", fmt.Errorf("asking ClickHouse: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("ClickHouse answered %s: %.300s", resp.Status, b)
	}
	return string(b), nil
}

// readStored counts each row that ClickHouse has.
func (s *stack) readStored(ctx context.Context) (map[place]int, error) {
	text, err := s.sql(ctx, "SELECT kafka_partition, kafka_offset, count() FROM hookstream.attempts GROUP BY ALL FORMAT TabSeparated")
	if err != nil {
		return nil, err
	}
	stored := map[place]int{}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 3 {
			return nil, fmt.Errorf("ClickHouse answered %q", line)
		}
		var n [3]int64
		for i := range f {
			if n[i], err = strconv.ParseInt(f[i], 10, 64); err != nil {
				return nil, fmt.Errorf("ClickHouse answered %q: %w", line, err)
			}
		}
		stored[place{int32(n[0]), n[1]}] = int(n[2])
	}
	return stored, nil
}

func (s *stack) conservation(ctx context.Context) (balance, error) {
	text, err := s.sql(ctx, "SELECT sum(made), sum(terminal), sum(pending), sum(difference) FROM hookstream.conservation FORMAT TabSeparated")
	if err != nil {
		return balance{}, err
	}
	var b balance
	if _, err := fmt.Sscan(text, &b.Made, &b.Terminal, &b.Pending, &b.Difference); err != nil {
		return balance{}, fmt.Errorf("ClickHouse answered %q: %w", text, err)
	}
	return b, nil
}
