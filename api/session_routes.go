package api

// The routes of sessions: sign in, who am I, sign out.

import (
	"net"
	"net/http"
	"net/netip"
	"time"
)

// loginRate is how many wrong keys one network may try per minute.
const loginRate = 10

// Login is the body of POST /v1/session.
type Login struct {
	Key string `json:"key" doc:"an API key, or the root key"`
}

// Session says who a request comes from.
type Session struct {
	Tenant    string     `json:"tenant,omitempty" doc:"absent for root"`
	KeyID     string     `json:"key_id" doc:"the key that was given, or root"`
	Root      bool       `json:"root"`
	ExpiresAt *time.Time `json:"expires_at,omitempty" doc:"when the session ends; absent where a key was sent"`
}

func (s *sessions) routes() []Route {
	const tag = "session"
	return []Route{
		{Method: http.MethodPost, Pattern: "/v1/session", Auth: Public, Handle: s.login,
			Doc: Doc{Summary: "Sign in: the answer sets the session's cookie", Tag: tag, Request: Login{}, Response: Session{}}},
		{Method: http.MethodGet, Pattern: "/v1/session", Auth: Key, Handle: s.show,
			Doc: Doc{Summary: "Who the key or the session is", Tag: tag, Response: Session{}}},
		{Method: http.MethodDelete, Pattern: "/v1/session", Auth: Public, Handle: s.logout,
			Doc: Doc{Summary: "Sign out: the answer clears the cookie", Tag: tag, Status: http.StatusNoContent}},
	}
}

// login takes its token before it looks at the key, else a guess that was right
// would always get through; a right key gives the token back.
func (s *sessions) login(w http.ResponseWriter, r *http.Request) error {
	if err := s.sameOrigin(r); err != nil {
		return err
	}
	var body Login
	if err := ReadJSON(r, &body); err != nil {
		return err
	}
	if body.Key == "" {
		return Fail(http.StatusUnprocessableEntity, "invalid_field", "key", "is missing; give an API key")
	}
	now := time.Now()
	from := network(r.RemoteAddr)
	if wait := s.logins.take(from, 0, now); wait > 0 {
		problem := Fail(http.StatusTooManyRequests, "rate_limited", "", "too many wrong keys came from this address; wait %d s", seconds(wait))
		problem.RetryAfter = seconds(wait)
		return problem
	}
	p, ok := s.keys.owner(body.Key)
	if !ok {
		return errBadKey()
	}
	s.logins.giveBack(from)
	until := now.Add(s.cfg.Life).UTC().Truncate(time.Second)
	value, ok := s.seal(p, until)
	if !ok {
		return errBadKey() // deleted just now
	}
	if x, ok := w.(*exchange); ok {
		x.principal = p // for the log
	}
	http.SetCookie(w, s.cookie(r, value))
	return WriteJSON(w, http.StatusOK, Session{Tenant: p.Tenant, KeyID: p.KeyID, Root: p.Root, ExpiresAt: &until})
}

func (s *sessions) show(w http.ResponseWriter, r *http.Request) error {
	p := PrincipalOf(r.Context())
	view := Session{Tenant: p.Tenant, KeyID: p.KeyID, Root: p.Root}
	if x, ok := w.(*exchange); ok && !x.until.IsZero() {
		view.ExpiresAt = &x.until
	}
	return WriteJSON(w, http.StatusOK, view)
}

// logout needs no valid session: one whose key is gone must be cleared too.
func (s *sessions) logout(w http.ResponseWriter, r *http.Request) error {
	if err := s.sameOrigin(r); err != nil {
		return err
	}
	http.SetCookie(w, s.cookie(r, ""))
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// network is what wrong keys are counted by: the address, or its /64 of IPv6,
// which one person has whole.
func network(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a.String()
	}
	p, err := a.Prefix(64)
	if err != nil {
		return host
	}
	return p.String()
}
