package delivery

// Whom a product's deliveries are handed to: the server whose certificate says
// so, and nobody else.

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// certificate signs itself, for 127.0.0.1 and a time.
func certificate(t *testing.T, from, to time.Time) (tls.Certificate, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "receiver"}, NotBefore: from, NotAfter: to,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, parsed
}

// TestServersCertificateIsChecked: only a certificate of a trusted authority,
// for this host and this day, gets the delivery; otherwise nothing of it
// leaves, and it is tried again.
func TestServersCertificateIsChecked(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		from, to time.Time
		host     string
		trusted  bool
		words    string // empty: delivered
	}{
		"right":        {now.Add(-time.Hour), now.Add(time.Hour), "127.0.0.1", true, ""},
		"untrusted":    {now.Add(-time.Hour), now.Add(time.Hour), "127.0.0.1", false, "trusted authority"},
		"another host": {now.Add(-time.Hour), now.Add(time.Hour), "localhost", true, "another host name"},
		"expired":      {now.Add(-2 * time.Hour), now.Add(-time.Hour), "127.0.0.1", true, "expired"},
		"not yet":      {now.Add(time.Hour), now.Add(2 * time.Hour), "127.0.0.1", true, "not yet valid"},
	} {
		for _, product := range []string{"kidsmart", "aiinterview", "smartcv", "ihateppt", "smartkyc", "standard"} {
			var served atomic.Int64
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served.Add(1) }))
			pair, parsed := certificate(t, c.from, c.to)
			server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
			server.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are what is tested
			server.StartTLS()
			h := newHarness(t, strings.Replace(server.URL, "127.0.0.1", c.host, 1), func(cfg *Config) {
				if cfg.RootCAs = x509.NewCertPool(); c.trusted {
					cfg.RootCAs.AddCert(parsed)
				}
			})
			h.target.Profile = product
			if product == "standard" {
				h.target.Secrets = [][]byte{[]byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")}
			}
			d, _ := productSample(t, product)
			out := h.send(t, d)
			if c.words == "" && (out.Verdict != schemas.Delivered || served.Load() != 1) {
				t.Errorf("%s, %s: %+v", name, product, out)
			}
			if c.words != "" && (out.Verdict != schemas.Retry || out.Row.ErrorKind != schemas.ErrTLS || !strings.Contains(out.Row.Error, c.words) || served.Load() != 0) {
				t.Errorf("%s, %s: %+v, %d requests served", name, product, out, served.Load())
			}
			h.Close()
			server.Close()
		}
	}
}

// TestProductConnectionErrorsAreRetried: nobody listening, and a server that
// hangs up, are failures like any other.
func TestProductConnectionErrorsAreRetried(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	hangsUp := raw(t, func(c net.Conn) { _, _ = head(c) })
	for _, product := range []string{"kidsmart", "aiinterview", "smartcv", "ihateppt", "smartkyc"} {
		for url, kind := range map[string]string{"http://" + closed.Addr().String(): schemas.ErrRefused, hangsUp: schemas.ErrReset} {
			h := newHarness(t, url)
			h.target.Profile = product
			d, p := productSample(t, product)
			for attempts := range len(p.Schedule()) + 1 {
				d.Attempts = attempts
				want := schemas.Retry
				if attempts == len(p.Schedule()) {
					want = schemas.Exhausted
				}
				if out := h.send(t, d); out.Verdict != want || out.Row.ErrorKind != kind || out.Row.ResponseCode != 0 {
					t.Errorf("%s, attempt %d: %+v", product, attempts+1, out)
				}
			}
		}
	}
}
