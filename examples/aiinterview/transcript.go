package main

// Downloading transcripts: the URL comes from outside, so where it may lead,
// how long it may take and how much it may bring are bounded.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/hookstream/hookstream/delivery/egress"
)

const (
	fetchTimeout  = 30 * time.Second // from connecting to the last byte
	maxTranscript = 8 << 20          // bytes
)

// fetcher downloads JSON through a guard.
type fetcher struct {
	client *http.Client
	guard  *egress.Guard
	limit  int64
}

func newFetcher(guard *egress.Guard) *fetcher {
	// The guard sees the address that is connected to, after DNS, also behind a
	// redirect. Through a proxy it would see the proxy's.
	dialer := &net.Dialer{Timeout: 10 * time.Second, Control: guard.Control}
	return &fetcher{guard: guard, limit: maxTranscript, client: &http.Client{
		Timeout:   fetchTimeout,
		Transport: &http.Transport{DialContext: dialer.DialContext, MaxResponseHeaderBytes: 64 << 10, TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: 30 * time.Second},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) >= 3 {
				return errors.New("more than 3 redirects")
			}
			return guard.CheckURL(req.URL.String())
		},
	}}
}

func (f *fetcher) get(ctx context.Context, url string) ([]byte, error) {
	if err := f.guard.CheckURL(url); err != nil {
		return nil, fmt.Errorf("transcript_url %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answered %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, f.limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the answer: %w", err)
	case int64(len(body)) > f.limit:
		return nil, fmt.Errorf("the transcript has more than %d bytes", f.limit)
	case !json.Valid(body):
		return nil, errors.New("the transcript is no JSON")
	}
	return body, nil
}
