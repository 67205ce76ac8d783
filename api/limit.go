package api

// Rate limits per key: a token bucket for the lasting rate, and a sliding
// window so that a full bucket plus its refill never exceeds one burst a minute,
// or the rate where that is more.

import (
	"math"
	"sync"
	"time"
)

// MaxRate bounds a key's rate, in requests per minute: the window remembers
// each request of the last minute.
const MaxRate = 60_000

const limitWindow = time.Minute

// tokenSlack is what rounding may take from a token: without it a client that
// waits exactly as long as it was told could be refused. It does not add up.
const tokenSlack = 1e-6

// limits keeps one limiter per key, and forgets those whose bucket is full and
// whose window is empty: a new limiter is the same.
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
	recent []int64   // admissions in Unix ns; those from first on are within the window, oldest first
	first  int
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
		k = &limiter{rate: rate, burst: size, tokens: size, at: now}
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
	if len(k.recent)-k.first >= int(math.Max(size, k.rate)) { // a burst below the rate does not lower it
		wait = max(wait, limitWindow-time.Duration(now.UnixNano()-k.recent[k.first]))
	}
	if wait > 0 {
		return wait
	}
	k.tokens--
	k.recent = append(k.recent, now.UnixNano())
	return 0
}

// forget drops admissions that left the window, and gives their room back once
// they are the larger part.
func (k *limiter) forget(now time.Time) {
	edge := now.Add(-limitWindow).UnixNano()
	for k.first < len(k.recent) && k.recent[k.first] <= edge {
		k.first++
	}
	if k.first > len(k.recent)/2 {
		k.recent = k.recent[:copy(k.recent, k.recent[k.first:])]
		k.first = 0
	}
}

// sweep forgets keys whose bucket is full and whose window is empty.
func (l *limits) sweep(now time.Time) {
	if now.Before(l.sweepAt) {
		return
	}
	l.sweepAt = now.Add(limitWindow)
	for key, k := range l.keys {
		full := k.tokens+now.Sub(k.at).Minutes()*k.rate >= k.burst
		if full && now.Sub(k.at) >= limitWindow {
			delete(l.keys, key)
		}
	}
}

// seconds rounds a wait up, as Retry-After needs it.
func seconds(d time.Duration) int {
	return max(1, int(math.Ceil(d.Seconds())))
}
