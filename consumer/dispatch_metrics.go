package consumer

// The dispatcher's numbers. Nothing is labelled by endpoint: there may be a
// million of them.

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hookstream/hookstream/schemas"
)

type dispatchMetrics struct {
	lanes      *prometheus.GaugeVec
	parked     prometheus.Gauge
	waiting    prometheus.Gauge
	duplicates prometheus.Counter
	outcomes   *prometheus.CounterVec
	lateness   prometheus.Histogram
	all        []prometheus.Collector
}

func newDispatchMetrics(b *budget) *dispatchMetrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "hookstream", Subsystem: "dispatch", Name: name, Help: help})
	}
	m := &dispatchMetrics{
		lanes: prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "hookstream", Subsystem: "dispatch", Name: "lanes",
			Help: "Lanes in memory: live, spilled to park, or open (the breaker)."}, []string{"state"}),
		parked:  gauge("parked", "Deliveries in park that are not done."),
		waiting: gauge("waiting", "Deliveries in memory that wait for their attempt."),
		duplicates: prometheus.NewCounter(prometheus.CounterOpts{Namespace: "hookstream", Subsystem: "dispatch", Name: "duplicates_total",
			Help: "Records dropped because their attempt was already made."}),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "hookstream", Subsystem: "dispatch", Name: "outcomes_total",
			Help: "Attempts by what followed from them."}, []string{"verdict"}),
		lateness: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "hookstream", Subsystem: "dispatch", Name: "lateness_seconds",
			Help:    "Time from when an attempt was due (a first one: from when its event was written) to when its request was sent.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800}}),
	}
	m.all = []prometheus.Collector{m.lanes, m.parked, m.waiting, m.duplicates, m.outcomes, m.lateness,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "hookstream", Subsystem: "dispatch", Name: "in_flight", Help: "Requests in flight."},
			func() float64 { return float64(b.flying()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "hookstream", Subsystem: "dispatch", Name: "held_bytes", Help: "Bytes of records in memory."},
			func() float64 { return float64(b.held()) })}
	return m
}

// register adds the numbers to a registry, all or none of them.
func (m *dispatchMetrics) register(r prometheus.Registerer) error {
	for i, c := range m.all {
		if err := r.Register(c); err != nil {
			for _, done := range m.all[:i] {
				r.Unregister(done)
			}
			return fmt.Errorf("registering the dispatcher's metrics: %w", err)
		}
	}
	return nil
}

func (m *dispatchMetrics) unregister(r prometheus.Registerer) {
	for _, c := range m.all {
		r.Unregister(c)
	}
}

// mode counts lanes in and out of a state.
func (m *dispatchMetrics) mode(mode laneMode, n float64) {
	m.lanes.WithLabelValues(string(mode.state())).Add(n)
}

func (m *dispatchMetrics) late(d time.Duration) { m.lateness.Observe(max(d, 0).Seconds()) }

var verdictNames = map[schemas.Verdict]string{schemas.Delivered: "delivered", schemas.Retry: "retry", schemas.Exhausted: "exhausted",
	schemas.Rejected: "rejected", schemas.Gone: "gone", schemas.Skipped: "skipped", schemas.Canceled: "canceled"}

func (m *dispatchMetrics) outcome(v schemas.Verdict) {
	m.outcomes.WithLabelValues(verdictNames[v]).Inc()
}
