package schemas

// Ids: how they are made, what they look like inside and on the wire.

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strings"
)

// Prefixes of the ids that hookstream makes, everywhere in Kafka and SQL.
const (
	EventPrefix    = "evt_"
	WebhookPrefix  = "wh_"
	DeliveryPrefix = "dlv_"
)

// idAlphabet is Crockford's base32 in lower case: no i, l, o, u.
var idAlphabet = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewID writes 16 bytes as an id: the prefix and 26 characters. Random ids get
// their bytes from crypto/rand at the caller, because this package does no I/O.
func NewID(prefix string, b [16]byte) string {
	return prefix + idAlphabet.EncodeToString(b[:])
}

// EventIDAt is the id of an event that came without one, made from where its
// record lies, so that a re-read makes the same id. The topic's id (not its
// name) keeps a recreated topic from repeating ids.
func EventIDAt(topicID [16]byte, partition int32, offset int64) string {
	var b [28]byte
	copy(b[:16], topicID[:])
	binary.BigEndian.PutUint32(b[16:], uint32(partition))
	binary.BigEndian.PutUint64(b[20:], uint64(offset))
	return hashID(EventPrefix, string(b[:]))
}

// DeliveryID is fixed by its parts: repeats of one delivery are recognisable.
// replayID is empty but for replays, tests and manual retries, which are
// deliveries of their own.
func DeliveryID(tenant, eventID, endpointID, replayID string) string {
	return hashID(DeliveryPrefix, tenant, eventID, endpointID, replayID)
}

// CallbackEndpointID is the id of the implicit endpoint of a callback URL.
func CallbackEndpointID(tenant, profile, url string) string {
	return hashID(WebhookPrefix+"cb", tenant, profile, url)
}

// hashID separates its parts by length, so that ("a","bc") and ("ab","c") differ.
func hashID(prefix string, parts ...string) string {
	h := sha256.New()
	var n [4]byte
	for _, p := range parts {
		binary.BigEndian.PutUint32(n[:], uint32(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	var sum [32]byte
	h.Sum(sum[:0])
	return NewID(prefix, [16]byte(sum[:16]))
}

// IsMadeID reports whether s is prefix plus 26 characters of the id alphabet.
func IsMadeID(prefix, s string) bool {
	rest, ok := strings.CutPrefix(s, prefix)
	if !ok || len(rest) != 26 {
		return false
	}
	_, err := idAlphabet.DecodeString(rest)
	return err == nil
}

// WireID is an id as it goes out: one that we made gets the profile's prefix,
// one that the publisher gave stays as it is.
func WireID(id, madePrefix, wirePrefix string) string {
	if wirePrefix == "" || wirePrefix == madePrefix || !IsMadeID(madePrefix, id) {
		return id
	}
	return wirePrefix + id[len(madePrefix):]
}

// InnerID undoes WireID: both forms of a made id are accepted as input.
func InnerID(id, madePrefix, wirePrefix string) string {
	if wirePrefix != "" && IsMadeID(wirePrefix, id) {
		return madePrefix + id[len(wirePrefix):]
	}
	return id
}

// MaxIDBytes bounds an event id given by a publisher.
const MaxIDBytes = 256

// CheckEventID says why an event id cannot be taken: it goes into headers,
// keys and URLs.
func CheckEventID(id string) error {
	if id == "" || len(id) > MaxIDBytes {
		return fmt.Errorf("id: has %d bytes; give 1 to %d", len(id), MaxIDBytes)
	}
	for i := 0; i < len(id); i++ {
		if id[i] <= ' ' || id[i] > '~' {
			return fmt.Errorf("id: byte %d is %#02x; use visible ASCII characters only", i, id[i])
		}
	}
	return nil
}

// CheckTenant says why a tenant id cannot be taken.
func CheckTenant(t string) error {
	if t == "" || len(t) > 64 {
		return fmt.Errorf("tenant: has %d bytes; give 1 to 64", len(t))
	}
	for i := 0; i < len(t); i++ {
		c := t[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.') {
			return fmt.Errorf("tenant: character %q at %d; use letters, digits, '_', '-' and '.'", c, i)
		}
	}
	return nil
}

// CheckEventType says why an event type cannot be taken. '*' is for
// subscriptions only.
func CheckEventType(t string) error {
	if t == "" || len(t) > 128 {
		return fmt.Errorf("type: has %d bytes; give 1 to 128", len(t))
	}
	for i := 0; i < len(t); i++ {
		if t[i] <= ' ' || t[i] > '~' || t[i] == '*' || t[i] == '"' || t[i] == '\\' {
			return fmt.Errorf("type: character %q at %d; use visible ASCII without '*', '\"' and '\\'", t[i], i)
		}
	}
	return nil
}
