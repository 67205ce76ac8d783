// Package devstack runs the engines that hookstream needs on one machine: a
// Kafka broker inside the process (StartKafka), a ClickHouse server in a child
// process (FetchLibrary, ServeClickHouse, Supervisor) and, for tests, a real
// Kafka broker on Java (StartRealKafka).
//
// The engines are for development and tests. They listen on loopback only and
// keep what they store in a folder that one process at a time may use.
package devstack
