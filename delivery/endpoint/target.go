package endpoint

// Target is an endpoint as one attempt needs it: unsealed, for a moment.

import (
	"log/slog"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// Standing says whether an endpoint may be sent to.
type Standing uint8

// Standings. What waits for an endpoint is decided by its standing when it
// would fire: Deleted and Inactive skip, Disabled makes a dead letter.
const (
	Active     Standing = iota // gets its events
	Inactive                   // paused by its owner: tests and replays still go out
	Unverified                 // waits for its challenge: tests, replays and challenges still go out
	Disabled                   // by hookstream itself (410, days of failures), until its owner writes it again
	Deleted                    // unknown to the registry
)

// String is the word that the API and the log use.
func (s Standing) String() string {
	switch s {
	case Active:
		return "active"
	case Inactive:
		return "inactive"
	case Unverified:
		return "pending"
	case Disabled:
		return "disabled"
	default:
		return "deleted"
	}
}

// Skip is why an event of a kind gets no delivery to an endpoint of this
// standing; empty when it gets one.
func (s Standing) Skip(kind string) string {
	forced := kind == schemas.KindTest || kind == schemas.KindReplay || kind == schemas.KindChallenge
	switch {
	case s == Deleted:
		return schemas.SkipDeleted
	case s == Disabled:
		return schemas.ReasonDisabled
	case s == Inactive && !forced:
		return schemas.SkipInactive
	case s == Unverified && !forced:
		return schemas.SkipUnverified
	}
	return ""
}

// Target is the unsealed view that one attempt needs. It holds secrets: never
// log it, never keep it beyond the attempt, never change what it points to
// (attempts share it).
type Target struct {
	ID          string
	Tenant      string
	Version     int64 // of the endpoint's row
	Standing    Standing
	URL         string
	Profile     string           // the endpoint's own; a delivery keeps the one it was made with
	Headers     []schemas.Header // custom headers, names in the owner's casing
	Secrets     [][]byte         // the secrets' text as bytes, newest first; a rotated one only until its overlap ends
	Retry       []time.Duration  // waits between attempts; nil: the profile's; empty, not nil: no retry
	Timeout     time.Duration    // of the whole exchange; 0: the profile's
	RateLimit   float64          // requests per second; 0: none
	Concurrency int              // attempts in flight; 0: the default
	Ordered     bool             // one in flight, failures block
	OnExhausted string           // ordered only: "skip" or "halt"
	MaxBody     int              // bytes; 0: the profile's
	Callback    bool             // implicit endpoint of a callback URL
	Fault       string           // why secrets or headers could not be opened (a master key is missing): both are empty then and no attempt may be made
}

// LogValue keeps secrets out of a log that is given a Target by mistake.
func (t Target) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", t.ID), slog.String("tenant", t.Tenant),
		slog.Int64("version", t.Version), slog.String("standing", t.Standing.String()))
}

// String keeps secrets out of a formatted Target.
func (t Target) String() string { return "target " + t.ID }

// GoString keeps secrets out of %#v.
func (t Target) GoString() string { return t.String() }
