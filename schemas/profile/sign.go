package profile

// Secrets and signatures: HMAC-SHA256 in the several dresses that products
// give it.

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hookstream/hookstream/schemas"
)

type secret struct {
	owner    Owner
	decode   bool // the text after the prefix is base64; otherwise the text's own bytes are the key
	prefix   string
	min, max int // bytes of key
}

type signature struct {
	text   template
	base64 bool
	prefix string
	join   string
}

type header struct {
	name  string
	value template
}

// SecretOf is whose secret signs.
func (p *Profile) SecretOf() Owner { return p.secret.owner }

// CheckSecret says why a secret's text cannot be taken, as a *Fault. It never
// repeats the secret.
func (p *Profile) CheckSecret(text string) error {
	if _, err := p.key([]byte(text)); err != nil {
		return &Fault{Field: "secret", Reason: err.Error()}
	}
	return nil
}

// NewSecret writes random bytes, 24 or more, as a secret's text.
func (p *Profile) NewSecret(random []byte) string {
	if p.secret.decode {
		return p.secret.prefix + base64.StdEncoding.EncodeToString(random)
	}
	return p.secret.prefix + hex.EncodeToString(random)
}

// key is the HMAC key of a secret's text.
func (p *Profile) key(text []byte) ([]byte, error) {
	key := text
	if p.secret.decode {
		encoded, ok := strings.CutPrefix(string(text), p.secret.prefix)
		if !ok {
			return nil, fmt.Errorf("has to begin with %s, followed by base64", p.secret.prefix)
		}
		var err error
		if key, err = base64.StdEncoding.Strict().DecodeString(encoded); err != nil {
			return nil, fmt.Errorf("is no base64 of the standard alphabet with padding after %s", p.secret.prefix)
		}
	} else if !utf8.Valid(text) {
		return nil, errors.New("is no valid UTF-8")
	}
	if len(key) < p.secret.min || len(key) > p.secret.max {
		return nil, fmt.Errorf("makes a key of %d bytes; %s takes %d to %d", len(key), p.name, p.secret.min, p.secret.max)
	}
	return key, nil
}

// Headers are the profile's headers of one attempt, signed, with the exact
// casing that goes on the wire; the endpoint's custom headers are not among
// them. Secrets are the secrets' texts as bytes, newest first; a profile with
// room for one signature only signs with the newest. An error means that
// there is no usable secret: an unsigned request is never made.
func (p *Profile) Headers(d *schemas.Delivery, body []byte, secrets [][]byte, now time.Time) ([]schemas.Header, error) {
	v := values{p: p, d: d, ts: now.Unix()}
	signatures, err := p.signatures(&v, body, secrets)
	if err != nil {
		return nil, err
	}
	v.signature = signatures
	out := make([]schemas.Header, len(p.headers))
	for i, h := range p.headers {
		out[i] = schemas.Header{Key: h.name, Value: h.value.append(nil, v.append)}
	}
	return out, nil
}

func (p *Profile) signatures(v *values, body []byte, secrets [][]byte) ([]byte, error) {
	if len(secrets) == 0 {
		return nil, fmt.Errorf("signing for %s: there is no secret", p.name)
	}
	if p.sign.join == "" {
		secrets = secrets[:1]
	}
	var out []byte
	for i, text := range secrets {
		key, err := p.key(text)
		if err != nil {
			return nil, fmt.Errorf("signing for %s: secret %d %w", p.name, i+1, err)
		}
		if i > 0 {
			out = append(out, p.sign.join...)
		}
		out = append(out, p.sign.prefix...)
		out = p.appendMAC(out, key, body, v.append)
	}
	return out, nil
}

// appendMAC writes the encoded HMAC of the signing text. The body goes into
// the hash without being copied.
func (p *Profile) appendMAC(dst, key, body []byte, value func(dst []byte, name string) []byte) []byte {
	mac := hmac.New(sha256.New, key)
	var small [128]byte
	for _, part := range p.sign.text {
		switch part.name {
		case "":
			mac.Write(append(small[:0], part.literal...))
		case varBody:
			mac.Write(body)
		default:
			mac.Write(value(small[:0], part.name))
		}
	}
	var sum [sha256.Size]byte
	if p.sign.base64 {
		return base64.StdEncoding.AppendEncode(dst, mac.Sum(sum[:0]))
	}
	return hex.AppendEncode(dst, mac.Sum(sum[:0]))
}

// values fills templates for one attempt.
type values struct {
	p         *Profile
	d         *schemas.Delivery
	ts        int64
	signature []byte
}

func (v *values) append(dst []byte, name string) []byte {
	switch name {
	case varID:
		return append(dst, v.p.wireEvent(v.d)...)
	case varType:
		return append(dst, v.d.EventType...)
	case varTS:
		return strconv.AppendInt(dst, v.ts, 10)
	case varSignature:
		return append(dst, v.signature...)
	case varDelivery:
		return append(dst, schemas.WireID(v.d.ID, schemas.DeliveryPrefix, v.p.ids.Delivery)...)
	case varWebhook:
		return append(dst, schemas.WireID(v.d.EndpointID, schemas.WebhookPrefix, v.p.ids.Webhook)...)
	case varTenant:
		return append(dst, v.d.Tenant...)
	case varAttempt:
		return strconv.AppendInt(dst, int64(v.d.Attempts+1), 10)
	}
	return dst
}
