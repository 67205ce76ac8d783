package analytics

// A ClickHouse table as far as the sink can see it, with every way to fail
// that a real one has.

import (
	"context"
	"errors"
	"strconv"
	"strings"
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

	partitioned bool // rows are kept by Kafka partition too
	down        bool // nothing works
	tries       int
}

func (h *modelHouse) setDown(down bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.down = down
}

// tried counts the operations on a house that is down.
func (h *modelHouse) tried() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tries
}

// shelf is where the rows of a source are kept.
func (h *modelHouse) shelf(topic string, partition int32) string {
	if !h.partitioned {
		return topic
	}
	return topic + "/" + strconv.Itoa(int(partition))
}

// fails counts and refuses an operation on a house that is down.
func (h *modelHouse) fails() bool {
	if h.down {
		h.tries++
	}
	return h.down
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
	if h.fails() {
		h.mu.Unlock()
		return errInjected
	}
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
	n := len(b.cols)
	source := h.shelf(b.cols[n-3].values().([]string)[0], int32(b.cols[n-2].values().([]uint32)[0]))
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
			id = source + id
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
	if h.fails() || h.next() == failBefore {
		return nil, errInjected
	}
	have := map[uint64]struct{}{}
	for _, o := range h.table(b.spec.name).rows[h.shelf(from.column(), from.partition)] {
		if int64(o) >= first && int64(o) <= last {
			have[o] = struct{}{}
		}
	}
	return have, nil
}

func (h *modelHouse) latest(_ context.Context, tables []string, topic string) (map[int32]int64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fails() {
		return nil, errInjected
	}
	out := map[int32]int64{}
	for _, name := range tables {
		for shelf, offsets := range h.table(name).rows {
			partition := 0
			at, number, _ := strings.Cut(shelf, "/")
			if number != "" {
				partition, _ = strconv.Atoi(number)
			}
			if at != topic {
				continue
			}
			for _, o := range offsets {
				if have, ok := out[int32(partition)]; !ok || have < int64(o) {
					out[int32(partition)] = int64(o)
				}
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
