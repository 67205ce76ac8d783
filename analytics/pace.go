package analytics

// How often to flush: an insert costs ClickHouse the same for one row as for a
// thousand, so many small ones make room for fewer large ones.

import (
	"sync"
	"time"
)

// Above this many inserts a second ranges are let grow.
const (
	insertsPerSecond = 10
	paceWindow       = 5 * time.Second
	longestFlush     = 5 * time.Second
)

// pace stretches the flush interval while inserts are frequent.
type pace struct {
	base time.Duration

	mu      sync.Mutex
	current time.Duration
	began   time.Time // of the window being counted
	count   int
}

func newPace(base time.Duration) *pace { return &pace{base: base, current: base} }

func (p *pace) interval() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.current
}

func (p *pace) inserted(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.began.IsZero() {
		p.began = now
	}
	p.count++
	span := now.Sub(p.began)
	if span < paceWindow {
		return
	}
	rate := float64(p.count) / span.Seconds()
	switch {
	case rate > insertsPerSecond:
		p.current = max(p.base, min(p.current*3/2, longestFlush))
	case rate < insertsPerSecond/2:
		p.current = max(p.base, p.current*2/3)
	}
	p.began, p.count = now, 0
}
