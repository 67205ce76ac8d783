package delivery

// Challenge: the request that makes sure that who registered a URL answers at
// it.

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// Verification is what a challenge found. Row goes to the attempts topic when
// a request was made (Row.No is 1).
type Verification struct {
	Verified bool
	Canceled bool   // cut off by our own shutdown: nothing was found out
	Reason   string // why not verified, for the endpoint's owner
	Version  int64  // of the endpoint's row that was challenged: a newer one is not verified by this
	Row      schemas.Attempt
}

// Challenge sends an endpoint its profile's challenge, signed, once, and
// judges the answer. A profile without one verifies at once. An open breaker
// or a rate limit is not passed by: the reason then says when to try again.
func (c *Courier) Challenge(ctx context.Context, endpointID string) Verification {
	target, ok := c.cfg.Target(endpointID)
	if !ok {
		return Verification{Reason: "The endpoint was deleted"}
	}
	v := Verification{Version: target.Version}
	p, ok := c.cfg.Profiles.Get(target.Profile)
	if !ok {
		v.Reason = "The profile " + target.Profile + " is not configured here"
		return v
	}
	if !p.Challenged() {
		v.Verified = true
		return v
	}
	start := time.Now()
	a := c.Admit(endpointID, schemas.KindChallenge, start)
	switch a.Kind {
	case schemas.Go:
	case schemas.Inactive:
		v.Reason = "The endpoint is " + a.Reason
		return v
	default:
		v.Reason = fmt.Sprintf("The endpoint takes no requests before %s", a.Until.UTC().Format(time.RFC3339))
		return v
	}
	t, _ := a.Token.(*token)
	defer c.settle(t, ignored, "", "", time.Time{})
	value, d := newChallenge(target.Tenant, endpointID, p.ChallengeType(), start)
	d.Profile, d.ProfileVersion = p.Name(), p.Version()
	out := c.attempt(ctx, &target, p, &d, p.ChallengeBody(value), start)
	r := ignored
	switch {
	case out.Verdict == schemas.Canceled:
		v.Canceled = true
	case out.Verdict != schemas.Delivered:
		v.Reason = out.Row.Error
		if out.Failed {
			r = failed
		}
	default:
		v.Reason, r = p.ChallengeFault([]byte(out.Row.ResponseBody), value), succeeded
		if v.Verified = v.Reason == ""; !v.Verified {
			// The endpoint answers well enough for its breaker, but not the question.
			out.Row.State, out.Row.ErrorKind, out.Row.Error = schemas.StateError, errHTTPOther, v.Reason
		}
	}
	c.settle(t, r, d.ID, out.Row.ErrorKind, out.HoldUntil)
	c.metrics.observe(&out)
	c.record(ctx, &out, true)
	v.Row = out.Row
	return v
}

// newChallenge makes a value that is never used twice, and a delivery to send
// it under.
func newChallenge(tenant, endpointID, eventType string, now time.Time) (string, schemas.Delivery) {
	var random [48]byte
	_, _ = rand.Read(random[:]) // never fails: it ends the process instead
	eventID := schemas.NewID(schemas.EventPrefix, [16]byte(random[16:32]))
	return hex.EncodeToString(random[:16]), schemas.Delivery{
		ID: schemas.NewID(schemas.DeliveryPrefix, [16]byte(random[32:48])), EventID: eventID, EventType: eventType, Tenant: tenant,
		EndpointID: endpointID, Kind: schemas.KindChallenge, EventTime: now, CreatedAt: now.Truncate(time.Millisecond),
	}
}
