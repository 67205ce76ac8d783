package delivery

// Servers that make trouble before a request is even sent: an attempt ends in
// time, and nothing of it stays behind.

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// TestHandshakesThatNeverEnd: connections are closed when their attempt ends,
// not when the server pleases.
func TestHandshakesThatNeverEnd(t *testing.T) {
	for name, handle := range map[string]func(net.Conn){
		"silent": func(net.Conn) {},
		"a byte at a time": func(c net.Conn) {
			_, _ = io.WriteString(c, "\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb")
			drip(c)
		},
		"endless records": func(c net.Conn) { endless(c, "\x16\x03\x03\x00\x00") },
		"endless alerts":  func(c net.Conn) { endless(c, "\x15\x03\x03\x00\x02\x01\x5a") },
	} {
		for _, profile := range []string{"smartcv", "standard"} {
			t.Run(name+" "+profile, func(t *testing.T) {
				t.Parallel()
				var opened, closed atomic.Int64
				url := raw(t, func(c net.Conn) {
					opened.Add(1)
					handle(c)
					_, _ = io.Copy(io.Discard, c) // ends when the other side closes
					closed.Add(1)
				})
				h := newHarness(t, strings.Replace(url, "http:", "https:", 1))
				useProfile(h, profile)
				h.target.Timeout = 200 * time.Millisecond
				const attempts = 3
				for i := range attempts {
					out := h.send(t, profiled(t, h, fmt.Sprintf("dlv_%d", i)))
					if k := out.Row.ErrorKind; k != schemas.ErrTimeout && (k != schemas.ErrTLS || !strings.HasPrefix(name, "endless")) {
						t.Errorf("%q %q", out.Row.ErrorKind, out.Row.Error)
					}
				}
				for deadline := time.Now().Add(30 * time.Second); opened.Load() == 0 || closed.Load() < opened.Load(); time.Sleep(5 * time.Millisecond) {
					if time.Now().After(deadline) {
						t.Fatalf("%d of %d connections are closed", closed.Load(), opened.Load())
					}
				}
			})
		}
	}
}

// TestHTTP2IsSpokenWhereItIsOffered: by profiles that allow it only.
func TestHTTP2IsSpokenWhereItIsOffered(t *testing.T) {
	for profile, want := range map[string]string{"standard": "h2", "smartcv": ""} {
		got := make(chan string, 1)
		h := secureHarness(t, profile, []string{"h2", "http/1.1"}, func(c *tls.Conn) { got <- c.ConnectionState().NegotiatedProtocol })
		h.send(t, profiled(t, h, "dlv_1"))
		if p := <-got; p != want {
			t.Errorf("%s speaks %q, want %q", profile, p, want)
		}
	}
}
