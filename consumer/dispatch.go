package consumer

// Dispatcher sends deliveries: it owns slots of the co-partitioned topics as a
// member of a consumer group, and makes sure that every record ends in a
// terminal row or in a record that carries it on.

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// recoverTimeout bounds what happens before a new slot is fetched; it is well
// below the group's rebalance timeout.
const recoverTimeout = 45 * time.Second

// Dispatcher runs the slots that the group assigns to this process.
type Dispatcher struct {
	cfg     DispatcherConfig
	group   *Group
	gate    *gate
	budget  *budget
	metrics *dispatchMetrics

	life     context.Context // of all work; ends when Run does
	failWith func(error)     // ends Run with the first error

	mu       sync.Mutex
	slots    map[int32]*ownedSlot
	stopping bool // nothing more is taken
}

// ownedSlot is a running slot and the topics whose partition of that number
// this member holds.
type ownedSlot struct {
	*slot
	topics map[string]bool
}

// NewDispatcher checks the configuration; nothing runs before Run.
func NewDispatcher(cfg DispatcherConfig) (*Dispatcher, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	d := &Dispatcher{cfg: cfg, gate: newGate(cfg.Barrier), slots: map[int32]*ownedSlot{}}
	d.budget = newBudget(cfg.Limits.InFlight, cfg.Limits.Bytes, func() { d.eachPartition((*Group).Pause) }, func() { d.eachPartition((*Group).Resume) })
	d.metrics = newDispatchMetrics(d.budget)
	t := cfg.Topology
	g := DefaultGroupConfig()
	g.Options, g.Group, g.Instance, g.Log, g.Registerer = cfg.Options, cfg.Group, cfg.Instance, cfg.Logger, cfg.Registerer
	g.Topics = []string{t.DeliveriesTopic(), t.DueTopic(), t.ControlTopic()}
	g.Balancer = SlotBalancer()
	// What is still open when a slot is given up waits for a retry or for its
	// turn: there is nothing to wait for.
	g.Settle, g.DrainTimeout = 0, 0
	g.Assigned, g.Revoked, g.Lost, g.Handle = d.assigned, d.revoked, d.lost, d.handle
	var err error
	if d.group, err = NewGroup(g); err != nil {
		return nil, fmt.Errorf("dispatcher: %w", err)
	}
	return d, nil
}

// Run dispatches until ctx ends or something fails for good. At the end it
// takes nothing more, gives the requests in flight DispatchLimits.Drain to
// finish, commits, and leaves no goroutine behind. It may be called once.
func (d *Dispatcher) Run(ctx context.Context) error {
	if r := d.cfg.Registerer; r != nil {
		if err := d.metrics.register(r); err != nil {
			return err
		}
		defer d.metrics.unregister(r)
	}
	// Work outlives ctx for the time of the drain; failing ends it at once.
	life, fail := context.WithCancelCause(context.WithoutCancel(ctx))
	defer fail(nil)
	d.life, d.failWith = life, func(err error) { fail(err) }
	joined, leave := context.WithCancel(life)
	defer leave()

	var wg sync.WaitGroup
	wg.Go(func() {
		if err := d.gate.run(life); err != nil {
			fail(err)
		}
	})
	left := make(chan struct{})
	wg.Go(func() {
		defer close(left)
		if err := d.group.Run(joined); err != nil {
			fail(err)
		}
	})
	select {
	case <-ctx.Done():
		d.drain(life)
	case <-life.Done():
	case <-left:
		fail(errors.New("the group ended"))
	}
	leave()
	<-left
	err := context.Cause(life)
	fail(nil)
	d.abortAll()
	wg.Wait()
	if err != nil {
		return fmt.Errorf("dispatcher: %w", err)
	}
	return nil
}

// drain stops all slots side by side.
func (d *Dispatcher) drain(life context.Context) {
	ctx, cancel := context.WithTimeout(life, d.cfg.Limits.Drain)
	defer cancel()
	d.mu.Lock()
	d.stopping = true
	slots := make([]*slot, 0, len(d.slots))
	for _, o := range d.slots {
		slots = append(slots, o.slot)
	}
	d.mu.Unlock()
	stopAll(ctx, slots)
}

// stopAll gives the slots until ctx ends and returns when all have ended.
func stopAll(ctx context.Context, slots []*slot) {
	var wg sync.WaitGroup
	for _, s := range slots {
		wg.Go(func() { s.stop(ctx) })
	}
	wg.Wait()
}

func (d *Dispatcher) abortAll() {
	d.mu.Lock()
	slots := d.slots
	d.slots = map[int32]*ownedSlot{}
	d.mu.Unlock()
	for _, o := range slots {
		o.abort()
	}
}

// assigned makes the slots of new partition numbers and recovers their state,
// before anything of them is fetched.
func (d *Dispatcher) assigned(ctx context.Context, a map[string][]int32) error {
	d.mu.Lock()
	var fresh []*slot
	for topic, numbers := range a {
		for _, n := range numbers {
			o := d.slots[n]
			if o == nil {
				o = &ownedSlot{slot: newSlot(d, n), topics: map[string]bool{}}
				d.slots[n] = o
				fresh = append(fresh, o.slot)
			}
			o.topics[topic] = true
		}
	}
	stopping := d.stopping
	d.mu.Unlock()
	var err error
	if !stopping {
		err = d.recover(ctx, fresh)
	}
	// Even when recovery failed, each loop runs and is ended like any other. But
	// it writes nothing down: a checkpoint would hide what was not read.
	for _, s := range fresh {
		if stopping || err != nil {
			s.closing, s.flushed = true, true
		}
		go s.run()
	}
	return err
}

// revoked gives up slots: what is in flight gets a moment to finish.
func (d *Dispatcher) revoked(ctx context.Context, a map[string][]int32) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Limits.Revoke)
	defer cancel()
	stopAll(ctx, d.giveUp(a))
}

// lost gives up slots that others may own already: requests are cut off.
func (d *Dispatcher) lost(a map[string][]int32) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	stopAll(ctx, d.giveUp(a))
}

// giveUp takes slots out of service. All partitions of a number come and go
// together; a member that kept one of them without its slot would be silent.
func (d *Dispatcher) giveUp(a map[string][]int32) []*slot {
	d.mu.Lock()
	defer d.mu.Unlock()
	var gone []*slot
	for topic, numbers := range a {
		for _, n := range numbers {
			o := d.slots[n]
			if o == nil {
				continue
			}
			if delete(o.topics, topic); len(o.topics) == 0 {
				delete(d.slots, n)
				gone = append(gone, o.slot)
			}
		}
	}
	for topic, numbers := range a {
		for _, n := range numbers {
			if o := d.slots[n]; o != nil && !o.topics[topic] {
				d.failWith(fmt.Errorf("the group tore slot %d apart: %s/%d went and others stayed; all members need the slot balancer", n, topic, n))
			}
		}
	}
	return gone
}

// Assignment lists the partitions held now, by topic.
func (d *Dispatcher) Assignment() map[string][]int32 { return d.group.Assignment() }

// handle passes one partition's records to the gate.
func (d *Dispatcher) handle(_ context.Context, b *Batch) error {
	d.mu.Lock()
	o := d.slots[b.Partition]
	stopping := d.stopping
	d.mu.Unlock()
	if o == nil || stopping {
		return nil // read again by whoever owns the slot next
	}
	var bytes int64
	for _, r := range b.Records {
		bytes += recordBytes(r)
	}
	d.budget.hold(bytes)
	d.budget.repause()
	d.gate.add(gated{batch: b, slot: o.slot, bytes: bytes})
	return nil
}

// eachPartition pauses or resumes what carries deliveries. Orders still come
// through: one of them may be what unblocks the rest.
func (d *Dispatcher) eachPartition(do func(*Group, string, int32)) {
	d.mu.Lock()
	numbers := make([]int32, 0, len(d.slots))
	for n := range d.slots {
		numbers = append(numbers, n)
	}
	d.mu.Unlock()
	for _, n := range numbers {
		do(d.group, d.cfg.Topology.DeliveriesTopic(), n)
		do(d.group, d.cfg.Topology.DueTopic(), n)
	}
}

// recover brings back what earlier owners knew of the slots.
func (d *Dispatcher) recover(ctx context.Context, slots []*slot) error {
	if len(slots) == 0 {
		return nil
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, recoverTimeout)
	defer cancel()
	// Lanes are read back before the first batch: only a registry that has
	// caught up may say that one of their endpoints is unknown.
	if err := d.cfg.Barrier(ctx); err != nil {
		return fmt.Errorf("waiting for the registry: %w", err)
	}
	marks, err := d.seed(ctx, slots)
	if err != nil {
		return fmt.Errorf("seeding the done-set: %w", err)
	}
	if err := d.recoverLanes(ctx, slots); err != nil {
		return fmt.Errorf("restoring lanes: %w", err)
	}
	d.cfg.Logger.Info("slots recovered", "slots", len(slots), "marks", marks, "took", time.Since(began))
	return nil
}
