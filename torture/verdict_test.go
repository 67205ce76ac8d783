package main

import (
	"testing"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// clean is evidence of a run in which all went well: webhook 0 is steady,
// webhook 6 is ordered; each took two events of its own.
func clean() ([]webhook, *evidence) {
	fleet := newFleet(8)
	e := &evidence{rows: map[place]schemas.Attempt{}, stored: map[place]int{}}
	at := time.Unix(1_700_000_000, 0)
	offset := int64(0)
	for _, w := range []webhook{fleet[0], fleet[6]} {
		for seq := range 2 {
			at = at.Add(time.Second)
			ev := event{ID: w.eventType() + string(rune('a'+seq)), Type: w.eventType(), Seq: seq, At: at.UnixMicro()}
			e.accepted = append(e.accepted, ev)
			e.receipts = append(e.receipts, receipt{At: ev.At + 5000, Webhook: w.n, Event: ev.ID, Seq: seq, Status: 200})
			p := place{0, offset}
			e.rows[p] = schemas.Attempt{EventID: ev.ID, DeliveryID: "dlv_" + ev.ID, No: 1, State: schemas.StateSuccess,
				CreatedAt: at.UnixMilli(), AttemptedAt: at.UnixMilli() + 3, URL: "http://127.0.0.1:1" + w.path()}
			e.stored[p] = 1
			offset++
		}
	}
	e.balance = balance{Made: 4, Terminal: 4}
	return fleet, e
}

// TestVerdictSeesEveryBrokenPromise spoils clean evidence in one way each: a
// check that cannot fail proves nothing.
func TestVerdictSeesEveryBrokenPromise(t *testing.T) {
	fleet, e := clean()
	if r := judge(Config{}, fleet, e); !r.Kept() || r.Delivered != 4 {
		t.Fatalf("clean evidence is judged %+v", r)
	}
	for name, c := range map[string]struct {
		spoil func(*evidence)
		count func(*Report) int
	}{
		"never received":         {func(e *evidence) { e.receipts = e.receipts[1:] }, func(r *Report) int { return r.Lost }},
		"received, and refused":  {func(e *evidence) { e.receipts[0].Status = 503 }, func(r *Report) int { return r.Lost }},
		"repeated for no reason": {func(e *evidence) { e.receipts = append(e.receipts, later(e.receipts[0], 9*time.Second)) }, func(r *Report) int { return r.DuplicatesBy[unexplained] }},
		"out of order":           {func(e *evidence) { e.receipts[2].At = e.receipts[3].At + 1 }, func(r *Report) int { return r.OrderViolations }},
		"before its time": {func(e *evidence) {
			first := e.rows[place{0, 0}]
			first.State, first.NextRetryAt = schemas.StatePending, first.AttemptedAt+1000
			second := first
			second.No, second.State, second.AttemptedAt = 2, schemas.StateSuccess, first.NextRetryAt-1
			e.rows[place{0, 0}], e.rows[place{0, 9}], e.stored[place{0, 9}] = first, second, 1
		}, func(r *Report) int { return r.Early }},
		"a row is missing":     {func(e *evidence) { delete(e.stored, place{0, 1}) }, func(r *Report) int { return r.RowsMissing }},
		"a row is there twice": {func(e *evidence) { e.stored[place{0, 1}] = 2 }, func(r *Report) int { return r.RowsDouble }},
		"the balance is off":   {func(e *evidence) { e.balance.Difference = -1 }, func(r *Report) int { return -int(r.Balance.Difference) }},
	} {
		fleet, e := clean()
		c.spoil(e)
		if r := judge(Config{}, fleet, e); r.Kept() || c.count(r) != 1 {
			t.Errorf("%s: kept %v, count %d", name, r.Kept(), c.count(r))
		}
	}
}

func later(r receipt, by time.Duration) receipt {
	r.At += by.Microseconds()
	return r
}

func TestVerdictNamesTheCauseOfARepeat(t *testing.T) {
	fleet, e := clean()
	e.receipts = append(e.receipts, later(e.receipts[0], 4*time.Second))
	taken := time.UnixMicro(e.receipts[0].At)
	e.faults = []fault{
		{Kind: faultKill, Part: "sink", Role: roleSink, At: taken, Until: taken.Add(time.Second)},
		{Kind: faultKill, Part: "dispatch-a", Role: roleDispatch, At: taken.Add(10 * time.Millisecond), Until: taken.Add(time.Second)},
		{Kind: faultFreeze, Part: "kafka", Role: roleKafka, At: taken.Add(time.Minute), Until: taken.Add(2 * time.Minute)},
	}
	r := judge(Config{}, fleet, e)
	if !r.Kept() || r.Duplicates != 1 || r.DuplicatesBy["dispatch kill"] != 1 {
		t.Errorf("%+v", r)
	}
}

// TestGivenUpIsAccountedFor: a delivery that ended with a row is not lost.
func TestGivenUpIsAccountedFor(t *testing.T) {
	fleet, e := clean()
	e.receipts = e.receipts[1:]
	row := e.rows[place{0, 0}]
	row.State = schemas.StateError
	e.rows[place{0, 0}] = row
	if r := judge(Config{}, fleet, e); r.Lost != 0 || r.GivenUp != 1 {
		t.Errorf("lost %d, given up %d", r.Lost, r.GivenUp)
	}
}
