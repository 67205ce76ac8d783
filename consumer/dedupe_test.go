package consumer

import (
	"testing"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

func TestDedupeWindow(t *testing.T) {
	d := newDedupe(10*time.Minute, 3)
	start := time.UnixMilli(1_700_000_000_000)
	h := func(id string) eventHash { return hashEvent(&schemas.Event{Tenant: "t", ID: id}) }
	if d.repeat(h("a"), start) {
		t.Error("an event that was never noted is a repeat")
	}
	d.note(h("a"), start)
	for after, want := range map[time.Duration]bool{0: true, 10 * time.Minute: true, -10 * time.Minute: true, 10*time.Minute + 1e6: false, -time.Hour: false} {
		if got := d.repeat(h("a"), start.Add(after)); got != want {
			t.Errorf("%v later: repeat is %v", after, got)
		}
	}
	d.note(h("b"), start)
	d.note(h("a"), start.Add(time.Hour)) // no second entry
	d.note(h("c"), start)
	if !d.repeat(h("a"), start.Add(time.Hour)) || d.repeat(h("a"), start) {
		t.Error("the later time of a does not stand")
	}
	d.note(h("d"), start) // the bound is three
	if d.repeat(h("a"), start.Add(time.Hour)) || !d.repeat(h("b"), start) || !d.repeat(h("d"), start) || len(d.seen) != 3 {
		t.Errorf("the oldest does not go first: %d kept", len(d.seen))
	}
	off := newDedupe(time.Minute, 0)
	off.note(h("a"), start)
	if off.repeat(h("a"), start) {
		t.Error("a window of size 0 remembers")
	}
}

func TestHashEvent(t *testing.T) {
	seen := map[eventHash]schemas.Event{}
	for _, ev := range []schemas.Event{
		{Tenant: "t", ID: "1"}, {Tenant: "t1", ID: ""}, {Tenant: "t", ID: "1", Key: "k"}, {Tenant: "t", ID: "1", Kind: schemas.KindTest},
		{Tenant: "t", ID: "1", ReplayID: "r"}, {Tenant: "t", ID: "1", EndpointID: "r"}, {Tenant: "t", ID: "1", CallbackURL: "r"}, {Tenant: "u", ID: "1"},
	} {
		if other, ok := seen[hashEvent(&ev)]; ok {
			t.Errorf("%+v hashes as %+v", ev, other)
		}
		seen[hashEvent(&ev)] = ev
	}
}
