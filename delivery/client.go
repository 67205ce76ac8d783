package delivery

// The HTTP clients: what they may connect to, and what they never do
// (redirects, proxies, compression, cookies).

import (
	"fmt"
	"net/http"
	"time"

	"github.com/hookstream/hookstream/delivery/egress"
)

// Bounds of one exchange.
const (
	maxResponseHeader = 64 << 10 // bytes of status line and headers
	maxResponseBody   = 64 << 10 // bytes read of a body; what follows is cut off
	maxHTTP2Frame     = 16 << 10 // bytes; the smallest that HTTP/2 allows
	maxHTTP2Unread    = 1 << 20  // bytes of all answers on one HTTP/2 connection that wait to be read
	keepAlivePeriod   = 30 * time.Second
	pingAfter         = 10 * time.Second // of silence on an HTTP/2 connection
	pingTimeout       = 5 * time.Second
)

// clients are the two round trippers: exact header casing needs HTTP/1.1, and
// profiles that allow it may use HTTP/2.
type clients struct {
	one, two *http.Transport
}

func newClients(cfg Config) (clients, error) {
	guard, err := egress.NewGuard(cfg.Egress)
	if err != nil {
		return clients{}, fmt.Errorf("making the egress guard: %w", err)
	}
	transport := func(http2 bool) *http.Transport {
		protocols := new(http.Protocols)
		protocols.SetHTTP1(true)
		protocols.SetHTTP2(http2)
		dialer := newDialer(&cfg, guard, http2)
		return &http.Transport{
			Proxy:               nil, // a proxy of the environment would connect in our name, past the guard
			DialContext:         dialer.plain,
			DialTLSContext:      dialer.secure,
			Protocols:           protocols,
			MaxIdleConns:        cfg.IdleTotal,
			MaxIdleConnsPerHost: cfg.IdlePerHost,
			IdleConnTimeout:     cfg.IdleTimeout,
			DisableCompression:  true,
			HTTP2: &http.HTTP2Config{
				// A connection that died without a word would take every request of its host
				// with it, because HTTP/2 puts them all on one.
				SendPingTimeout: pingAfter, PingTimeout: pingTimeout,
				// What a receiver sends is held in memory until it is read: by default 4 MiB
				// for each request in flight.
				MaxReceiveBufferPerStream: maxResponseBody, MaxReceiveBufferPerConnection: maxHTTP2Unread, MaxReadFrameSize: maxHTTP2Frame,
			},
			MaxResponseHeaderBytes: maxResponseHeader,
		}
	}
	return clients{one: transport(false), two: transport(true)}, nil
}

// do makes one exchange. It is a bare round trip: no redirect is followed and
// no cookie kept.
func (c clients) do(req *http.Request, http2 bool) (*http.Response, error) {
	if http2 {
		return c.two.RoundTrip(bounded(req))
	}
	return c.one.RoundTrip(bounded(req))
}

func (c clients) close() {
	c.one.CloseIdleConnections()
	c.two.CloseIdleConnections()
}
