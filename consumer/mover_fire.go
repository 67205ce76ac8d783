package consumer

// The mover's clock: what is due leaves, and partitions that ran low are
// fetched again.

import (
	"container/heap"
	"context"
	"fmt"
	"time"

	"github.com/hookstream/hookstream/schemas"
)

// moverItem is one record in memory.
type moverItem struct {
	at    time.Time // when to look at it next
	due   time.Time // never to be written to due before
	rec   schemas.Record
	bytes int64
	next  schemas.Tier // where it goes, when hop is set; else to due. Set when it leaves
	hop   bool
	batch *Batch
	part  *moverPart
}

// moverHeap has the item to look at first in front. Not only heads of
// partitions: with clocks that differ, or a due time within the tier, a later
// record can be due before an earlier one.
type moverHeap struct{ items moverItems }

type moverItems []*moverItem

func (s moverItems) Len() int           { return len(s) }
func (s moverItems) Less(i, j int) bool { return s[i].at.Before(s[j].at) }
func (s moverItems) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *moverItems) Push(x any)        { *s = append(*s, x.(*moverItem)) }
func (s *moverItems) Pop() any {
	old := *s
	it := old[len(old)-1]
	old[len(old)-1] = nil
	*s = old[:len(old)-1]
	return it
}

func (h *moverHeap) push(it *moverItem) { heap.Push(&h.items, it) }

// popDue takes the first item if its time has come.
func (h *moverHeap) popDue(now time.Time) *moverItem {
	if len(h.items) == 0 || h.items[0].at.After(now) {
		return nil
	}
	return heap.Pop(&h.items).(*moverItem)
}

// removeGone takes out the items of partitions that went.
func (h *moverHeap) removeGone() []*moverItem {
	var gone []*moverItem
	keep := h.items[:0]
	for _, it := range h.items {
		if it.part.gone {
			gone = append(gone, it)
		} else {
			keep = append(keep, it)
		}
	}
	clear(h.items[len(keep):])
	h.items = keep
	heap.Init(&h.items)
	return gone
}

// fireBatch is how many records leave before the lock is taken again.
const fireBatch = 256

func (m *Mover) fireLoop(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		ready, next := m.ready(time.Now())
		for _, it := range ready {
			if m.holds(it) {
				m.fire(ctx, it)
			}
		}
		if len(ready) == fireBatch {
			continue
		}
		timer.Reset(next)
		select {
		case <-ctx.Done():
		case <-m.wake:
		case <-timer.C:
		}
	}
}

// ready resumes partitions, takes what has to leave now, and says how long
// until the next.
func (m *Mover) ready(now time.Time) (out []*moverItem, next time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.resume {
		p.resuming = false
		if p.paused && !p.gone && m.low(p) {
			p.paused = false
			m.group.Resume(p.topic, p.partition)
		}
	}
	m.resume = m.resume[:0]
	for len(out) < fireBatch {
		it := m.queue.popDue(now)
		if it == nil {
			break
		}
		var wait bool
		if it.next, it.hop, wait = onFire(it.due, now); wait {
			it.at = it.due
			m.queue.push(it)
			continue
		}
		it.part.count(now)
		out = append(out, it)
	}
	if len(m.queue.items) == 0 {
		return out, time.Hour
	}
	return out, max(0, m.queue.items[0].at.Sub(now))
}

// low reports whether a partition's queue has room again. The caller holds mu.
func (m *Mover) low(p *moverPart) bool {
	_, low := m.marks(p)
	return p.waiting <= low && p.bytes <= m.byteMark()/2
}

// holds reports whether the item's partition is still held; if not, the item is
// dropped: it belongs to the partition's next owner.
func (m *Mover) holds(it *moverItem) bool {
	m.mu.Lock()
	gone := it.part.gone
	m.mu.Unlock()
	if gone {
		it.batch.Drop(it.rec.Offset)
	}
	return !gone
}

// count keeps the rate at which the partition fires.
func (p *moverPart) count(now time.Time) {
	p.fired++
	if d := now.Sub(p.since); d >= time.Second {
		p.rate, p.fired, p.since = float64(p.fired)/d.Seconds(), 0, now
	}
}

// fire writes a record on, and acks it when that is acked.
func (m *Mover) fire(ctx context.Context, it *moverItem) {
	now := time.Now()
	key := string(it.rec.Key)
	var rec schemas.Record
	to := "due"
	if it.hop {
		to = it.next.Name
		rec = moved(&it.rec, m.cfg.Topology.TierTopic(it.next), m.cfg.Topology.Slot(key)%m.cfg.Topology.Tiers, now)
	} else {
		rec = moved(&it.rec, m.cfg.Topology.DueTopic(), m.cfg.Topology.Slot(key), time.Time{})
		if !it.due.IsZero() {
			m.metrics.late.WithLabelValues(it.part.tier.Name).Observe(now.Sub(it.due).Seconds())
		}
	}
	m.cfg.Append(ctx, rec, func(_ int64, err error) {
		if err != nil {
			// When Run is ending, the record just stays where it was.
			if ctx.Err() == nil {
				m.group.Fail(fmt.Errorf("moving record %d of %s/%d to %s: %w", it.rec.Offset, it.rec.Topic, it.rec.Partition, rec.Topic, err))
			}
			return
		}
		m.metrics.moves.WithLabelValues(it.part.tier.Name, to).Inc()
		it.batch.Done(it.rec.Offset)
		m.acked(it)
	})
}

// acked makes room. It runs on the writer's goroutine, so the client is asked
// to fetch again elsewhere.
func (m *Mover) acked(it *moverItem) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := it.part
	p.waiting--
	p.bytes -= it.bytes
	if p.paused && !p.resuming && !p.gone && m.low(p) {
		p.resuming = true
		m.resume = append(m.resume, p)
		m.signal()
	}
}
