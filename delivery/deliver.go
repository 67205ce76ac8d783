package delivery

// Deliver: one attempt and its verdict.

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/hookstream/hookstream/delivery/endpoint"
	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

// Deliver makes one attempt of a delivery under a token that Admit gave, and
// uses the token up on every path. It blocks until the exchange is over: at
// most the endpoint's timeout. A context that ends first makes the verdict
// Canceled, unless the answer was already there. It does not change d.
func (c *Courier) Deliver(ctx context.Context, tok any, d *schemas.Delivery) schemas.Outcome {
	start := time.Now()
	t, ok := tok.(*token)
	if !ok {
		t = &token{endpointID: d.EndpointID} // not ours: at least the result counts
	}
	defer c.settle(t, ignored, "", "", time.Time{}) // whatever happens below, a panic too
	target, p, body, out, ok := c.prepare(d, start)
	if ok {
		out = c.attempt(ctx, &target, p, d, body, start)
	}
	r := ignored
	switch {
	case out.Verdict == schemas.Delivered:
		r = succeeded
	case out.Failed:
		r = failed
	}
	c.settle(t, r, d.ID, out.Row.ErrorKind, out.HoldUntil)
	c.metrics.observe(&out)
	listed := p == nil || p.Listed(d.EventType)
	if !listed && d.Attempts == 0 {
		c.metrics.unlisted.WithLabelValues(p.Name()).Inc()
	}
	c.record(ctx, &out, listed)
	return out
}

// prepare finds all that an attempt needs. Not ok: there will be none, and the
// outcome says why.
func (c *Courier) prepare(d *schemas.Delivery, now time.Time) (target endpoint.Target, p *profile.Profile, body []byte, out schemas.Outcome, ok bool) {
	refuse := func(v schemas.Verdict, state schemas.State, kind, words string) schemas.Outcome {
		row := schemas.AttemptOf(d, 0, now)
		row.State, row.ErrorKind, row.Error, row.URL = state, kind, words, target.URL
		return schemas.Outcome{Verdict: v, Row: row}
	}
	target, found := c.cfg.Target(d.EndpointID)
	if !found {
		return target, nil, nil, refuse(schemas.Skipped, schemas.StateSkipped, schemas.SkipDeleted, ""), false
	}
	switch reason := target.Standing.Skip(d.Kind); reason {
	case "":
	case schemas.ReasonDisabled:
		return target, nil, nil, refuse(schemas.Exhausted, schemas.StateError, reason, "The endpoint was disabled"), false
	default:
		return target, nil, nil, refuse(schemas.Skipped, schemas.StateSkipped, reason, ""), false
	}
	name := d.Profile
	if name == "" {
		name = target.Profile
	}
	p, found = c.cfg.Profiles.At(name, d.ProfileVersion)
	if !found {
		return target, nil, nil, refuse(schemas.Rejected, schemas.StateError, schemas.ErrRejected, "The profile "+name+" is not configured here"), false
	}
	body, err := p.Body(d)
	if err == nil {
		err = p.CheckSize(body, target.MaxBody)
	}
	if err == nil && d.Attempts == 0 && c.cfg.CheckType != nil {
		err = c.cfg.CheckType(d) // later attempts go on, whatever the tenant asks by then
	}
	if err != nil {
		return target, nil, nil, refuse(schemas.Rejected, schemas.StateError, schemas.ErrRejected, err.Error()), false
	}
	return target, p, body, out, true
}

// attempt makes the exchange. The timeout covers all of it, the answer's body
// included.
func (c *Courier) attempt(ctx context.Context, t *endpoint.Target, p *profile.Profile, d *schemas.Delivery, body []byte, start time.Time) schemas.Outcome {
	timeout := p.Timeout()
	if t.Timeout > 0 {
		timeout = t.Timeout
	}
	row := schemas.AttemptOf(d, d.Attempts+1, start)
	row.URL, row.Profile = t.URL, p.Name()
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := c.newRequest(limited, t, p, d, body, start)
	if err != nil {
		row.No, row.State, row.ErrorKind, row.Error = 0, schemas.StateError, schemas.ErrRejected, err.Error()
		return schemas.Outcome{Verdict: schemas.Rejected, Row: row}
	}
	resp, err := c.clients.do(req, p.HTTP2())
	if err == nil {
		row.ResponseBody, err = readBody(resp)
	}
	now := time.Now()
	took := now.Sub(start)
	row.DurationMS = took.Milliseconds()
	if err != nil {
		if ctx.Err() != nil {
			return schemas.Outcome{Verdict: schemas.Canceled, Row: row}
		}
		if limited.Err() != nil && !errors.Is(err, context.DeadlineExceeded) {
			err = limited.Err() // the transport reports a cut connection in its own words
		}
		row.ErrorKind, row.Error = kindOfFault(err)
		return c.failure(t, p, d, row, now, 0)
	}
	row.ResponseCode = resp.StatusCode
	if p.Success(resp.StatusCode) {
		row.State, row.Slow = schemas.StateSuccess, p.Slow(took)
		return schemas.Outcome{Verdict: schemas.Delivered, Row: row}
	}
	row.ErrorKind, row.Error = kindOfStatus(resp.StatusCode), textOfStatus(resp.StatusCode)
	if resp.StatusCode == http.StatusGone {
		row.State = schemas.StateError
		return schemas.Outcome{Verdict: schemas.Gone, Row: row, Failed: true}
	}
	return c.failure(t, p, d, row, now, retryAfter(resp, now, c.cfg.RetryAfterCap))
}

// failure says when the next attempt is, or that there is none. hold is how
// long the endpoint asked to be left alone.
func (c *Courier) failure(t *endpoint.Target, p *profile.Profile, d *schemas.Delivery, row schemas.Attempt, now time.Time, hold time.Duration) schemas.Outcome {
	out := schemas.Outcome{Failed: true}
	if hold > 0 {
		out.HoldUntil = ceilMilli(now.Add(hold))
	}
	delay, again := nextDelay(t, p, d.Kind, d.Attempts+1)
	if again {
		out.Verdict, out.RetryAt = schemas.Retry, ceilMilli(now.Add(delay))
		if out.HoldUntil.After(out.RetryAt) {
			out.RetryAt = out.HoldUntil
		}
		row.State, row.NextRetryAt = schemas.StatePending, out.RetryAt.UnixMilli()
	} else {
		out.Verdict, row.State = schemas.Exhausted, schemas.StateError
	}
	out.Row = row
	return out
}

// record writes the one line per attempt. It names the host, not the URL:
// paths and queries of webhook URLs often hold tokens. Listed is whether the
// event's type stands in the profile's catalogue.
func (c *Courier) record(ctx context.Context, out *schemas.Outcome, listed bool) {
	if !c.log.Enabled(ctx, c.cfg.AttemptLevel) {
		return
	}
	r := &out.Row
	host := ""
	if u, err := url.Parse(r.URL); err == nil {
		host = u.Host
	}
	c.log.LogAttrs(ctx, c.cfg.AttemptLevel, "attempt",
		slog.String("verdict", verdictName(out.Verdict)), slog.String("tenant", r.Tenant), slog.String("endpoint", r.EndpointID),
		slog.String("delivery", r.DeliveryID), slog.String("event", r.EventID), slog.String("type", r.EventType), slog.Bool("listed", listed), slog.String("kind", r.Kind),
		slog.Int("attempt", r.No), slog.String("profile", r.Profile), slog.String("host", host), slog.Int("code", r.ResponseCode),
		slog.String("error_kind", r.ErrorKind), slog.String("error", r.Error), slog.Int64("ms", r.DurationMS), slog.Bool("slow", r.Slow),
		slog.Int64("next_retry_at", r.NextRetryAt), slog.String("trace", r.TraceID))
}
