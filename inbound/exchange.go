package inbound

// exchange is one request to a source, from the connection to its log line.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

// exchange ends exactly once: the last call of end counts.
type exchange struct {
	r     *Receiver
	gate  *gate
	req   *http.Request
	start time.Time
	from  origin

	body     []byte
	verified bool
	in       schemas.Inbound // filled as far as the request came
	claimed  string          // what a header says of the type and the signed body does not

	verdict profile.Case
	reason  string
	answer  profile.Answer
}

// end decides what is answered.
func (x *exchange) end(c profile.Case, reason string) {
	x.verdict, x.reason, x.answer = c, reason, x.gate.answers.Of(c)
}

// run takes the request as far as it gets.
func (x *exchange) run(w http.ResponseWriter) {
	g := x.gate
	x.in = schemas.Inbound{ID: newInboundID(), Source: g.Name, Profile: g.profile.Name(), Tenant: g.Tenant, Received: x.start,
		ContentType: clip(x.req.Header.Get("Content-Type"), 256)}
	if trace := x.req.Header.Get("Traceparent"); len(trace) <= 256 {
		x.in.Trace = trace
	}
	switch {
	case x.req.Method != http.MethodPost:
		x.end(profile.CaseMethod, "method "+clip(x.req.Method, 32))
		return
	case len(g.Allow) > 0 && !within(g.Allow, x.from.addr):
		x.end(profile.CaseForbidden, "the address is not among those that may send")
		return
	case g.HTTPS && !x.from.secure:
		x.end(profile.CaseInsecure, "it did not come by https")
		return
	case g.limiter != nil && !g.limiter.Allow():
		x.end(profile.CaseLimited, "more requests than the source's rate")
		return
	}
	if !x.read(w) || !x.verify() {
		return
	}
	x.take()
}

// read gets the body whole, as the bytes that were sent.
func (x *exchange) read(w http.ResponseWriter) bool {
	limit := x.r.cfg.MaxBody
	if x.req.ContentLength > limit {
		x.end(profile.CaseTooLarge, fmt.Sprintf("%d bytes announced; the limit is %d", x.req.ContentLength, limit))
		return false
	}
	control := http.NewResponseController(w)
	deadlines := control.SetReadDeadline(time.Now().Add(x.r.cfg.Body)) == nil // tests have a writer without them
	var err error
	x.body, err = io.ReadAll(http.MaxBytesReader(w, x.req.Body, limit))
	if deadlines && err == nil {
		_ = control.SetReadDeadline(time.Time{}) // or it would cancel the request while Kafka works
	}
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		x.end(profile.CaseTooLarge, fmt.Sprintf("more than %d bytes", limit))
	case err != nil:
		x.end(profile.CaseBadPayload, fmt.Errorf("%w: %w", errShort, err).Error())
	}
	return err == nil
}

// verify looks at the signature before anything of the body is believed.
func (x *exchange) verify() bool {
	err := x.gate.profile.Verify(x.req.Header.Get, x.body, x.gate.secrets, x.start)
	var refusal *profile.Refusal
	switch {
	case err == nil:
		x.verified = true
		return true
	case errors.As(err, &refusal):
		x.end(refusal.Case, refusal.Reason)
	default:
		x.end(profile.CaseFailed, err.Error())
	}
	return false
}

// take lands what is rightly signed.
func (x *exchange) take() {
	p := x.gate.profile
	if reply, ok := p.ChallengeReply(x.body); ok {
		x.in.Type = p.ChallengeType()
		x.end(profile.CaseAccepted, "challenge answered")
		x.answer = profile.Answer{Status: http.StatusOK, ContentType: "application/json", Body: string(reply)}
		return
	}
	got, err := p.Read(x.req.Header.Get, x.body)
	x.in.Type, x.in.Unlisted, x.claimed = got.Type, got.Unlisted, got.Claimed
	var refusal *profile.Refusal
	if errors.As(err, &refusal) {
		x.end(refusal.Case, refusal.Reason)
		return
	}
	key, ok := p.DedupeKey(x.req.Header.Get, x.body)
	if !ok {
		x.end(profile.CaseBadPayload, "a field that makes the dedupe key is missing")
		return
	}
	x.in.Key, x.in.Body = shortKey(key), x.body
	x.end(x.r.land(x.req.Context(), &x.in))
}

// record counts, logs and quarantines what has been answered.
func (x *exchange) record() {
	level, status := slog.LevelInfo, "success"
	switch x.verdict {
	case profile.CaseAccepted, profile.CaseDuplicate:
	case profile.CaseFailed:
		level, status = slog.LevelError, "failure"
	default:
		level, status = slog.LevelWarn, "failure"
	}
	if x.claimed != "" && level < slog.LevelWarn {
		level = slog.LevelWarn
	}
	claims := x.glance()
	p := x.gate.profile
	event := "other"
	if p.Listed(x.in.Type) || p.Challenged() && x.in.Type == p.ChallengeType() {
		event = x.in.Type
	}
	took := time.Since(x.start)
	x.r.metrics.count(x.gate.Name, event, status, x.verdict, took)
	attrs := []slog.Attr{slog.String("source", x.gate.Name), slog.String("profile", p.Name()), slog.String("verdict", string(x.verdict)),
		slog.String("id", x.in.ID), slog.String("event", clip(x.in.Type, 128))}
	for _, f := range claims {
		if f.Value != x.in.Type {
			attrs = append(attrs, slog.String(f.Name, clip(f.Value, 128)))
		}
	}
	if x.in.Unlisted {
		attrs = append(attrs, slog.Bool("unlisted", true))
	}
	if x.claimed != "" {
		attrs = append(attrs, slog.String("header_claims", clip(x.claimed, 128)))
	}
	if x.reason != "" {
		attrs = append(attrs, slog.String("reason", x.reason))
	}
	attrs = append(attrs, slog.Bool("verified", x.verified), slog.Int("status", x.answer.Status), slog.Int("bytes", len(x.body)),
		slog.Float64("ms", float64(took.Microseconds())/1000), slog.String("remote", x.from.addr.String()))
	x.r.log.LogAttrs(context.WithoutCancel(x.req.Context()), level, "webhook received", attrs...)
	switch x.verdict {
	case profile.CaseUnsigned, profile.CaseBadSignature, profile.CaseStale, profile.CaseBadPayload:
		x.r.quarantine.keep(x)
	}
}

// glanceLimit bounds what is parsed of a body that nobody vouches for, in bytes.
const glanceLimit = 64 << 10

// glance is what the request says of its event, for the log: also where the
// signature was wrong, so that its sender can be helped.
func (x *exchange) glance() []profile.KeyField {
	if len(x.body) == 0 || !x.verified && len(x.body) > glanceLimit {
		return nil
	}
	if x.in.Type == "" {
		x.in.Type = x.gate.profile.TypeOf(x.req.Header.Get, x.body)
	}
	return x.gate.profile.KeyFields(x.req.Header.Get, x.body)
}

func clip(s string, n int) string { return s[:min(len(s), n)] }
