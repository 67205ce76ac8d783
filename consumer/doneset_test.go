package consumer

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/hookstream/hookstream/schemas"
)

// The model: a delivery is a chain of records, one per attempt number unless a
// retry is made in place. Whatever rows are seen, in whatever order, a record
// may only be called a repeat if something else carries the delivery on, or it
// has ended.
func TestDoneSetNeverDropsTheCarrier(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newDoneSet(1000)
		attempts := rapid.IntRange(1, 8).Draw(t, "attempts")
		ends := rapid.Bool().Draw(t, "ends")
		var rows []doneMark
		carrier := 0 // attempts in the header of the record that carries the delivery on
		for no := 1; no <= attempts; no++ {
			held := rapid.Bool().Draw(t, "held")
			terminal := ends && no == attempts
			rows = append(rows, doneMark{id: "d", no: no, held: held && !terminal, terminal: terminal, due: int64(no)})
			if !held && !terminal {
				carrier = no
			}
		}
		seen := rapid.Permutation(rows).Draw(t, "order")
		if !ends {
			seen = seen[:rapid.IntRange(0, len(seen)).Draw(t, "seen")]
		}
		for _, m := range seen {
			s.mark(m)
		}
		k, made, _ := s.check("d", carrier)
		switch {
		case ends && k != repeat:
			t.Fatalf("a record of a delivery that ended is %d", k)
		case !ends && k == repeat:
			t.Fatalf("the carrier at %d was called a repeat", carrier)
		case !ends && k == behind && (made <= carrier || made > attempts):
			t.Fatalf("the carrier at %d goes on at %d of %d", carrier, made, attempts)
		}
		if !ends && len(seen) == len(rows) {
			for old := 0; old < carrier; old++ {
				if k, _, _ := s.check("d", old); k != repeat && rows[attempts-1].no != carrier && k != behind {
					t.Fatalf("the record at %d is %d though %d carries on", old, k, carrier)
				}
			}
		}
	})
}

func TestDoneSetForgetsTheOldestFirst(t *testing.T) {
	s := newDoneSet(3)
	for i := range 5 {
		s.mark(doneMark{id: fmt.Sprint(i), no: 1, terminal: true})
		s.mark(doneMark{id: "kept", no: i + 1})
	}
	if s.len() != 3 {
		t.Fatalf("%d deliveries kept", s.len())
	}
	if k, _, _ := s.check("kept", 0); k != repeat {
		t.Error("the delivery marked last is forgotten")
	}
	if k, _, _ := s.check("0", 0); k != fresh {
		t.Error("the oldest delivery is still kept")
	}
}

func TestSeedMarkReadsRows(t *testing.T) {
	topo := schemas.DevTopology()
	row := schemas.Attempt{EndpointID: "wh_a", DeliveryID: "dlv_1", No: 2, State: schemas.StatePending, NextRetryAt: 77}
	rec, err := row.Record(topo)
	if err != nil {
		t.Fatal(err)
	}
	slot, m, ok := seedMark(&rec)
	if want := (doneMark{id: "dlv_1", no: 2}); !ok || m != want || slot != topo.Slot("wh_a") {
		t.Errorf("got %+v in slot %d, %v", m, slot, ok)
	}
	rec.Headers = append(rec.Headers, schemas.Header{Key: schemas.HdrDue, Value: []byte("77")})
	if _, m, _ := seedMark(&rec); !m.held || m.due != 77 {
		t.Errorf("a retry in place gives %+v", m)
	}
	if _, _, ok := seedMark(&schemas.Record{}); ok {
		t.Error("a record without headers is a mark")
	}
}
