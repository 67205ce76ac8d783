package inbound

// Source is one sender whose webhooks are received: where its requests come in,
// how they are checked and answered, and where they go.

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/hookstream/hookstream/schemas"
)

// Source is what a configuration says of a sender. Its secrets are not in it,
// only the names of the environment variables that hold them.
type Source struct {
	Name      string
	Profile   string
	SecretEnv []string       // variables; each may hold several secrets, parted by commas
	Paths     []string       // besides /in/NAME
	Tenant    string         // empty: default
	Topic     string         // takes its webhooks; empty: the topic inbound
	Answers   string         // variant of the profile's answers; empty: the profile's own
	Allow     []netip.Prefix // who may send; empty: everybody
	Rate      float64        // requests per second, with bursts of twice that; 0: no limit, counted by each process for itself
	HTTPS     bool           // refuse what did not come by https
}

// InPath is where every source receives.
const InPath = "/in/"

// ParseSource reads NAME=PROFILE,secret-env=VAR and the options path, tenant,
// topic, answers, allow, rate and https. Options secret-env, path and allow may
// have several values: key=a,b or key=a,key=b.
func ParseSource(text string) (Source, error) {
	var s Source
	last := ""
	for i, part := range strings.Split(text, ",") {
		part = strings.TrimSpace(part)
		key, value, ok := strings.Cut(part, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		switch {
		case i == 0:
			if !ok || key == "" || value == "" {
				return s, fmt.Errorf("is %q; begin with NAME=PROFILE, for example interviews=aiinterview,secret-env=WEBHOOK_SECRET", text)
			}
			s.Name, s.Profile = key, value
			continue
		case !ok && part != "" && slices.Contains([]string{"secret-env", "path", "allow"}, last):
			key, value = last, part
		case !ok || value == "":
			return s, fmt.Errorf("has %q in source %s; write it as key=value", part, s.Name)
		}
		if err := s.set(key, value); err != nil {
			return s, fmt.Errorf("has source %s with %w", s.Name, err)
		}
		last = key
	}
	return s, nil
}

func (s *Source) set(key, value string) error {
	switch key {
	case "secret-env":
		s.SecretEnv = append(s.SecretEnv, value)
	case "path":
		s.Paths = append(s.Paths, value)
	case "tenant":
		s.Tenant = value
	case "topic":
		s.Topic = value
	case "answers":
		s.Answers = value
	case "allow":
		p, err := ParsePrefix(value)
		if err != nil {
			return fmt.Errorf("allow %w", err)
		}
		s.Allow = append(s.Allow, p)
	case "rate":
		rate, err := strconv.ParseFloat(value, 64)
		if err != nil || !(rate > 0 && rate <= 1e6) {
			return fmt.Errorf("rate %q; give requests per second, more than 0", value)
		}
		s.Rate = rate
	case "https":
		if value != "required" {
			return fmt.Errorf("https %q; write https=required, or leave it out", value)
		}
		s.HTTPS = true
	default:
		return fmt.Errorf("the option %q; the options are secret-env, path, tenant, topic, answers, allow, rate and https", key)
	}
	return nil
}

// ParsePrefix reads a network such as 10.0.0.0/8 or one address.
func ParsePrefix(text string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%q; give a network such as 203.0.113.0/24, or an address", text)
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}

// String is text that ParseSource reads as the same source.
func (s Source) String() string {
	parts := []string{s.Name + "=" + s.Profile}
	add := func(key, value string) {
		if value != "" {
			parts = append(parts, key+"="+value)
		}
	}
	for _, v := range s.SecretEnv {
		add("secret-env", v)
	}
	for _, p := range s.Paths {
		add("path", p)
	}
	add("tenant", s.Tenant)
	add("topic", s.Topic)
	add("answers", s.Answers)
	for _, p := range s.Allow {
		add("allow", p.String())
	}
	if s.Rate > 0 {
		add("rate", strconv.FormatFloat(s.Rate, 'g', -1, 64))
	}
	if s.HTTPS {
		add("https", "required")
	}
	return strings.Join(parts, ",")
}

// CheckSources says what is wrong with a configuration's sources, all of it:
// one with itself, and two with one another.
func CheckSources(sources []Source) error {
	var errs []error
	names, paths := map[string]bool{}, map[string]string{}
	for _, s := range sources {
		if names[s.Name] {
			errs = append(errs, fmt.Errorf("source %s is there twice; give each a name of its own", s.Name))
			continue
		}
		names[s.Name] = true
		if err := s.check(); err != nil {
			errs = append(errs, err)
		}
		for _, p := range s.Paths {
			if other, taken := paths[p]; taken {
				errs = append(errs, fmt.Errorf("sources %s and %s both receive at %s; give each a path of its own", other, s.Name, p))
			}
			paths[p] = s.Name
		}
	}
	return errors.Join(errs...)
}

func (s Source) check() error {
	switch {
	case s.Name == "" || len(s.Name) > 64 || strings.Trim(s.Name, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "":
		return fmt.Errorf("source %q: give a name of 1 to 64 characters of a-z, 0-9, - and _", s.Name)
	case len(s.SecretEnv) == 0:
		return fmt.Errorf("source %s has no secret; add secret-env=VAR and put the secret into the environment variable VAR", s.Name)
	case s.Topic != "" && (len(s.Topic) > 249 || strings.Trim(s.Topic, topicLetters) != "" || s.Topic == "." || s.Topic == ".."):
		return fmt.Errorf("source %s has the topic %q; use letters, digits, dot, dash and underscore", s.Name, s.Topic)
	}
	if s.Tenant != "" {
		if err := schemas.CheckTenant(s.Tenant); err != nil {
			return fmt.Errorf("source %s: %w", s.Name, err)
		}
	}
	for _, p := range s.Paths {
		if err := checkPath(p); err != nil {
			return fmt.Errorf("source %s has the path %q; %w", s.Name, p, err)
		}
	}
	return nil
}

const topicLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

// reserved are the first elements of the paths that hookstream itself serves.
func reserved() []string {
	return []string{"v1", "api", "in", "healthz", "readyz", "metrics", "openapi.json", "console", "assets", "static", "debug"}
}

func checkPath(p string) error {
	switch {
	case !strings.HasPrefix(p, "/") || path.Clean(p) != p || p == "/":
		return errors.New("give an absolute one such as /webhooks/smartcv, without / at its end")
	case strings.ContainsFunc(p, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`{}%?#\`, r) }):
		return errors.New(`use visible ASCII without {, }, %, ?, # and \`)
	}
	first, rest, _ := strings.Cut(p[1:], "/")
	if !slices.Contains(reserved(), first) {
		return nil
	}
	// A sender's documentation has /api/webhooks/NAME for a receiver. Where NAME
	// is no webhook's id, it is free.
	if name, ok := strings.CutPrefix(rest, "webhooks/"); first == "api" && ok && !strings.Contains(name, "/") &&
		!strings.HasPrefix(name, "webhook_") && !strings.HasPrefix(name, schemas.WebhookPrefix) {
		return nil
	}
	return fmt.Errorf("hookstream itself serves /%s; take another", first)
}
