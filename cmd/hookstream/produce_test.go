package main

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookstream/hookstream/producer"
)

// TestProduceTellsOfSilence: while no broker answers, a person is told so, once
// for each time that it stops.
func TestProduceTellsOfSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := &progress{w: &out}
		stop := p.watch(t.Context(), "127.0.0.1:9092")
		for range 3 { // nothing to tell: it moves
			time.Sleep(silence - time.Second)
			p.show(producer.FeedReport{})
			synctest.Wait()
		}
		time.Sleep(5 * silence)
		p.show(producer.FeedReport{})
		time.Sleep(2 * silence)
		stop()
		if n := strings.Count(out.String(), "no answer from 127.0.0.1:9092"); n != 2 {
			t.Errorf("told %d times, not 2: %q", n, out.String())
		}
	})
}
