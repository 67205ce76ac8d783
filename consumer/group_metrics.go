package consumer

// The group's metrics, and the client's log lines.

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
)

type groupMetrics struct {
	registerer prometheus.Registerer
	rebalances *prometheus.CounterVec
	commits    *prometheus.CounterVec
	dataLoss   prometheus.Counter
	all        []prometheus.Collector
}

// newGroupMetrics registers the group's metrics for the time of its Run.
func newGroupMetrics(g *Group) (*groupMetrics, error) {
	label := prometheus.Labels{"group": g.cfg.Group}
	m := &groupMetrics{registerer: g.cfg.Registerer,
		rebalances: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hookstream_group_rebalances_total", Help: "Rebalance callbacks by event.", ConstLabels: label}, []string{"event"}),
		commits:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hookstream_group_commits_total", Help: "Offset commits by result.", ConstLabels: label}, []string{"result"}),
		dataLoss:   prometheus.NewCounter(prometheus.CounterOpts{Name: "hookstream_group_data_loss_total", Help: "Times that the log was found cut off or went back under this consumer.", ConstLabels: label}),
	}
	m.all = []prometheus.Collector{m.rebalances, m.commits, m.dataLoss,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "hookstream_group_partitions", Help: "Partitions held.", ConstLabels: label}, func() float64 { return float64(len(g.all())) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "hookstream_group_pending_records", Help: "Records handed out and not done.", ConstLabels: label}, func() float64 { return float64(g.Pending()) }),
	}
	if m.registerer == nil {
		return m, nil
	}
	for i, c := range m.all {
		if err := m.registerer.Register(c); err != nil {
			m.all = m.all[:i]
			m.close()
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return m, nil
}

func (m *groupMetrics) close() {
	if m.registerer == nil {
		return
	}
	for _, c := range m.all {
		m.registerer.Unregister(c)
	}
}

// clientLog passes the client's warnings and errors on.
type clientLog struct {
	log   *slog.Logger
	group string
}

// Level asks for warnings and errors only: the group logs the rest itself.
func (l clientLog) Level() kgo.LogLevel {
	if l.log == nil {
		return kgo.LogLevelNone
	}
	return kgo.LogLevelWarn
}

// Log writes one line.
func (l clientLog) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	at := slog.LevelWarn
	if level == kgo.LogLevelError {
		at = slog.LevelError
	}
	l.log.Log(context.Background(), at, "kafka: "+msg, append([]any{"group", l.group}, keyvals...)...)
}
