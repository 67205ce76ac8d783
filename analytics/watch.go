package analytics

// How many webhooks do well and how many do not, for alerts. Metrics name no
// webhook and no tenant: whoever may scrape is not one of them, and a hundred
// thousand webhooks would be a hundred thousand series. Which ones fail is told
// by GET /v1/stats and in SQL.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"
)

// WatchConfig says how a Watch counts.
type WatchConfig struct {
	Store   *Store
	Every   time.Duration         // between two counts
	Window  time.Duration         // attempts that count are at most this old
	Metrics prometheus.Registerer // nil: counted for nobody
	Log     *slog.Logger          // nil: the store's
}

// DefaultWatchConfig counts the attempts of the last five minutes twice a minute.
func DefaultWatchConfig() WatchConfig {
	return WatchConfig{Every: 30 * time.Second, Window: 5 * time.Minute}
}

// retryCount is when to ask again while ClickHouse is not ready.
const retryCount = 2 * time.Second

// band is a stretch of success rates: up to but without below.
type band struct {
	name  string
	below float64
}

// The bands go from webhooks that fail to webhooks that do well.
var bands = []band{{"under_50", 0.5}, {"50_to_90", 0.9}, {"90_to_99", 0.99}, {"99_up", 2}}

var bandsDesc = prometheus.NewDesc("hookstream_webhooks_by_success",
	"Webhooks that had attempts in the last minutes, by the percentage of them that succeeded. Every process with the sink says the same.", []string{"percent"}, nil)

// Watch counts webhooks by their success rate and tells Prometheus.
type Watch struct {
	cfg WatchConfig
	log *slog.Logger

	mu     sync.Mutex
	counts []int // by band; nil: not known now
}

// NewWatch makes a watch and registers its metrics; Run counts.
func NewWatch(cfg WatchConfig) (*Watch, error) {
	switch {
	case cfg.Store == nil:
		return nil, errors.New("watch: Store is nil; pass an open store")
	case cfg.Every <= 0 || cfg.Window <= 0:
		return nil, errors.New("watch: Every and Window have to be above zero; start from DefaultWatchConfig")
	}
	w := &Watch{cfg: cfg, log: cfg.Log}
	if w.log == nil {
		w.log = cfg.Store.log
	}
	if cfg.Metrics != nil {
		if err := cfg.Metrics.Register(w); err != nil {
			return nil, fmt.Errorf("registering the metrics of webhooks: %w", err)
		}
	}
	return w, nil
}

// Run counts until ctx ends. While ClickHouse does not answer there is no
// number rather than an old one.
func (w *Watch) Run(ctx context.Context) error {
	if w.cfg.Metrics != nil {
		defer w.cfg.Metrics.Unregister(w)
	}
	for {
		var counts []int
		// That ClickHouse is away, or has no schema yet, others say.
		if w.cfg.Store.Ready(ctx) == nil {
			var err error
			if counts, err = w.count(ctx); err != nil && ctx.Err() == nil {
				w.log.Warn("webhooks cannot be counted by success", "error", err)
			}
		}
		w.mu.Lock()
		w.counts = counts
		w.mu.Unlock()
		wait := w.cfg.Every
		if counts == nil {
			wait = min(wait, retryCount)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

func (w *Watch) count(ctx context.Context) ([]int, error) {
	counts := make([]int, len(bands))
	since := time.Now().Add(-w.cfg.Window).UnixMilli()
	err := w.cfg.Store.query(ctx, `SELECT countIf(state = 'success') / count() FROM hookstream.attempts
		WHERE attempted_at >= `+millisArg+` AND attempt_no > 0 AND endpoint_id != '' GROUP BY tenant_id, endpoint_id`, []any{since}, func(r driver.Rows) error {
		var rate float64
		if err := r.Scan(&rate); err != nil {
			return err
		}
		for i, b := range bands {
			if rate < b.below {
				counts[i]++
				break
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("counting webhooks by success: %w", err)
	}
	return counts, nil
}

// Describe implements prometheus.Collector.
func (w *Watch) Describe(ch chan<- *prometheus.Desc) { ch <- bandsDesc }

// Collect implements prometheus.Collector.
func (w *Watch) Collect(ch chan<- prometheus.Metric) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, n := range w.counts {
		ch <- prometheus.MustNewConstMetric(bandsDesc, prometheus.GaugeValue, float64(n), bands[i].name)
	}
}
