package main

// The fleet: the webhooks of a run, and how the receiver of each behaves.

import "fmt"

// character is how a receiver behaves.
type character string

// Characters of receivers. All of them take everything in the end, so that a
// delivery that never arrives is a loss and nothing else.
const (
	steady    character = "steady"    // answers 200 within milliseconds
	flaky     character = "flaky"     // every fifth request fails
	slow      character = "slow"      // takes up to 800 ms
	sick      character = "sick"      // fails everything for 15 s of every 45 s
	hanging   character = "hanging"   // does not answer every 30th request at all
	throttled character = "throttled" // answers 429 with Retry-After now and then
	ordered   character = "ordered"   // its webhook is ordered; every tenth request fails
)

// characters are given out in turn.
var characters = [...]character{steady, flaky, slow, sick, hanging, throttled, ordered, steady}

// webhook is one endpoint of the fleet.
type webhook struct {
	n         int
	character character
}

func newFleet(n int) []webhook {
	fleet := make([]webhook, n)
	for i := range fleet {
		fleet[i] = webhook{n: i, character: characters[i%len(characters)]}
	}
	return fleet
}

// path is what the receiver serves the webhook at.
func (w webhook) path() string { return fmt.Sprintf("/%d/%s", w.n, w.character) }

// eventType is the type that only this webhook takes.
func (w webhook) eventType() string { return fmt.Sprintf("own.n%d", w.n) }

// wideType goes to every webhook that is not ordered.
const wideType = "wide.all"

// takes reports whether an event of a type is to arrive.
func (w webhook) takes(eventType string) bool {
	return eventType == w.eventType() || eventType == wideType && w.character != ordered
}

// fields are what the webhook is registered with. The delays are short and
// many: a run lasts minutes, and nothing may be given up in it.
func (w webhook) fields(base string) map[string]any {
	events := []string{w.eventType()}
	if w.character != ordered {
		events = append(events, wideType)
	}
	retry := []float64{1, 1, 2, 2, 5, 5, 5, 10, 10, 10, 10, 30, 30, 30, 30, 30, 60, 60, 60, 60}
	return map[string]any{"name": fmt.Sprintf("%s %d", w.character, w.n), "url": base + w.path(), "events": events, "profile": "standard",
		"ordered": w.character == ordered, "retry": retry, "timeout_ms": 3000}
}
