package analytics

// What the sink does to ClickHouse: insert a block under a token, read back
// which offsets are stored, find the highest one.

import (
	"context"
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// engine is the sink's view of ClickHouse.
type engine struct {
	// insert stores the rows of b that keep lists (nil: all) as one block. After
	// an error nothing is known about them.
	insert func(ctx context.Context, b *block, keep []int, token string) error
	// stored lists the offsets of first…last that b's table holds.
	stored func(ctx context.Context, b *block, from source, first, last int64) (map[uint64]struct{}, error)
	// latest is the highest stored offset of every partition of a topic, over
	// all of the tables; a partition without rows is absent.
	latest func(ctx context.Context, tables []string, topic string) (map[int32]int64, error)
}

func (s *Store) engine() engine {
	return engine{insert: s.insert, stored: s.stored, latest: s.latest}
}

// insertSettings are sent with every insert; the rest is the server's own.
func insertSettings(token string, seconds int) clickhouse.Settings {
	return clickhouse.Settings{
		"insert_deduplication_token": token,
		"insert_deduplicate":         1,
		"async_insert":               0,
		"deduplicate_blocks_in_dependent_materialized_views": 1,
		"max_insert_threads":              1,
		"max_execution_time":              seconds,
		"max_partitions_per_insert_block": 100,
	}
}

func (s *Store) insert(ctx context.Context, b *block, keep []int, token string) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.InsertTimeout)
	defer cancel()
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(insertSettings(token, int(s.cfg.InsertTimeout.Seconds())+1)))
	names := make([]string, len(b.cols))
	for i, c := range b.cols {
		names[i] = "`" + c.name() + "`"
	}
	batch, err := s.conn.PrepareBatch(ctx, "INSERT INTO hookstream."+b.spec.name+" ("+strings.Join(names, ", ")+")")
	if err != nil {
		return fmt.Errorf("beginning insert %s: %w", token, err)
	}
	defer func() { _ = batch.Close() }()
	for i, c := range b.cols {
		v := c.values()
		if keep != nil {
			v = c.pick(keep)
		}
		if err := batch.Column(i).Append(v); err != nil {
			_ = batch.Abort()
			return fmt.Errorf("filling column %s of insert %s: %w", c.name(), token, err)
		}
	}
	want := b.rows()
	if keep != nil {
		want = len(keep)
	}
	if batch.Rows() != want {
		_ = batch.Abort()
		return fmt.Errorf("filling insert %s: the first column has %d rows, not %d", token, batch.Rows(), want)
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("sending insert %s: %w", token, err)
	}
	return nil
}

func (s *Store) stored(ctx context.Context, b *block, from source, first, last int64) (map[uint64]struct{}, error) {
	if s.replicated() {
		// A replica that lags behind would show stored rows as missing, and they
		// would be inserted again.
		if err := s.conn.Exec(ctx, "SYSTEM SYNC REPLICA hookstream."+b.spec.name+" LIGHTWEIGHT"); err != nil {
			return nil, fmt.Errorf("waiting for the replica of %s: %w", b.spec.name, err)
		}
	}
	lo, hi := b.span()
	sql := fmt.Sprintf(`SELECT kafka_offset FROM hookstream.%s WHERE kafka_topic = ? AND kafka_partition = ? AND kafka_offset BETWEEN ? AND ?
		AND %s BETWEEN fromUnixTimestamp64Milli(toInt64(?), 'UTC') AND fromUnixTimestamp64Milli(toInt64(?), 'UTC')`, b.spec.name, b.spec.time)
	have := map[uint64]struct{}{}
	err := s.query(ctx, sql, []any{from.column(), from.partition, first, last, lo, hi}, func(r driver.Rows) error {
		var o uint64
		if err := r.Scan(&o); err != nil {
			return err
		}
		have[o] = struct{}{}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading back %s/%d/%d-%d: %w", from.topic, from.partition, first, last, err)
	}
	return have, nil
}

func (s *Store) latest(ctx context.Context, tables []string, topic string) (map[int32]int64, error) {
	out := map[int32]int64{}
	for _, table := range tables {
		err := s.query(ctx, "SELECT kafka_partition, max(kafka_offset) FROM hookstream."+table+" WHERE kafka_topic = ? GROUP BY kafka_partition", []any{topic}, func(r driver.Rows) error {
			var p uint32
			var o uint64
			if err := r.Scan(&p, &o); err != nil {
				return err
			}
			if have, ok := out[int32(p)]; !ok || have < int64(o) {
				out[int32(p)] = int64(o)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("finding the highest offset of %s in %s: %w", topic, table, err)
		}
	}
	return out, nil
}
