package analytics

// What the sink tells Prometheus. No label names a tenant or an endpoint.

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type sinkMetrics struct {
	rows          *prometheus.CounterVec   // by table
	inserts       *prometheus.CounterVec   // by table and result
	insertSeconds *prometheus.HistogramVec // by table
	repairs       *prometheus.CounterVec   // by table
	vanished      *prometheus.CounterVec   // by table
	invalid       *prometheus.CounterVec   // by topic
	rewinds       *prometheus.CounterVec   // by topic
}

func newSinkMetrics() *sinkMetrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "hookstream", Subsystem: "sink", Name: name, Help: help}, labels)
	}
	return &sinkMetrics{
		rows:     counter("rows_total", "Rows acknowledged by ClickHouse.", "table"),
		inserts:  counter("inserts_total", "Inserts; doubtful ones are read back.", "table", "result"),
		repairs:  counter("repairs_total", "Inserts under a repair token, after rows were missing under an acknowledged one.", "table"),
		vanished: counter("vanished_rows_total", "Rows that ClickHouse acknowledged and dropped.", "table"),
		invalid:  counter("invalid_records_total", "Records that could not be read and made no row.", "topic"),
		rewinds:  counter("rewinds_total", "Partitions read again because ClickHouse had less than was committed.", "topic"),
		insertSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "hookstream", Subsystem: "sink", Name: "insert_seconds",
			Help: "Duration of one insert.", Buckets: prometheus.ExponentialBuckets(0.005, 2, 14)}, []string{"table"}),
	}
}

var (
	lagDesc = prometheus.NewDesc("hookstream_sink_lag_records", "Records in Kafka that are not stored yet, over the partitions of this process.", []string{"topic"}, nil)
	ageDesc = prometheus.NewDesc("hookstream_sink_lag_seconds", "Age of the oldest record that was fetched and is not stored yet.", []string{"topic"}, nil)
	bufDesc = prometheus.NewDesc("hookstream_sink_buffered_bytes", "Bytes of fetched records that wait for their insert.", nil, nil)
)

// sinkState collects what is a state and not a count.
type sinkState struct{ sink *Sink }

func (s sinkState) Describe(ch chan<- *prometheus.Desc) {
	ch <- lagDesc
	ch <- ageDesc
	ch <- bufDesc
}

func (s sinkState) Collect(ch chan<- prometheus.Metric) {
	lag, oldest, buffered := s.sink.state()
	for topic, n := range lag {
		ch <- prometheus.MustNewConstMetric(lagDesc, prometheus.GaugeValue, float64(n), topic)
		age := 0.0
		if t := oldest[topic]; !t.IsZero() {
			age = max(0, time.Since(t).Seconds())
		}
		ch <- prometheus.MustNewConstMetric(ageDesc, prometheus.GaugeValue, age, topic)
	}
	ch <- prometheus.MustNewConstMetric(bufDesc, prometheus.GaugeValue, float64(buffered))
}

// register adds everything to reg; nil registers nothing.
func (m *sinkMetrics) register(reg prometheus.Registerer, sink *Sink) error {
	if reg == nil {
		return nil
	}
	for _, c := range m.collectors(sink) {
		if err := reg.Register(c); err != nil {
			return fmt.Errorf("registering sink metrics: %w", err)
		}
	}
	return nil
}

func (m *sinkMetrics) unregister(reg prometheus.Registerer, sink *Sink) {
	if reg == nil {
		return
	}
	for _, c := range m.collectors(sink) {
		reg.Unregister(c)
	}
}

func (m *sinkMetrics) collectors(sink *Sink) []prometheus.Collector {
	return []prometheus.Collector{m.rows, m.inserts, m.insertSeconds, m.repairs, m.vanished, m.invalid, m.rewinds, sinkState{sink}}
}
