package inbound

// The deduper's metrics.

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// What became of a record of inbound.raw, as a metric label.
const (
	resultCopied  = "copied"
	resultRepeat  = "repeat"
	resultRefused = "refused"
)

type dedupeMetrics struct {
	records *prometheus.CounterVec
	all     []prometheus.Collector
}

func newDedupeMetrics(d *Deduper) *dedupeMetrics {
	m := &dedupeMetrics{records: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hookstream_inbound_deduped_total",
		Help: "Records read from inbound.raw, by result: copied for the handlers, a repeat, or refused and parked."}, []string{"result"})}
	sum := func(of func(*Window) float64) func() float64 {
		return func() (n float64) {
			d.mu.Lock()
			defer d.mu.Unlock()
			for _, topics := range d.parts {
				for _, dec := range topics {
					n += of(dec.window)
				}
			}
			return n
		}
	}
	m.all = []prometheus.Collector{m.records,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "hookstream_inbound_remembered_keys", Help: "Keys whose repeats are recognised now."},
			sum(func(w *Window) float64 { return float64(w.Len()) })),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "hookstream_inbound_crowded_keys", Help: "Keys forgotten before their time for want of room, by the windows held now."},
			sum(func(w *Window) float64 { return float64(w.Crowded()) })),
	}
	return m
}

func (m *dedupeMetrics) register(r prometheus.Registerer) error { return register(r, m.all) }

func (m *dedupeMetrics) unregister(r prometheus.Registerer) { unregister(r, m.all) }

// register adds all collectors or none.
func register(r prometheus.Registerer, all []prometheus.Collector) error {
	if r == nil {
		return nil
	}
	for i, c := range all {
		if err := r.Register(c); err != nil {
			unregister(r, all[:i])
			return fmt.Errorf("inbound: registering metrics: %w", err)
		}
	}
	return nil
}

func unregister(r prometheus.Registerer, all []prometheus.Collector) {
	if r == nil {
		return
	}
	for _, c := range all {
		r.Unregister(c)
	}
}
