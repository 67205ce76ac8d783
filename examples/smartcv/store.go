package main

// The database: SQLite, one file, no server.

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	_ "modernc.org/sqlite" // the driver, without C
)

const ddl = `
CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS resumes (
	id TEXT PRIMARY KEY, title TEXT NOT NULL, status TEXT NOT NULL, user_id TEXT NOT NULL, template_id TEXT NOT NULL,
	created_at TEXT NOT NULL, updated_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS analyses (
	resume_id TEXT PRIMARY KEY, overall_score REAL NOT NULL, keyword_match_score REAL NOT NULL, format_score REAL NOT NULL,
	content_score REAL NOT NULL, suggestions_count INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS permissions (user_id TEXT PRIMARY KEY, plan TEXT NOT NULL, changed_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS outbox (
	event TEXT NOT NULL, kind TEXT NOT NULL, recipient TEXT NOT NULL, message TEXT NOT NULL, sent INTEGER NOT NULL DEFAULT 0,
	UNIQUE (event, kind)
);`

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

// writes are those of one event.
type writes struct {
	tx    *sql.Tx
	event string
}

// once runs do in a transaction, unless the event is there already.
func (s *store) once(ctx context.Context, event string, do func(*writes) error) (err error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = tx.Rollback() // the error that counts is err
		}
	}()
	added, err := tx.ExecContext(ctx, `INSERT INTO events (id) VALUES (?) ON CONFLICT DO NOTHING`, event)
	if err != nil {
		return err
	}
	n, err := added.RowsAffected()
	if err != nil {
		return err
	}
	if n == 1 {
		if err := do(&writes{tx, event}); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// resume writes a resume, unless a later state of it is there: events of one
// resume may come in any order.
func (w *writes) resume(ctx context.Context, r *resume) error {
	at := r.UpdatedAt
	if at == "" {
		at = r.CreatedAt
	}
	_, err := w.tx.ExecContext(ctx, `INSERT INTO resumes (id, title, status, user_id, template_id, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET title = excluded.title, status = excluded.status, user_id = excluded.user_id,
			template_id = excluded.template_id, updated_at = excluded.updated_at WHERE excluded.updated_at >= updated_at`,
		r.ID, r.Title, r.Status, r.UserID, r.TemplateID, r.CreatedAt, at)
	return err
}

func (w *writes) analysis(ctx context.Context, a *analysis) error {
	_, err := w.tx.ExecContext(ctx, `INSERT OR REPLACE INTO analyses (resume_id, overall_score, keyword_match_score, format_score, content_score, suggestions_count) VALUES (?, ?, ?, ?, ?, ?)`,
		a.ResumeID, a.Overall, a.KeywordMatch, a.Format, a.Content, a.Suggestions)
	return err
}

// plan writes what a user may do, unless a later change is there.
func (w *writes) plan(ctx context.Context, u *user, s *subscription) error {
	_, err := w.tx.ExecContext(ctx, `INSERT INTO permissions (user_id, plan, changed_at) VALUES (?, ?, ?)
		ON CONFLICT (user_id) DO UPDATE SET plan = excluded.plan, changed_at = excluded.changed_at WHERE excluded.changed_at >= changed_at`,
		u.ID, s.Current, s.ChangedAt)
	return err
}

// owner is a resume's user, or the resume itself while that is unknown.
func (w *writes) owner(ctx context.Context, resume string) (string, error) {
	var id string
	err := w.tx.QueryRowContext(ctx, `SELECT user_id FROM resumes WHERE id = ?`, resume).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return "the owner of " + resume, nil
	}
	return id, err
}

func (w *writes) notice(ctx context.Context, n notice) error {
	_, err := w.tx.ExecContext(ctx, `INSERT INTO outbox (event, kind, recipient, message) VALUES (?, ?, ?, ?)`, w.event, n.Kind, n.To, n.Message)
	return err
}

// tell sends what an event has in the outbox and was not sent.
func (s *store) tell(ctx context.Context, event string, send func(context.Context, notice) error) error {
	rows, err := s.db.QueryContext(ctx, `SELECT kind, recipient, message FROM outbox WHERE event = ? AND sent = 0`, event)
	if err != nil {
		return fmt.Errorf("reading the outbox: %w", err)
	}
	defer rows.Close()
	var open []notice
	for rows.Next() {
		var n notice
		if err := rows.Scan(&n.Kind, &n.To, &n.Message); err != nil {
			return fmt.Errorf("reading the outbox: %w", err)
		}
		open = append(open, n)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("reading the outbox: %w", err)
	}
	for _, n := range open {
		if err := send(ctx, n); err != nil {
			return fmt.Errorf("sending %s of event %s: %w", n.Kind, event, err)
		}
		if _, err := s.db.ExecContext(ctx, `UPDATE outbox SET sent = 1 WHERE event = ? AND kind = ?`, event, n.Kind); err != nil {
			return fmt.Errorf("noting that %s of event %s was sent: %w", n.Kind, event, err)
		}
	}
	return nil
}
