package consumer

// What a Mover needs, and what it tells.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/schemas"
)

// DefaultMoverGroup is the movers' consumer group.
const DefaultMoverGroup = "hookstream-mover"

// MoverConfig wires a Mover.
type MoverConfig struct {
	Options  []kgo.Opt // producer.Options
	Topology schemas.Topology
	Group    string
	Instance string // static membership: one per process; "" for a dynamic member
	// Append is producer.Writer.Append.
	Append func(ctx context.Context, rec schemas.Record, done func(offset int64, err error))

	HighMark int           // a partition with more records waiting is paused …
	LowMark  int           // … and fetched again at so many, or more if it fires faster
	MaxBytes int64         // of waiting records over all partitions
	Session  time.Duration // how long a killed member's partitions wait for it

	Log        *slog.Logger
	Registerer prometheus.Registerer // nil: no metrics
}

// DefaultMoverConfig has everything but the connection, the instance and
// Append.
func DefaultMoverConfig() MoverConfig {
	return MoverConfig{Topology: schemas.DefaultTopology(), Group: DefaultMoverGroup, HighMark: 1000, LowMark: 500,
		MaxBytes: 256 << 20, Session: DefaultGroupConfig().SessionTimeout}
}

// Validate names the field that is wrong and the cure.
func (c MoverConfig) Validate() error {
	switch {
	case c.Group == "":
		return errors.New("mover: group is empty; name the consumer group")
	case c.Append == nil:
		return errors.New("mover: append is nil; give producer.Writer.Append")
	case c.LowMark < 1 || c.HighMark <= c.LowMark:
		return fmt.Errorf("mover: marks are %d and %d; give a high mark above a low mark of 1 or more", c.HighMark, c.LowMark)
	case c.MaxBytes < 16<<20:
		return fmt.Errorf("mover: max bytes is %d; give at least 16 MiB", c.MaxBytes)
	}
	return c.Topology.Validate()
}

type moverMetrics struct {
	registerer prometheus.Registerer
	late       *prometheus.HistogramVec
	moves      *prometheus.CounterVec
	all        []prometheus.Collector
}

// newMoverMetrics registers the metrics for the time of Run.
func newMoverMetrics(m *Mover) (*moverMetrics, error) {
	s := &moverMetrics{registerer: m.cfg.Registerer,
		late: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "hookstream_mover_lateness_seconds",
			Help:    "How long after its due time a retry was handed on to be delivered, by the tier it came from.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60, 600}}, []string{"tier"}),
		moves: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hookstream_mover_moves_total",
			Help: "Records written, by the tier they came from and what they were written to (a tier, or due)."}, []string{"from", "to"}),
	}
	s.all = []prometheus.Collector{s.late, s.moves,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "hookstream_mover_waiting_records", Help: "Records in memory."}, func() float64 { return float64(m.Waiting()) }),
	}
	if s.registerer == nil {
		return s, nil
	}
	for i, c := range s.all {
		if err := s.registerer.Register(c); err != nil {
			s.all = s.all[:i]
			s.close()
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return s, nil
}

func (s *moverMetrics) close() {
	if s.registerer == nil {
		return
	}
	for _, c := range s.all {
		s.registerer.Unregister(c)
	}
}
