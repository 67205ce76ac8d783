package consumer

// The row of an attempt, completed and bounded.

import (
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// Bounds of what an attempt's row may hold, in bytes, so that it can always be
// produced.
const (
	maxErrorText = 1 << 10
	maxURLText   = 2 << 10
)

// row completes what the courier gave: the delivery's identity, the state that
// the dispatcher decided, and the due time that it wrote.
func (s *slot) row(j *job, row schemas.Attempt, no int, state schemas.State, due time.Time) schemas.Attempt {
	at := row.AttemptedAt
	if at == 0 {
		at = time.Now().UnixMilli()
	}
	base := schemas.AttemptOf(&j.d, no, time.UnixMilli(at))
	row.Tenant, row.EndpointID, row.DeliveryID, row.EventID, row.EventType = base.Tenant, base.EndpointID, base.DeliveryID, base.EventID, base.EventType
	row.No, row.AttemptedAt, row.CreatedAt, row.Source, row.Kind, row.ReplayOf = no, at, base.CreatedAt, base.Source, base.Kind, base.ReplayOf
	if row.Profile == "" {
		row.Profile = base.Profile
	}
	if row.TraceID == "" {
		row.TraceID = base.TraceID
	}
	row.State, row.NextRetryAt = state, 0
	if !due.IsZero() {
		row.NextRetryAt = due.UnixMilli()
	}
	row.ResponseBody, row.Error, row.URL = schemas.Shorten(row.ResponseBody, schemas.MaxResponseExcerpt), schemas.Shorten(row.Error, maxErrorText), schemas.Shorten(row.URL, maxURLText)
	return row
}
