package analytics

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hookstream/hookstream/schemas"
)

// TestWebhooksBySuccess: a webhook that fails is counted as one, whatever other
// webhooks do, and without naming it.
func TestWebhooksBySuccess(t *testing.T) {
	h := startHouse(t)
	s := h.store(t)
	f := &fixture{}
	add := func(tenant, id string, ok, failed int, ago time.Duration) {
		for i := range ok + failed {
			a := schemas.Attempt{Tenant: tenant, EndpointID: id, DeliveryID: "dlv_" + id + itoa(i), No: 1, EventID: "e", EventType: "a.b", State: schemas.StateSuccess,
				CreatedAt: time.Now().Add(-ago).UnixMilli(), AttemptedAt: time.Now().Add(-ago).UnixMilli(), ResponseCode: 200}
			if i < failed {
				a.State, a.ResponseCode = schemas.StatePending, 500
			}
			f.attempts = append(f.attempts, a)
		}
	}
	add("acme", "wh_down", 0, 3, 0)
	add("acme", "wh_bad", 4, 5, 0)
	add("acme", "wh_shaky", 8, 2, 0)
	add("globex", "wh_fair", 97, 3, 0)
	add("globex", "wh_good", 100, 0, 0)
	add("globex", "wh_once", 0, 9, time.Hour)
	f.attempts = append(f.attempts, schemas.Attempt{Tenant: "acme", EndpointID: "wh_off", DeliveryID: "dlv_off", EventID: "e", EventType: "a.b", State: schemas.StateSkipped,
		ErrorKind: schemas.SkipInactive, CreatedAt: time.Now().UnixMilli(), AttemptedAt: time.Now().UnixMilli()})
	put(t, s, f)

	reg := prometheus.NewRegistry()
	cfg := DefaultWatchConfig()
	cfg.Store, cfg.Metrics, cfg.Every = s, reg, 50*time.Millisecond
	w, err := NewWatch(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	shown := func() map[string]float64 {
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]float64{}
		for _, m := range families {
			for _, x := range m.GetMetric() {
				if m.GetName() != "hookstream_webhooks_by_success" || len(x.GetLabel()) != 1 {
					t.Errorf("%s: %v", m.GetName(), x)
				}
				out[x.GetLabel()[0].GetValue()] = x.GetGauge().GetValue()
			}
		}
		return out
	}
	eventually(t, "the webhooks are counted", func() bool {
		return maps.Equal(shown(), map[string]float64{"under_50": 2, "50_to_90": 1, "90_to_99": 1, "99_up": 1})
	})
	h.kill()
	eventually(t, "no number is shown when none is known", func() bool { return len(shown()) == 0 })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
