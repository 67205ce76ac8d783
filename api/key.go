package api

// Keys: who a request comes from.

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// rootKeyID is the id of the root key.
const rootKeyID = "root"

type keys struct {
	root         [sha256.Size]byte
	hasRoot      bool
	authenticate func(string) (Principal, bool)
}

func newKeys(root string, authenticate func(string) (Principal, bool)) *keys {
	return &keys{root: sha256.Sum256([]byte(root)), hasRoot: root != "", authenticate: authenticate}
}

// RequestKey is the API key that a request carries: as Authorization: Bearer,
// as X-API-Key, or as the query parameter api_key, in this order.
func RequestKey(r *http.Request) string {
	if scheme, key, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(key)
	}
	if key := r.Header.Get("X-API-Key"); key != "" {
		return key
	}
	if !strings.Contains(r.URL.RawQuery, "api_key=") {
		return ""
	}
	return r.URL.Query().Get("api_key")
}

func (k *keys) principal(r *http.Request) (Principal, error) {
	key := RequestKey(r)
	if key == "" {
		return Principal{}, Fail(http.StatusUnauthorized, "no_key", "", "send your API key as Authorization: Bearer KEY, X-API-Key or ?api_key=, or sign in by POST /v1/session")
	}
	p, ok := k.owner(key)
	if !ok {
		return Principal{}, errBadKey()
	}
	return p, nil
}

// owner says whose a key is.
func (k *keys) owner(key string) (Principal, bool) {
	// Both sides hashed: the comparison tells nothing, not even the length.
	sum := sha256.Sum256([]byte(key))
	if subtle.ConstantTimeCompare(sum[:], k.root[:]) == 1 && k.hasRoot {
		return Principal{KeyID: rootKeyID, Root: true}, true
	}
	if k.authenticate != nil {
		if p, ok := k.authenticate(key); ok {
			p.Root = false // root is who has the root key, nobody else
			return p, true
		}
	}
	return Principal{}, false
}

func errBadKey() error {
	return Fail(http.StatusUnauthorized, "bad_key", "", "this API key is not known; check it, or ask for a new one")
}
