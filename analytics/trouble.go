package analytics

// What an error of ClickHouse means for whoever waits for it.

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// Error codes of the server that a deployment has to cure: the schema and this
// build do not fit, or the account may not do it.
var deployCodes = map[int32]string{
	16: "a column is missing", 47: "a column is missing", 53: "a column has another type", 60: "a table is missing",
	62: "the server does not understand the statement", 81: "the database is missing", 497: "the account lacks a grant",
	516: "user or password is wrong",
}

// serverCode is the exception code that the server answered; 0 when the error
// is none of its answers.
func serverCode(err error) int32 {
	var ex *clickhouse.Exception
	if errors.As(err, &ex) {
		return ex.Code
	}
	return 0
}

// queryError is an error of reading from ClickHouse, as opposed to one of a
// seam.
type queryError struct{ cause error }

func (e *queryError) Error() string { return e.cause.Error() }
func (e *queryError) Unwrap() error { return e.cause }

// fromClickHouse says whether reading from ClickHouse failed.
func fromClickHouse(err error) bool {
	var q *queryError
	return errors.As(err, &q)
}

// unreachable says whether trying again later can help: network errors,
// timeouts and an overloaded server, but no refusal.
func unreachable(err error) bool {
	var schema *SchemaError
	if errors.As(err, &schema) || errors.Is(err, context.Canceled) {
		return false
	}
	switch serverCode(err) {
	case 0, 159, 202, 209, 210, 236, 241, 242, 243, 252, 319, 999:
		return true
	}
	return false
}

// Pauses between two tries of something that has to succeed in the end.
const (
	firstPause  = 500 * time.Millisecond
	longPause   = 15 * time.Second
	pauseFactor = 2
)

// backoff paces the tries of one piece of work.
type backoff struct{ next time.Duration }

func newBackoff() *backoff { return &backoff{next: firstPause} }

// sleep waits for the next try and is false when ctx or quit ended first. What
// only a deployment can cure waits longest from the start.
func (b *backoff) sleep(ctx context.Context, quit <-chan struct{}, err error) bool {
	pause := b.next
	if _, deploy := deployCodes[serverCode(err)]; deploy {
		pause = longPause
	}
	b.next = min(b.next*pauseFactor, longPause)
	timer := time.NewTimer(pause - time.Duration(rand.Int64N(int64(pause)/4+1)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-quit:
		return false
	case <-ctx.Done():
		return false
	}
}
