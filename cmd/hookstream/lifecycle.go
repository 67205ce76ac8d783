package main

// A lifecycle runs the parts of a process in stages: started first to last,
// stopped last to first, so that what others stand on outlives them.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// part is one thing that runs until its context ends.
type part struct {
	name string
	run  func(context.Context) error
}

// lifecycle is the order of a process. A part that ends on its own, with or
// without an error, ends them all.
type lifecycle struct {
	stages   [][]part
	deadline time.Duration // for the whole drain; afterwards Run returns with what is still running named
	draining func()        // called once, before the first stage is stopped
	log      *slog.Logger
}

// Run starts every stage and returns when all parts have ended: after ctx
// ended, or because a part failed, whose error it gives.
func (l *lifecycle) Run(ctx context.Context) error {
	ended := make(chan error, 1)
	report := func(err error) {
		select {
		case ended <- err:
		default:
		}
	}
	type running struct {
		name   string
		cancel context.CancelFunc
		done   chan struct{}
	}
	var mu sync.Mutex
	var failures []error
	started := make([][]running, len(l.stages))
	for i, stage := range l.stages {
		for _, p := range stage {
			// Not a child of ctx: the stages end one after the other.
			own, cancel := context.WithCancel(context.WithoutCancel(ctx))
			r := running{p.name, cancel, make(chan struct{})}
			started[i] = append(started[i], r)
			go func() {
				defer close(r.done)
				err := p.run(own)
				switch {
				case own.Err() == nil && err == nil:
					err = fmt.Errorf("%s ended by itself", p.name)
				case err == nil || own.Err() != nil && errors.Is(err, context.Canceled):
					return
				default:
					err = fmt.Errorf("running %s: %w", p.name, err)
				}
				mu.Lock()
				failures = append(failures, err)
				mu.Unlock()
				report(err)
			}()
		}
	}
	select {
	case <-ctx.Done():
	case <-ended:
	}
	if l.draining != nil {
		l.draining()
	}
	timeout := time.NewTimer(l.deadline)
	defer timeout.Stop()
	var late []string
	for i := len(started) - 1; i >= 0; i-- {
		for _, r := range started[i] {
			r.cancel()
		}
		for _, r := range started[i] {
			if late != nil {
				late = append(late, r.name)
				continue
			}
			select {
			case <-r.done:
				l.log.Debug("stopped", "part", r.name)
			case <-timeout.C:
				late = append(late, r.name)
			}
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if late != nil {
		failures = append(failures, fmt.Errorf("draining took longer than %v; still running: %v", l.deadline, late))
	}
	return errors.Join(failures...)
}
