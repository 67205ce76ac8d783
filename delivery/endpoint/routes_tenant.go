package endpoint

// The routes of tenants and their keys.

import (
	"net/http"

	"github.com/hookstream/hookstream/api"
)

func (r *Registry) tenantRoutes() []api.Route {
	const tag = "tenants"
	return []api.Route{
		{Method: http.MethodPost, Pattern: "/v1/tenants", Auth: api.Root, Handle: r.handleCreateTenant,
			Doc: api.Doc{Summary: "Create a tenant", Tag: tag, Request: TenantDraft{}, Response: TenantView{}, Status: http.StatusCreated}},
		{Method: http.MethodGet, Pattern: "/v1/tenants", Auth: api.Root, Handle: r.handleTenants,
			Doc: api.Doc{Summary: "List tenants", Tag: tag, Response: api.Page[TenantView]{}, Query: pageParams}},
		{Method: http.MethodGet, Pattern: "/v1/tenants/{id}", Auth: api.Root, Handle: r.handleTenant,
			Doc: api.Doc{Summary: "Show a tenant", Tag: tag, Response: TenantView{}}},
		{Method: http.MethodPatch, Pattern: "/v1/tenants/{id}", Auth: api.Root, Handle: r.handlePatchTenant,
			Doc: api.Doc{Summary: "Change a tenant; If-Match guards against changes in between", Tag: tag, Request: TenantPatch{}, Response: TenantView{}}},
		{Method: http.MethodDelete, Pattern: "/v1/tenants/{id}", Auth: api.Root, Handle: r.handleDeleteTenant,
			Doc: api.Doc{Summary: "Delete a tenant with its webhooks and keys", Tag: tag, Status: http.StatusNoContent}},
		{Method: http.MethodPost, Pattern: "/v1/tenants/{id}/keys", Auth: api.Root, Handle: r.handleAddKey,
			Doc: api.Doc{Summary: "Make an API key", Tag: tag, Request: KeyDraft{}, Response: KeyMade{}, Status: http.StatusCreated}},
		{Method: http.MethodGet, Pattern: "/v1/tenants/{id}/keys", Auth: api.Root, Handle: r.handleKeys,
			Doc: api.Doc{Summary: "List API keys, masked", Tag: tag, Response: api.Page[KeyView]{}}},
		{Method: http.MethodPatch, Pattern: "/v1/tenants/{id}/keys/{key}", Auth: api.Root, Handle: r.handlePatchKey,
			Doc: api.Doc{Summary: "Change an API key's name or rate limit", Tag: tag, Request: KeyPatch{}, Response: KeyView{}}},
		{Method: http.MethodDelete, Pattern: "/v1/tenants/{id}/keys/{key}", Auth: api.Root, Handle: r.handleDeleteKey,
			Doc: api.Doc{Summary: "Delete an API key", Tag: tag, Status: http.StatusNoContent}},
		{Method: http.MethodPost, Pattern: "/v1/tenants/{id}/rotate", Auth: api.Root, Handle: r.handleRotateTenant,
			Doc: api.Doc{Summary: "Make a new API Secret and key", Tag: tag, Request: RotateRequest{}, Response: KeyMade{}}},
	}
}

func (r *Registry) handleCreateTenant(w http.ResponseWriter, req *http.Request) error {
	var draft TenantDraft
	if err := api.ReadJSON(req, &draft); err != nil {
		return err
	}
	v, err := r.CreateTenant(req.Context(), by(req), draft)
	if err != nil {
		return err
	}
	return api.WriteJSON(w, http.StatusCreated, v)
}

func (r *Registry) handleTenants(w http.ResponseWriter, req *http.Request) error {
	page, err := r.Tenants(req.URL.Query())
	if err != nil {
		return err
	}
	return api.WriteJSON(w, http.StatusOK, page)
}

func (r *Registry) handleTenant(w http.ResponseWriter, req *http.Request) error {
	v, err := r.Tenant(req.PathValue("id"))
	if err != nil {
		return err
	}
	setETag(w, v.Version)
	return api.WriteJSON(w, http.StatusOK, v)
}

func (r *Registry) handlePatchTenant(w http.ResponseWriter, req *http.Request) error {
	var patch TenantPatch
	if err := api.ReadJSON(req, &patch); err != nil {
		return err
	}
	v, err := r.PatchTenant(req.Context(), by(req), req.PathValue("id"), req.Header.Get("If-Match"), patch)
	if err != nil {
		return err
	}
	setETag(w, v.Version)
	return api.WriteJSON(w, http.StatusOK, v)
}

func (r *Registry) handleDeleteTenant(w http.ResponseWriter, req *http.Request) error {
	if err := r.DeleteTenant(req.Context(), by(req), req.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (r *Registry) handleAddKey(w http.ResponseWriter, req *http.Request) error {
	var draft KeyDraft
	if err := optionalJSON(req, &draft); err != nil {
		return err
	}
	made, err := r.AddKey(req.Context(), by(req), req.PathValue("id"), draft)
	if err != nil {
		return err
	}
	return api.WriteJSON(w, http.StatusCreated, made)
}

func (r *Registry) handleKeys(w http.ResponseWriter, req *http.Request) error {
	page, err := r.Keys(req.PathValue("id"))
	if err != nil {
		return err
	}
	return api.WriteJSON(w, http.StatusOK, page)
}

func (r *Registry) handlePatchKey(w http.ResponseWriter, req *http.Request) error {
	var patch KeyPatch
	if err := api.ReadJSON(req, &patch); err != nil {
		return err
	}
	v, err := r.PatchKey(req.Context(), by(req), req.PathValue("id"), req.PathValue("key"), patch)
	if err != nil {
		return err
	}
	return api.WriteJSON(w, http.StatusOK, v)
}

func (r *Registry) handleDeleteKey(w http.ResponseWriter, req *http.Request) error {
	if err := r.DeleteKey(req.Context(), by(req), req.PathValue("id"), req.PathValue("key")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (r *Registry) handleRotateTenant(w http.ResponseWriter, req *http.Request) error {
	var body RotateRequest
	if err := optionalJSON(req, &body); err != nil {
		return err
	}
	made, err := r.Rotate(req.Context(), by(req), req.PathValue("id"), body)
	if err != nil {
		return err
	}
	return api.WriteJSON(w, http.StatusOK, made)
}
