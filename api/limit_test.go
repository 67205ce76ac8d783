package api

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestLimitsBurstAndLastingRate(t *testing.T) {
	l := newLimits(100, 200)
	now := time.Unix(1_700_000_000, 0)
	for i := range 200 {
		if w := l.take("k", 0, now); w != 0 {
			t.Fatalf("request %d of the burst waits %v", i, w)
		}
	}
	if w := l.take("k", 0, now.Add(30*time.Second)); w != 30*time.Second {
		t.Errorf("within the window of the burst: wait %v, want 30 s although the bucket has 50", w)
	}
	// After the window the bucket has refilled for a minute: 100 more.
	now = now.Add(time.Minute)
	passed := 0
	for l.take("k", 0, now) == 0 {
		passed++
	}
	if passed != 100 {
		t.Errorf("%d passed a minute after the burst, want 100", passed)
	}
	if w := l.take("other", 0, now); w != 0 {
		t.Error("another key has to wait")
	}
	if w := l.take("k", 6000, now); w != 0 {
		t.Error("a new rate of the key does not count")
	}
}

// TestLimitsModel checks the promises against the list of what was
// admitted, and that who waits as told is admitted.
func TestLimitsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := float64(rapid.IntRange(1, 20).Draw(t, "rate"))
		burst := rapid.IntRange(1, 60).Draw(t, "burst")
		l := newLimits(rate, burst)
		start := time.Unix(1_700_000_000, 0)
		now := start
		var admitted []time.Time
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 5000).Draw(t, "ms")) * time.Millisecond)
			wait := l.take("k", 0, now)
			if wait == 0 {
				admitted = append(admitted, now)
			} else if rapid.Bool().Draw(t, "obey") {
				now = now.Add(time.Duration(seconds(wait)) * time.Second)
				if l.take("k", 0, now) != 0 {
					t.Fatalf("refused after waiting %v", wait)
				}
				admitted = append(admitted, now)
			}
			window, lasting := 0, 0
			for _, a := range admitted {
				if now.Sub(a) < limitWindow {
					window++
				}
				if now.Sub(a) < lastingWindow {
					lasting++
				}
			}
			if most := max(burst, int(rate)); window > most {
				t.Fatalf("%d in one minute, at most %d", window, most)
			}
			if most := max(burst, int(5*rate)); lasting > most {
				t.Fatalf("%d in five minutes, at most %d", lasting, most)
			}
			if most := float64(burst) + now.Sub(start).Minutes()*rate; float64(len(admitted)) > most+1e-6 {
				t.Fatalf("%d admitted in %v, at most %v", len(admitted), now.Sub(start), most)
			}
		}
	})
}

// TestLimitsGiveBack: what is given back is as if it had not been taken.
func TestLimitsGiveBack(t *testing.T) {
	l := newLimits(10, 10)
	now := time.Unix(1_700_000_000, 0)
	l.giveBack("k") // never seen
	for range 30 {
		if l.take("k", 0, now) != 0 {
			t.Fatal("refused although all was given back")
		}
		l.giveBack("k")
		now = now.Add(time.Second)
	}
	passed := 0
	for l.take("k", 0, now) == 0 {
		passed++
	}
	if passed != 10 {
		t.Errorf("%d passed, want 10", passed)
	}
}

func TestLimitsForgetQuietKeys(t *testing.T) {
	l := newLimits(100, 200)
	now := time.Unix(1_700_000_000, 0)
	for _, k := range []string{"a", "b", "c"} {
		l.take(k, 0, now)
	}
	l.take("d", 0, now.Add(5*time.Minute))
	if len(l.keys) != 1 {
		t.Errorf("%d keys remembered", len(l.keys))
	}
}

func TestLimitsOfAKeyWithARateOfItsOwn(t *testing.T) {
	l := newLimits(100, 1)
	now := time.Unix(1_700_000_000, 0)
	passed := 0
	for l.take("k", 30, now) == 0 {
		passed++
	}
	if passed != 60 {
		t.Errorf("a key of 30 a minute sent %d at once, want 60", passed)
	}
	if l.take("other", 0, now) != 0 || l.take("other", 0, now) == 0 {
		t.Error("a key without a rate of its own sends as many at once as the configuration says")
	}
}
