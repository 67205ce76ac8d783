package delivery

// Config is what a Courier is made from.

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hookstream/hookstream/delivery/egress"
	"github.com/hookstream/hookstream/delivery/endpoint"
	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

// Config of a Courier. Start from DefaultConfig and fill Target, Profiles and
// Log.
type Config struct {
	Target        func(endpointID string) (endpoint.Target, bool) // asked at each admission and each attempt; must not block
	Profiles      *profile.Set
	CheckType     func(*schemas.Delivery) error // asked before the first attempt; an error rejects the delivery, with it as the reason; nil: all pass
	Egress        egress.Policy
	Resolver      *net.Resolver        // of receivers' names; nil: the system's
	RootCAs       *x509.CertPool       // nil: the system's
	UserAgent     string               // of every request
	Breaker       BreakerConfig        //
	RetryAfterCap time.Duration        // the longest Retry-After that is honoured
	IdlePerHost   int                  // idle connections kept per host
	IdleTotal     int                  // and in all, for HTTP/1.1 and HTTP/2 each; 0: no bound
	IdleTimeout   time.Duration        // and how long
	Notice        func(schemas.Notice) // breaker changes; must not block; nil: none
	Registerer    prometheus.Registerer
	Log           *slog.Logger
	AttemptLevel  slog.Level // of the one line per attempt
}

// BreakerConfig says when an endpoint's breaker opens, and for how long.
type BreakerConfig struct {
	Window        time.Duration // over which attempts are counted
	MinAttempts   int           // the ratio counts from this many on
	FailureRatio  float64       // and opens at this part failing, 0 to 1
	Consecutive   int           // or at this many failures in a row …
	MinDeliveries int           // … of at least this many deliveries: one poisonous delivery closes no endpoint
	Cooldown      time.Duration // the first; each failed probe doubles it
	MaxCooldown   time.Duration
	Jitter        float64 // at most this part of a cool-down is added to it
	Probes        int     // attempts let through at once after a cool-down; all have to succeed
}

// DefaultConfig lacks only Target, Profiles and Log.
func DefaultConfig() Config {
	return Config{
		UserAgent:     "hookstream/1 (+https://github.com/hookstream/hookstream)",
		RetryAfterCap: time.Hour,
		IdlePerHost:   8,
		IdleTotal:     2048,
		IdleTimeout:   30 * time.Second,
		AttemptLevel:  slog.LevelInfo,
		Breaker:       DefaultBreakerConfig(),
	}
}

// DefaultBreakerConfig opens at half of 20 attempts in a minute, or at 10
// failures in a row over 5 deliveries; 30 s to 10 min; one probe.
func DefaultBreakerConfig() BreakerConfig {
	return BreakerConfig{Window: time.Minute, MinAttempts: 20, FailureRatio: 0.5, Consecutive: 10, MinDeliveries: 5,
		Cooldown: 30 * time.Second, MaxCooldown: 10 * time.Minute, Jitter: 0.1, Probes: 1}
}

// Validate names the field that is wrong and the cure.
func (c Config) Validate() error {
	switch {
	case c.Target == nil:
		return errors.New("delivery: Target is nil; give the registry's")
	case c.Profiles == nil:
		return errors.New("delivery: Profiles is nil; give profile.Builtin or profile.Load")
	case c.Log == nil:
		return errors.New("delivery: Log is nil; give a logger")
	case c.UserAgent == "":
		return errors.New("delivery: UserAgent is empty; receivers' firewalls refuse requests without one")
	case c.RetryAfterCap < 0:
		return fmt.Errorf("delivery: RetryAfterCap is %s; give 0 or more", c.RetryAfterCap)
	case c.IdlePerHost < 1:
		return fmt.Errorf("delivery: IdlePerHost is %d; give 1 or more", c.IdlePerHost)
	case c.IdleTotal < 0:
		return fmt.Errorf("delivery: IdleTotal is %d; give 0 or more", c.IdleTotal)
	case c.IdleTimeout <= 0:
		return fmt.Errorf("delivery: IdleTimeout is %s; give more than 0", c.IdleTimeout)
	}
	if err := c.Egress.Validate(); err != nil {
		return err
	}
	return c.Breaker.Validate()
}

// Validate names the field that is wrong and the cure.
func (b BreakerConfig) Validate() error {
	switch {
	case b.Window < time.Second:
		return fmt.Errorf("breaker: Window is %s; give 1s or more", b.Window)
	case b.MinAttempts < 1:
		return fmt.Errorf("breaker: MinAttempts is %d; give 1 or more", b.MinAttempts)
	case b.FailureRatio <= 0 || b.FailureRatio > 1:
		return fmt.Errorf("breaker: FailureRatio is %g; give more than 0 and at most 1", b.FailureRatio)
	case b.Consecutive < 1:
		return fmt.Errorf("breaker: Consecutive is %d; give 1 or more", b.Consecutive)
	case b.MinDeliveries < 1 || b.MinDeliveries > 100:
		return fmt.Errorf("breaker: MinDeliveries is %d; give 1 to 100", b.MinDeliveries)
	case b.Cooldown <= 0 || b.MaxCooldown < b.Cooldown:
		return fmt.Errorf("breaker: Cooldown is %s and MaxCooldown %s; give more than 0, and the maximum not less", b.Cooldown, b.MaxCooldown)
	case b.Jitter < 0 || b.Jitter > 1:
		return fmt.Errorf("breaker: Jitter is %g; give 0 to 1", b.Jitter)
	case b.Probes < 1:
		return fmt.Errorf("breaker: Probes is %d; give 1 or more", b.Probes)
	}
	return nil
}
