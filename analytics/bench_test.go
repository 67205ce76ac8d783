package analytics

import (
	"fmt"
	"testing"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// BenchmarkInsert decodes and stores ranges of 50,000 attempts.
func BenchmarkInsert(b *testing.B) {
	s := startHouse(b).store(b)
	top := schemas.DevTopology()
	const rows = 50_000
	records := make([]schemas.Record, rows)
	now := time.Now().UnixMilli()
	for i := range records {
		a := schemas.Attempt{Tenant: "t" + itoa(i%20), EndpointID: "wh_" + itoa(i%500), DeliveryID: schemas.DeliveryID("t", itoa(i), "e", ""), No: 1,
			EventID: "evt_" + itoa(i), EventType: "invoice.paid", State: schemas.StateSuccess, CreatedAt: now - int64(i), AttemptedAt: now,
			DurationMS: int64(i % 300), ResponseCode: 200, ResponseBody: `{"ok":true}`, URL: "https://example.org/hooks/" + itoa(i%500), Profile: "standard", Kind: "event"}
		var err error
		if records[i], err = a.Record(top); err != nil {
			b.Fatal(err)
		}
	}
	d := newAttemptsDecoder()
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		d.reset()
		for i := range records {
			if err := d.add(&records[i], place{topic: "bench#1", offset: int64(n*rows + i)}); err != nil {
				b.Fatal(err)
			}
		}
		if err := s.insert(b.Context(), d.blocks[0], nil, fmt.Sprint("bench", n)); err != nil {
			b.Fatal(err)
		}
		n++
	}
	b.ReportMetric(float64(n*rows)/b.Elapsed().Seconds(), "rows/s")
}
