package delivery

// Answers: read within bounds, kept as a short excerpt.

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// readBody reads at most maxResponseBody bytes and keeps the excerpt. A body
// that ends within the bound leaves its connection reusable; a longer one is
// cut off, which closes it, and is no error: the status says what the receiver
// thought.
func readBody(resp *http.Response) (excerpt string, err error) {
	defer resp.Body.Close()
	head := make([]byte, 0, 512)
	if n := resp.ContentLength; n > 0 {
		head = make([]byte, 0, min(n, schemas.MaxResponseExcerpt)+1)
	} else if n == 0 {
		return "", nil
	}
	limited := &io.LimitedReader{R: resp.Body, N: maxResponseBody}
	for len(head) < schemas.MaxResponseExcerpt && err == nil {
		if len(head) == cap(head) {
			head = append(head, 0)[:len(head)]
		}
		var n int
		n, err = limited.Read(head[len(head):min(cap(head), schemas.MaxResponseExcerpt)])
		head = head[:len(head)+n]
	}
	if err == nil {
		_, err = io.Copy(io.Discard, limited)
	}
	if err == io.EOF {
		err = nil
	}
	return clip(string(head)), err
}

// clip makes text of bytes: valid UTF-8, at most MaxResponseExcerpt bytes.
func clip(s string) string {
	return schemas.Shorten(strings.ToValidUTF8(s, "\uFFFD"), schemas.MaxResponseExcerpt)
}

// kindOfStatus is the error kind of a status that is no success.
func kindOfStatus(code int) string {
	switch {
	case code >= 300 && code < 400:
		return schemas.ErrHTTP3xx
	case code >= 400 && code < 500:
		return schemas.ErrHTTP4xx
	case code >= 500:
		return schemas.ErrHTTP5xx
	}
	return errHTTPOther
}

// errHTTPOther is a 1xx or 2xx status that the profile does not count as a
// success.
const errHTTPOther = "http_other"

// textOfStatus is a failed status for people.
func textOfStatus(code int) string {
	switch {
	case code >= 300 && code < 400:
		return fmt.Sprintf("HTTP %d: redirects are not followed", code)
	case code == http.StatusGone:
		return "HTTP 410 Gone: the endpoint asked for no more"
	case http.StatusText(code) != "":
		return fmt.Sprintf("HTTP %d %s", code, http.StatusText(code))
	}
	return fmt.Sprintf("HTTP %d", code)
}

// retryAfter is how long a 429 or 503 asks to be left alone, at most limit;
// zero when it does not say or says nonsense.
func retryAfter(resp *http.Response, now time.Time, limit time.Duration) time.Duration {
	if resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable {
		return 0
	}
	value := strings.TrimSpace(resp.Header.Get("Retry-After"))
	if value == "" {
		return 0
	}
	var wait time.Duration
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
		if seconds > int64(limit/time.Second) {
			return limit
		}
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		wait = at.Sub(now)
	} else if strings.Trim(value, "0123456789") == "" {
		return limit // digits beyond 64 bits
	}
	return max(0, min(wait, limit))
}
