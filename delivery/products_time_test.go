package delivery

// What the products' contracts say in seconds, in virtual time.

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// answeringAfter is a harness whose requests are answered 200 after a while of
// virtual time, over a connection that is memory.
func answeringAfter(t *testing.T, after time.Duration) *harness {
	h := newHarness(t, "http://webhooks.example/hook")
	h.clients.one.DialContext = func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			req, err := http.ReadRequest(bufio.NewReader(theirs))
			if err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, req.Body); err != nil {
				return
			}
			time.Sleep(after)
			_, _ = io.WriteString(theirs, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		}()
		return ours, nil
	}
	return h
}

// TestProductAttemptsEndAt30Seconds: an answer within 30 s counts, and is marked
// slow beyond 5 s; at 30 s the attempt ends, without a status, as a timeout of
// 30,000 ms that is tried again.
func TestProductAttemptsEndAt30Seconds(t *testing.T) {
	for _, name := range []string{"kidsmart", "aiinterview", "smartcv", "ihateppt", "smartkyc"} {
		for after, want := range map[time.Duration]struct {
			verdict schemas.Verdict
			code    int
			slow    bool
			ms      int64
		}{
			4990 * time.Millisecond:  {schemas.Delivered, 200, false, 4990},
			5010 * time.Millisecond:  {schemas.Delivered, 200, true, 5010},
			29990 * time.Millisecond: {schemas.Delivered, 200, true, 29990},
			31 * time.Second:         {schemas.Retry, 0, false, 30000},
		} {
			synctest.Test(t, func(t *testing.T) {
				h := answeringAfter(t, after)
				h.target.Profile = name
				d, _ := productSample(t, name)
				out := h.send(t, d)
				if out.Verdict != want.verdict || out.Row.ResponseCode != want.code || out.Row.Slow != want.slow || out.Row.DurationMS != want.ms {
					t.Errorf("%s, answered after %s: %+v", name, after, out)
				}
				if timeout := want.code == 0; timeout && (out.Row.Error != "Connection timeout" || out.Row.ErrorKind != schemas.ErrTimeout) || !timeout && out.Row.Error != "" {
					t.Errorf("%s, answered after %s: error %q %q", name, after, out.Row.ErrorKind, out.Row.Error)
				}
				h.Close()
				time.Sleep(time.Minute) // the server's goroutine ends
			})
		}
	}
}
