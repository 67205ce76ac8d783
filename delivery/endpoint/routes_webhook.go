package endpoint

// The routes of webhooks.

import (
	"net/http"

	"github.com/hookstream/hookstream/api"
)

func (r *Registry) webhookRoutes() []api.Route {
	const tag = "webhooks"
	return []api.Route{
		{Method: http.MethodPost, Pattern: "/v1/webhooks", Auth: api.Key, Handle: r.handleCreate,
			Doc: api.Doc{Summary: "Create a webhook", Tag: tag, Request: Draft{}, Response: Webhook{}, Status: http.StatusCreated}},
		{Method: http.MethodGet, Pattern: "/v1/webhooks", Auth: api.Key, Handle: r.handleList,
			Doc: api.Doc{Summary: "List webhooks, newest first", Tag: tag, Response: api.Page[Webhook]{},
				Query: append([]api.Param{{Name: "tenant", Doc: "root key only: whose; * for all"}, {Name: "uid", Doc: "the one with this uid"}}, pageParams...)}},
		{Method: http.MethodGet, Pattern: "/v1/webhooks/{id}", Auth: api.Key, Handle: r.handleGet,
			Doc: api.Doc{Summary: "Show a webhook; its id may be given as uid: and the owner's own id, on all routes of a webhook", Tag: tag, Response: Webhook{}}},
		{Method: http.MethodPatch, Pattern: "/v1/webhooks/{id}", Auth: api.Key, Handle: r.handleUpdate,
			Doc: api.Doc{Summary: "Change a webhook; If-Match guards against changes in between", Tag: tag, Request: Patch{}, Response: Webhook{}}},
		{Method: http.MethodDelete, Pattern: "/v1/webhooks/{id}", Auth: api.Key, Handle: r.handleDelete,
			Doc: api.Doc{Summary: "Delete a webhook", Tag: tag, Status: http.StatusNoContent}},
		{Method: http.MethodPost, Pattern: "/v1/webhooks/{id}/rotate-secret", Auth: api.Key, Handle: r.handleRotateSecret,
			Doc: api.Doc{Summary: "Give a webhook a new secret", Tag: tag, Request: RotateRequest{}, Response: Webhook{}}},
		{Method: http.MethodPost, Pattern: "/v1/webhooks/{id}/verify", Auth: api.Key, Handle: r.handleVerify,
			Doc: api.Doc{Summary: "Send the challenge again", Tag: tag, Response: Webhook{}, Status: http.StatusAccepted}},
		{Method: http.MethodPost, Pattern: "/v1/webhooks/test", Auth: api.Key, Handle: r.handleTest,
			Doc: api.Doc{Summary: "Send a test delivery", Tag: tag, Request: TestRequest{}, Response: TestReceipt{}, Status: http.StatusAccepted}},
		{Method: http.MethodPost, Pattern: "/v1/webhooks/{id}/test", Auth: api.Key, Handle: r.handleTest,
			Doc: api.Doc{Summary: "Send a test delivery to this webhook", Tag: tag, Request: TestRequest{}, Response: TestReceipt{}, Status: http.StatusAccepted}},
		r.signatureRoute(),
	}
}

func (r *Registry) handleCreate(w http.ResponseWriter, req *http.Request) error {
	var draft Draft
	if err := api.ReadJSON(req, &draft); err != nil {
		return err
	}
	v, err := r.Create(req.Context(), by(req), draft)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/v1/webhooks/"+v.ID)
	return answer(w, http.StatusCreated, v)
}

func (r *Registry) handleList(w http.ResponseWriter, req *http.Request) error {
	page, err := r.List(by(req), req.URL.Query())
	if err != nil {
		return err
	}
	return api.WriteJSON(w, http.StatusOK, page)
}

func (r *Registry) handleGet(w http.ResponseWriter, req *http.Request) error {
	v, err := r.Get(by(req), req.PathValue("id"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, v)
}

func (r *Registry) handleUpdate(w http.ResponseWriter, req *http.Request) error {
	var patch Patch
	if err := api.ReadJSON(req, &patch); err != nil {
		return err
	}
	v, err := r.Update(req.Context(), by(req), req.PathValue("id"), req.Header.Get("If-Match"), patch)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, v)
}

func (r *Registry) handleDelete(w http.ResponseWriter, req *http.Request) error {
	if err := r.Delete(req.Context(), by(req), req.PathValue("id"), req.Header.Get("If-Match")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (r *Registry) handleRotateSecret(w http.ResponseWriter, req *http.Request) error {
	var body RotateRequest
	if err := optionalJSON(req, &body); err != nil {
		return err
	}
	v, err := r.RotateSecret(req.Context(), by(req), req.PathValue("id"), req.Header.Get("If-Match"), body)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, v)
}

func (r *Registry) handleVerify(w http.ResponseWriter, req *http.Request) error {
	v, err := r.Verify(req.Context(), by(req), req.PathValue("id"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusAccepted, v)
}

// handleTest serves both forms: the id in the path stands over the body's.
func (r *Registry) handleTest(w http.ResponseWriter, req *http.Request) error {
	var body TestRequest
	if err := optionalJSON(req, &body); err != nil {
		return err
	}
	id := req.PathValue("id")
	if body.WebhookID != "" {
		named, err := r.WebhookID(by(req), req.URL.Query().Get("tenant"), body.WebhookID)
		if id != "" && (err != nil || named != r.innerID(id)) {
			return refuse("webhook_id", "differs from the path; leave it out")
		}
		if err != nil {
			return err
		}
		body.WebhookID = named
	}
	if id != "" {
		body.WebhookID = id
	}
	receipt, err := r.Test(req.Context(), by(req), body)
	if err != nil {
		return err
	}
	return api.WriteJSON(w, http.StatusAccepted, receipt)
}
