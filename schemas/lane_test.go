package schemas

import (
	"reflect"
	"testing"
	"time"
)

func laneSample() LaneRow {
	return LaneRow{EndpointID: "wh_1", Owner: 1700000000001, State: LaneOpen, Lo: 17, Hi: 40, Parked: 12, HoldUntil: 1700000030000, Halted: true,
		Head: &LaneHead{DeliveryID: "dlv_1", Attempts: 2, Due: 1700000060000}, FailSince: 1699990000000, FailCount: 44,
		Breaker: BreakerState{Open: true, OpenUntil: time.UnixMilli(1700000030000).UTC(), Cooldowns: 3, Reason: "http_5xx", Failures: 9, Since: time.UnixMilli(1699999000000).UTC()}}
}

func TestLaneGoldens(t *testing.T) {
	top := DefaultTopology()
	l := laneSample()
	golden(t, "lane", dump(must(l.Record(top))(t)))
	golden(t, "lane_live", dump(must((&LaneRow{EndpointID: "wh_1", Owner: 1, State: LaneLive, Hi: -1, FailSince: 5, FailCount: 2}).Record(top))(t)))
	golden(t, "lane_tombstone", dump(LaneTombstone(top, "wh_1")))
	golden(t, "lane_checkpoint", dump(must((&Checkpoint{Owner: 1700000000001, Park: 40, Snapshot: -1}).Record(top, 7))(t)))
}

func TestLaneRoundTrip(t *testing.T) {
	for _, want := range []LaneRow{laneSample(), {EndpointID: "wh_1", State: LaneLive, Hi: -1}} {
		rec := must(want.Record(DefaultTopology()))(t)
		got, err := ParseLane(&rec)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
	}
	want := Checkpoint{Owner: 3, Park: -1, Snapshot: 9}
	rec := must(want.Record(DefaultTopology(), 1))(t)
	if got, err := ParseCheckpoint(&rec); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"", "{", `{"owner":"x"}`} {
		rec := Record{Value: []byte(bad)}
		if _, err := ParseLane(&rec); err == nil {
			t.Errorf("lane row %q is taken", bad)
		}
		if _, err := ParseCheckpoint(&rec); err == nil {
			t.Errorf("checkpoint %q is taken", bad)
		}
	}
}

func TestDeadRoundTrip(t *testing.T) {
	top := DefaultTopology()
	d := Delivery{ID: "dlv_1", EventID: "evt_1", EventType: "a.b", Tenant: "t", EndpointID: "wh_1", Kind: KindEvent, CreatedAt: time.UnixMilli(1700000000000).UTC(),
		Attempts: 8, Profile: "standard", ProfileVersion: 1, Source: Position{Topic: "hookstream.events", Partition: 3, Offset: 17}, Data: []byte(`{ "n":  25.0 }`)}
	last := AttemptOf(&d, 8, time.UnixMilli(1700000001000))
	last.State, last.ResponseCode, last.ErrorKind, last.ResponseBody = StateError, 503, ErrHTTP5xx, "no <room>"
	rec := must(DeadRecord(top, &d, "exhausted", &last))(t)
	golden(t, "dead", dump(rec))
	got, reason, outcome, err := ParseDead(&rec)
	if err != nil || reason != "exhausted" || !reflect.DeepEqual(got, d) || outcome != last {
		t.Errorf("got %+v %q %+v, %v", got, reason, outcome, err)
	}
	if _, reason, _, err := ParseDead(&Record{Headers: []Header{{Key: HdrReason, Value: []byte("malformed: x")}}}); err == nil || reason != "malformed: x" {
		t.Errorf("a record that is no delivery gives %q, %v", reason, err)
	}
}
