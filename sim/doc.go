// Package sim holds what is tested across rooms: the pipeline as a whole, and
// the rules that the source itself keeps. It has tests only.
package sim
