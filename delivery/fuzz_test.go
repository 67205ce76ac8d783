package delivery

// Fuzzing of what receivers answer.

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/hookstream/hookstream/schemas"
)

// FuzzRetryAfter: whatever a receiver asks for, the wait lies within the limit,
// and only a 429 or 503 is heard.
func FuzzRetryAfter(f *testing.F) {
	for _, v := range []string{"", "0", "5", "-3", " 7 ", "99999999999999999999999", "-99999999999999999999999", "1e3", "Fri, 31 Dec 1999 23:59:59 GMT", "Tue, 14 Nov 2023 23:13:20 GMT", "9223372036854775807", "٣"} {
		f.Add(429, v)
		f.Add(200, v)
	}
	now := time.Unix(1700000000, 0)
	f.Fuzz(func(t *testing.T, status int, value string) {
		r := &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {value}}}
		wait := retryAfter(r, now, time.Hour)
		if wait < 0 || wait > time.Hour || wait > 0 && status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable {
			t.Fatalf("%d with Retry-After %q waits %v", status, value, wait)
		}
	})
}

// FuzzAnswer: the excerpt of an answer is valid text within its bound, and
// begins as the answer did; every status has a kind and words.
func FuzzAnswer(f *testing.F) {
	f.Add(200, []byte("OK"), int64(2))
	f.Add(500, []byte(strings.Repeat("é", 3000)), int64(-1))
	f.Add(302, []byte("\xff\x00\xfe<script>"), int64(-1))
	f.Add(410, []byte{}, int64(0))
	f.Add(1000, []byte("a"), int64(1<<40))
	f.Fuzz(func(t *testing.T, status int, body []byte, length int64) {
		r := &http.Response{StatusCode: status, ContentLength: length, Body: io.NopCloser(strings.NewReader(string(body)))}
		excerpt, err := readBody(r)
		if err != nil {
			t.Fatal(err)
		}
		if !utf8.ValidString(excerpt) || len(excerpt) > schemas.MaxResponseExcerpt {
			t.Fatalf("excerpt of %d bytes: %q", len(excerpt), excerpt)
		}
		if length != 0 && len(body) <= schemas.MaxResponseExcerpt && utf8.Valid(body) && excerpt != string(body) {
			t.Fatalf("%q is kept as %q", body, excerpt)
		}
		if length != 0 && utf8.Valid(body) && !strings.HasPrefix(string(body), strings.TrimRight(excerpt, "\uFFFD")) {
			t.Fatalf("%q does not begin with %q", body, excerpt)
		}
		if kindOfStatus(status) == "" || textOfStatus(status) == "" {
			t.Fatalf("%d has no kind or no words", status)
		}
	})
}
