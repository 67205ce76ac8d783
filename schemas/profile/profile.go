package profile

// Profile is one product's webhooks, compiled from its file.

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// Profile never changes after it was made and is safe for concurrent use.
type Profile struct {
	file    string
	name    string
	title   string
	version int
	http2   bool
	timeout time.Duration
	slow    time.Duration
	maxBody int
	success codes
	ids     Prefixes
	headers []header
	sign    signature
	secret  secret
	body    body
	delays  []time.Duration
	jitter  float64
	verify  verifySpec
	dedupe  dedupe
	once    []string
	named   bool

	challenge challenge
	notice    noticeSpec
	received  received
	answers   Answers
	variants  map[string]Answers
	open      bool
	sample    string
	events    []EventType
	byType    map[string]int // into events
	checks    [][]checkSpec  // of each of events
}

// Prefixes are what ids that hookstream makes begin with on the wire.
type Prefixes struct{ Event, Webhook, Delivery string }

// Owner is whose secret signs.
type Owner uint8

// Owners of a secret.
const (
	OfWebhook Owner = iota // each webhook has its own
	OfTenant               // all of a tenant's webhooks share the tenant's API Secret
)

// EventType is one entry of a profile's catalogue.
type EventType struct {
	Type     string
	Doc      string
	Sample   string   // data as JSON, sent like a publisher's
	Required []string // top-level fields of the data
}

// Name is what endpoints and files call the profile.
func (p *Profile) Name() string { return p.name }

// Named reports whether the product asks its customers, the tenants of this
// profile, for a name with each webhook.
func (p *Profile) Named() bool { return p.named }

// Title is the product's own name.
func (p *Profile) Title() string { return p.title }

// Version grows when a change of the file changes bodies.
func (p *Profile) Version() int { return p.version }

// HTTP2 reports whether requests may go over HTTP/2, which lower-cases header
// names.
func (p *Profile) HTTP2() bool { return p.http2 }

// Timeout bounds one attempt: connecting, request and whole response.
func (p *Profile) Timeout() time.Duration { return p.timeout }

// Slow reports whether a success that took this long is to be marked.
func (p *Profile) Slow(took time.Duration) bool { return p.slow > 0 && took > p.slow }

// MaxBody is the largest body on the wire in bytes unless the endpoint says
// otherwise; 0 is no limit.
func (p *Profile) MaxBody() int { return p.maxBody }

// Success reports whether an answer's status code means that the receiver
// took the delivery.
func (p *Profile) Success(code int) bool {
	return code >= 0 && code < len(p.success) && p.success[code]
}

// WirePrefixes are the prefixes of made ids on the wire and in the product's
// own API.
func (p *Profile) WirePrefixes() Prefixes { return p.ids }

// Schedule is the delays between attempts, nominal; it may be empty. The
// caller does not change it.
func (p *Profile) Schedule() []time.Duration { return p.delays }

// Jitter is the part of a delay, 0 to 1, that may be added to it; 0 where the
// product's contract fixes the delays.
func (p *Profile) Jitter() float64 { return p.jitter }

// Reserved reports whether a custom header of this name would collide with
// one that the profile or HTTP itself needs.
func (p *Profile) Reserved(name string) bool {
	for _, h := range p.headers {
		if strings.EqualFold(h.name, name) {
			return true
		}
	}
	switch http.CanonicalHeaderKey(name) {
	case "Host", "Content-Length", "Content-Type", "Content-Encoding", "Transfer-Encoding", "Connection", "Keep-Alive",
		"Proxy-Connection", "Proxy-Authorization", "Proxy-Authenticate", "Te", "Trailer", "Upgrade", "Expect", "Accept-Encoding",
		"User-Agent", "Traceparent", "Tracestate":
		return true
	}
	return false
}

// CheckHeader says why a custom header cannot be taken, as a *Fault: its name
// is reserved or no token, or its value holds a control character, which could
// end the header and begin another. It never repeats the value.
func (p *Profile) CheckHeader(name, value string) error {
	switch {
	case !validName(name):
		return &Fault{Field: "headers", Reason: fmt.Sprintf("%q is no valid header name", name)}
	case p.Reserved(name):
		return &Fault{Field: "headers", Reason: fmt.Sprintf("%q is reserved; the request has one of its own", name)}
	case !validValue(value):
		return &Fault{Field: "headers", Reason: fmt.Sprintf("the value of %q holds a control character or begins or ends with a space", name)}
	}
	return nil
}

// validName is RFC 9110's token.
func validName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != ""
}

// validValue is RFC 9110's field value.
func validValue(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return false
		}
	}
	return strings.Trim(s, " \t") == s
}

type codes [600]bool

// wireID is an id as this profile shows it.
func (p *Profile) wireEvent(d *schemas.Delivery) string {
	return schemas.WireID(d.EventID, schemas.EventPrefix, p.ids.Event)
}
