package delivery

// Requests: the profile's headers in their exact casing, the endpoint's own,
// and ours.

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/hookstream/hookstream/delivery/endpoint"
	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

// newRequest makes the signed POST of one attempt.
func (c *Courier) newRequest(ctx context.Context, t *endpoint.Target, p *profile.Profile, d *schemas.Delivery, body []byte, now time.Time) (*http.Request, error) {
	u, err := url.Parse(t.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !c.cfg.Egress.AllowHTTP) {
		return nil, fmt.Errorf("the endpoint's URL is not allowed")
	}
	signed, err := p.Headers(d, body, t.Secrets, now)
	if err != nil {
		return nil, err
	}
	// Names go into the map as they are: Header.Set would change their casing.
	h := make(http.Header, len(signed)+len(t.Headers)+3)
	for _, custom := range t.Headers {
		if !p.Reserved(custom.Key) {
			h[custom.Key] = append(h[custom.Key], string(custom.Value))
		}
	}
	for _, header := range signed {
		h[header.Key] = []string{string(header.Value)}
	}
	h["User-Agent"] = []string{c.cfg.UserAgent}
	h["Accept-Encoding"] = []string{"identity"}
	if validTrace(d.Trace) {
		h["traceparent"] = []string{d.Trace}
	}
	req := &http.Request{
		Method: http.MethodPost, URL: u, Host: u.Host, Header: h,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		ContentLength: int64(len(body)),
		Body:          io.NopCloser(bytes.NewReader(body)),
		// Lets the transport use another connection when a kept one turns out to be
		// closed before anything was written to it.
		GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil },
	}
	return req.WithContext(ctx), nil
}

// validTrace keeps a publisher's malformed trace context from becoming a
// malformed header: 00-32 hex-16 hex-2 hex.
func validTrace(s string) bool {
	if len(s) != 55 || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return false
	}
	for i := 0; i < len(s); i++ {
		if i == 2 || i == 35 || i == 52 {
			continue
		}
		if c := s[i]; !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f') {
			return false
		}
	}
	return true
}
