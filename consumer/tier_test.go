package consumer

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hookstream/hookstream/schemas"
)

func TestTierRecordTakesTheNominalDelay(t *testing.T) {
	topology := schemas.DevTopology()
	now := time.UnixMilli(1_750_000_000_123).Add(456 * time.Microsecond)
	for name, tc := range map[string]struct {
		wait time.Duration
		tier string // "" = in memory
	}{
		"past":            {-time.Second, ""},
		"now":             {0, ""},
		"short":           {900 * time.Millisecond, ""},
		"a second":        {time.Second, "1s"},
		"just under":      {5*time.Second - 20*time.Millisecond, "5s"}, // decided on 20 ms ago
		"clearly under":   {5*time.Second - 100*time.Millisecond, "2s"},
		"fourteen hours":  {14 * time.Hour, "10h"},
		"longer than all": {30 * 24 * time.Hour, "10h"},
	} {
		t.Run(name, func(t *testing.T) {
			d := schemas.Delivery{ID: "dlv_1", EventID: "evt_1", EndpointID: "wh_7", Attempts: 2, Data: []byte(`{}`)}
			rec, ok := TierRecord(topology, &d, now.Add(tc.wait), now)
			if ok != (tc.tier != "") {
				t.Fatalf("ok is %v", ok)
			}
			if !ok {
				return
			}
			if want := topology.Prefix + "retry." + tc.tier; rec.Topic != want || rec.Partition != topology.Slot("wh_7")%topology.Tiers {
				t.Errorf("went to %s/%d, want %s", rec.Topic, rec.Partition, want)
			}
			got, err := schemas.ParseDelivery(&rec)
			if err != nil {
				t.Fatal(err)
			}
			if due := now.Add(tc.wait); got.Due.Before(due) || got.Due.Sub(due) >= time.Millisecond {
				t.Errorf("due %v became %v", due, got.Due)
			}
			if got.Enqueued.UnixMilli() != now.UnixMilli() || got.Attempts != 2 || !d.Due.IsZero() {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// A wait of any length through the tiers, with clocks and queues that are
// late by some, ends at due: never before, and late only by the last wait's
// own lateness.
func TestTiersNeverFireEarlyAndAlwaysEnd(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		wait := time.Duration(rapid.Int64Range(0, int64(72*time.Hour)).Draw(rt, "wait"))
		lateMost := time.Duration(rapid.SampledFrom([]int64{0, int64(40 * time.Millisecond), int64(3 * time.Second)}).Draw(rt, "late"))
		late := func() time.Duration { return time.Duration(rapid.Int64Range(0, int64(lateMost)).Draw(rt, "by")) }
		now := time.UnixMilli(1_750_000_000_000)
		due := ceilMillisecond(now.Add(wait))
		tier, ok := tierFor(due, now)
		if !ok {
			if wait >= time.Second {
				rt.Fatalf("%v has no tier", wait)
			}
			return
		}
		var last time.Duration
		for writes := 1; ; {
			if writes > 25 {
				rt.Fatalf("%v is still hopping after %d writes", wait, writes)
			}
			at := fireAt(tier, due, now)
			if at.Before(now) {
				at = now
			}
			last = late()
			now = at.Add(last)
			next, hop, hold := onFire(due, now)
			if hop {
				if next.Delay > due.Sub(now)+nominalSlack {
					rt.Fatalf("%v left takes the tier %s", due.Sub(now), next.Name)
				}
				tier = next
				writes++
				continue
			}
			if hold {
				if due.Sub(now) > holdLimit {
					rt.Fatalf("%v is held in memory", due.Sub(now))
				}
				last = late()
				now = due.Add(last)
			}
			if now.Before(due) {
				rt.Fatalf("fired %v early", due.Sub(now))
			}
			if now.Sub(due) > last {
				rt.Fatalf("%v late, of which the clock is to blame for %v", now.Sub(due), last)
			}
			return
		}
	})
}

func TestTiersOfTheUsualSchedulesCostFewWrites(t *testing.T) {
	for wait, most := range map[time.Duration]int{
		5 * time.Second: 1, 5 * time.Minute: 1, 30 * time.Minute: 1, 2 * time.Hour: 1, 5 * time.Hour: 1, 10 * time.Hour: 1,
		time.Second: 1, 4 * time.Second: 1, 14 * time.Hour: 3, 24 * time.Hour: 4,
	} {
		now := time.UnixMilli(1_750_000_000_000)
		due := now.Add(wait)
		writes := 0
		for tier, ok := tierFor(due, now); ok; {
			writes++
			now = fireAt(tier, due, now).Add(5 * time.Millisecond)
			tier, ok, _ = onFire(due, now)
		}
		if writes > most {
			t.Errorf("%v takes %d writes, want at most %d", wait, writes, most)
		}
	}
}

func TestMovedKeepsEverythingElse(t *testing.T) {
	rec := schemas.Record{Topic: "a", Partition: 3, Offset: 9, Key: []byte("k"), Value: []byte(" { } "), Time: time.Now(), Headers: []schemas.Header{
		{Key: "unknown", Value: []byte("x")}, {Key: schemas.HdrEnqueued, Value: []byte("1")}, {Key: schemas.HdrDue, Value: []byte("2")}, {Key: "unknown", Value: []byte("y")}}}
	out := moved(&rec, "b", 1, time.UnixMilli(77))
	if out.Topic != "b" || out.Partition != 1 || string(out.Key) != "k" || string(out.Value) != " { } " || !out.Time.IsZero() {
		t.Errorf("got %+v", out)
	}
	if enq, _ := out.Header(schemas.HdrEnqueued); enq != "77" || len(out.Headers) != 4 {
		t.Errorf("headers %v", out.Headers)
	}
	if out = moved(&rec, "b", 1, time.Time{}); len(out.Headers) != 3 {
		t.Errorf("headers out of the tiers: %v", out.Headers)
	}
	if len(rec.Headers) != 4 || string(rec.Headers[1].Value) != "1" {
		t.Errorf("the record itself was changed: %v", rec.Headers)
	}
	bad := schemas.Record{Headers: []schemas.Header{{Key: schemas.HdrDue, Value: []byte("soon")}}}
	if got := millisHeader(&bad, schemas.HdrDue); !got.IsZero() {
		t.Errorf("a due time of %q was read as %v", "soon", got)
	}
}
