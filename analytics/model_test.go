package analytics

// A ClickHouse table as far as the sink can see it, with every way to fail
// that a real one has.

import (
	"context"
	"errors"
	"sync"
	"time"
)

// fault is what happens to one operation.
type fault int

const (
	none       fault = iota
	failBefore       // nothing happens, and an error
	failAfter        // it happens, and an error
	half             // one table partition is stored, the rest is not, and an error
	poison           // the token is written down, the rows are not, and an error
	late             // an error now; it happens later, when others are at work
	hang             // nothing happens until the caller gives up
	faults
)

var errInjected = errors.New("injected")

// modelTable is one table with a deduplication log.
type modelTable struct {
	rows   map[string][]uint64 // by source and partition: offsets, as often as they are stored
	tokens map[string]bool     // token and table partition
}

// modelHouse is a ClickHouse in memory. next decides each operation's fate.
type modelHouse struct {
	mu     sync.Mutex
	tables map[string]*modelTable
	next   func() fault
	late   []func() // inserts still on their way
}

func newModelHouse(next func() fault) *modelHouse {
	return &modelHouse{tables: map[string]*modelTable{}, next: next}
}

func (h *modelHouse) table(name string) *modelTable {
	t := h.tables[name]
	if t == nil {
		t = &modelTable{rows: map[string][]uint64{}, tokens: map[string]bool{}}
		h.tables[name] = t
	}
	return t
}

func (h *modelHouse) engine() engine {
	return engine{insert: h.insert, stored: h.stored, latest: h.latest}
}

// piece is what one insert puts into one table partition.
type piece struct {
	part    int64
	offsets []uint64
}

func (h *modelHouse) insert(ctx context.Context, b *block, keep []int, token string) error {
	h.mu.Lock()
	f := h.next()
	if len(h.late) > 0 && f%2 == 1 { // somebody's late insert arrives just now
		h.late[0]()
		h.late = h.late[1:]
	}
	if f == hang {
		h.mu.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Minute): // the store's own timeout
			return context.DeadlineExceeded
		}
	}
	defer h.mu.Unlock()
	source := b.cols[len(b.cols)-3].values().([]string)[0]
	if keep == nil {
		for i := range b.offsets {
			keep = append(keep, i)
		}
	}
	var pieces []piece
	at := map[int64]int{}
	for _, i := range keep {
		p := b.spec.part(b.times[i])
		if _, ok := at[p]; !ok {
			at[p] = len(pieces)
			pieces = append(pieces, piece{part: p})
		}
		pieces[at[p]].offsets = append(pieces[at[p]].offsets, b.offsets[i])
	}
	table := h.table(b.spec.name)
	store := func(ps []piece, rows bool) {
		for _, p := range ps {
			id := token + "/" + string(rune('a'+p.part%26))
			if table.tokens[id] {
				continue
			}
			table.tokens[id] = true
			if rows {
				table.rows[source] = append(table.rows[source], p.offsets...)
			}
		}
	}
	switch f {
	case failBefore:
		return errInjected
	case failAfter:
		store(pieces, true)
		return errInjected
	case half:
		store(pieces[:1], true)
		return errInjected
	case poison:
		store(pieces[:1], false)
		store(pieces[1:], true)
		return errInjected
	case late:
		h.late = append(h.late, func() { store(pieces, true) })
		return errInjected
	}
	store(pieces, true)
	return nil
}

func (h *modelHouse) stored(_ context.Context, b *block, from source, first, last int64) (map[uint64]struct{}, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.next() == failBefore {
		return nil, errInjected
	}
	have := map[uint64]struct{}{}
	for _, o := range h.table(b.spec.name).rows[from.column()] {
		if int64(o) >= first && int64(o) <= last {
			have[o] = struct{}{}
		}
	}
	return have, nil
}

func (h *modelHouse) latest(_ context.Context, tables []string, topic string) (map[int32]int64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := map[int32]int64{}
	for _, name := range tables {
		for _, o := range h.table(name).rows[topic] {
			if have, ok := out[0]; !ok || have < int64(o) {
				out[0] = int64(o)
			}
		}
	}
	return out, nil
}

// arrive lets every insert that is still on its way happen.
func (h *modelHouse) arrive() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range h.late {
		f()
	}
	h.late = nil
}

// lose forgets the rows from an offset on, as a restored backup does; their
// tokens stay known.
func (h *modelHouse) lose(topic string, from int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range h.tables {
		var kept []uint64
		for _, o := range t.rows[topic] {
			if int64(o) < from {
				kept = append(kept, o)
			}
		}
		t.rows[topic] = kept
	}
}
