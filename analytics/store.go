package analytics

// The handle on ClickHouse that sink, queries and routes share.

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/hookstream/hookstream/schemas/ddl"
)

// Store is a pool of connections to ClickHouse. It is safe for concurrent use.
type Store struct {
	cfg        Config
	conn       driver.Conn
	log        *slog.Logger
	migrations []ddl.Migration

	mu       sync.Mutex
	readyAt  time.Time // when ready was last found out
	readyErr error
	asOf     time.Time // newest row known
	asOfAt   time.Time // when asOf was last found out
}

// Open makes a Store. It fails only on a configuration that can never work: a
// ClickHouse that is down is logged, and every call tries it again.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	opt, err := cfg.options()
	if err != nil {
		return nil, err
	}
	migrations, err := ddl.Migrations()
	if err != nil {
		return nil, err
	}
	conn, err := clickhouse.Open(opt)
	if err != nil {
		return nil, fmt.Errorf("opening clickhouse: %w", err)
	}
	s := &Store{cfg: cfg, conn: conn, log: cfg.logger(), migrations: migrations}
	ping, cancel := context.WithTimeout(ctx, cfg.DialTimeout)
	defer cancel()
	if err := conn.Ping(ping); err != nil {
		s.log.Warn("clickhouse does not answer yet; outcomes wait in Kafka", "address", cfg.redacted(), "error", err)
	}
	return s, nil
}

// Close ends every connection.
func (s *Store) Close() error { return s.conn.Close() }

// readyFor is how long an answer of Ready stands: probes come often.
const readyFor = time.Second

// Ready is nil when ClickHouse answers and has the schema of this build.
func (s *Store) Ready(ctx context.Context) error {
	s.mu.Lock()
	if time.Since(s.readyAt) < readyFor {
		defer s.mu.Unlock()
		return s.readyErr
	}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, s.cfg.DialTimeout)
	defer cancel()
	err := s.checkSchema(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readyAt, s.readyErr = time.Now(), err
	return err
}

// query runs a read and hands every row to each. Its arguments are bound by
// position; times are bound as Unix milliseconds, because the driver's binding
// of time.Time drops what is below a second.
func (s *Store) query(ctx context.Context, sql string, args []any, each func(driver.Rows) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.QueryTimeout)
	defer cancel()
	rows, err := s.conn.Query(ctx, sql, args...)
	if err != nil {
		return &queryError{err}
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := each(rows); err != nil {
			return &queryError{err}
		}
	}
	if err := rows.Err(); err != nil {
		return &queryError{err}
	}
	return nil
}

// replicated says whether reads may hit a replica that lags behind.
func (s *Store) replicated() bool { return strings.HasPrefix(s.cfg.Engine, "Replicated") }

// asOfFor is how long an answer of AsOf stands.
const asOfFor = time.Second

// AsOf is the time of the newest attempt that is stored; the epoch when there
// is none. It says less than Sink.AsOf, which also knows that nothing waits.
func (s *Store) AsOf(ctx context.Context) (time.Time, error) {
	s.mu.Lock()
	if time.Since(s.asOfAt) < asOfFor {
		defer s.mu.Unlock()
		return s.asOf, nil
	}
	s.mu.Unlock()
	newest := time.Unix(0, 0).UTC()
	// The newest hour has it nearly always, by the projection on time.
	for _, where := range []string{" WHERE attempted_at >= now() - INTERVAL 1 HOUR", ""} {
		err := s.query(ctx, "SELECT max(attempted_at) FROM hookstream.attempts"+where, nil, func(r driver.Rows) error { return r.Scan(&newest) })
		if err != nil {
			return time.Time{}, fmt.Errorf("finding the newest attempt: %w", err)
		}
		if newest.Unix() > 0 {
			break
		}
	}
	newest = newest.UTC()
	s.mu.Lock()
	defer s.mu.Unlock()
	if newest.After(s.asOf) {
		s.asOf = newest
	}
	s.asOfAt = time.Now()
	return s.asOf, nil
}
