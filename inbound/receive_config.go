package inbound

// ReceiverConfig says what is received, and what a receiver stands on.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/time/rate"

	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

// ReceiverConfig configures a Receiver. Start from DefaultReceiverConfig.
type ReceiverConfig struct {
	Options   []kgo.Opt // producer.Options
	Topology  schemas.Topology
	Profiles  *profile.Set
	Sources   []Source
	LookupEnv func(string) (string, bool) // where the secrets are: os.LookupEnv
	Trusted   []netip.Prefix              // proxies whose X-Forwarded headers are believed

	// Append is producer.Writer.Append.
	Append func(ctx context.Context, rec schemas.Record, done func(offset int64, err error))

	MaxBody int64         // bytes of a request's body
	Body    time.Duration // how long a body may take to come
	Enqueue time.Duration // how long Kafka may take before the sender is told to try again
	Verdict time.Duration // how long the log may take to come back before an answer goes out without its word
	Keys    int           // remembered for each partition; 0: DefaultWindowKeys

	Log        *slog.Logger
	Registerer prometheus.Registerer // nil: no metrics
}

// DefaultReceiverConfig has everything but Options, Profiles, Sources,
// LookupEnv and Append.
func DefaultReceiverConfig() ReceiverConfig {
	return ReceiverConfig{Topology: schemas.DefaultTopology(), MaxBody: 1 << 20, Body: 30 * time.Second,
		Enqueue: 10 * time.Second, Verdict: 2 * time.Second, Keys: DefaultWindowKeys}
}

// Validate names the field that is wrong and the cure.
func (c ReceiverConfig) Validate() error {
	switch {
	case c.Profiles == nil:
		return errors.New("receiver: Profiles is nil; give profile.Load's")
	case c.LookupEnv == nil:
		return errors.New("receiver: LookupEnv is nil; give os.LookupEnv")
	case c.Append == nil:
		return errors.New("receiver: Append is nil; give producer.Writer.Append")
	case c.MaxBody < 1 || c.MaxBody > int64(max(c.Topology.DataLimit, 1<<20)):
		return fmt.Errorf("receiver: MaxBody is %d bytes; give 1 to the larger of 1 MiB and the topology's DataLimit", c.MaxBody)
	case c.Body <= 0 || c.Enqueue <= 0 || c.Verdict < 0:
		return fmt.Errorf("receiver: Body is %v, Enqueue %v, Verdict %v; give times above 0", c.Body, c.Enqueue, c.Verdict)
	case c.Keys < 0:
		return fmt.Errorf("receiver: Keys is %d; give 0 or more", c.Keys)
	}
	if err := c.Topology.Validate(); err != nil {
		return fmt.Errorf("receiver: %w", err)
	}
	return CheckSources(c.Sources)
}

// Rules are what a deduper has to know of the sources.
func Rules(sources []Source, profiles *profile.Set) map[string]Rule {
	rules := make(map[string]Rule, len(sources))
	for _, s := range sources {
		if p, ok := profiles.Get(s.Profile); ok {
			rules[s.Name] = Rule{Keep: p.Window(), Topic: s.Topic}
		}
	}
	return rules
}

// gate is a source ready to receive.
type gate struct {
	Source
	profile *profile.Profile
	answers profile.Answers
	secrets [][]byte
	limiter *rate.Limiter // nil: no limit
	kept    *rate.Limiter // of refused requests in quarantine
}

// open looks a source's profile and secrets up. The error is one line and
// repeats no secret.
func (s Source) open(c *ReceiverConfig) (*gate, error) {
	p, ok := c.Profiles.Get(s.Profile)
	if !ok {
		return nil, fmt.Errorf("source %s has the profile %q, which is unknown; the profiles are %s", s.Name, s.Profile, strings.Join(c.Profiles.Names(), ", "))
	}
	g := &gate{Source: s, profile: p, kept: rate.NewLimiter(quarantineRate, quarantineBurst)}
	if g.Tenant == "" {
		g.Tenant = schemas.DefaultTenant
	}
	if g.answers, ok = p.AnswersIn(s.Answers); !ok {
		return nil, fmt.Errorf("source %s has answers=%s; profile %s answers in %s", s.Name, s.Answers, s.Profile, strings.Join(p.AnswerVariants(), ", "))
	}
	for _, name := range s.SecretEnv {
		value, _ := c.LookupEnv(name)
		found := false
		for secret := range strings.SplitSeq(value, ",") {
			if secret = strings.TrimSpace(secret); secret == "" {
				continue
			}
			if err := p.CheckSecret(secret); err != nil {
				return nil, fmt.Errorf("source %s: the secret in environment variable %s cannot be used: %w", s.Name, name, err)
			}
			g.secrets, found = append(g.secrets, []byte(secret)), true
		}
		if !found {
			return nil, fmt.Errorf("source %s: environment variable %s is missing or empty; set it to the secret that signs its webhooks (while one replaces another, both parted by a comma)", s.Name, name)
		}
	}
	if s.Rate > 0 {
		g.limiter = rate.NewLimiter(rate.Limit(s.Rate), max(1, int(2*s.Rate)))
	}
	return g, nil
}
