package consumer

// The fan-out's metrics.

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// What became of an event, as a metric label.
const (
	resultRouted    = "routed"
	resultNoMatch   = "no_match"
	resultDuplicate = "duplicate"
	resultInvalid   = "invalid"
)

type fanoutMetrics struct {
	events     *prometheus.CounterVec
	deliveries prometheus.Counter
	skipped    *prometheus.CounterVec
	latency    prometheus.Histogram
	inFlight   prometheus.Gauge
}

func newFanoutMetrics() *fanoutMetrics {
	return &fanoutMetrics{
		events:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hookstream_fanout_events_total", Help: "Records read as events, by result."}, []string{"result"}),
		deliveries: prometheus.NewCounter(prometheus.CounterOpts{Name: "hookstream_fanout_deliveries_total", Help: "Deliveries made."}),
		skipped:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hookstream_fanout_skipped_total", Help: "Matches that made no delivery, by reason."}, []string{"reason"}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "hookstream_fanout_seconds", Help: "From taking an event up to the last ack of what it made.",
			Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10}}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "hookstream_fanout_in_flight_bytes", Help: "Bytes appended and not acked."}),
	}
}

func (m *fanoutMetrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.events, m.deliveries, m.skipped, m.latency, m.inFlight}
}

func (m *fanoutMetrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	for i, c := range m.all() {
		if err := r.Register(c); err != nil {
			for _, c := range m.all()[:i] {
				r.Unregister(c)
			}
			return fmt.Errorf("fanout: registering metrics: %w", err)
		}
	}
	return nil
}

func (m *fanoutMetrics) unregister(r prometheus.Registerer) {
	if r == nil {
		return
	}
	for _, c := range m.all() {
		r.Unregister(c)
	}
}
