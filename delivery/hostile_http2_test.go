package delivery

// Servers that misuse HTTP/2: the attempt ends within its time, with the right
// kind of error, and takes no more than its bounds.

import (
	"bytes"
	"crypto/tls"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/hookstream/hookstream/schemas"
)

// peer is a server's side of one HTTP/2 connection, after a request's headers.
type peer struct {
	*http2.Framer
	conn   *tls.Conn
	stream uint32
}

// block is a header block: pairs of name and value.
func block(pairs ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for i := 0; i+1 < len(pairs); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return b.Bytes()
}

func (p *peer) headers(end bool, pairs ...string) error {
	return p.WriteHeaders(http2.HeadersFrameParam{StreamID: p.stream, BlockFragment: block(pairs...), EndHeaders: true, EndStream: end})
}

// rest reads what else comes, until the other side closes.
func (p *peer) rest() { _, _ = io.Copy(io.Discard, p.conn) }

// speak reads the preface, sends settings and hands over at the first request;
// at once when there can be none.
func speak(settings []http2.Setting, handle func(*peer)) func(*tls.Conn) {
	return func(c *tls.Conn) {
		if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
			return
		}
		p := &peer{Framer: http2.NewFramer(c, c), conn: c, stream: 1}
		if p.WriteSettings(settings...) != nil {
			return
		}
		for {
			f, err := p.ReadFrame()
			if err != nil {
				return
			}
			if h, ok := f.(*http2.HeadersFrame); ok {
				p.stream = h.StreamID
				handle(p)
				return
			}
		}
	}
}

func TestHostileHTTP2(t *testing.T) {
	chunk := bytes.Repeat([]byte("x"), 16<<10)
	forever := func(f func() error) {
		for f() == nil {
		}
	}
	for name, c := range map[string]struct {
		settings []http2.Setting
		handle   func(*peer)
		kinds    string // any of them; "delivered" is none
	}{
		"well": {nil, func(p *peer) { _ = p.headers(true, ":status", "200"); p.rest() }, "delivered"},
		"trailers": {nil, func(p *peer) {
			_ = p.headers(false, ":status", "200")
			_ = p.WriteData(p.stream, false, []byte("ok"))
			_ = p.headers(true, "x-checksum", "1")
			p.rest()
		}, "delivered"},
		"never answers": {nil, (*peer).rest, schemas.ErrTimeout},
		"never ends":    {nil, func(p *peer) { _ = p.headers(false, ":status", "200"); p.rest() }, schemas.ErrTimeout},
		"drips": {nil, func(p *peer) {
			_ = p.headers(false, ":status", "200")
			forever(func() error { time.Sleep(5 * time.Millisecond); return p.WriteData(p.stream, false, []byte("x")) })
		}, schemas.ErrTimeout},
		"empty frames": {nil, func(p *peer) {
			_ = p.headers(false, ":status", "200")
			forever(func() error { time.Sleep(time.Millisecond); return p.WriteData(p.stream, false, nil) })
		}, schemas.ErrTimeout},
		"endless body, heedless of windows": {nil, func(p *peer) {
			_ = p.headers(false, ":status", "200")
			forever(func() error { return p.WriteData(p.stream, false, chunk) })
		}, "delivered " + schemas.ErrReset},
		"more than the length said": {nil, func(p *peer) {
			_ = p.headers(false, ":status", "200", "content-length", "1")
			_ = p.WriteData(p.stream, true, chunk)
			p.rest()
		}, schemas.ErrReset},
		"less than the length said": {nil, func(p *peer) {
			_ = p.headers(false, ":status", "200", "content-length", "100")
			_ = p.WriteData(p.stream, true, []byte("half"))
			p.rest()
		}, schemas.ErrReset},
		"endless continuations": {nil, func(p *peer) {
			_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: p.stream, BlockFragment: block(":status", "200")})
			one := block("x-a", strings.Repeat("b", 4000))
			forever(func() error { return p.WriteContinuation(p.stream, false, one) })
		}, schemas.ErrTooLarge + " " + schemas.ErrReset},
		"too many headers": {nil, func(p *peer) {
			pairs := []string{":status", "200"}
			for i := range 400 {
				pairs = append(pairs, "x-a", strconv.Itoa(i)+strings.Repeat("b", 200))
			}
			all := block(pairs...)
			first, rest := all[:16000], all[16000:]
			_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: p.stream, BlockFragment: first, EndHeaders: len(rest) == 0, EndStream: true})
			for len(rest) > 0 {
				n := min(16000, len(rest))
				_ = p.WriteContinuation(p.stream, n == len(rest), rest[:n])
				rest = rest[n:]
			}
			p.rest()
		}, schemas.ErrTooLarge + " " + schemas.ErrReset},
		"flood of early hints": {nil, func(p *peer) {
			forever(func() error { return p.headers(false, ":status", "103", "link", "</a>") })
		}, schemas.ErrTooLarge},
		"flood of 100":         {nil, func(p *peer) { forever(func() error { return p.headers(false, ":status", "100") }) }, schemas.ErrTooLarge},
		"switches protocols":   {nil, func(p *peer) { _ = p.headers(true, ":status", "101"); p.rest() }, schemas.ErrReset + " http_other " + schemas.ErrTimeout},
		"no status":            {nil, func(p *peer) { _ = p.headers(true, "x-a", "b"); p.rest() }, schemas.ErrReset},
		"body without headers": {nil, func(p *peer) { _ = p.WriteData(p.stream, true, []byte("x")); p.rest() }, schemas.ErrReset},
		"pushes": {nil, func(p *peer) {
			_ = p.WriteRawFrame(http2.FramePushPromise, 4, p.stream, []byte{0, 0, 0, 2, 0x88})
			p.rest()
		}, schemas.ErrReset},
		"huge frame": {nil, func(p *peer) {
			_ = p.headers(false, ":status", "200")
			_, _ = p.conn.Write([]byte{0xff, 0xff, 0xff, 0, 0, 0, 0, 0, byte(p.stream)})
			endless(p.conn, string(chunk))
		}, schemas.ErrReset},
		"pings": {nil, func(p *peer) {
			go p.rest()
			forever(func() error { time.Sleep(time.Millisecond); return p.WritePing(false, [8]byte{1}) })
		}, schemas.ErrTimeout},
		"settings": {nil, func(p *peer) {
			go p.rest()
			forever(func() error { time.Sleep(time.Millisecond); return p.WriteSettings() })
		}, schemas.ErrTimeout},
		"window overflow": {nil, func(p *peer) { _ = p.WriteWindowUpdate(0, 1<<31-1); p.rest() }, schemas.ErrReset},
		"resets":          {nil, func(p *peer) { _ = p.WriteRSTStream(p.stream, http2.ErrCodeInternal); p.rest() }, schemas.ErrReset},
		"refuses streams": {nil, func(p *peer) { _ = p.WriteRSTStream(p.stream, http2.ErrCodeRefusedStream); p.rest() }, schemas.ErrReset + " " + schemas.ErrTimeout},
		"goes away":       {nil, func(p *peer) { _ = p.WriteGoAway(0, http2.ErrCodeEnhanceYourCalm, []byte("x")); p.rest() }, schemas.ErrReset + " " + schemas.ErrTimeout},
		"closes":          {nil, func(*peer) {}, schemas.ErrReset},
		"no window":       {[]http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 0}}, (*peer).rest, schemas.ErrTimeout},
		"no streams":      {[]http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: 0}}, (*peer).rest, schemas.ErrTimeout},
		"bad settings":    {[]http2.Setting{{ID: http2.SettingMaxFrameSize, Val: 1}}, (*peer).rest, schemas.ErrReset},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := secureHarness(t, "standard", []string{"h2"}, speak(c.settings, c.handle))
			read := counted(t, h)
			h.target.Timeout = 30 * time.Second
			if strings.Contains(c.kinds, schemas.ErrTimeout) {
				h.target.Timeout = 700 * time.Millisecond
			}
			out := h.send(t, profiled(t, h, "dlv_1"))
			kind := out.Row.ErrorKind
			if out.Verdict == schemas.Delivered {
				kind = "delivered"
			}
			if !strings.Contains(" "+c.kinds+" ", " "+kind+" ") {
				t.Errorf("%s %q, want %s", kind, out.Row.Error, c.kinds)
			}
			if !strings.HasPrefix(name, "flood") { // which goes on after the stream was reset, and is thrown away
				wantBounded(t, &out, read.Load())
			}
		})
	}
}

// wantBounded: what one attempt may take from a receiver. Chunks of one byte
// cost six; beside headers and body there is the handshake, and what is read
// into a buffer.
func wantBounded(t *testing.T, out *schemas.Outcome, read int64) {
	t.Helper()
	if most := int64(maxResponseHeader + 6*maxResponseBody + 128<<10); read > most {
		t.Errorf("%d bytes were read, more than %d", read, most)
	}
	if len(out.Row.ResponseBody) > schemas.MaxResponseExcerpt {
		t.Errorf("excerpt of %d bytes", len(out.Row.ResponseBody))
	}
	if strings.Contains(out.Row.Error, "127.0.0.1") {
		t.Errorf("the error tells an address: %s", out.Row.Error)
	}
}
