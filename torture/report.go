package main

// Report: what a run found, for people and as JSON.

import (
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// Report of a run. What Kept looks at has to be 0.
type Report struct {
	Stack             string         `json:"stack"`
	Seed              uint64         `json:"seed"`
	Kills             int            `json:"kills"`
	KillsOf           map[string]int `json:"kills_of"`
	Faults            map[string]int `json:"faults"`
	EndedByThemselves map[string]int `json:"ended_by_themselves,omitempty"`
	Accepted          int            `json:"accepted"`
	Unknown           int            `json:"unknown"` // sent without an answer; may or may not arrive
	Deliveries        int            `json:"deliveries"`
	Delivered         int            `json:"delivered"`
	GivenUp           int            `json:"given_up"`
	Lost              int            `json:"lost"`
	Requests          int            `json:"requests"`
	Duplicates        int            `json:"duplicates"`
	DuplicatesBy      map[string]int `json:"duplicates_by"`
	OrderViolations   int            `json:"order_violations"`
	Early             int            `json:"early"`
	LatenessMS        Spread         `json:"lateness_ms"`
	RowsMissing       int            `json:"rows_missing"`
	RowsDouble        int            `json:"rows_double"`
	Balance           balance        `json:"balance"`
	RecoveryMS        Spread         `json:"recovery_ms"`
	SettledSeconds    float64        `json:"settled_seconds"`
	Unsettled         string         `json:"unsettled,omitempty"`
}

// Spread of a set of numbers.
type Spread struct {
	N   int   `json:"n"`
	P50 int64 `json:"p50"`
	P99 int64 `json:"p99"`
	Max int64 `json:"max"`
}

func spread(of []int64) Spread {
	if len(of) == 0 {
		return Spread{}
	}
	slices.Sort(of)
	at := func(share float64) int64 { return of[int(share*float64(len(of)-1))] }
	return Spread{N: len(of), P50: at(0.5), P99: at(0.99), Max: of[len(of)-1]}
}

// Kept reports whether every promise held.
func (r *Report) Kept() bool {
	return r.Lost == 0 && r.OrderViolations == 0 && r.Early == 0 && r.RowsMissing == 0 && r.RowsDouble == 0 &&
		r.Balance.Pending == 0 && r.Balance.Difference == 0 && r.DuplicatesBy[unexplained] == 0 && r.Unsettled == ""
}

func (r *Report) print(w io.Writer) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-22s %s\n", name, fmt.Sprintf(format, args...))
	}
	must := func(name string, n int64) {
		verdict := "ok"
		if n != 0 {
			verdict = "BROKEN"
		}
		line(name, "%d  (must be 0: %s)", n, verdict)
	}
	fmt.Fprintln(w)
	line("stack, seed", "%s, %d", r.Stack, r.Seed)
	line("kill -9", "%d  (%s)", r.Kills, counts(r.KillsOf))
	line("faults", "%s", counts(r.Faults))
	line("ended by themselves", "%s", counts(r.EndedByThemselves))
	line("accepted", "%d events, %d deliveries (%d more events without an answer)", r.Accepted, r.Deliveries, r.Unknown)
	line("delivered", "%d, given up with a row %d", r.Delivered, r.GivenUp)
	must("lost", int64(r.Lost))
	line("duplicates", "%d of %d requests (%s)", r.Duplicates, r.Requests, counts(r.DuplicatesBy))
	must("unexplained", int64(r.DuplicatesBy[unexplained]))
	must("order violations", int64(r.OrderViolations))
	must("attempts before due", int64(r.Early))
	line("lateness ms", "p50 %d, p99 %d, max %d", r.LatenessMS.P50, r.LatenessMS.P99, r.LatenessMS.Max)
	must("rows missing", int64(r.RowsMissing))
	must("rows double", int64(r.RowsDouble))
	line("conservation", "made %d, terminal %d", r.Balance.Made, r.Balance.Terminal)
	must("pending", r.Balance.Pending)
	must("difference", r.Balance.Difference)
	line("recovery ms", "p50 %d, p99 %d, max %d after each of %d faults", r.RecoveryMS.P50, r.RecoveryMS.P99, r.RecoveryMS.Max, r.RecoveryMS.N)
	line("settled after", "%.1f s", r.SettledSeconds)
	if r.Unsettled != "" {
		line("NOT SETTLED", "%s", r.Unsettled)
	}
}

func counts(of map[string]int) string {
	parts := make([]string, 0, len(of))
	for _, name := range slices.Sorted(maps.Keys(of)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, of[name]))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// pathOf is the path of a delivery's URL, which names the webhook.
func pathOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Path
}
