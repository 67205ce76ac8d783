package analytics

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// TestDashboardQueriesRun: what the Grafana dashboard asks ClickHouse has an
// answer, with the macros of its data source filled in.
func TestDashboardQueriesRun(t *testing.T) {
	text, err := os.ReadFile("../deploy/grafana/dashboards/hookstream.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ RawSQL string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	s := startHouse(t).store(t)
	put(t, s, generate(40))
	asked, rates := 0, 0
	for _, p := range board.Panels {
		for _, q := range p.Targets {
			if q.RawSQL == "" {
				continue
			}
			asked++
			sql := strings.NewReplacer("$__timeInterval(attempted_at)", "toStartOfMinute(attempted_at)",
				"$__timeFilter(attempted_at)", "attempted_at >= now() - INTERVAL 40 DAY", "$__timeFilter(bucket)", "bucket >= now() - INTERVAL 40 DAY").Replace(q.RawSQL)
			rows := 0
			if err := s.query(t.Context(), sql, nil, func(driver.Rows) error { rows++; return nil }); err != nil || strings.Contains(sql, "$") {
				t.Errorf("%s: %v", p.Title, err)
			}
			if strings.Contains(p.Title, "Success rate by webhook") {
				rates = rows
			}
		}
	}
	if asked < 5 || rates != 4 {
		t.Errorf("%d queries, success rates of %d webhooks, want 4", asked, rates)
	}
}
