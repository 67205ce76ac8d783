package devstack

import (
	"sync/atomic"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// BenchmarkClickHouseInsert inserts batches of 50,000 rows through
// clickhouse-go into a table with projections, on as many connections as -cpu says.
func BenchmarkClickHouseInsert(b *testing.B) {
	c := startChild(b)
	conn := c.client(b, clickhouse.CompressionLZ4)
	makeTable(b, conn)
	const rows = 50000
	var next atomic.Int64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := insertRows(b.Context(), conn, int(next.Add(rows))-rows, rows); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkClickHouseSelect1 is the floor of a query through clickhouse-go.
func BenchmarkClickHouseSelect1(b *testing.B) {
	conn := startChild(b).client(b, clickhouse.CompressionNone)
	for b.Loop() {
		var n uint8
		if err := conn.QueryRow(b.Context(), "SELECT 1").Scan(&n); err != nil {
			b.Fatal(err)
		}
	}
}
