// Package receiver is a webhook receiver for trying things out: it checks each
// request's signature, remembers the last ones and answers as told. The
// command "hookstream listen", the demo and tests run it; production receivers
// have queues behind them.
package receiver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// Answer is a receiver's response. An empty ContentType is told from the body.
type Answer struct {
	Status      int // 0: the configured one
	ContentType string
	Body        []byte
	Note        string // for people, beside the verdict
}

// Config says what a receiver checks and how it answers. Verify, Accept,
// Refuse and Notify are called concurrently.
type Config struct {
	// Verify says why a request's signature is wrong; nil takes every request.
	// The header function is case insensitive and gives "" for an absent one.
	Verify func(path string, header func(string) string, body []byte, now time.Time) error
	// Accept is the answer to a verified request, or to any when nothing is
	// verified; nil, or false, is the configured status and a plain text line.
	Accept func(path string, header func(string) string, body []byte) (Answer, bool)
	// Refuse is the answer to a request that Verify refused; nil, or false, is
	// 401 with the reason.
	Refuse func(path string, err error) (Answer, bool)
	// Notify gets each delivery before it is answered; nil for none.
	Notify func(Delivery)

	Status   int            // of a verified request
	Latency  time.Duration  // before the answer; a sender that hangs up ends it
	FailRate float64        // share of verified requests that are answered 503, 0 to 1
	Rand     func() float64 // in [0,1): decides which requests fail
	Keep     int            // deliveries remembered
	MaxBody  int64          // bytes of a body; a larger one is answered 413
	Logger   *slog.Logger   // errors of writing answers
}

// DefaultConfig answers 200 at once and checks nothing.
func DefaultConfig() Config {
	return Config{Status: http.StatusOK, Rand: rand.Float64, Keep: 200, MaxBody: 16 << 20, Logger: slog.New(slog.DiscardHandler)}
}

// Validate names the field that is wrong and the cure.
func (c *Config) Validate() error {
	var errs []error
	check := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(c.Status < 200 || c.Status > 599, "status is %d; give a number from 200 to 599", c.Status)
	check(c.Latency < 0, "latency is %v; give 0 or more", c.Latency)
	check(!(c.FailRate >= 0 && c.FailRate <= 1), "fail rate is %g; give a share from 0 to 1", c.FailRate)
	check(c.Rand == nil, "rand is nil; start from DefaultConfig")
	check(c.Keep < 1, "keep is %d; give at least 1", c.Keep)
	check(c.MaxBody < 1, "max body is %d bytes; give at least 1", c.MaxBody)
	check(c.Logger == nil, "logger is nil; start from DefaultConfig")
	return errors.Join(errs...)
}

// Receiver is an http.Handler: GET /deliveries lists what came, newest first,
// DELETE /deliveries forgets it, GET /healthz answers 200, and every other
// request is a delivery.
type Receiver struct {
	config Config
	log    log
}

// New makes a receiver; it starts nothing.
func New(c Config) (*Receiver, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("receiver: %w", err)
	}
	return &Receiver{config: c, log: log{keep: c.Keep, budget: keepBytes}}, nil
}

// Deliveries are the remembered ones, newest first. Bodies and headers must
// not be changed.
func (r *Receiver) Deliveries() []Delivery { return r.log.list() }

// Received counts every delivery since the start, forgotten ones too.
func (r *Receiver) Received() int64 { return r.log.count() }

// ServeHTTP takes a delivery, or lists them.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	switch {
	case req.Method == http.MethodGet && req.URL.Path == "/healthz":
		w.WriteHeader(http.StatusOK)
	case req.Method == http.MethodGet && req.URL.Path == "/deliveries":
		r.serveList(w)
	case req.Method == http.MethodDelete && req.URL.Path == "/deliveries":
		r.log.clear()
		w.WriteHeader(http.StatusNoContent)
	default:
		r.take(w, req)
	}
}

func (r *Receiver) serveList(w http.ResponseWriter) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(struct {
		Received int64      `json:"received"`
		Data     []Delivery `json:"data"`
	}{r.log.count(), r.log.list()}); err != nil {
		http.Error(w, "listing deliveries: "+err.Error(), http.StatusInternalServerError)
		return
	}
	r.write(w, http.StatusOK, "application/json", buf.Bytes())
}

// take reads, checks, remembers and answers one delivery.
func (r *Receiver) take(w http.ResponseWriter, req *http.Request) {
	now := time.Now()
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, r.config.MaxBody))
	if err != nil {
		status := http.StatusBadRequest
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			status = http.StatusRequestEntityTooLarge
		}
		http.Error(w, "reading body: "+err.Error(), status)
		return
	}
	d := Delivery{Time: now.UTC(), Method: req.Method, Path: req.URL.RequestURI(), Header: req.Header.Clone(), Body: body}
	answer := r.judge(req, &d, now)
	d.Status = answer.Status
	d = r.log.add(d)
	if r.config.Notify != nil {
		r.config.Notify(d)
	}
	if !wait(req, r.config.Latency) {
		return // the sender hung up: there is nobody to answer
	}
	if answer.ContentType == "" {
		answer.ContentType = "text/plain; charset=utf-8"
		if json.Valid(answer.Body) {
			answer.ContentType = "application/json"
		}
	}
	r.write(w, answer.Status, answer.ContentType, answer.Body)
}

// judge decides the answer and notes the verdict in d.
func (r *Receiver) judge(req *http.Request, d *Delivery, now time.Time) Answer {
	d.Verdict = Unchecked
	if r.config.Verify != nil {
		if err := r.config.Verify(req.URL.Path, req.Header.Get, d.Body, now); err != nil {
			d.Verdict, d.Reason = Refused, err.Error()
			if r.config.Refuse != nil {
				if answer, ok := r.config.Refuse(req.URL.Path, err); ok {
					return answer
				}
			}
			return Answer{Status: http.StatusUnauthorized, Body: []byte("invalid signature: " + err.Error() + "\n")}
		}
		d.Verdict = Verified
	}
	if r.config.FailRate > 0 && r.config.Rand() < r.config.FailRate {
		return Answer{Status: http.StatusServiceUnavailable, Body: []byte("failing as told by the fail rate\n")}
	}
	if r.config.Accept != nil {
		if answer, ok := r.config.Accept(req.URL.Path, req.Header.Get, d.Body); ok {
			d.Reason = answer.Note
			if answer.Status == 0 {
				answer.Status = r.config.Status
			}
			return answer
		}
	}
	return Answer{Status: r.config.Status, Body: []byte(http.StatusText(r.config.Status) + "\n")}
}

// wait is false when the sender gave up first.
func wait(req *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-req.Context().Done():
		return false
	}
}

func (r *Receiver) write(w http.ResponseWriter, status int, contentType string, body []byte) {
	if status == http.StatusNoContent || status == http.StatusNotModified {
		w.WriteHeader(status) // these have no body
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil {
		r.config.Logger.Debug("answer not written", "error", err)
	}
}
