package inbound

// A receiver's metrics.

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hookstream/hookstream/schemas/profile"
)

type receiveMetrics struct {
	received *prometheus.CounterVec
	verdicts *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

// newReceiveMetrics registers them; the name, help and labels of the first are
// as products' documentation has them.
func newReceiveMetrics(r *Receiver, reg prometheus.Registerer) (*receiveMetrics, error) {
	m := &receiveMetrics{
		received: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "webhooks_received_total", Help: "Total webhooks received"}, []string{"event", "status"}),
		verdicts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hookstream_inbound_requests_total", Help: "Requests to sources, by verdict."}, []string{"source", "verdict"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "hookstream_inbound_seconds", Help: "From a request's headers to its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}, []string{"source"}),
	}
	if reg == nil {
		return m, nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.received, m.verdicts, m.seconds,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "hookstream_inbound_window_keys", Help: "Dedupe keys that receivers remember."}, func() float64 {
			keys, _ := r.seen.size()
			return float64(keys)
		}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "hookstream_inbound_window_crowded_total", Help: "Dedupe keys forgotten before their time for want of room."}, func() float64 {
			_, crowded := r.seen.size()
			return float64(crowded)
		}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "hookstream_inbound_quarantine_dropped_total", Help: "Refused requests that were not kept, because there were too many."}, func() float64 {
			return float64(r.quarantine.dropped.Load())
		}),
	} {
		errs = append(errs, reg.Register(c))
	}
	return m, errors.Join(errs...)
}

// count takes a request in, once. event is a type of the catalogue or "other":
// anybody can name types without end.
func (m *receiveMetrics) count(source, event, status string, verdict profile.Case, took time.Duration) {
	m.received.WithLabelValues(event, status).Inc()
	m.verdicts.WithLabelValues(source, string(verdict)).Inc()
	m.seconds.WithLabelValues(source).Observe(took.Seconds())
}
