package delivery

// The retry schedule: when the next attempt may start, if there is one.

import (
	"math/rand/v2"
	"time"

	"github.com/hookstream/hookstream/delivery/endpoint"
	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

// nextDelay is the wait after an attempt, counted from 1; false when it was
// the last. A test, a challenge and a notice are tried once: somebody waits
// for their outcome, or they are stale soon.
func nextDelay(t *endpoint.Target, p *profile.Profile, kind string, attempt int) (time.Duration, bool) {
	if kind == schemas.KindTest || kind == schemas.KindChallenge || kind == schemas.KindNotice {
		return 0, false
	}
	delays := p.Schedule()
	if t.Retry != nil {
		delays = t.Retry
	}
	if attempt < 1 || attempt > len(delays) {
		return 0, false
	}
	d := delays[attempt-1]
	return d + jitter(d, p.Jitter()), true
}

// jitter spreads retries that failed together. It only adds: a retry before
// its nominal delay would break the schedule. Beyond a second it is one of the
// retry tiers, because a delay costs one hop per tier that it is made of; the
// fraction of a second on top is held in memory.
func jitter(d time.Duration, part float64) time.Duration {
	most := time.Duration(part * float64(d))
	if most <= 0 {
		return 0
	}
	steps := []time.Duration{0}
	for _, tier := range schemas.Tiers() {
		if tier.Delay <= most {
			steps = append(steps, tier.Delay)
		}
	}
	step := steps[rand.IntN(len(steps))]
	return step + rand.N(min(time.Second, most-step)+1)
}

// ceilMilli rounds a due time up to what records carry, so that it is never
// early by the part that was cut off.
func ceilMilli(t time.Time) time.Time {
	if cut := t.Truncate(time.Millisecond); cut.Before(t) {
		return cut.Add(time.Millisecond)
	}
	return t
}
