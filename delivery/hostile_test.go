package delivery

import (
	"compress/gzip"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/hookstream/hookstream/delivery/egress"
	"github.com/hookstream/hookstream/schemas"
)

// endless writes until the other side has had enough.
func endless(w io.Writer, s string) {
	for {
		if _, err := io.WriteString(w, s); err != nil {
			return
		}
	}
}

func TestHostileReceivers(t *testing.T) {
	for name, c := range map[string]struct {
		handle func(net.Conn)
		kind   string // empty: delivered
	}{
		"never answers": {func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, schemas.ErrTimeout},
		"endless headers": {func(c net.Conn) {
			head(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			endless(c, "X-A: bbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n")
		}, schemas.ErrTooLarge},
		"one endless header": {func(c net.Conn) {
			head(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX-A: ")
			endless(c, "bbbbbbbbbbbbbbbbbbbbbbbbbbbbb")
		}, schemas.ErrTooLarge},
		"endless continuations": {func(c net.Conn) { head(c); endless(c, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n") }, schemas.ErrTooLarge},
		"slow headers":          {func(c net.Conn) { head(c); _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n"); drip(c) }, schemas.ErrTimeout},
		"slow body": {func(c net.Conn) {
			head(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
			drip(c)
		}, schemas.ErrTimeout},
		"slow chunks": {func(c net.Conn) {
			head(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
			dripChunks(c)
		}, schemas.ErrTimeout},
		"endless body": {func(c net.Conn) {
			head(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
			endless(c, strings.Repeat("x", 4096))
		}, ""},
		"huge announced body": {func(c net.Conn) {
			head(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
			endless(c, strings.Repeat("x", 4096))
		}, ""},
		"cut body": {func(c net.Conn) {
			head(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
		}, schemas.ErrReset},
		"closes at once":       {func(c net.Conn) {}, schemas.ErrReset},
		"closes after reading": {func(c net.Conn) { head(c) }, schemas.ErrReset},
		"resets":               {func(c net.Conn) { head(c); _ = c.(*net.TCPConn).SetLinger(0) }, schemas.ErrReset},
		"resets in the body": {func(c net.Conn) {
			head(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
			_ = c.(*net.TCPConn).SetLinger(0)
		}, schemas.ErrReset},
		"no HTTP":    {func(c net.Conn) { head(c); _, _ = io.WriteString(c, "SSH-2.0-OpenSSH_9.9\r\n") }, schemas.ErrReset},
		"bad length": {func(c net.Conn) { head(c); _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n") }, schemas.ErrReset},
		"bad chunks": {func(c net.Conn) {
			head(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
		}, schemas.ErrReset},
		"switches": {func(c net.Conn) {
			head(c)
			_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		}, "http_other"},
		"answers early": {func(c net.Conn) {
			_, _ = c.Read(make([]byte, 1))
			_, _ = io.WriteString(c, "HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			head(c)
		}, schemas.ErrHTTP5xx},
		"a strange code": {func(c net.Conn) { head(c); _, _ = io.WriteString(c, "HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n") }, schemas.ErrHTTP5xx},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, raw(t, c.handle))
			h.target.Timeout = 500 * time.Millisecond
			if c.kind != schemas.ErrTimeout {
				h.target.Timeout = 30 * time.Second
			}
			out := h.send(t, sample("dlv_1"))
			if out.Row.ErrorKind != c.kind {
				t.Errorf("%+v, want %q", out, c.kind)
			}
			if c.kind == schemas.ErrTimeout && (out.Row.Error != "Connection timeout" || out.Row.ResponseCode != 0) {
				t.Errorf("a timeout has %q and code %d", out.Row.Error, out.Row.ResponseCode)
			}
			if len(out.Row.ResponseBody) > schemas.MaxResponseExcerpt {
				t.Errorf("excerpt of %d bytes", len(out.Row.ResponseBody))
			}
			if strings.Contains(out.Row.Error, "127.0.0.1") {
				t.Errorf("the error tells an address: %s", out.Row.Error)
			}
		})
	}
}

func drip(c net.Conn) {
	for {
		if _, err := io.WriteString(c, "x"); err != nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func dripChunks(c net.Conn) {
	for {
		if _, err := io.WriteString(c, "1\r\nx\r\n"); err != nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestGzipBomb: the answer is never unpacked.
func TestGzipBomb(t *testing.T) {
	r := receiver(t, func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		zeros := make([]byte, 1<<20)
		for range 64 {
			if _, err := z.Write(zeros); err != nil {
				return
			}
		}
		_ = z.Close()
	})
	out := newHarness(t, r.URL).send(t, sample("dlv_1"))
	if out.Verdict != schemas.Delivered || len(out.Row.ResponseBody) > schemas.MaxResponseExcerpt || !utf8.ValidString(out.Row.ResponseBody) {
		t.Errorf("%s, excerpt of %d bytes", out.Row.ErrorKind, len(out.Row.ResponseBody))
	}
}

func TestExcerptIsText(t *testing.T) {
	for _, body := range []string{"", "ok", "\xff\xfe", strings.Repeat("é", 5000), "x" + strings.Repeat("😀", 3000), strings.Repeat("a\xff", 5000)} {
		r := receiver(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
		got := newHarness(t, r.URL).send(t, sample("dlv_1")).Row.ResponseBody
		if !utf8.ValidString(got) || len(got) > schemas.MaxResponseExcerpt || utf8.ValidString(body) && !strings.HasPrefix(body, strings.TrimRight(got, "\uFFFD")) {
			t.Errorf("%.20q: excerpt %.20q of %d bytes", body, got, len(got))
		}
	}
}

func TestFaults(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := "http://" + closed.Addr().String()
	closed.Close()
	secure := httptest.NewTLSServer(http.HandlerFunc(status(200)))
	defer secure.Close()
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are what is tested
	plain := receiver(t, status(200))
	trust := func(c *Config) {
		c.RootCAs = x509.NewCertPool()
		c.RootCAs.AddCert(secure.Certificate())
	}
	oldTLS := httptest.NewUnstartedServer(http.HandlerFunc(status(200)))
	oldTLS.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	oldTLS.Config.ErrorLog = secure.Config.ErrorLog
	oldTLS.StartTLS()
	defer oldTLS.Close()
	for _, c := range []struct {
		name, url, kind, words string
		change                 func(*Config)
	}{
		{"refused", refused, schemas.ErrRefused, "Connection refused", func(*Config) {}},
		{"untrusted", secure.URL, schemas.ErrTLS, "not signed by a trusted authority", func(*Config) {}},
		{"trusted", secure.URL, "", "", trust},
		{"another host", strings.Replace(secure.URL, "127.0.0.1", "localhost", 1), schemas.ErrTLS, "another host name", trust},
		{"no TLS there", strings.Replace(plain.URL, "http:", "https:", 1), schemas.ErrTLS, "does not speak TLS", func(*Config) {}},
		{"old TLS", oldTLS.URL, schemas.ErrTLS, "TLS handshake failed", func(*Config) {}},
		{"private", plain.URL, schemas.ErrBlocked, "not allowed", func(c *Config) { c.Egress = egress.Policy{AllowHTTP: true} }},
		{"private by name", strings.Replace(plain.URL, "127.0.0.1", "localhost", 1), schemas.ErrBlocked, "not allowed", func(c *Config) { c.Egress = egress.Policy{AllowHTTP: true} }},
		{"metadata", "http://169.254.169.254/latest/meta-data", schemas.ErrBlocked, "not allowed", func(*Config) {}},
		{"http", plain.URL, schemas.ErrRejected, "not allowed", func(c *Config) { c.Egress = egress.Policy{AllowPrivate: true} }},
	} {
		h := newHarness(t, c.url, c.change)
		out := h.send(t, sample("dlv_1"))
		if out.Row.ErrorKind != c.kind || !strings.Contains(out.Row.Error, c.words) {
			t.Errorf("%s: %q %q", c.name, out.Row.ErrorKind, out.Row.Error)
		}
		if strings.Contains(out.Row.Error, "127.0.0.1") || strings.Contains(out.Row.Error, "169.254") {
			t.Errorf("%s: the error tells an address: %s", c.name, out.Row.Error)
		}
	}
}

// TestProxyOfTheEnvironmentIsIgnored: it would connect in our name, past the
// guard. The environment names one that refuses connections.
func TestProxyOfTheEnvironmentIsIgnored(t *testing.T) {
	out := newHarness(t, "http://webhooks.invalid/").send(t, sample("dlv_1"))
	if out.Row.ErrorKind != schemas.ErrDNS && out.Row.ErrorKind != schemas.ErrTimeout {
		t.Errorf("%+v", out.Row)
	}
}
