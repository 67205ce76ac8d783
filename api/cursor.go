package api

// Cursors: where a list goes on, opaque to clients.

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/http"
	"time"

	"github.com/segmentio/encoding/json"
)

// cursorSum is the length of the check in front of a cursor's content.
const cursorSum = 8

// EncodeCursor makes an opaque cursor of a small JSON-encodable value. It is
// checked, not secret: put nothing into it that its owner may not see, and
// apply the owner's tenant to the query again when it comes back.
func EncodeCursor(v any) (string, error) {
	b, err := json.Append(nil, v, 0)
	if err != nil {
		return "", fmt.Errorf("encoding a cursor: %w", err)
	}
	sum := cursorCheck(b)
	return base64.RawURLEncoding.EncodeToString(append(sum[:cursorSum:cursorSum], b...)), nil
}

// DecodeCursor reads what EncodeCursor made; anything else is a 400 problem
// that names the field cursor.
func DecodeCursor(s string, into any) error {
	bad := Fail(http.StatusBadRequest, "bad_cursor", "cursor", "is none of ours; take next_cursor of the page before, unchanged, or leave it out")
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(raw) <= cursorSum {
		return bad
	}
	sum := cursorCheck(raw[cursorSum:])
	if subtle.ConstantTimeCompare(sum[:cursorSum], raw[:cursorSum]) != 1 {
		return bad
	}
	if err := ParseJSON(raw[cursorSum:], into); err != nil {
		return bad // a cursor of another list
	}
	return nil
}

func cursorCheck(b []byte) [sha256.Size]byte {
	return sha256.Sum256(append([]byte("hookstream cursor\x00"), b...))
}

// Page is the answer of every list. Data is never nil; AsOf is the time that
// the rows are complete up to.
type Page[T any] struct {
	Data       []T       `json:"data"`
	NextCursor *string   `json:"next_cursor"`
	AsOf       time.Time `json:"as_of"`
}

// NewPage makes a page; next is empty on the last one.
func NewPage[T any](data []T, next string, asOf time.Time) Page[T] {
	if data == nil {
		data = []T{}
	}
	p := Page[T]{Data: data, AsOf: asOf.UTC()}
	if next != "" {
		p.NextCursor = &next
	}
	return p
}
