package analytics

// Bringing the schema to this build's version, and checking that it is there.

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/hookstream/hookstream/schemas/ddl"
)

// SchemaError says that the database and this build do not fit. Waiting does
// not cure it.
type SchemaError struct {
	Version uint32
	Name    string
	Reason  string
}

func (e *SchemaError) Error() string {
	return fmt.Sprintf("clickhouse schema: migration %03d_%s %s", e.Version, e.Name, e.Reason)
}

// Migrate applies every migration that is not applied yet. While ClickHouse
// cannot be reached it tries again until ctx ends; a *SchemaError, when an
// applied migration has changed, comes back at once. Running it twice, or from
// several processes at once, is harmless: every statement is idempotent.
func (s *Store) Migrate(ctx context.Context) error {
	wait := newBackoff()
	for {
		err := s.migrateOnce(ctx)
		if err == nil {
			s.mu.Lock()
			s.readyAt = time.Time{}
			s.mu.Unlock()
			return nil
		}
		if !unreachable(err) {
			return fmt.Errorf("migrating clickhouse: %w", err)
		}
		s.log.Warn("clickhouse cannot be migrated yet; trying again", "address", s.cfg.redacted(), "error", err)
		if !wait.sleep(ctx, nil, err) {
			return fmt.Errorf("migrating clickhouse: %w", context.Cause(ctx))
		}
	}
}

func (s *Store) migrateOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.InsertTimeout)
	defer cancel()
	for _, stmt := range []string{"CREATE DATABASE IF NOT EXISTS " + ddl.Database, ddl.Expand(ddl.History, s.cfg.Engine)} {
		if err := s.conn.Exec(ctx, stmt); err != nil {
			return fmt.Errorf("making the table of migrations: %w", err)
		}
	}
	applied, err := s.applied(ctx)
	if err != nil {
		return err
	}
	for _, m := range s.migrations {
		if sum, ok := applied[m.Version]; ok {
			if err := sameChecksum(m, sum); err != nil {
				return err
			}
			continue
		}
		for _, stmt := range m.Statements(s.cfg.Engine) {
			if err := s.conn.Exec(ctx, stmt); err != nil {
				return fmt.Errorf("applying migration %03d_%s: %w", m.Version, m.Name, err)
			}
		}
		err := s.conn.Exec(ctx, "INSERT INTO hookstream.schema_migrations (version, name, checksum, applied_at) SELECT ?, ?, ?, now64(3)",
			m.Version, m.Name, m.Checksum)
		if err != nil {
			return fmt.Errorf("recording migration %03d_%s: %w", m.Version, m.Name, err)
		}
		s.log.Info("clickhouse schema migrated", "version", m.Version, "name", m.Name)
	}
	return nil
}

// checkSchema is nil when every migration of this build is applied.
func (s *Store) checkSchema(ctx context.Context) error {
	applied, err := s.applied(ctx)
	if err != nil {
		return err
	}
	for _, m := range s.migrations {
		sum, ok := applied[m.Version]
		if !ok {
			return &SchemaError{Version: m.Version, Name: m.Name, Reason: "is not applied; run the migration before this build"}
		}
		if err := sameChecksum(m, sum); err != nil {
			return err
		}
	}
	return nil
}

func sameChecksum(m ddl.Migration, applied string) error {
	if applied == m.Checksum {
		return nil
	}
	return &SchemaError{Version: m.Version, Name: m.Name,
		Reason: fmt.Sprintf("was applied with checksum %.12s, this build has %.12s; an applied migration never changes: add a new one, or run the build that the database belongs to", applied, m.Checksum)}
}

func (s *Store) applied(ctx context.Context) (map[uint32]string, error) {
	out := map[uint32]string{}
	err := s.query(ctx, "SELECT version, argMin(checksum, applied_at) FROM hookstream.schema_migrations GROUP BY version", nil, func(r driver.Rows) error {
		var version uint32
		var sum string
		if err := r.Scan(&version, &sum); err != nil {
			return err
		}
		out[version] = sum
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading applied migrations: %w", err)
	}
	return out, nil
}
