package inbound

// The deduper's decision against a model: whatever crashes, hands over or lives
// on as a zombie, readers see each first record of a key and window once.

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hookstream/hookstream/schemas"
)

// modelOwner is a member that has, or thinks that it has, the partition.
type modelOwner struct {
	d      *decider
	next   int64   // to be read
	flying []int64 // copies on their way, in order
}

func TestDeduperWritesEachFirstOnceWhateverCrashes(t *testing.T) {
	const keep = 10 * time.Minute
	rapid.Check(t, func(t *rapid.T) {
		type raw struct {
			in schemas.Inbound
			at time.Time
		}
		var log []raw
		var copies []int64 // the topic written to, by the offset that each copy names
		committed := int64(0)
		now := time.UnixMilli(1_700_000_000_000)

		take := func() *modelOwner {
			o := &modelOwner{d: newDecider(0), next: committed}
			for _, offset := range copies {
				in := log[offset].in
				in.Raw.Offset = offset
				o.d.written(&in, keep, log[offset].at)
			}
			return o
		}
		read := func(o *modelOwner) {
			if o.next == int64(len(log)) {
				return
			}
			rec := log[o.next]
			first, err := o.d.copies(&rec.in, keep, rec.at, o.next)
			if err != nil {
				t.Fatal(err)
			}
			if first {
				o.flying = append(o.flying, o.next)
			}
			o.next++
		}
		land := func(o *modelOwner) {
			if len(o.flying) > 0 {
				copies = append(copies, o.flying[0])
				o.flying = o.flying[1:]
			}
		}
		commit := func(o *modelOwner) {
			low := o.next
			if len(o.flying) > 0 {
				low = o.flying[0]
			}
			committed = max(committed, low)
		}

		owner := take()
		var zombies []*modelOwner
		t.Repeat(map[string]func(*rapid.T){
			"receive": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 240).Draw(t, "seconds")) * time.Second)
				n := len(log)
				log = append(log, raw{at: now, in: schemas.Inbound{ID: fmt.Sprint("in_", n), Source: "s", Key: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key")}})
			},
			"read":   func(*rapid.T) { read(owner) },
			"land":   func(*rapid.T) { land(owner) },
			"commit": func(*rapid.T) { commit(owner) },
			"crash":  func(*rapid.T) { owner = take() },
			"replace, the old one lives on": func(*rapid.T) {
				zombies = append(zombies, owner)
				owner = take()
			},
			"zombie reads": func(t *rapid.T) {
				if len(zombies) > 0 {
					read(rapid.SampledFrom(zombies).Draw(t, "zombie"))
				}
			},
			"zombie's copy lands": func(t *rapid.T) {
				if len(zombies) > 0 {
					land(rapid.SampledFrom(zombies).Draw(t, "zombie"))
				}
			},
		})
		for owner.next < int64(len(log)) {
			read(owner)
		}
		for len(owner.flying) > 0 {
			land(owner)
		}
		for _, z := range zombies {
			for len(z.flying) > 0 {
				land(z)
			}
		}

		var want, got []int64
		window := NewWindow(0)
		for offset, rec := range log {
			if window.First(rec.in.Source, rec.in.Key, keep, rec.at, int64(offset)) {
				want = append(want, int64(offset))
			}
		}
		var reader growth
		for _, offset := range copies {
			in := schemas.Inbound{Raw: schemas.Position{Topic: "raw", Offset: offset}}
			if !reader.repeats(&in) {
				got = append(got, offset)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("readers saw %v, want the firsts %v; the topic has %v", got, want, copies)
		}
		if len(zombies) == 0 && !slices.Equal(copies, want) {
			t.Fatalf("the topic has %v, want the firsts %v, each once: nobody but the owner wrote", copies, want)
		}
	})
}

func TestDeduperRefusesALogThatWentBack(t *testing.T) {
	d := newDecider(0)
	in := schemas.Inbound{ID: "in_1", Source: "s", Key: "k"}
	if _, err := d.copies(&in, time.Hour, time.Now(), 7); err != nil {
		t.Fatal(err)
	}
	if _, err := d.copies(&in, time.Hour, time.Now(), 7); err == nil {
		t.Error("an offset that came again was decided anew")
	}
}
