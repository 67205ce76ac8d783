package main

// The commands "sign" and "verify": signatures by profile, without a server.

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

// secretSource is where secrets come from. It never shows one.
type secretSource struct {
	env   []string // variables
	plain []string // "-" is standard input
}

func (s *secretSource) flags(fs *flag.FlagSet) {
	*s = secretSource{}
	fs.Func("secret-env", "the secret is in this environment `VARIABLE`; may be repeated", func(v string) error { s.env = append(s.env, v); return nil })
	fs.Func("secret", "the `SECRET`, or - to read it from standard input; prefer that or --secret-env: command lines are seen by others", func(v string) error {
		s.plain = append(s.plain, v)
		return nil
	})
}

func (s *secretSource) given() bool { return len(s.env)+len(s.plain) > 0 }

// read gets the secrets; inputTaken says that standard input is somebody
// else's.
func (s *secretSource) read(e *errand, inputTaken bool) (secrets []string, err error) {
	for _, name := range s.env {
		value := e.env(name)
		if value == "" {
			return nil, Usage("--secret-env: the environment has no %s; export it first", name)
		}
		secrets = append(secrets, value)
	}
	for _, value := range s.plain {
		if value == "-" {
			if inputTaken {
				return nil, Usage("standard input cannot be the body and the secret; name a file by --body, or use --secret-env")
			}
			b, err := io.ReadAll(io.LimitReader(e.in, 64<<10))
			if err != nil {
				return nil, fmt.Errorf("reading the secret: %w", err)
			}
			value, inputTaken = strings.TrimRight(string(b), "\r\n"), true
		}
		if value == "" {
			return nil, Usage("the secret is empty")
		}
		secrets = append(secrets, value)
	}
	if len(secrets) == 0 {
		return nil, Usage("the secret is missing; give --secret-env VARIABLE, or --secret - and the secret on standard input")
	}
	return secrets, nil
}

// signing is what both commands take.
type signing struct {
	profile string
	body    string
	secrets secretSource
	js      bool
}

func (s *signing) flags(fs *flag.FlagSet) {
	fs.StringVar(&s.profile, "profile", "", "`PROFILE` whose scheme it is, for example standard")
	fs.StringVar(&s.body, "body", "-", "`FILE` with the raw body, or - for standard input")
	s.secrets.flags(fs)
	fs.BoolVar(&s.js, "json", false, "as JSON")
}

// load reads profile, body and secrets.
func (s *signing) load(e *errand) (set *profile.Set, p *profile.Profile, body []byte, secrets [][]byte, err error) {
	if set, err = profile.Load(e.cfg.Profiles); err != nil {
		return nil, nil, nil, nil, fmt.Errorf("loading profiles: %w", err)
	}
	p, ok := set.Get(s.profile)
	if !ok {
		return nil, nil, nil, nil, Usage("--profile is %q; give one of %s", s.profile, strings.Join(set.Names(), ", "))
	}
	texts, err := s.secrets.read(e, s.body == "-")
	if err != nil {
		return nil, nil, nil, nil, err
	}
	for _, text := range texts {
		if err := p.CheckSecret(text); err != nil {
			return nil, nil, nil, nil, Usage("the secret does not suit profile %s: %v", p.Name(), err)
		}
		secrets = append(secrets, []byte(text))
	}
	if body, err = e.readFile(s.body); err != nil {
		return nil, nil, nil, nil, fmt.Errorf("reading the body: %w", err)
	}
	return set, p, body, secrets, nil
}

// unixOrRFC reads a moment of the command line.
func unixOrRFC(name, s string) (time.Time, error) {
	if s == "" {
		return time.Now(), nil
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n >= 0 && n <= 99_999_999_999 {
		return time.Unix(n, 0), nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	return time.Time{}, Usage("--%s is %q; give whole Unix seconds or RFC 3339", name, s)
}

func signVerb() verb {
	var s signing
	var at, id, eventType, target string
	flags := flagsOf(s.flags, func(fs *flag.FlagSet) {
		fs.StringVar(&at, "timestamp", "", "`TIME` that is signed, Unix seconds or RFC 3339 (default: now)")
		fs.StringVar(&id, "id", "", "the event's `ID` (default: the body's own, or one that is made up)")
		fs.StringVar(&eventType, "type", "", "the event's `TYPE` (default: the body's own)")
		fs.StringVar(&target, "url", "http://127.0.0.1:3000/", "`URL` of the curl line")
	})
	return verb{short: "how a body is signed: signing text, headers, and a curl line", flags: flags, run: func(_ context.Context, e *errand) error {
		now, err := unixOrRFC("timestamp", at)
		if err != nil {
			return err
		}
		_, p, body, secrets, err := s.load(e)
		if err != nil {
			return err
		}
		ownID, ownType := p.Meta(body)
		d := &schemas.Delivery{Tenant: schemas.DefaultTenant, EventID: cmp.Or(id, ownID, madeID(schemas.EventPrefix)), EventType: cmp.Or(eventType, ownType), EndpointID: madeID(schemas.WebhookPrefix)}
		d.ID = schemas.DeliveryID(d.Tenant, d.EventID, d.EndpointID, "")
		x, err := p.Explain(d, body, secrets, now)
		var fault *profile.Fault
		if errors.As(err, &fault) {
			return Usage("--%s %s", map[string]string{"event_id": "id", "event_type": "type"}[fault.Field], fault.Reason)
		}
		if err != nil {
			return err
		}
		curl := curlLine(x, target, s.body)
		if s.js {
			return e.printValue(struct {
				*profile.Explanation
				Curl string `json:"curl"`
			}{x, curl})
		}
		return printExplanation(e.out, p, x, curl)
	}}
}

func madeID(prefix string) string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return schemas.NewID(prefix, b)
}

// printValue writes a value of ours as one line of JSON.
func (e *errand) printValue(v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	_, err := e.out.Write(b.Bytes())
	return err
}

func printExplanation(w io.Writer, p *profile.Profile, x *profile.Explanation, curl string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "profile    %s (%s)\nalgorithm  %s, written as %s\nkey        %s\n\nsigning text, in parts\n", x.Profile, p.Title(), x.Algorithm, x.Encoding, x.Key)
	for _, part := range x.Parts {
		text := part.Text
		if part.Part == "literal" {
			text = strconv.Quote(text)
		}
		fmt.Fprintf(&b, "  %-9s  %5d bytes  %s\n", part.Part, part.Bytes, cut(visible(text), 60))
	}
	text := visibleLines(x.Text)
	if x.TextBase64 != "" {
		text = "(no UTF-8; in base64) " + x.TextBase64
	}
	fmt.Fprintf(&b, "\nsigning text\n%s\n\nheaders\n", text)
	for _, h := range x.Headers {
		fmt.Fprintf(&b, "  %s: %s\n", h.Name, visible(h.Value))
	}
	fmt.Fprintf(&b, "\nto send it\n%s\n", curl)
	_, err := io.WriteString(w, b.String())
	return err
}

// curlLine sends the body from its file, to the byte.
func curlLine(x *profile.Explanation, target, file string) string {
	var b strings.Builder
	b.WriteString("  curl -sS -X POST " + shellQuote(target))
	for _, h := range x.Headers {
		b.WriteString(" \\\n    -H " + shellQuote(h.Name+": "+h.Value))
	}
	b.WriteString(" \\\n    --data-binary " + shellQuote("@"+file))
	return b.String()
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func verifyVerb() verb {
	var s signing
	var at string
	header := http.Header{}
	flags := flagsOf(s.flags, func(fs *flag.FlagSet) {
		header = http.Header{}
		fs.Func("header", "a header `'NAME: VALUE'` that came; may be repeated, others than the signature's are passed over", func(text string) error {
			name, value, ok := strings.Cut(text, ":")
			if !ok || strings.TrimSpace(name) == "" {
				return errors.New("give 'NAME: VALUE'")
			}
			header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
			return nil
		})
		fs.StringVar(&at, "at", "", "`TIME` that it is checked at, Unix seconds or RFC 3339 (default: now)")
	})
	return verb{short: "whether a request verifies, and if not, exactly why", flags: flags, run: func(_ context.Context, e *errand) error {
		now, err := unixOrRFC("at", at)
		if err != nil {
			return err
		}
		set, p, body, secrets, err := s.load(e)
		if err != nil {
			return err
		}
		d, err := set.Diagnose(p, header.Get, body, secrets, now)
		if err != nil {
			return err
		}
		if s.js {
			err = e.printValue(d)
		} else {
			err = printDiagnosis(e.out, e.colours(), d)
		}
		if err == nil && !d.Verified {
			err = errors.New("not verified: " + d.Reason)
		}
		return err
	}}
}

func printDiagnosis(w io.Writer, paint colours, d *profile.Diagnosis) error {
	var b strings.Builder
	if d.Verified {
		fmt.Fprintf(&b, "%sverified%s as profile %s\n", paint.green, paint.off, d.Profile)
	} else {
		fmt.Fprintf(&b, "%snot verified%s as profile %s: %s\n", paint.red, paint.off, d.Profile, visible(d.Reason))
	}
	for _, c := range d.Checks {
		mark, colour := "ok  ", paint.green
		if !c.OK {
			mark, colour = "fail", paint.red
		}
		fmt.Fprintf(&b, "  %s%s%s  %s: %s\n", colour, mark, paint.off, c.Check, visible(c.Detail))
	}
	for _, h := range d.Hints {
		b.WriteString("hint: " + visible(h) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
