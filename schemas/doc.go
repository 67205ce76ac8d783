// Package schemas owns every byte that crosses a border of hookstream: topic
// names and shapes, record headers and values, ids, and the slot that a key
// belongs to. It does no I/O, starts no goroutine and never reads the clock,
// so that the same input always gives the same bytes.
package schemas
