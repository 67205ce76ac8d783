// Package delivery makes one attempt of one delivery: may the endpoint be
// called now (standing, Retry-After, rate limit, breaker), then sign, POST,
// read a bounded answer, and say what follows. It keeps no queue and never
// waits: whoever calls it owns all waiting. It is the only room with an HTTP
// client.
package delivery
