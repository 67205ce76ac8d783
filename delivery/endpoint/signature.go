package endpoint

// The signature helper: how a webhook's own secret signs a body, for receivers
// that do not get it right yet. The secret is not in the answer.

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

// SignatureRequest is the body of POST /v1/webhooks/{id}/signature.
type SignatureRequest struct {
	Body      string `json:"body" doc:"the request's body, to the byte, as a JSON string"`
	Timestamp int64  `json:"timestamp,omitempty" doc:"Unix seconds; absent: now"`
	EventID   string `json:"event_id,omitempty" doc:"absent: the body's own, or one that is made up"`
	EventType string `json:"event_type,omitempty" doc:"absent: the body's own"`
}

// SignatureAnswer is how the webhook's secrets sign the body.
type SignatureAnswer struct {
	WebhookID string `json:"webhook_id"`
	profile.Explanation
}

// maxSignatureBody bounds the request: the largest data, each byte escaped.
const maxSignatureBody = 8 << 20

// lastTimestamp keeps Unix seconds apart from milliseconds.
const lastTimestamp = 99_999_999_999

// Signature explains how a body is signed for a webhook. It reads only.
func (r *Registry) Signature(_ context.Context, by api.Principal, id string, req SignatureRequest) (SignatureAnswer, error) {
	var answer SignatureAnswer
	id = r.innerID(id)
	if _, err := r.visible(by, id); err != nil {
		return answer, err
	}
	at, err := req.moment()
	if err != nil {
		return answer, err
	}
	target, ok := r.Target(id)
	if !ok {
		return answer, api.NotFound("webhook", id)
	}
	if target.Fault != "" {
		r.cfg.Log.Error("a webhook's secret cannot be opened", "endpoint", id, "err", target.Fault)
		return answer, api.Fail(http.StatusServiceUnavailable, "secret_unavailable", "", "this node cannot open the webhook's secret; its master key has to be configured")
	}
	p, err := r.profileNamed(target.Profile)
	if err != nil {
		return answer, err
	}
	d := &schemas.Delivery{Tenant: target.Tenant, EndpointID: id, Profile: p.Name(), EventID: req.EventID, EventType: req.EventType}
	ownID, ownType := p.Meta([]byte(req.Body))
	if schemas.CheckEventID(ownID) == nil {
		d.EventID = cmp.Or(d.EventID, ownID)
	}
	if schemas.CheckEventType(ownType) == nil {
		d.EventType = cmp.Or(d.EventType, ownType)
	}
	d.EventID = cmp.Or(d.EventID, randomID(schemas.EventPrefix))
	d.ID = schemas.DeliveryID(d.Tenant, d.EventID, id, "")
	x, err := p.Explain(d, []byte(req.Body), target.Secrets, at)
	var fault *profile.Fault
	switch {
	case errors.As(err, &fault) && fault.Field == "secret":
		return answer, api.Fail(http.StatusConflict, "no_secret", "", "there is no secret that signs for this webhook; make one with rotate-secret, or a key for its tenant")
	case err != nil:
		return answer, faulty(err)
	}
	return SignatureAnswer{WebhookID: id, Explanation: *x}, nil
}

func (req SignatureRequest) moment() (time.Time, error) {
	if req.EventID != "" && schemas.CheckEventID(req.EventID) != nil {
		return time.Time{}, refuse("event_id", "is no event id: it is too long, or has characters beyond printable ASCII")
	}
	if req.EventType != "" && schemas.CheckEventType(req.EventType) != nil {
		return time.Time{}, refuse("event_type", "is no event type")
	}
	switch {
	case req.Timestamp < 0 || req.Timestamp > lastTimestamp:
		return time.Time{}, refuse("timestamp", "is %d; give whole Unix seconds", req.Timestamp)
	case req.Timestamp == 0:
		return time.Now(), nil
	}
	return time.Unix(req.Timestamp, 0), nil
}

func (r *Registry) handleSignature(w http.ResponseWriter, req *http.Request) error {
	var body SignatureRequest
	if err := api.ReadJSON(req, &body); err != nil {
		return err
	}
	v, err := r.Signature(req.Context(), by(req), req.PathValue("id"), body)
	if err != nil {
		return err
	}
	return api.WriteJSON(w, http.StatusOK, v)
}

func (r *Registry) signatureRoute() api.Route {
	return api.Route{Method: http.MethodPost, Pattern: "/v1/webhooks/{id}/signature", Auth: api.Key, Handle: r.handleSignature, MaxBody: maxSignatureBody,
		Doc: api.Doc{Summary: "How this webhook's secret signs a body: signing text and headers", Tag: "webhooks", Request: SignatureRequest{}, Response: SignatureAnswer{}}}
}
