// Package analytics keeps the record of hookstream in ClickHouse: the sink that
// brings the topics attempts, routed and notices into tables, each offset
// exactly once, and the queries and HTTP routes that read them.
//
// Kafka is the buffer. While ClickHouse is down the sink holds one range for
// each partition and stops fetching; deliveries never wait for it.
package analytics
