package api

// Sessions: a browser's way to use an API key, in a cookie that this server
// made and keeps nothing of.

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/segmentio/encoding/json"
)

// SessionCookie is the name of the cookie that holds a session.
const SessionCookie = "hookstream_session"

// DefaultSessionLife is how long a session lasts.
const DefaultSessionLife = 12 * time.Hour

// minSessionSecret is the least length of what sessions are signed with.
const minSessionSecret = 32

// SessionConfig turns sessions on. A session names the key that it was made
// with and is good as long as that key is: deleted or replaced, the key takes
// its sessions along.
type SessionConfig struct {
	// Secrets sign sessions, each of at least 32 bytes: the first makes them, all
	// are accepted, so that secrets can be changed while sessions go on.
	Secrets [][]byte
	// Known finds a key by what a session has of it. fingerprint is any text that
	// differs where the same id stands for another key.
	Known func(tenant, keyID string) (p Principal, fingerprint string, ok bool)
	// Life is how long a session lasts; 0: DefaultSessionLife.
	Life time.Duration
	// Secure marks the cookie for https only, also where the request that made
	// the session shows no sign of https.
	Secure bool
}

// Validate names the field that is wrong and the cure.
func (c SessionConfig) Validate() error {
	if len(c.Secrets) == 0 {
		return errors.New("api: Sessions.Secrets is empty; give at least one")
	}
	for i, s := range c.Secrets {
		if len(s) < minSessionSecret {
			return fmt.Errorf("api: Sessions.Secrets has %d bytes at %d; give at least %d", len(s), i, minSessionSecret)
		}
	}
	if c.Known == nil {
		return errors.New("api: Sessions.Known is nil; it has to be wired")
	}
	if c.Life < 0 {
		return fmt.Errorf("api: Sessions.Life is %v; give a time, or 0 for %v", c.Life, DefaultSessionLife)
	}
	return nil
}

// sessions makes and reads cookies.
type sessions struct {
	cfg    SessionConfig
	keys   *keys
	origin *http.CrossOriginProtection
	logins *limits // of wrong keys, per remote network
}

// ticket is what a session's cookie says. Its owner may read it.
type ticket struct {
	Tenant string `json:"t,omitempty"`
	KeyID  string `json:"k"`
	Until  int64  `json:"u"` // Unix seconds
	Check  []byte `json:"c"` // of the key's fingerprint
}

func newSessions(cfg SessionConfig, k *keys) *sessions {
	if cfg.Life == 0 {
		cfg.Life = DefaultSessionLife
	}
	return &sessions{cfg: cfg, keys: k, origin: http.NewCrossOriginProtection(), logins: newLimits(loginRate, loginRate)}
}

// known is the key of a session as it is now. The root key's fingerprint is its
// hash, which never leaves here but under a secret.
func (s *sessions) known(tenant, keyID string) (Principal, string, bool) {
	if keyID == rootKeyID {
		return Principal{KeyID: rootKeyID, Root: true}, string(s.keys.root[:]), s.keys.hasRoot && tenant == ""
	}
	p, fingerprint, ok := s.cfg.Known(tenant, keyID)
	p.Root = false // root is who has the root key, nobody else
	return p, fingerprint, ok
}

// seal makes the cookie's value for a key; false when the key is gone.
func (s *sessions) seal(p Principal, until time.Time) (string, bool) {
	_, fingerprint, ok := s.known(p.Tenant, p.KeyID)
	if !ok {
		return "", false
	}
	secret := s.cfg.Secrets[0]
	t := ticket{Tenant: p.Tenant, KeyID: p.KeyID, Until: until.Unix(), Check: mac(secret, "key", fingerprint)}
	b, err := json.Append(nil, t, 0)
	if err != nil {
		return "", false
	}
	text := base64.RawURLEncoding.EncodeToString(b)
	return text + "." + base64.RawURLEncoding.EncodeToString(mac(secret, "ticket", text)), true
}

// open reads a cookie's value: who it is for and until when.
func (s *sessions) open(value string, now time.Time) (Principal, time.Time, bool) {
	text, sum, ok := strings.Cut(value, ".")
	if !ok {
		return Principal{}, time.Time{}, false
	}
	given, err := base64.RawURLEncoding.Strict().DecodeString(sum)
	if err != nil {
		return Principal{}, time.Time{}, false
	}
	for _, secret := range s.cfg.Secrets {
		if !hmac.Equal(given, mac(secret, "ticket", text)) {
			continue
		}
		var t ticket
		b, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || ParseJSON(b, &t) != nil {
			return Principal{}, time.Time{}, false
		}
		until := time.Unix(t.Until, 0).UTC()
		p, fingerprint, ok := s.known(t.Tenant, t.KeyID)
		if !ok || !now.Before(until) || !hmac.Equal(t.Check, mac(secret, "key", fingerprint)) {
			return Principal{}, time.Time{}, false
		}
		return p, until, true
	}
	return Principal{}, time.Time{}, false
}

// mac authenticates text for one purpose.
func mac(secret []byte, purpose, text string) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte("hookstream session " + purpose + "\x00" + text))
	return h.Sum(nil)
}

// principal is who the cookie of a request is for. ok is false when there is no
// cookie at all; a cookie that is no session any more, or that another site
// makes use of, is a problem.
func (s *sessions) principal(r *http.Request) (p Principal, until time.Time, ok bool, err error) {
	cookies := r.CookiesNamed(SessionCookie)
	if len(cookies) == 0 {
		return p, until, false, nil
	}
	// One that a parent domain planted must not hide ours.
	for _, c := range cookies[:min(len(cookies), 4)] {
		if p, until, ok = s.open(c.Value, time.Now()); ok {
			return p, until, true, s.sameOrigin(r)
		}
	}
	return p, until, true, Fail(http.StatusUnauthorized, "no_session", "", "the session is over, or its key is gone; sign in again by POST /v1/session, or send an API key")
}

// sameOrigin refuses changes that another site asks a browser for.
func (s *sessions) sameOrigin(r *http.Request) error {
	if s.origin.Check(r) != nil {
		return Fail(http.StatusForbidden, "cross_site", "", "another site asked for this change; make it from this one, or send an API key instead of the cookie")
	}
	return nil
}

// cookie is the Set-Cookie for a session; an empty value ends it.
func (s *sessions) cookie(r *http.Request, value string) *http.Cookie {
	c := &http.Cookie{Name: SessionCookie, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: s.cfg.Secure || overTLS(r), MaxAge: int(s.cfg.Life / time.Second)}
	if value == "" {
		c.MaxAge = -1
	}
	return c
}

// overTLS says whether the client came by https, here or at a proxy before us.
// Who makes that header up only keeps his own cookie from plain http.
func overTLS(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}
