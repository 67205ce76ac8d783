package inbound

// Dedupe keys as record keys: short ones as they are.

import (
	"crypto/sha256"
	"encoding/hex"
)

// maxKey is the longest dedupe key that is kept as it is, in bytes. Nothing
// bounds the fields that senders make keys of, but a record's size is bounded.
const maxKey = 512

// shortKey is a dedupe key, or the hash of a long one.
func shortKey(key string) string {
	if len(key) <= maxKey {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return "sha256:" + hex.EncodeToString(sum[:])
}
