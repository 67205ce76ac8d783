package delivery

import (
	"bufio"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/hookstream/hookstream/schemas"
)

// raw listens on loopback and hands every connection to handle; the requests'
// bytes are not looked at by any HTTP library.
func raw(t testing.TB, handle func(net.Conn)) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	conns := map[net.Conn]bool{}
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns[c] = true
			mu.Unlock()
			wg.Go(func() {
				defer c.Close()
				handle(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for c := range conns {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return "http://" + l.Addr().String()
}

// head reads a request's lines up to the empty one, then its body.
func head(c net.Conn) (lines []string, body string) {
	r := bufio.NewReader(c)
	length := 0
	for {
		line, err := r.ReadString('\n')
		if err != nil || line == "\r\n" {
			break
		}
		line = strings.TrimSuffix(line, "\r\n")
		lines = append(lines, line)
		if n, ok := strings.CutPrefix(line, "Content-Length: "); ok {
			for _, c := range n {
				length = length*10 + int(c-'0')
			}
		}
	}
	b := make([]byte, length)
	if _, err := io.ReadFull(r, b); err != nil {
		return lines, ""
	}
	return lines, string(b)
}

// TestBytesOnTheWire: header names arrive in the contract's casing, nothing is
// there that was not asked for, and data is verbatim.
func TestBytesOnTheWire(t *testing.T) {
	type request struct {
		lines []string
		body  string
	}
	got := make(chan request, 1)
	url := raw(t, func(c net.Conn) {
		lines, body := head(c)
		got <- request{lines, body}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	})
	h := newHarness(t, url+"/hook?a=b")
	h.target.Headers = []schemas.Header{{Key: "X-rEQUEST-id", Value: []byte("r1")}, {Key: "x-smartcv-signature", Value: []byte("forged")}, {Key: "Host", Value: []byte("evil")}}
	d := sample("dlv_1")
	d.Trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	d.Data = []byte("{ \"a\" :25.0,\"b\":\"\u2028<&>😀\",\"n\":12345678901234567890}")
	if out := h.send(t, d); out.Verdict != schemas.Delivered || out.Row.TraceID != "4bf92f3577b34da6a3ce929d0e0e4736" {
		t.Fatalf("%+v", out)
	}
	r := <-got
	if r.lines[0] != "POST /hook?a=b HTTP/1.1" {
		t.Errorf("request line %q", r.lines[0])
	}
	names := map[string]string{}
	for _, line := range r.lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		names[name] = value
	}
	for _, want := range []string{"Host", "User-Agent", "Content-Length", "Accept-Encoding", "Content-Type", "X-SmartCV-Signature", "X-SmartCV-Timestamp", "X-rEQUEST-id", "traceparent"} {
		if names[want] == "" {
			t.Errorf("%s is missing among %q", want, r.lines)
		}
	}
	if len(names) != 9 || len(r.lines) != 10 || names["Accept-Encoding"] != "identity" || !strings.HasPrefix(names["User-Agent"], "hookstream/") || names["traceparent"] != d.Trace || strings.HasPrefix(names["Host"], "evil") {
		t.Errorf("%q", r.lines)
	}
	if !strings.Contains(r.body, `"data":`+string(d.Data)+`,"api_version"`) {
		t.Errorf("body %s", r.body)
	}
}

// TestStandardOverHTTP2: the profile that allows it is spoken over HTTP/2, the
// products' profiles are not, and the scheme's own library verifies.
func TestStandardOverHTTP2(t *testing.T) {
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	wh, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var protos []string
	var verified error
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		protos, verified = append(protos, r.Proto), wh.Verify(body, r.Header)
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	h := newHarness(t, s.URL, func(c *Config) {
		c.RootCAs = x509.NewCertPool()
		c.RootCAs.AddCert(s.Certificate())
	})
	h.target.Secrets = [][]byte{[]byte(secret)}
	d := sample("dlv_1")
	d.Profile, d.EventType, d.Data = "standard", "invoice.paid", []byte("{ \"a\":\"\u2028\" }")
	if out := h.send(t, d); out.Verdict != schemas.Delivered {
		t.Fatalf("%+v", out)
	}
	if verified != nil {
		t.Error(verified)
	}
	if out := h.send(t, sample("dlv_2")); out.Verdict != schemas.Delivered {
		t.Fatalf("%+v", out)
	}
	if len(protos) != 2 || protos[0] != "HTTP/2.0" || protos[1] != "HTTP/1.1" {
		t.Errorf("protocols %v", protos)
	}
}

// TestConnectionsAreReused, also after answers that are failures or longer
// than the excerpt.
func TestConnectionsAreReused(t *testing.T) {
	var mu sync.Mutex
	conns := map[string]bool{}
	r := receiver(t, func(w http.ResponseWriter, req *http.Request) {
		mu.Lock()
		conns[req.RemoteAddr] = true
		mu.Unlock()
		w.WriteHeader(500)
		_, _ = io.WriteString(w, strings.Repeat("x", 20_000))
	})
	h := newHarness(t, r.URL)
	for range 5 {
		if out := h.send(t, sample("dlv_1")); len(out.Row.ResponseBody) != schemas.MaxResponseExcerpt {
			t.Fatalf("excerpt of %d bytes", len(out.Row.ResponseBody))
		}
	}
	if len(conns) != 1 {
		t.Errorf("%d connections for 5 requests", len(conns))
	}
}
