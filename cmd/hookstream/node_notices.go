package main

// The events that hookstream makes itself: what the dispatcher asks the courier
// to announce.

import (
	"github.com/hookstream/hookstream/delivery"
	"github.com/hookstream/hookstream/schemas"
)

// announce is what the profile of a delivery says beside a retry of it.
func announce(courier *delivery.Courier) func(*schemas.Delivery, *schemas.Outcome) []schemas.Event {
	return func(d *schemas.Delivery, out *schemas.Outcome) []schemas.Event {
		if ev, ok := courier.RetryNotice(d, out); ok {
			return []schemas.Event{ev}
		}
		return nil
	}
}
