package api

// Rate limits per key: a token bucket for bursts, a sliding minute so that a
// full bucket plus its refill never exceeds one burst (or the rate, where that
// is more), and sliding minutes over which the rate itself holds. Without the
// last a key that rested could go a fifth above its rate for ten minutes.

import (
	"math"
	"sync"
	"time"
)

// MaxRate bounds a key's rate, in requests per minute: the windows
// remember each request of the last minutes.
const MaxRate = 60_000

// The windows: of one burst, and of the lasting rate.
const (
	limitWindow   = time.Minute
	lastingWindow = 5 * time.Minute
)

// tokenSlack is what rounding may take from a token: without it a client that
// waits exactly as long as it was told could be refused. It does not add up.
const tokenSlack = 1e-6

// limits keeps one limiter per key, and forgets those whose bucket is full and
// whose windows are empty: a new limiter is the same.
type limits struct {
	mu      sync.Mutex
	rate    float64 // default, per minute
	burst   float64 // of keys at the default rate
	keys    map[string]*limiter
	sweepAt time.Time
}

type limiter struct {
	rate   float64 // per minute
	burst  float64 // how many may come at once
	tokens float64
	at     time.Time // of tokens
	since  time.Time // what recent counts from: a wall clock that is set does not move it
	recent []int64   // admissions in ns, oldest first
	first  int       // of those within the lasting window
	minute int       // of those within the last minute
}

func newLimits(rate float64, burst int) *limits {
	return &limits{rate: rate, burst: math.Max(1, float64(burst)), keys: make(map[string]*limiter)}
}

// take admits one request now and returns 0, or how long to wait.
func (l *limits) take(key string, rate float64, now time.Time) time.Duration {
	size := burstOf(rate)
	if rate <= 0 {
		rate, size = l.rate, l.burst
	}
	if rate > MaxRate {
		rate, size = MaxRate, burstOf(MaxRate)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweep(now)
	k := l.keys[key]
	if k == nil || k.rate != rate || k.burst != size {
		k = &limiter{rate: rate, burst: size, tokens: size, at: now, since: now}
		l.keys[key] = k
	}
	return k.take(now)
}

// burstOf is the burst of a key with a rate of its own.
func burstOf(rate float64) float64 { return math.Max(1, math.Floor(2*rate)) }

func (k *limiter) take(now time.Time) time.Duration {
	size := k.burst
	if d := now.Sub(k.at); d > 0 {
		k.tokens = math.Min(size, k.tokens+d.Minutes()*k.rate)
		k.at = now
	}
	k.forget(now)
	var wait time.Duration
	if k.tokens < 1-tokenSlack {
		wait = time.Duration((1 - k.tokens) / k.rate * float64(time.Minute))
		wait = max(wait, time.Millisecond)
	}
	// A burst below the rate does not lower it.
	wait = max(wait, k.wait(k.minute, int(math.Max(size, k.rate)), limitWindow, now))
	wait = max(wait, k.wait(k.first, int(math.Max(size, k.rate*lastingWindow.Minutes())), lastingWindow, now))
	if wait > 0 {
		return wait
	}
	k.tokens--
	k.recent = append(k.recent, int64(now.Sub(k.since)))
	return 0
}

// wait is how long until a window that begins at from has room for one more.
func (k *limiter) wait(from, most int, window time.Duration, now time.Time) time.Duration {
	over := len(k.recent) - from - most
	if over < 0 {
		return 0
	}
	return window - (now.Sub(k.since) - time.Duration(k.recent[from+over]))
}

// forget drops admissions that left the windows, and gives their room back once
// they are the larger part.
func (k *limiter) forget(now time.Time) {
	edge := int64(now.Sub(k.since) - lastingWindow)
	for k.first < len(k.recent) && k.recent[k.first] <= edge {
		k.first++
	}
	edge = int64(now.Sub(k.since) - limitWindow)
	for k.minute = max(k.minute, k.first); k.minute < len(k.recent) && k.recent[k.minute] <= edge; {
		k.minute++
	}
	if k.first > len(k.recent)/2 {
		k.recent = k.recent[:copy(k.recent, k.recent[k.first:])]
		k.minute -= k.first
		k.first = 0
	}
}

// giveBack undoes a key's latest admission.
func (l *limits) giveBack(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.keys[key]
	if k == nil || len(k.recent) == k.first {
		return
	}
	k.recent = k.recent[:len(k.recent)-1]
	k.minute = min(k.minute, len(k.recent))
	k.tokens = math.Min(k.burst, k.tokens+1)
}

// sweep forgets keys whose bucket is full and whose windows are empty.
func (l *limits) sweep(now time.Time) {
	if now.Before(l.sweepAt) {
		return
	}
	l.sweepAt = now.Add(limitWindow)
	for key, k := range l.keys {
		full := k.tokens+now.Sub(k.at).Minutes()*k.rate >= k.burst
		if full && now.Sub(k.at) >= lastingWindow {
			delete(l.keys, key)
		}
	}
}

// seconds rounds a wait up, as Retry-After needs it.
func seconds(d time.Duration) int {
	return max(1, int(math.Ceil(d.Seconds())))
}
