package delivery

// Servers that misuse HTTP/1.1 in the finer ways: what they make of one answer,
// of a connection that is kept, and of a redirect.

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// TestAnswersAreReadWithinBounds counts the bytes that leave the socket.
func TestAnswersAreReadWithinBounds(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	for range 64 {
		_, _ = z.Write(make([]byte, 1<<20))
	}
	_ = z.Close()
	say := func(s string) func(net.Conn) {
		return func(c net.Conn) {
			head(c)
			_, _ = io.WriteString(c, s)
			_, _ = io.Copy(io.Discard, c)
		}
	}
	then := func(s, more string) func(net.Conn) {
		return func(c net.Conn) { head(c); _, _ = io.WriteString(c, s); endless(c, more) }
	}
	const ok, chunked = "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	for name, c := range map[string]struct {
		handle func(net.Conn)
		kind   string // empty: delivered
	}{
		"endless headers":           {then(ok, "X-A: bbbbbbbb\r\n"), schemas.ErrTooLarge},
		"endless status line":       {then("HTTP/1.1 200 ", "OK"), schemas.ErrTooLarge},
		"endless body":              {then(ok+"\r\n", strings.Repeat("x", 4096)), ""},
		"endless chunk":             {then(chunked+"fffffff\r\n", strings.Repeat("x", 4096)), ""},
		"endless chunks":            {then(chunked, "1\r\nx\r\n"), ""},
		"endless chunk extension":   {then(chunked+"1;a=", "bbbbbbbbbbbbbbbbbbbbbbb"), schemas.ErrReset},
		"endless trailers":          {then(chunked+"2\r\nok\r\n0\r\n", "X-A: bbbbbbbb\r\n"), schemas.ErrTooLarge},
		"trailers":                  {say(chunked + "2\r\nok\r\n0\r\nX-Checksum: 1\r\n\r\n"), ""},
		"gzip bomb":                 {then(ok+"Content-Encoding: gzip\r\n\r\n", bomb.String()), ""},
		"gzip as transfer encoding": {say(ok + "Transfer-Encoding: gzip, chunked\r\n\r\n"), schemas.ErrReset},
		"early hints":               {say("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok + "Content-Length: 0\r\n\r\n"), ""},
		"flood of early hints":      {then("", "HTTP/1.1 103 Early Hints\r\n\r\n"), schemas.ErrTooLarge},
		"flood of 100":              {then("", "HTTP/1.1 100 Continue\r\n\r\n"), schemas.ErrTooLarge},
		"100 nobody asked for":      {say("HTTP/1.1 100 Continue\r\n\r\n" + ok + "Content-Length: 0\r\n\r\n"), ""},
		"100 and nothing":           {say("HTTP/1.1 100 Continue\r\n\r\n"), schemas.ErrTimeout},
		"100 before the request": {func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
			head(c)
			_, _ = io.WriteString(c, ok+"Content-Length: 0\r\n\r\n")
		}, "any"},
		"switches and stays":        {say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"), errHTTPOther},
		"switches with chunks":      {say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\nTransfer-Encoding: chunked\r\n\r\n"), errHTTPOther},
		"switches with a length":    {say("HTTP/1.1 101 Switching Protocols\r\nContent-Length: 10\r\n\r\n"), errHTTPOther},
		"two lengths":               {say(ok + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nokk"), schemas.ErrReset},
		"length and chunks":         {say(ok + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"), ""},
		"length too small":          {say(ok + "Content-Length: 2\r\n\r\nok and much more"), ""},
		"length too large":          {say(ok + "Content-Length: 20\r\n\r\nok"), schemas.ErrTimeout},
		"a body where none may be":  {say("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello"), ""},
		"header without a colon":    {say(ok + "nonsense\r\n\r\n"), schemas.ErrReset},
		"a header's second line":    {say(ok + " X-A: folded\r\nContent-Length: 0\r\n\r\n"), schemas.ErrReset},
		"HTTP/2 without being told": {say("\x00\x00\x00\x04\x00\x00\x00\x00\x00"), "any"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, raw(t, c.handle))
			read := counted(t, h)
			if h.target.Timeout = 30 * time.Second; c.kind == schemas.ErrTimeout || c.kind == "any" {
				h.target.Timeout = 500 * time.Millisecond
			}
			out := h.send(t, sample("dlv_1"))
			if c.kind != "any" && (out.Row.ErrorKind != c.kind || (out.Verdict == schemas.Delivered) != (c.kind == "")) {
				t.Errorf("%v %q %q, want %q", out.Verdict, out.Row.ErrorKind, out.Row.Error, c.kind)
			}
			wantBounded(t, &out, read.Load())
		})
	}
}

// TestSecondAnswerIsNobodys: an answer that nobody asked for ends its
// connection; the next delivery gets its own, on another one.
func TestSecondAnswerIsNobodys(t *testing.T) {
	var connections, requests atomic.Int64
	gone := make(chan bool, 16)
	url := raw(t, func(c net.Conn) {
		connections.Add(1)
		r := bufio.NewReader(c)
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				gone <- true
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			n := requests.Add(1)
			_, _ = io.WriteString(c, "HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\ntrue")
			if n == 1 {
				time.Sleep(50 * time.Millisecond)
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfalse")
			}
		}
	})
	h := newHarness(t, url)
	h.target.Timeout = 30 * time.Second
	first := h.send(t, sample("dlv_1"))
	<-gone // the second answer closed the connection
	second := h.send(t, sample("dlv_2"))
	if first.Row.ResponseCode != 500 || second.Row.ResponseCode != 500 || second.Row.ResponseBody != "true" {
		t.Errorf("answers %d %q and %d %q", first.Row.ResponseCode, first.Row.ResponseBody, second.Row.ResponseCode, second.Row.ResponseBody)
	}
	if connections.Load() != 2 || requests.Load() != 2 {
		t.Errorf("%d requests on %d connections", requests.Load(), connections.Load())
	}
}

// TestNoRedirectIsFollowed: not to anywhere, in any of the ways to ask for it,
// by either protocol's client.
func TestNoRedirectIsFollowed(t *testing.T) {
	n := newNeighbours(t)
	for _, profile := range []string{"smartcv", "standard"} {
		for _, code := range []int{300, 301, 302, 303, 305, 307, 308} {
			for _, to := range []string{"http://127.0.0.1:" + n.port + "/", "//127.0.0.1:" + n.port, "/again", "http://169.254.169.254/", "file:///etc/passwd", "http://[::1]:" + n.port + "/"} {
				r := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Location", to)
					w.Header().Set("Refresh", "0; url="+to)
					w.Header().Set("Alt-Svc", `h2="127.0.0.1:`+n.port+`"`)
					w.WriteHeader(code)
				})
				h := newHarness(t, r.URL)
				useProfile(h, profile)
				out := h.send(t, profiled(t, h, "dlv_1"))
				if out.Row.ErrorKind != schemas.ErrHTTP3xx || out.Row.ResponseCode != code || r.count() != 1 {
					t.Errorf("%d to %s: %q, %d requests", code, to, out.Row.ErrorKind, r.count())
				}
				h.Close()
				r.Close()
			}
		}
	}
	if got := n.intruded.Load() + n.allowed.Load(); got != 0 {
		t.Errorf("%d connections to where redirects led", got)
	}
}
