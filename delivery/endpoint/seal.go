package endpoint

// Sealing: secrets under the master key, bound to the row that holds them.

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// MasterKeyBytes is the length of a master key.
const MasterKeyBytes = 32

// Purposes of a sealed box: with the row's id they are its additional data, so
// that a box moved to another row, or to another place in it, does not open.
const (
	purposeEndpoint = "endpoint secret"
	purposeTenant   = "tenant secret"
	purposeHeader   = "header "
)

// Keyring holds the master keys: the first seals, all open. It is safe for
// concurrent use.
type Keyring struct{ keys []masterKey }

type masterKey struct {
	id   string
	raw  []byte
	aead cipher.AEAD
}

// ParseKeyring reads one or more master keys of 32 bytes, each as hex or
// base64, comma-separated, newest first. Errors never repeat a key.
func ParseKeyring(text string) (*Keyring, error) {
	ring := &Keyring{}
	for i, part := range strings.Split(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			return nil, fmt.Errorf("master key %d is empty; give 32 bytes as hex or base64", i+1)
		}
		raw, err := masterKeyOf(part)
		if err != nil {
			return nil, fmt.Errorf("master key %d: %w", i+1, err)
		}
		block, err := aes.NewCipher(raw)
		if err != nil {
			return nil, fmt.Errorf("master key %d: %w", i+1, err)
		}
		// Random 96-bit nonces are safe for 2³² boxes under one key.
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, fmt.Errorf("master key %d: %w", i+1, err)
		}
		sum := sha256.Sum256(append([]byte("hookstream master key id\x00"), raw...))
		id := hex.EncodeToString(sum[:4])
		if ring.Has(id) {
			return nil, fmt.Errorf("master key %d is there twice; list each key once", i+1)
		}
		ring.keys = append(ring.keys, masterKey{id: id, raw: raw, aead: aead})
	}
	return ring, nil
}

func masterKeyOf(text string) ([]byte, error) {
	if raw, err := hex.DecodeString(text); err == nil && len(raw) == MasterKeyBytes {
		return raw, nil
	}
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if raw, err := enc.DecodeString(text); err == nil && len(raw) == MasterKeyBytes {
			return raw, nil
		}
	}
	return nil, fmt.Errorf("is not %d bytes as hex or base64; make one with: openssl rand -hex %d", MasterKeyBytes, MasterKeyBytes)
}

// NewMasterKey makes the text of a random master key.
func NewMasterKey() string {
	var b [MasterKeyBytes]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return hex.EncodeToString(b[:])
}

// Has reports whether boxes of a key id can be opened.
func (k *Keyring) Has(id string) bool {
	for _, key := range k.keys {
		if key.id == id {
			return true
		}
	}
	return false
}

// Derive makes a key for another purpose from each master key, in their order:
// the same ones wherever the master keys are the same, however they are written.
func (k *Keyring) Derive(purpose string) ([][]byte, error) {
	derived := make([][]byte, 0, len(k.keys))
	for _, key := range k.keys {
		b, err := hkdf.Key(sha256.New, key.raw, nil, purpose, sha256.Size)
		if err != nil {
			return nil, fmt.Errorf("deriving a key for %s: %w", purpose, err)
		}
		derived = append(derived, b)
	}
	return derived, nil
}

// seal puts plain into a box that opens only for the same row and purpose.
func (k *Keyring) seal(row, purpose string, plain []byte, at time.Time) schemas.Sealed {
	key := k.keys[0]
	return schemas.Sealed{KeyID: key.id, Box: key.aead.Seal(nil, nil, plain, additional(row, purpose)), CreatedAt: at}
}

var errBox = errors.New("the box does not open: it was changed, or moved from another row")

// open is the plain text of a box. The error says which key is missing and
// never what is inside.
func (k *Keyring) open(row, purpose, keyID string, box []byte) ([]byte, error) {
	for _, key := range k.keys {
		if key.id != keyID {
			continue
		}
		plain, err := key.aead.Open(nil, nil, box, additional(row, purpose))
		if err != nil {
			return nil, errBox
		}
		return plain, nil
	}
	return nil, fmt.Errorf("master key %s is not configured; add it to HOOKSTREAM_MASTER_KEY behind the newest", keyID)
}

func additional(row, purpose string) []byte {
	return []byte(purpose + "\x00" + row)
}
