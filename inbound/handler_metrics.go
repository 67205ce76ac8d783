package inbound

// The handlers' metrics: every event's result, by type and group.

import "github.com/prometheus/client_golang/prometheus"

// What became of an event, as a metric label.
const (
	resultHandled   = "handled"
	resultParked    = "parked"
	resultUnhandled = "unhandled"
	resultNotice    = "notice"
	resultInvalid   = "invalid"
)

// otherTypes is the type label of all types without a handler of their own:
// senders may make up any number of them.
const otherTypes = "other"

type handlerMetrics struct {
	results *prometheus.CounterVec
	retries *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	queued  prometheus.Gauge
}

func newHandlerMetrics(group string) *handlerMetrics {
	labels := prometheus.Labels{"group": group}
	return &handlerMetrics{
		results: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hookstream_inbound_handled_total", ConstLabels: labels,
			Help: "Received webhooks by type and result: handled, parked, unhandled, notice, repeat or invalid."}, []string{"type", "result"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hookstream_inbound_handler_retries_total", ConstLabels: labels,
			Help: "Retries of failed handlers."}, []string{"type"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "hookstream_inbound_handler_seconds", ConstLabels: labels,
			Help: "Run time of handlers, failed runs included.", Buckets: []float64{.001, .005, .01, .05, .1, .5, 1, 5, 10, 30, 60, 300}}, []string{"type"}),
		queued: prometheus.NewGauge(prometheus.GaugeOpts{Name: "hookstream_inbound_handlers_queued", ConstLabels: labels,
			Help: "Webhooks taken from Kafka and not settled, those waiting for a retry included."}),
	}
}

func (m *handlerMetrics) count(kind, result string) { m.results.WithLabelValues(kind, result).Inc() }

func (m *handlerMetrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.results, m.retries, m.seconds, m.queued}
}

func (m *handlerMetrics) register(r prometheus.Registerer) error { return register(r, m.all()) }

func (m *handlerMetrics) unregister(r prometheus.Registerer) { unregister(r, m.all()) }
