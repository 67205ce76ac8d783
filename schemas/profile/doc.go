// Package profile knows how each product's webhooks look and behave on the
// wire: headers, signature, body, success codes, schedule, event types, and
// what a receiver checks and answers. All of it is data in profile files; the
// same file drives the sender and the receiver. Nothing here does I/O but
// Load, starts a goroutine or reads the clock, and a Profile never changes
// once it is made, so it may be shared freely.
package profile
