package receiver

// What was received: the last deliveries, bounded in number and in bytes.

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"sync"
	"time"
	"unicode/utf8"
)

// Verdicts on a request's signature.
const (
	Verified  = "verified"
	Refused   = "refused"
	Unchecked = "unchecked" // there was nothing to check with
)

// Delivery is one request that came in.
type Delivery struct {
	Number  int64     // counts from 1
	Time    time.Time // when its headers had been read
	Method  string
	Path    string // with query
	Header  http.Header
	Body    []byte // verbatim
	Verdict string
	Reason  string // of a refusal
	Status  int    // answered
}

// MarshalJSON writes the body as text, or as body_base64 when it is no UTF-8.
func (d Delivery) MarshalJSON() ([]byte, error) {
	out := struct {
		Number  int64       `json:"number"`
		Time    time.Time   `json:"time"`
		Method  string      `json:"method"`
		Path    string      `json:"path"`
		Headers http.Header `json:"headers"`
		Body    *string     `json:"body,omitempty"`
		Base64  string      `json:"body_base64,omitempty"`
		Verdict string      `json:"verdict"`
		Reason  string      `json:"reason,omitempty"`
		Status  int         `json:"status"`
	}{Number: d.Number, Time: d.Time, Method: d.Method, Path: d.Path, Headers: d.Header, Verdict: d.Verdict, Reason: d.Reason, Status: d.Status}
	if utf8.Valid(d.Body) {
		s := string(d.Body)
		out.Body = &s
	} else {
		out.Base64 = base64.StdEncoding.EncodeToString(d.Body)
	}
	return json.Marshal(out)
}

// keepBytes bounds the bodies that are remembered, together.
const keepBytes = 64 << 20

// log is safe for concurrent use.
type log struct {
	keep   int
	budget int // bytes of bodies

	mu    sync.Mutex
	total int64
	held  int // bytes of bodies
	last  []Delivery
}

// add remembers a delivery, gives it its number, and forgets the oldest ones
// beyond the bounds; the newest always stays.
func (l *log) add(d Delivery) Delivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total++
	d.Number = l.total
	l.last = append(l.last, d)
	l.held += len(d.Body)
	for len(l.last) > 1 && (len(l.last) > l.keep || l.held > l.budget) {
		l.held -= len(l.last[0].Body)
		l.last[0] = Delivery{} // lets go of the body
		l.last = l.last[1:]
	}
	return d
}

// list is newest first and never nil.
func (l *log) list() []Delivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Delivery, 0, len(l.last))
	for i := len(l.last) - 1; i >= 0; i-- {
		out = append(out, l.last[i])
	}
	return out
}

func (l *log) count() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

func (l *log) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last, l.held = nil, 0
}
