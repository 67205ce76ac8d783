package schemas

// Outcome is what an attempt means, and Admission whether one may start: the
// data that the dispatcher acts on. Errors are for people; these are not errors.

import "time"

// Verdict is what follows from an attempt.
type Verdict uint8

// Verdicts.
const (
	Delivered Verdict = iota // the receiver took it
	Retry                    // try again at Outcome.RetryAt
	Exhausted                // the schedule is used up: dead letter
	Rejected                 // can never be delivered (profile rules, size): dead letter
	Gone                     // 410: dead letter, and the endpoint is to be disabled
	Skipped                  // the endpoint is gone or inactive: nothing was sent
	Canceled                 // our own shutdown or a lost partition cut it off: nothing is recorded, it will be read again
)

// Outcome is one attempt's result. Row is complete but for what only the
// dispatcher knows: a Retry may be moved to a later time by a blocked lane.
type Outcome struct {
	Verdict   Verdict
	Row       Attempt
	RetryAt   time.Time // with Retry: not before
	HoldUntil time.Time // Retry-After of a 429 or 503: the whole lane waits until then; zero otherwise
	Failed    bool      // counts as a failure of the endpoint (breaker)
}

// AdmissionKind says whether an attempt may start now.
type AdmissionKind uint8

// Kinds of admission.
const (
	Go        AdmissionKind = iota // attempt now; exactly one Deliver or Release of the token must follow, or a probe stays half-open for ever
	NotBefore                      // rate limit or Retry-After: ask again at Until
	Open                           // the breaker is open: ask again at Until; nothing may touch the network before
	Inactive                       // deleted, inactive, disabled: no attempt, Reason is the error kind
)

// Admission answers "may this endpoint be called now?".
type Admission struct {
	Kind   AdmissionKind
	Probe  bool      // with Go: this attempt is the half-open breaker's probe
	Until  time.Time // with NotBefore and Open
	Reason string    // with Inactive: SkipDeleted, SkipInactive, or "disabled" for a dead letter
	Token  any       // with Go: goes back to Deliver, or to Release when no attempt follows
}

// ReasonDisabled marks an endpoint that hookstream itself disabled (410, five
// days of failures): what waits for it becomes a dead letter, re-drivable,
// while an endpoint set inactive by its owner skips.
const ReasonDisabled = "disabled"

// BreakerState is a breaker as a lane row keeps it over a restart. The zero
// value is a closed breaker.
type BreakerState struct {
	Open      bool      `json:"open,omitempty"`
	OpenUntil time.Time `json:"until"`       // the next probe may start then
	Cooldowns int       `json:"n,omitempty"` // cool-downs in a row, for their growth
	Reason    string    `json:"reason,omitempty"`
	Failures  int       `json:"failures,omitempty"`
	Since     time.Time `json:"since"`
}
