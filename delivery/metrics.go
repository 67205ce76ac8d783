package delivery

// Prometheus metrics of attempts and breakers. No label names an endpoint: a
// hundred thousand of them would be a hundred thousand series.

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hookstream/hookstream/schemas"
)

// verdictName is a verdict as metrics and logs show it.
func verdictName(v schemas.Verdict) string {
	switch v {
	case schemas.Delivered:
		return "delivered"
	case schemas.Retry:
		return "retry"
	case schemas.Exhausted:
		return "exhausted"
	case schemas.Rejected:
		return "rejected"
	case schemas.Gone:
		return "gone"
	case schemas.Skipped:
		return "skipped"
	default:
		return "canceled"
	}
}

type metrics struct {
	attempts *prometheus.CounterVec
	duration *prometheus.HistogramVec
	slow     prometheus.Counter
	unlisted *prometheus.CounterVec
	open     prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hookstream_attempts_total",
			Help: "Attempts by what followed and what went wrong."}, []string{"verdict", "error_kind"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "hookstream_attempt_duration_seconds",
			Help:    "Time of one HTTP exchange, by whether the receiver took it.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20, 30, 60}}, []string{"delivered"}),
		slow: prometheus.NewCounter(prometheus.CounterOpts{Name: "hookstream_slow_deliveries_total",
			Help: "Deliveries that succeeded but took longer than the profile's slow mark."}),
		unlisted: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hookstream_unlisted_deliveries_total",
			Help: "Deliveries of an event type that stands in no catalogue, by the open profile that sent it all the same."}, []string{"profile"}),
		open: prometheus.NewGauge(prometheus.GaugeOpts{Name: "hookstream_breakers_open",
			Help: "Endpoints whose breaker is open or half-open in this process."}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.attempts, m.duration, m.slow, m.unlisted, m.open} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) observe(out *schemas.Outcome) {
	m.attempts.WithLabelValues(verdictName(out.Verdict), out.Row.ErrorKind).Inc()
	if out.Row.No == 0 || out.Verdict == schemas.Canceled {
		return
	}
	delivered := "false"
	if out.Verdict == schemas.Delivered {
		delivered = "true"
	}
	m.duration.WithLabelValues(delivered).Observe((time.Duration(out.Row.DurationMS) * time.Millisecond).Seconds())
	if out.Row.Slow {
		m.slow.Inc()
	}
}
