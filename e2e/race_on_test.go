//go:build race

package e2e

// raced: the program under test is built with the race detector, as the tests
// are; what it finds ends a process with another exit code and is in its log.
const raced = true
