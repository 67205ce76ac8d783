package main

// The verdict: pure functions from evidence to a report.

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// pair is one delivery as the outside knows it.
type pair struct {
	webhook int
	event   string
}

// pairs counts the deliveries that the accepted events make.
func pairs(fleet []webhook, accepted []event) int {
	n := 0
	for _, e := range accepted {
		for _, w := range fleet {
			if w.takes(e.Type) {
				n++
			}
		}
	}
	return n
}

// taken are the pairs that a receiver answered with a success, and when first.
func taken(receipts []receipt) map[pair]int64 {
	first := map[pair]int64{}
	for _, r := range receipts {
		if at, ok := first[pair{r.Webhook, r.Event}]; r.ok() && (!ok || r.At < at) {
			first[pair{r.Webhook, r.Event}] = r.At
		}
	}
	return first
}

// outstanding counts the deliveries that no receiver has taken.
func outstanding(fleet []webhook, e *evidence) int {
	return pairs(fleet, e.accepted) - len(arrived(fleet, e.accepted, taken(e.receipts)))
}

// arrived are the accepted pairs among those taken.
func arrived(fleet []webhook, accepted []event, first map[pair]int64) map[pair]bool {
	out := map[pair]bool{}
	for _, ev := range accepted {
		for _, w := range fleet {
			if _, ok := first[pair{w.n, ev.ID}]; ok && w.takes(ev.Type) {
				out[pair{w.n, ev.ID}] = true
			}
		}
	}
	return out
}

func judge(cfg Config, fleet []webhook, e *evidence) *Report {
	first := taken(e.receipts)
	r := &Report{Stack: cfg.Stack, Seed: cfg.Seed, Accepted: len(e.accepted), Unknown: e.unknown, Deliveries: pairs(fleet, e.accepted),
		Requests: len(e.receipts), Faults: map[string]int{}, KillsOf: map[string]int{}, EndedByThemselves: e.ended, DuplicatesBy: map[string]int{},
		Balance: e.balance, SettledSeconds: e.settled.Seconds()}
	if e.unsettle != nil {
		r.Unsettled = e.unsettle.Error()
	}
	for _, f := range e.faults {
		r.Faults[f.Kind]++
		if f.Kind == faultKill {
			r.Kills++
			r.KillsOf[string(f.Role)]++
		}
	}
	got := arrived(fleet, e.accepted, first)
	r.Delivered = len(got)
	r.Lost, r.GivenUp = missing(fleet, e, got)
	r.duplicates(fleet, e, first)
	r.OrderViolations = disorder(fleet, e.receipts)
	r.Early, r.LatenessMS = punctuality(e.rows)
	for at := range e.rows {
		if e.stored[at] == 0 {
			r.RowsMissing++
		}
	}
	for at, n := range e.stored {
		if _, ok := e.rows[at]; !ok || n > 1 {
			r.RowsDouble++
		}
	}
	r.RecoveryMS = recovery(fleet, e, first)
	return r
}

// missing counts accepted deliveries that no receiver took: given up with a
// row that says so, or lost.
func missing(fleet []webhook, e *evidence, got map[pair]bool) (lost, givenUp int) {
	said := map[string]map[string]bool{} // event → URL path → given up
	for _, a := range e.rows {
		if a.State == schemas.StateError || a.State == schemas.StateSkipped {
			if said[a.EventID] == nil {
				said[a.EventID] = map[string]bool{}
			}
			said[a.EventID][pathOf(a.URL)] = true
		}
	}
	for _, ev := range e.accepted {
		for _, w := range fleet {
			switch {
			case !w.takes(ev.Type) || got[pair{w.n, ev.ID}]:
			case said[ev.ID][w.path()]:
				givenUp++
			default:
				lost++
			}
		}
	}
	return lost, givenUp
}

// near is how long before and after the first success a fault has to have been
// at work to be why a delivery was repeated: an outcome is on disk within
// milliseconds unless something keeps it from there.
const near = 3 * time.Second

// duplicates counts requests of deliveries that had been taken already, each
// by what was done to the stack when the first was settled.
func (r *Report) duplicates(fleet []webhook, e *evidence, first map[pair]int64) {
	for _, got := range e.receipts {
		at, ok := first[pair{got.Webhook, got.Event}]
		if !ok || got.At <= at {
			continue
		}
		r.Duplicates++
		r.DuplicatesBy[cause(e.faults, time.UnixMicro(at), time.UnixMicro(got.At))]++
	}
}

// causes are the roles whose faults can repeat a delivery, the nearest first.
var causes = []role{roleReceiver, roleAll, roleDispatch, roleKafka, roleMover, roleFanout, roleAPI}

const unexplained = "unexplained"

func cause(faults []fault, taken, again time.Time) string {
	best, rank := unexplained, len(causes)
	for _, f := range faults {
		if f.At.After(taken.Add(near)) || f.Until.Before(taken.Add(-near)) || f.At.After(again) {
			continue
		}
		if i := slices.Index(causes, f.Role); i >= 0 && i < rank {
			best, rank = string(f.Role)+" "+f.Kind, i
		}
	}
	return best
}

// disorder counts first successes at ordered webhooks that came after a later
// event's.
func disorder(fleet []webhook, receipts []receipt) int {
	bySeq := map[int]map[int]int64{}
	for _, r := range receipts {
		if r.Webhook >= len(fleet) || fleet[r.Webhook].character != ordered || !r.ok() {
			continue
		}
		if bySeq[r.Webhook] == nil {
			bySeq[r.Webhook] = map[int]int64{}
		}
		if at, ok := bySeq[r.Webhook][r.Seq]; !ok || r.At < at {
			bySeq[r.Webhook][r.Seq] = r.At
		}
	}
	n := 0
	for _, seqs := range bySeq {
		last := int64(0)
		for _, seq := range slices.Sorted(maps.Keys(seqs)) {
			if seqs[seq] < last {
				n++
			}
			last = max(last, seqs[seq])
		}
	}
	return n
}

// punctuality compares each attempt with the time that the row before it set:
// how many came early, and how late all of them were.
func punctuality(rows map[place]schemas.Attempt) (early int, late Spread) {
	type step struct {
		delivery string
		no       int
	}
	due := map[step]int64{}
	for _, a := range rows {
		if a.No > 0 && a.State == schemas.StatePending && a.NextRetryAt > 0 {
			s := step{a.DeliveryID, a.No + 1}
			if old, ok := due[s]; !ok || a.NextRetryAt < old {
				due[s] = a.NextRetryAt
			}
		}
	}
	var lateness []int64
	for _, a := range rows {
		if a.No < 1 {
			continue
		}
		at, ok := due[step{a.DeliveryID, a.No}]
		if !ok {
			at = a.CreatedAt
		} else if a.AttemptedAt < at {
			early++
		}
		lateness = append(lateness, max(0, a.AttemptedAt-at))
	}
	return early, spread(lateness)
}

// recovery is, for each fault, how long after it was undone the last delivery
// arrived that was accepted before that, at webhooks that always answer.
func recovery(fleet []webhook, e *evidence, first map[pair]int64) Spread {
	var took []int64
	type done struct{ accepted, arrived int64 }
	var steadies []done
	for _, ev := range e.accepted {
		for _, w := range fleet {
			if at, ok := first[pair{w.n, ev.ID}]; ok && w.character == steady && w.takes(ev.Type) {
				steadies = append(steadies, done{ev.At, at})
			}
		}
	}
	slices.SortFunc(steadies, func(a, b done) int { return cmp.Compare(a.accepted, b.accepted) })
	for _, f := range e.faults {
		if f.Role == roleEngine || f.Role == roleSink {
			continue // deliveries do not wait for them
		}
		from, until := f.At.Add(-time.Minute).UnixMicro(), f.Until.UnixMicro()
		last := until
		i, _ := slices.BinarySearchFunc(steadies, from, func(d done, t int64) int { return cmp.Compare(d.accepted, t) })
		for ; i < len(steadies) && steadies[i].accepted <= until; i++ {
			last = max(last, steadies[i].arrived)
		}
		took = append(took, (last-until)/1000)
	}
	return spread(took)
}
