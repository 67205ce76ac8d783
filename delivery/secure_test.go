package delivery

// Receivers that speak TLS by hand, and connections that count what they read.

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookstream/hookstream/delivery/egress"
	"github.com/hookstream/hookstream/schemas"
)

// useProfile gives the harness' endpoint another profile.
func useProfile(h *harness, profile string) {
	if h.target.Profile = profile; profile == "standard" {
		h.target.Secrets = [][]byte{[]byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")}
	}
}

// profiled is a delivery for the endpoint's profile.
func profiled(t testing.TB, h *harness, id string) *schemas.Delivery {
	t.Helper()
	d := sample(id)
	if h.target.Profile != d.Profile {
		p, ok := h.cfg.Profiles.Get(h.target.Profile)
		if !ok {
			t.Fatalf("no profile %s", h.target.Profile)
		}
		d.Profile, d.ProfileVersion = p.Name(), p.Version()
	}
	return d
}

// secureHarness delivers to a server of TLS that a test speaks by hand, and
// that is trusted.
func secureHarness(t *testing.T, profile string, protocols []string, handle func(*tls.Conn)) *harness {
	t.Helper()
	now := time.Now()
	pair, parsed := certificate(t, now.Add(-time.Hour), now.Add(time.Hour))
	config := &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: protocols}
	url := raw(t, func(c net.Conn) {
		secure := tls.Server(c, config)
		if secure.Handshake() == nil {
			handle(secure)
		}
		_ = secure.Close()
	})
	h := newHarness(t, strings.Replace(url, "http:", "https:", 1), func(c *Config) {
		c.RootCAs = x509.NewCertPool()
		c.RootCAs.AddCert(parsed)
	})
	useProfile(h, profile)
	return h
}

// counted makes the harness count the bytes that its connections read, below
// TLS.
func counted(t testing.TB, h *harness) *atomic.Int64 {
	t.Helper()
	var n atomic.Int64
	guard, err := egress.NewGuard(h.cfg.Egress)
	if err != nil {
		t.Fatal(err)
	}
	for _, transport := range []*http.Transport{h.clients.one, h.clients.two} {
		d := newDialer(&h.cfg, guard, transport == h.clients.two)
		dial := d.dial
		d.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &countedConn{c, &n}, nil
		}
		transport.DialContext, transport.DialTLSContext = d.plain, d.secure
	}
	return &n
}

type countedConn struct {
	net.Conn
	n *atomic.Int64
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.n.Add(int64(n))
	return n, err
}
