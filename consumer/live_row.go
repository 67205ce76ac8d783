package consumer

// What a watcher asks for and what it gets: an attempt as a row of the log.

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/schemas"
)

// LiveRow is one attempt, in the form of the log's rows; attempts is its
// number, 0 for a delivery that was spared the attempt.
type LiveRow struct {
	ID            string        `json:"id"`
	EventID       string        `json:"event_id"`
	EventType     string        `json:"event_type"`
	WebhookID     string        `json:"webhook_id"`
	Tenant        string        `json:"tenant"`
	URL           string        `json:"url"`
	Status        schemas.State `json:"status"` // of the delivery, after this attempt
	Attempts      int           `json:"attempts"`
	ResponseCode  *int          `json:"response_code"`
	ErrorKind     string        `json:"error_kind"`
	Error         string        `json:"error"`
	ResponseBody  string        `json:"response_body"`
	DurationMS    int64         `json:"duration_ms"`
	CreatedAt     time.Time     `json:"created_at"`
	LastAttemptAt *time.Time    `json:"last_attempt_at"`
	NextRetryAt   *time.Time    `json:"next_retry_at"`
	Kind          string        `json:"kind"`
	ReplayOf      string        `json:"replay_of"`
	Profile       string        `json:"profile"`
	Slow          bool          `json:"slow"`
}

// liveRow is an attempt as one line of JSON.
func liveRow(a *schemas.Attempt) []byte {
	r := LiveRow{ID: a.DeliveryID, EventID: a.EventID, EventType: a.EventType, WebhookID: a.EndpointID, Tenant: a.Tenant, URL: a.URL,
		Status: a.State, Attempts: a.No, ErrorKind: a.ErrorKind, Error: a.Error, ResponseBody: a.ResponseBody, DurationMS: a.DurationMS,
		CreatedAt: time.UnixMilli(a.CreatedAt).UTC(), NextRetryAt: moment(a.NextRetryAt), Kind: a.Kind, ReplayOf: a.ReplayOf, Profile: a.Profile, Slow: a.Slow}
	if a.ResponseCode != 0 {
		r.ResponseCode = &a.ResponseCode
	}
	if a.No > 0 {
		r.LastAttemptAt = moment(a.AttemptedAt)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(r) != nil {
		return nil // a struct of text and numbers can always be encoded
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// moment is nil for 0, which stands for no time.
func moment(ms int64) *time.Time {
	if ms == 0 {
		return nil
	}
	t := time.UnixMilli(ms).UTC()
	return &t
}

// liveFilter is what a watcher asked for; empty fields do not filter.
type liveFilter struct {
	tenant    string
	webhook   string
	eventType string // exact, resume.* or *
	status    schemas.State
}

func (f liveFilter) passes(a *schemas.Attempt) bool {
	return (f.tenant == "" || f.tenant == a.Tenant) && (f.webhook == "" || f.webhook == a.EndpointID) &&
		(f.status == "" || f.status == a.State) && (f.eventType == "" || schemas.MatchType(f.eventType, a.EventType))
}

// filter reads a request's parameters. A key sees its own tenant only; a
// foreign webhook looks like one that does not exist.
func (l *Live) filter(p api.Principal, v url.Values) (liveFilter, error) {
	f := liveFilter{tenant: p.Tenant, eventType: v.Get("event_type"), status: schemas.State(v.Get("status"))}
	bad := func(field, detail string, args ...any) (liveFilter, error) {
		return liveFilter{}, api.Fail(http.StatusBadRequest, "bad_parameter", field, detail, args...)
	}
	for name := range v {
		if !slices.Contains([]string{"api_key", "tenant", "webhook_id", "event_type", "status"}, name) {
			return bad(name, "there is no such parameter here; use tenant, webhook_id, event_type, status")
		}
	}
	switch f.status {
	case "", schemas.StatePending, schemas.StateSuccess, schemas.StateError, schemas.StateSkipped:
	default:
		return bad("status", "is %q; use pending, success, error or skipped", string(f.status))
	}
	if named := v.Get("tenant"); p.Root {
		f.tenant = named
	} else if named != "" && named != p.Tenant {
		return liveFilter{}, api.Fail(http.StatusForbidden, "foreign_tenant", "tenant", "this key belongs to another tenant; leave tenant out, or use the root key")
	}
	if id := v.Get("webhook_id"); id != "" {
		f.webhook = schemas.InnerID(id, schemas.WebhookPrefix, "webhook_")
		if l.cfg.WebhookID != nil {
			var err error
			if f.webhook, err = l.cfg.WebhookID(p, f.tenant, id); err != nil {
				return liveFilter{}, err
			}
		}
		if owner, ok := l.cfg.Owner(f.webhook); !ok || f.tenant != "" && owner != f.tenant {
			return liveFilter{}, api.NotFound("webhook", id)
		}
	}
	return f, nil
}
