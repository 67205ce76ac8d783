-- What each event made: one row a record of the routed topic. A re-run of the
-- fan-out or a replay writes the same event again with the same delivery ids,
-- so people count distinct ids.

CREATE TABLE IF NOT EXISTS hookstream.events (
  tenant_id        LowCardinality(String),
  created_at       DateTime64(3, 'UTC') COMMENT 'of the event''s deliveries' CODEC(Delta(8), ZSTD(1)),
  event_id         String CODEC(ZSTD(1)),
  event_type       LowCardinality(String),
  time             DateTime64(3, 'UTC') COMMENT 'when it happened, as its publisher says' CODEC(Delta(8), ZSTD(1)),
  kind             LowCardinality(String) COMMENT 'event, test, replay, challenge, notice',
  replay_of        String CODEC(ZSTD(1)),
  data             String COMMENT 'verbatim' CODEC(ZSTD(3)),
  delivery_ids     Array(String) CODEC(ZSTD(1)),
  endpoint_ids     Array(LowCardinality(String)) COMMENT 'parallel to delivery_ids',
  skipped          Nested(endpoint_id LowCardinality(String), delivery_id String, reason LowCardinality(String)),
  deliveries       UInt32 ALIAS length(delivery_ids),
  source_topic     LowCardinality(String) COMMENT 'where the event''s own record lies',
  source_partition UInt32 CODEC(ZSTD(1)),
  source_offset    UInt64 CODEC(ZSTD(1)),
  kafka_topic      LowCardinality(String) COMMENT 'topic name # first 8 hex digits of the topic id',
  kafka_partition  UInt32 CODEC(ZSTD(1)),
  kafka_offset     UInt64 CODEC(Delta(8), ZSTD(1)),
  INDEX ix_event    event_id     TYPE bloom_filter(0.01) GRANULARITY 4,
  INDEX ix_delivery delivery_ids TYPE bloom_filter(0.01) GRANULARITY 4,
  INDEX ix_skipped  `skipped.delivery_id` TYPE bloom_filter(0.01) GRANULARITY 4,
  INDEX ix_endpoint endpoint_ids TYPE bloom_filter(0.01) GRANULARITY 4,
  PROJECTION p_offsets (SELECT kafka_topic, kafka_partition, min(kafka_offset), max(kafka_offset), count() GROUP BY kafka_topic, kafka_partition)
) ENGINE = {ENGINE}
PARTITION BY toMonday(created_at)
ORDER BY (tenant_id, created_at, event_id)
TTL toDateTime(created_at) + INTERVAL 97 DAY DELETE
SETTINGS index_granularity = 2048, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 20000,
  replicated_deduplication_window = 20000, replicated_deduplication_window_seconds = 604800;
