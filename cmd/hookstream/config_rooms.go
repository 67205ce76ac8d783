package main

// What the configuration means for each room: their own Config types, filled.

import (
	"fmt"
	"log/slog"
	"math"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hookstream/hookstream/analytics"
	"github.com/hookstream/hookstream/consumer"
	"github.com/hookstream/hookstream/delivery"
	"github.com/hookstream/hookstream/delivery/egress"
	"github.com/hookstream/hookstream/delivery/endpoint"
	"github.com/hookstream/hookstream/producer"
	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

// Egress is where deliveries may go.
func (c *Config) Egress() egress.Policy {
	return egress.Policy{AllowPrivate: c.AllowPrivate, AllowHTTP: c.AllowHTTP}
}

// Delivery configures the courier.
func (c *Config) Delivery(target func(string) (endpoint.Target, bool), profiles *profile.Set, notice func(schemas.Notice),
	metrics prometheus.Registerer, log *slog.Logger) delivery.Config {
	d := delivery.DefaultConfig()
	d.Target, d.Profiles, d.Notice, d.Registerer, d.Log = target, profiles, notice, metrics, log
	d.Egress = c.Egress()
	d.RetryAfterCap = c.RetryAfter
	d.IdlePerHost = max(d.IdlePerHost, c.Concurrency)
	d.Breaker = delivery.BreakerConfig{Window: c.Breaker.Window, MinAttempts: c.Breaker.MinAttempts, FailureRatio: c.Breaker.Ratio,
		Consecutive: c.Breaker.Consecutive, MinDeliveries: c.Breaker.Deliveries, Cooldown: c.Breaker.CoolDown,
		MaxCooldown: c.Breaker.MaxCoolDown, Jitter: d.Breaker.Jitter, Probes: c.Breaker.Probes}
	return d
}

// Limits bound the dispatcher.
func (c *Config) Limits() consumer.DispatchLimits {
	l := consumer.DefaultDispatchLimits()
	l.Concurrency = c.Concurrency
	l.Drain = c.Drain
	if l.FailingFor = c.DisableAfter; l.FailingFor == 0 {
		l.FailingFor = math.MaxInt64 // never
	}
	return l
}

// Analytics configures the store.
func (c *Config) Analytics(log *slog.Logger) (analytics.Config, error) {
	a := analytics.DefaultConfig()
	a.DSN, a.Log = c.ClickHouse, log
	if c.ClickHouseTLS {
		t, err := producer.TLS{Enabled: true, CAFile: c.ClickHouseCA, CertFile: c.ClickHouseCert, KeyFile: c.ClickHouseKey}.Config()
		if err != nil {
			return a, fmt.Errorf("clickhouse: %w", err)
		}
		a.TLS = t
	}
	return a, nil
}
