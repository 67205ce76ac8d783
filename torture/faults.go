package main

// Faults: what is done to the stack, when and for how long, from a seed.

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Kinds of fault.
const (
	faultKill    = "kill"    // SIGKILL, and started again after up to 3 s
	faultFreeze  = "freeze"  // SIGSTOP for up to 15 s: a zombie when it wakes
	faultRestart = "restart" // SIGTERM, and started again
	faultJoin    = "join"    // one more dispatcher for a while: two rebalances
	faultOutage  = "outage"  // ClickHouse gone for minutes
	faultDelay   = cutDelay
	faultReset   = cutReset
	faultBlack   = cutBlack
)

// fault is one that happened.
type fault struct {
	Kind  string    `json:"kind"`
	Part  string    `json:"part"`
	Role  role      `json:"role"`
	At    time.Time `json:"at"`
	Until time.Time `json:"until"` // when it was undone
}

// together is how many faults may last at the same time.
const together = 2

type plan struct {
	cfg   Config
	stack *stack
	say   func(string, ...any)
	rng   *rand.Rand

	mu   sync.Mutex
	done []fault
	busy map[string]bool
}

func newPlan(cfg Config, s *stack, say func(string, ...any)) *plan {
	return &plan{cfg: cfg, stack: s, say: say, rng: rand.New(rand.NewPCG(cfg.Seed, 2)), busy: map[string]bool{}}
}

// run does faults until the kills are made, and returns them all. What is
// drawn depends on the seed alone: a part that is still busy is waited for.
func (p *plan) run(ctx context.Context) []fault {
	var lasting sync.WaitGroup
	room := make(chan struct{}, together)
	start := func(f fault, lasts time.Duration) {
		lasting.Go(func() {
			p.do(ctx, f, lasts)
			<-room
		})
	}
	kills, outage := 0, p.cfg.Outage > 0 && p.cfg.Stack == stackKafka
	for kills < p.cfg.Kills && ctx.Err() == nil {
		p.pause(ctx, time.Duration(min(3, p.rng.ExpFloat64())*float64(p.cfg.Gap)))
		f, lasts := p.draw()
		if outage && kills >= p.cfg.Kills/3 {
			outage = false
			p.await(ctx, string(roleEngine))
			lasting.Go(func() { p.do(ctx, fault{Kind: faultOutage, Part: string(roleEngine), Role: roleEngine}, p.cfg.Outage) })
		}
		room <- struct{}{}
		p.await(ctx, f.Part)
		if f.Kind == faultKill {
			kills++
			if kills%10 == 0 {
				p.say("torture: %d of %d kills", kills, p.cfg.Kills)
			}
		}
		start(f, lasts)
	}
	lasting.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

// await waits until no fault lasts on a part, and takes it.
func (p *plan) await(ctx context.Context, part string) {
	for {
		p.mu.Lock()
		free := !p.busy[part]
		if free {
			p.busy[part] = true
		}
		p.mu.Unlock()
		if free || ctx.Err() != nil {
			return
		}
		p.pause(ctx, 50*time.Millisecond)
	}
}

// draw picks what is done next.
func (p *plan) draw() (fault, time.Duration) {
	one := p.stack.parts[p.rng.IntN(len(p.stack.parts))]
	if all := p.stack.parts[len(p.stack.parts)-1]; all.role == roleAll && p.rng.IntN(3) > 0 {
		one = all // the one process that everything is in
	}
	die, share := p.rng.Float64(), p.rng.Float64()
	f := fault{Part: one.name, Role: one.role}
	upTo := func(most time.Duration) time.Duration { return time.Duration(share * float64(most)) }
	switch {
	case die < 0.60:
		f.Kind = faultKill
		return f, upTo(3 * time.Second)
	case die < 0.74:
		f.Kind = faultFreeze
		most := 15 * time.Second
		if one.role == roleKafka {
			most = 6 * time.Second
		}
		return f, time.Second + upTo(most)
	case die < 0.80 && one.role != roleKafka && one.role != roleEngine:
		f.Kind = faultRestart
		return f, upTo(time.Second)
	case die < 0.84 && p.stack.spare != nil:
		f.Kind, f.Part, f.Role = faultJoin, p.stack.spare.name, p.stack.spare.role
		return f, 3*time.Second + upTo(12*time.Second)
	case one.way != "":
		f.Kind = [...]string{faultDelay, faultReset, faultBlack}[int(die*1000)%3]
		return f, time.Second + upTo(10*time.Second)
	}
	f.Kind = faultKill
	return f, upTo(3 * time.Second)
}

// do makes a fault, lets it last, and undoes it.
func (p *plan) do(ctx context.Context, f fault, lasts time.Duration) {
	one := p.stack.spare
	if i := slices.IndexFunc(p.stack.parts, func(c *part) bool { return c.name == f.Part }); i >= 0 {
		one = p.stack.parts[i]
	}
	undo := func() error { return one.proc.start() }
	f.At = time.Now()
	var err error
	switch f.Kind {
	case faultKill, faultOutage:
		one.proc.kill()
	case faultFreeze:
		one.proc.signal(syscall.SIGSTOP)
		undo = func() error { one.proc.signal(syscall.SIGCONT); return nil }
	case faultRestart:
		one.proc.(*process).stop()
	case faultJoin:
		err = one.proc.start()
		undo = func() error { one.proc.(*process).stop(); return nil }
	default:
		err = p.stack.toxi.cut(ctx, one.way, f.Kind)
		undo = func() error { return p.stack.toxi.heal(context.WithoutCancel(ctx), one.way, f.Kind) }
	}
	if err != nil {
		p.say("torture: %s of %s: %v", f.Kind, f.Part, err)
	}
	p.pause(ctx, lasts)
	if err := undo(); err != nil {
		p.say("torture: undoing %s of %s: %v", f.Kind, f.Part, err)
	}
	f.Until = time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done = append(p.done, f)
	delete(p.busy, f.Part)
}

func (p *plan) pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
