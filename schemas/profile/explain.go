package profile

// Explain takes a signature apart for people: what was signed, how the secret
// became a key, and the headers to expect; never the secret.

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hookstream/hookstream/schemas"
)

// Explanation is how one request is signed. It holds neither a secret nor
// anything that tells its length.
type Explanation struct {
	Profile    string          `json:"profile"`
	Algorithm  string          `json:"algorithm" doc:"HMAC-SHA256"`
	Encoding   string          `json:"encoding" doc:"of the signature: hex (64 lower-case digits) or base64"`
	Key        string          `json:"key" doc:"how the secret's text becomes the key"`
	Signatures int             `json:"signatures" doc:"how many secrets sign: two while a rotated one overlaps, where the profile has room for it"`
	Timestamp  int64           `json:"timestamp,omitempty" doc:"Unix seconds; absent where the profile sends none"`
	Parts      []ExplainedPart `json:"parts" doc:"what the signing text is made of, in order"`
	Text       string          `json:"signing_text" doc:"empty when it is no UTF-8"`
	TextBase64 string          `json:"signing_text_base64,omitempty" doc:"the signing text when it is no UTF-8"`
	Headers    []ExplainedLine `json:"headers" doc:"with the casing that goes on the wire; custom headers are not among them"`
}

// ExplainedPart is a piece of a signing text.
type ExplainedPart struct {
	Part  string `json:"part" doc:"timestamp, event_id, body or literal"`
	Bytes int    `json:"bytes"`
	Text  string `json:"text" doc:"empty when it is no UTF-8"`
}

// ExplainedLine is one header.
type ExplainedLine struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Explain shows how a body is signed as an attempt of d at a time would be; d
// needs what the profile's headers carry. The error is a *Fault that names
// event_id, event_type or secret, and never repeats the secret.
func (p *Profile) Explain(d *schemas.Delivery, body []byte, secrets [][]byte, now time.Time) (*Explanation, error) {
	if err := p.explainable(d); err != nil {
		return nil, err
	}
	for _, s := range secrets {
		if err := p.CheckSecret(string(s)); err != nil {
			return nil, err
		}
	}
	headers, err := p.Headers(d, body, secrets, now)
	if err != nil {
		return nil, &Fault{Field: "secret", Reason: "is missing"}
	}
	x := &Explanation{Profile: p.name, Algorithm: "HMAC-SHA256", Encoding: p.encoding(), Key: p.keyForm(), Signatures: 1}
	if p.sign.join != "" {
		x.Signatures = len(secrets)
	}
	for _, h := range headers {
		x.Headers = append(x.Headers, ExplainedLine{h.Key, string(h.Value)})
	}
	v := values{p: p, d: d, ts: now.Unix()}
	text := make([]byte, 0, len(body)+64)
	for _, piece := range p.sign.text {
		begin := len(text)
		part := ExplainedPart{Part: "literal"}
		switch piece.name {
		case "":
			text = append(text, piece.literal...)
		case varBody:
			part.Part = "body"
			text = append(text, body...)
		default:
			part.Part = explainedName(piece.name)
			text = v.append(text, piece.name)
		}
		part.Bytes = len(text) - begin
		if utf8.Valid(text[begin:]) {
			part.Text = string(text[begin:])
		}
		x.Parts = append(x.Parts, part)
	}
	if utf8.Valid(text) {
		x.Text = string(text)
	} else {
		x.TextBase64 = base64.StdEncoding.EncodeToString(text)
	}
	for _, h := range p.headers {
		if h.value.uses(varTS) {
			x.Timestamp = now.Unix()
		}
	}
	return x, nil
}

// explainable refuses a delivery that lacks what a header carries: the request
// would have an empty one.
func (p *Profile) explainable(d *schemas.Delivery) error {
	for _, h := range p.headers {
		switch {
		case h.value.uses(varID) && d.EventID == "":
			return &Fault{Field: "event_id", Reason: "is missing; the header " + h.name + " carries it"}
		case h.value.uses(varType) && d.EventType == "":
			return &Fault{Field: "event_type", Reason: "is missing; the header " + h.name + " carries it"}
		}
	}
	return nil
}

func explainedName(variable string) string {
	switch variable {
	case varTS:
		return "timestamp"
	case varID:
		return "event_id"
	default:
		return variable
	}
}

func (p *Profile) encoding() string {
	if p.sign.base64 {
		return "base64"
	}
	return "hex"
}

func (p *Profile) keyForm() string {
	if p.secret.decode {
		return fmt.Sprintf("the text after %s, decoded from base64", p.secret.prefix)
	}
	if p.secret.prefix != "" {
		return fmt.Sprintf("the secret's own UTF-8 bytes, %s included", p.secret.prefix)
	}
	return "the secret's own UTF-8 bytes"
}

// Meta is what a body itself says of its event: the id and the type as this
// profile writes them, each empty where the profile has it elsewhere.
func (p *Profile) Meta(body []byte) (eventID, eventType string) {
	if p.body.name != "" {
		eventType, _ = dig(body, p.body.name)
	}
	for i := range p.body.fields {
		f := &p.body.fields[i]
		if f.from != fromID && f.from != fromType {
			continue
		}
		name, ok := text(f.key[:len(f.key)-1])
		if !ok || strings.Contains(name, ".") {
			continue
		}
		value, _ := dig(body, name)
		if f.from == fromID {
			eventID = value
		} else {
			eventType = value
		}
	}
	return eventID, eventType
}
