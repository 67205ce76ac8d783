package analytics

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestConfigNamesWhatIsWrong(t *testing.T) {
	for dsn, want := range map[string]string{"": "empty", "localhost:9000": "scheme", "kafka://x": "scheme"} {
		cfg := DefaultConfig()
		cfg.DSN = dsn
		if _, err := Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", dsn, err)
		}
	}
}

func TestOpenWaitsForNobody(t *testing.T) {
	for _, dsn := range []string{"clickhouse://127.0.0.1:1", "http://127.0.0.1:1"} {
		cfg := DefaultConfig()
		cfg.DSN = dsn
		s, err := Open(t.Context(), cfg)
		if err != nil {
			t.Fatalf("%s: %v", dsn, err)
		}
		if err := s.Ready(t.Context()); err == nil || !unreachable(err) {
			t.Errorf("%s: ready says %v", dsn, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if err := s.Migrate(ctx); err == nil {
			t.Errorf("%s: migrated without a server", dsn)
		}
		cancel()
		_ = s.Close()
	}
}

func TestMigrations(t *testing.T) {
	h := startHouse(t)
	s := h.store(t)
	if err := s.Ready(t.Context()); err != nil {
		t.Fatalf("not ready after the migration: %v", err)
	}
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatalf("migrating again: %v", err)
	}
	if n := count(t, s, "SELECT count() FROM hookstream.schema_migrations"); int(n) != len(s.migrations) {
		t.Errorf("%d migrations are recorded, not %d", n, len(s.migrations))
	}
	for _, view := range []string{"deliveries", "endpoint_1h", "type_1h", "error_1h", "breaker_now", "conservation", "audit", "events", "attempts", "breaker_events"} {
		count(t, s, "SELECT count() FROM hookstream."+view)
	}
	// A newer build's migration that is not applied, and a changed one.
	newer := Store{cfg: s.cfg, conn: s.conn, log: s.log, migrations: s.migrations}
	newer.migrations = append(newer.migrations[:len(newer.migrations):len(newer.migrations)], newer.migrations[0])
	newer.migrations[len(newer.migrations)-1].Version = 999
	var schema *SchemaError
	if err := newer.checkSchema(t.Context()); !errors.As(err, &schema) || schema.Version != 999 {
		t.Errorf("a missing migration: %v", err)
	}
	changed := Store{cfg: s.cfg, conn: s.conn, log: s.log}
	changed.migrations = append(changed.migrations[:0:0], s.migrations...)
	changed.migrations[0].Checksum = strings.Repeat("0", 64)
	if err := changed.Migrate(t.Context()); !errors.As(err, &schema) || schema.Version != 1 {
		t.Errorf("a changed migration: %v", err)
	}
}
