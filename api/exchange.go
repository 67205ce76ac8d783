package api

// One request on its way: what was answered, its log line, its body's bounds.

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/segmentio/encoding/json"
)

// exchange is the ResponseWriter that handlers get: it remembers what was
// answered. Flush, deadlines and hijacking go through http.ResponseController.
type exchange struct {
	http.ResponseWriter
	id        string
	start     time.Time
	route     string
	principal Principal
	until     time.Time // end of the session that the request came by; zero: it came by a key
	shape     *Shape    // of its problems; nil: problem+json
	status    int
	bytes     int64
	problem   string // code of the problem that was answered
}

// RequestID is the id of the request that w answers, as the log has it; empty
// outside the mux.
func RequestID(w http.ResponseWriter) string {
	if x, ok := w.(*exchange); ok {
		return x.id
	}
	return ""
}

// Unwrap serves http.ResponseController.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// WriteHeader remembers the status.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 && status >= 200 {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write counts bytes.
func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	n, err := x.ResponseWriter.Write(b)
	x.bytes += int64(n)
	return n, err
}

// fail answers an error: a *Problem as it is, anything else as a 500 whose
// cause only the log has.
func (m *Mux) fail(x *exchange, r *http.Request, err error) {
	var problem *Problem
	var method *methodProblem
	switch {
	case errors.As(err, &problem):
		own := *problem // handlers may return one value to many requests
		problem = &own
	case errors.As(err, &method):
		x.Header().Set("Allow", method.allow)
		problem = Fail(http.StatusMethodNotAllowed, "method_not_allowed", "", "%s does not work here; use %s", r.Method, method.allow)
	case r.Context().Err() != nil:
		problem = Fail(http.StatusServiceUnavailable, "canceled", "", "the request was cut off before it was done; try again")
	default:
		m.cfg.Log.Error("request failed", "id", x.id, "route", x.route, "err", err)
		problem = Fail(http.StatusInternalServerError, "internal", "", "something went wrong here; the id is in our log")
	}
	if x.status != 0 {
		return // the answer is under way: the log has the error
	}
	m.write(x, problem)
}

func (m *Mux) write(x *exchange, p *Problem) {
	p.ID = x.id
	x.problem = p.Code
	h := x.Header()
	h.Del("ETag")
	h.Del("Content-Length")
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="hookstream"`)
	}
	status, contentType, body := p.Status, "application/problem+json", any(p)
	if x.shape != nil {
		status, body = x.shape.Write(*p)
		contentType = "application/json"
	}
	b, err := json.Append(nil, body, 0)
	if err != nil {
		b = []byte(`{"status":500,"code":"internal","title":"Internal Server Error"}`)
	}
	_ = writeBytes(x, status, contentType, append(b, '\n'))
}

func (m *Mux) logPanic(x *exchange, r *http.Request, panicked any) {
	m.cfg.Log.Error("handler panicked", "id", x.id, "route", x.route, "method", r.Method,
		"panic", fmt.Sprint(panicked), "stack", string(debug.Stack()))
}

// access writes the request's one line. The query is left out: it may hold a
// key.
func (m *Mux) access(x *exchange, r *http.Request) {
	status := x.status
	if status == 0 {
		status = http.StatusOK
	}
	attrs := make([]slog.Attr, 0, 12)
	attrs = append(attrs, slog.String("id", x.id), slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.String("route", x.route), slog.Int("status", status), slog.Int64("bytes", x.bytes),
		slog.Float64("ms", float64(time.Since(x.start).Microseconds())/1000), slog.String("remote", r.RemoteAddr))
	if x.principal.KeyID != "" {
		attrs = append(attrs, slog.String("key", x.principal.KeyID), slog.String("tenant", x.principal.Tenant))
	}
	if x.problem != "" {
		attrs = append(attrs, slog.String("problem", x.problem))
	}
	m.cfg.Log.LogAttrs(r.Context(), slog.LevelInfo, "request", attrs...)
}

// boundBody bounds a body in bytes and in the time that it may take to come.
func (m *Mux) boundBody(x *exchange, r *http.Request, limit int64) {
	control := http.NewResponseController(x)
	body := http.MaxBytesReader(x, r.Body, limit)
	if control.SetReadDeadline(time.Now().Add(m.cfg.BodyTimeout)) != nil {
		r.Body = body // a ResponseWriter without deadlines, as in tests
		return
	}
	r.Body = &timedBody{ReadCloser: body, control: control}
}

// timedBody lifts the read deadline once the body is in: left standing it would
// cancel a handler that works, or streams, for longer.
type timedBody struct {
	io.ReadCloser
	control *http.ResponseController
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}
