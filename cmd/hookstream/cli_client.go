package main

// The client of the API that the commands share: one request, one list of
// pages, one stream; problems said in full.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// checkAsking is what the commands need to reach an API.
func (c *Config) checkAsking(p *problems) {
	u, err := url.Parse(c.API)
	p.check(err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.User != nil,
		"--api is no address; give http://HOST:PORT or https://HOST, and the key by HOOKSTREAM_API_KEY")
	p.check(c.APIKey == "", "--api-key is missing; set HOOKSTREAM_API_KEY to the key that hookstream dev prints, or to one of yours")
	p.check(strings.ContainsFunc(c.APIKey, func(r rune) bool { return r <= ' ' || r >= 0x7f }), "--api-key has blanks or characters beyond ASCII; it has to fit into an HTTP header")
}

// apiClient asks one API with one key.
type apiClient struct {
	base string
	key  string
	http *http.Client
}

func (e *errand) client() *apiClient {
	return &apiClient{base: strings.TrimSuffix(e.cfg.API, "/"), key: e.cfg.APIKey, http: &http.Client{
		// The key stays with the address that it was given for.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// answerWait bounds a request, answerSize its answer in bytes.
const (
	answerWait = 2 * time.Minute
	answerSize = 64 << 20
)

// apiProblem is an answer that refuses.
type apiProblem struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Field  string `json:"field"`
	Detail string `json:"detail"`
	ID     string `json:"id"`
}

func (p *apiProblem) Error() string {
	var b strings.Builder
	if p.Field != "" {
		b.WriteString(p.Field + ": ")
	}
	b.WriteString(p.Detail)
	fmt.Fprintf(&b, " (%d %s", p.Status, p.Code)
	if p.ID != "" {
		b.WriteString(", request " + p.ID)
	}
	b.WriteByte(')')
	return b.String()
}

// do sends a request and gives the whole answer; an answer that refuses is an
// *apiProblem.
func (c *apiClient) do(ctx context.Context, method, path string, query url.Values, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, answerWait, errors.New("no answer in time"))
	defer cancel()
	resp, err := c.send(ctx, method, path, query, body)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // read whole
	b, err := io.ReadAll(io.LimitReader(resp.Body, answerSize))
	if err != nil {
		return nil, fmt.Errorf("reading the answer of %s: %w", c.base, err)
	}
	return b, nil
}

// send gives the answer's head; the caller closes its body.
func (c *apiClient) send(ctx context.Context, method, path string, query url.Values, body []byte) (*http.Response, error) {
	target := c.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, target, r)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", c.base, err)
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		defer resp.Body.Close() //nolint:errcheck // read as far as needed
		return nil, c.problem(resp)
	}
	return resp, nil
}

// unreachable says what to start.
func (c *apiClient) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil && context.Cause(ctx) == context.Canceled {
		return context.Canceled
	}
	var inner *url.Error
	if errors.As(err, &inner) {
		err = inner.Err // the address is said once
	}
	var refused *net.OpError
	if errors.As(err, &refused) {
		return fmt.Errorf("nothing answers at %s: %w; start it with hookstream dev, or name another address by --api", c.base, err)
	}
	return fmt.Errorf("asking %s: %w", c.base, err)
}

func (c *apiClient) problem(resp *http.Response) error {
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("reading the answer of %s: %w", c.base, err)
	}
	p := &apiProblem{}
	if json.Unmarshal(b, p) != nil || p.Code == "" {
		return fmt.Errorf("%s answered %s; is that hookstream's API?", c.base, resp.Status)
	}
	p.Status = resp.StatusCode
	if p.Status == http.StatusUnauthorized {
		p.Detail = "the key is not known there; set HOOKSTREAM_API_KEY to one that is"
	}
	return p
}

// maxPage is the largest page that the API gives.
const maxPage = 200

// list follows a list's pages until limit rows were given to each; more says
// that there are others.
func (c *apiClient) list(ctx context.Context, path string, query url.Values, limit int, each func(json.RawMessage) error) (more bool, err error) {
	for limit > 0 {
		query.Set("limit", fmt.Sprint(min(limit, maxPage)))
		b, err := c.do(ctx, http.MethodGet, path, query, nil)
		if err != nil {
			return false, err
		}
		var page struct {
			Data       []json.RawMessage `json:"data"`
			NextCursor *string           `json:"next_cursor"`
		}
		if err := json.Unmarshal(b, &page); err != nil {
			return false, fmt.Errorf("reading a list of %s: %w", c.base, err)
		}
		for _, row := range page.Data[:min(limit, len(page.Data))] {
			if err := each(row); err != nil {
				return false, err
			}
		}
		limit -= len(page.Data)
		if page.NextCursor == nil || len(page.Data) == 0 {
			return false, nil
		}
		query.Set("cursor", *page.NextCursor)
	}
	return true, nil
}
