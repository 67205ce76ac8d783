package inbound

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestWindowKeepsTheFirstOfAKeyForItsTime compares with the plain rule: a
// record repeats the last accepted one of its key if that is younger than keep.
func TestWindowKeepsTheFirstOfAKeyForItsTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type holder struct {
			at     time.Time
			offset int64
		}
		w, model := NewWindow(1000), map[string]holder{}
		at := time.UnixMilli(1_700_000_000_000)
		steps := rapid.IntRange(1, 80).Draw(t, "steps")
		for offset := int64(0); offset < int64(steps); offset++ {
			at = at.Add(time.Duration(rapid.IntRange(0, 100_000).Draw(t, "ms")) * time.Millisecond)
			source, key := rapid.SampledFrom([]string{"a", "ab"}).Draw(t, "source"), rapid.SampledFrom([]string{"b", "", "c"}).Draw(t, "key")
			keep := map[string]time.Duration{"a": 90 * time.Second, "ab": 4 * time.Minute}[source]
			id := fmt.Sprintf("%q %q", source, key)
			last, seen := model[id]
			want := !seen || at.Sub(last.at) >= keep
			if holding, ok := w.Holder(source, key, at); ok == want || ok && holding != last.offset {
				t.Fatalf("offset %d: Holder says %d, %v; the last accepted is %+v", offset, holding, ok, last)
			}
			if got := w.First(source, key, keep, at, offset); got != want {
				t.Fatalf("offset %d of %s: first = %v, want %v", offset, id, got, want)
			}
			if want {
				model[id] = holder{at, offset}
			}
			if again := w.First(source, key, keep, at, offset); again != want {
				t.Fatalf("offset %d of %s: read again: first = %v, want %v", offset, id, again, want)
			}
		}
	})
}

func TestWindowForgetsWhatIsOver(t *testing.T) {
	w, at := NewWindow(1000), time.UnixMilli(1_700_000_000_000)
	for i := range 500 {
		w.First("s", fmt.Sprint(i), time.Hour, at, int64(i))
	}
	if w.First("s", "late", time.Hour, at.Add(2*time.Hour), 500); w.Len() != 1 {
		t.Errorf("%d keys are remembered; want only the last", w.Len())
	}
	if w.Crowded() != 0 {
		t.Errorf("%d keys count as crowded out; want 0", w.Crowded())
	}
}

func TestWindowIsBoundedAndForgetsTheOldestFirst(t *testing.T) {
	w, at := NewWindow(100), time.UnixMilli(1_700_000_000_000)
	for i := range 250 {
		at = at.Add(time.Second)
		w.First("s", fmt.Sprint(i), 24*time.Hour, at, int64(i))
	}
	if w.Len() != 100 || w.Crowded() != 150 {
		t.Errorf("%d keys are remembered, %d crowded out; want 100 and 150", w.Len(), w.Crowded())
	}
	if _, ok := w.Holder("s", "249", at); !ok {
		t.Error("the newest key was forgotten")
	}
	if _, ok := w.Holder("s", "10", at); ok {
		t.Error("an old key is still there")
	}
}
