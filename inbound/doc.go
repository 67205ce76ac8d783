// Package inbound receives webhooks: it checks what others send us, lands it on
// Kafka before it answers, lets each event through once, and runs the handlers
// of those who use it.
//
// A request that is rightly signed becomes a record on inbound.raw; the first
// record of a key in log order, within the key's window, is the event. Whoever
// reads that log comes to the same verdict, so that nothing has to be reserved:
// the receivers to answer, the deduper to copy the record to inbound.
package inbound
