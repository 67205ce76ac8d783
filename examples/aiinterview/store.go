package main

// The database: SQLite, one file, no server.

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	_ "modernc.org/sqlite" // the driver, without C
)

const ddl = `
CREATE TABLE IF NOT EXISTS webhook_events (
	event      TEXT NOT NULL,
	session_id TEXT NOT NULL,
	payload    TEXT NOT NULL,
	finished   INTEGER NOT NULL DEFAULT 0,
	UNIQUE (event, session_id)
);
CREATE TABLE IF NOT EXISTS interviews (
	session_id        TEXT PRIMARY KEY,
	participant_email TEXT NOT NULL,
	transcript        TEXT NOT NULL,
	duration_minutes  REAL,
	completed_at      TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS feedback (session_id TEXT PRIMARY KEY);`

// stage is how far an event has come.
type stage int

const (
	stageNew      stage = iota
	stageStored         // its rows are there
	stageFinished       // and whoever is to know knows
)

// interview is one row.
type interview struct {
	SessionID        string
	ParticipantEmail string
	Transcript       string   // JSON
	DurationMinutes  *float64 // unknown where nil
	CompletedAt      string
}

type store struct{ db *sql.DB }

func openStore(ctx context.Context, file string) (*store, error) {
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_txlock=immediate")
	if err != nil {
		return nil, fmt.Errorf("opening database %s: %w", file, err)
	}
	if _, err := db.ExecContext(ctx, ddl); err != nil {
		return nil, errors.Join(fmt.Errorf("making the tables in %s: %w", file, err), db.Close())
	}
	return &store{db}, nil
}

func (s *store) Close() error { return s.db.Close() }

func (s *store) stage(ctx context.Context, event, session string) (stage, error) {
	var finished bool
	err := s.db.QueryRowContext(ctx, `SELECT finished FROM webhook_events WHERE event = ? AND session_id = ?`, event, session).Scan(&finished)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return stageNew, nil
	case err != nil:
		return stageNew, fmt.Errorf("looking up %s of session %s: %w", event, session, err)
	case finished:
		return stageFinished, nil
	}
	return stageStored, nil
}

// addInterview writes the event and, if there is one, the interview's row, both
// or none. An event that is there already changes nothing.
func (s *store) addInterview(ctx context.Context, event, session string, payload []byte, row *interview) error {
	return s.once(ctx, event, session, payload, false, func(tx *sql.Tx) error {
		if row == nil {
			return nil
		}
		_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO interviews (session_id, participant_email, transcript, duration_minutes, completed_at) VALUES (?, ?, ?, ?, ?)`,
			row.SessionID, row.ParticipantEmail, row.Transcript, row.DurationMinutes, row.CompletedAt)
		return err
	})
}

// finish notes that nothing is left to do for the event.
func (s *store) finish(ctx context.Context, event, session string) error {
	_, err := s.db.ExecContext(ctx, `UPDATE webhook_events SET finished = 1 WHERE event = ? AND session_id = ?`, event, session)
	if err != nil {
		return fmt.Errorf("finishing %s of session %s: %w", event, session, err)
	}
	return nil
}

var columnName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,62}$`)

// maxColumns bounds what senders can make of the table feedback.
const maxColumns = 100

// addFeedback writes the session with one column for each field; columns that
// the table lacks are added. Objects and lists are kept as JSON.
func (s *store) addFeedback(ctx context.Context, event, session string, payload []byte, fields map[string]json.RawMessage) error {
	return s.once(ctx, event, session, payload, true, func(tx *sql.Tx) error {
		have, err := columns(ctx, tx)
		if err != nil {
			return err
		}
		names, values := []string{"session_id"}, []any{session}
		for name, raw := range fields {
			lower := strings.ToLower(name)
			if !columnName.MatchString(name) || lower == "session_id" {
				return fmt.Errorf("feedback has the field %q, which can be no column", name)
			}
			if !slices.Contains(have, lower) {
				if len(have) >= maxColumns {
					return fmt.Errorf("feedback has the field %q, and the table %d columns already", name, len(have))
				}
				if _, err := tx.ExecContext(ctx, `ALTER TABLE feedback ADD COLUMN "`+lower+`"`); err != nil {
					return fmt.Errorf("adding column %s: %w", lower, err)
				}
				have = append(have, lower)
			}
			value, err := columnValue(raw)
			if err != nil {
				return fmt.Errorf("reading feedback field %s: %w", name, err)
			}
			names, values = append(names, `"`+lower+`"`), append(values, value)
		}
		_, err = tx.ExecContext(ctx, `INSERT OR REPLACE INTO feedback (`+strings.Join(names, ", ")+`) VALUES (?`+strings.Repeat(", ?", len(names)-1)+`)`, values...)
		return err
	})
}

// once writes the event's row and what belongs to it in one transaction, unless
// the row is there.
func (s *store) once(ctx context.Context, event, session string, payload []byte, finished bool, rows func(*sql.Tx) error) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("storing %s of session %s: %w", event, session, err)
		}
	}()
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = tx.Rollback() // the error that counts is err
		}
	}()
	added, err := tx.ExecContext(ctx, `INSERT INTO webhook_events (event, session_id, payload, finished) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`, event, session, string(payload), finished)
	if err != nil {
		return err
	}
	if n, err := added.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, tx.Rollback())
	}
	if err := rows(tx); err != nil {
		return err
	}
	return tx.Commit()
}

func columns(ctx context.Context, tx *sql.Tx) (names []string, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT lower(name) FROM pragma_table_info('feedback')`)
	if err != nil {
		return nil, fmt.Errorf("listing the columns of feedback: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// columnValue is a scalar as the database has it; anything else stays JSON.
func columnValue(raw json.RawMessage) (any, error) {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil, err
	}
	switch v.(type) {
	case nil, string, float64, bool:
		return v, nil
	}
	return string(raw), nil
}
