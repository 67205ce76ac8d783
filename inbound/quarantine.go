package inbound

// Quarantine keeps refused requests for review: an excerpt, no secrets, and
// only so many that whoever sends rubbish cannot fill the topic.

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// How many refused requests of a source are kept by a process: a second, and at
// once. A source that is flooded takes no other one's place.
const (
	quarantineRate  = 5
	quarantineBurst = 100
)

// quarantineWait is how long a refused request may wait for room in the writer:
// what was accepted goes first.
const quarantineWait = 50 * time.Millisecond

// maxHeader is how much of a header's value is kept.
const maxHeader = 256

type quarantine struct {
	topology schemas.Topology
	append   func(ctx context.Context, rec schemas.Record, done func(offset int64, err error))
	dropped  atomic.Uint64
	log      *slog.Logger
}

func newQuarantine(t schemas.Topology, append func(context.Context, schemas.Record, func(int64, error)), log *slog.Logger) *quarantine {
	return &quarantine{topology: t, append: append, log: log}
}

// keep writes a request that was answered with a refusal. It waits for no ack.
func (q *quarantine) keep(x *exchange) {
	if !x.gate.kept.Allow() {
		q.dropped.Add(1)
		return
	}
	refused := schemas.Refused{ID: x.in.ID, Source: x.gate.Name, Profile: x.gate.profile.Name(), Tenant: x.gate.Tenant,
		Verdict: string(x.verdict), Reason: x.reason, Received: x.start.UTC(), Remote: x.from.addr.String(), Path: clip(x.req.URL.Path, maxHeader),
		Headers: safeHeaders(x.req.Header, x.gate.profile.Signs)}
	refused.SetBody(x.body)
	rec, err := refused.Record(q.topology)
	if err != nil {
		q.log.Error("a refused request was not quarantined", "id", x.in.ID, "error", err)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.req.Context()), quarantineWait)
	defer cancel()
	id := x.in.ID
	q.append(ctx, rec, func(_ int64, err error) {
		if err != nil {
			q.dropped.Add(1)
			q.log.Warn("a refused request was not quarantined", "id", id, "error", err)
		}
	})
}

// maxHeaders is how many headers of a request are kept.
const maxHeaders = 40

// removed stands in place of a value that may be worth stealing.
const removed = "(removed)"

// safeHeaders are a request's headers without what could be used again: with a
// right signature and its body, anybody could send the request once more.
func safeHeaders(h http.Header, signs func(string) bool) map[string]string {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	out := make(map[string]string, min(len(names), maxHeaders))
	for _, name := range names[:min(len(names), maxHeaders)] {
		value := strings.Join(h[name], ", ")
		if signs(name) || secretive(name) {
			value = removed
		}
		out[clip(name, maxHeader)] = strings.ToValidUTF8(clip(value, maxHeader), "?")
	}
	return out
}

func secretive(name string) bool {
	name = strings.ToLower(name)
	for _, part := range []string{"auth", "cookie", "token", "secret", "signature", "key", "password", "session"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}
