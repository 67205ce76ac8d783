package consumer

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The model of park: every record of one lane, and whether it is done. Records
// land, are read in passes that begin anywhere a lane asks for, finish in any
// order, or are given back.
func TestParkedModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newParked()
		var log []int64 // acked offsets, ascending
		done := map[int64]bool{}
		end, cursor := int64(0), int64(0)
		pass, from := 1, int64(0)
		inMemory := func() []int64 {
			var out []int64
			for o := range p.taken {
				out = append(out, o)
			}
			slices.Sort(out)
			return out
		}
		t.Repeat(map[string]func(*rapid.T){
			"land": func(t *rapid.T) {
				end += rapid.Int64Range(1, 3).Draw(t, "gap") // records of other lanes lie between
				log = append(log, end)
				inFlight := rapid.Bool().Draw(t, "in memory")
				p.landed(end, inFlight)
				if inFlight {
					if rapid.Bool().Draw(t, "finished meanwhile") {
						done[end] = true
						p.finish(end)
					} else {
						p.keep(end, &job{parkOff: end, state: running})
					}
				}
			},
			"read on": func(t *rapid.T) {
				for _, o := range log {
					if o < cursor {
						continue
					}
					cursor = o + 1
					if p.look(o, pass, from) != attempt {
						continue
					}
					if done[o] {
						p.take(o, &job{parkOff: o}) // read again after a give-back: the done-set knows it
						p.finish(o)
						continue
					}
					if p.taken[o] != nil {
						t.Fatalf("%d is in memory and was let through again", o)
					}
					if rapid.Bool().Draw(t, "no room") {
						p.leave(pass)
						continue
					}
					p.take(o, &job{parkOff: o})
					return
				}
			},
			"new pass": func(t *rapid.T) {
				pass++
				from = p.next // where this lane asks for, or another one
				if from > end || rapid.Bool().Draw(t, "for another lane") {
					from = rapid.Int64Range(0, end).Draw(t, "from")
				}
				cursor = from
			},
			"finish": func(t *rapid.T) {
				if in := inMemory(); len(in) > 0 {
					o := rapid.SampledFrom(in).Draw(t, "which")
					done[o] = true
					p.finish(o)
				}
			},
			"give back": func(t *rapid.T) {
				for _, j := range p.takenWaiting() {
					p.back(j.parkOff, pass)
				}
			},
			"": func(t *rapid.T) {
				left := int64(0)
				for _, o := range log {
					if done[o] {
						continue
					}
					left++
					if o < p.next && p.taken[o] == nil {
						t.Fatalf("%d is not done, not in memory, and below %d: lost", o, p.next)
					}
					if o < p.lo() {
						t.Fatalf("%d is not done, but everything below %d is said to be", o, p.lo())
					}
				}
				if p.empty() && left > 0 {
					t.Fatalf("empty, but %d are not done", left)
				}
				if left == 0 && p.unread() == 0 && !p.empty() {
					t.Fatal("nothing is left, but not empty")
				}
			},
		})
		// Everything is reached in the end.
		for passes := 0; !p.empty(); passes++ {
			pass++
			if passes > len(log)+1 {
				t.Fatalf("passes without end: next %d, hi %d", p.next, p.hi)
			}
			from := p.next
			for _, o := range log {
				if o >= from && p.look(o, pass, from) == attempt {
					p.take(o, &job{parkOff: o})
				}
			}
			for _, o := range inMemory() {
				p.finish(o)
				done[o] = true
			}
		}
		for _, o := range log {
			if !done[o] {
				t.Fatalf("%d was never done", o)
			}
		}
	})
}
