CREATE TABLE IF NOT EXISTS hookstream.breaker_events (
  tenant_id       LowCardinality(String),
  endpoint_id     LowCardinality(String),
  at              DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  state           Enum8('closed' = 0, 'half_open' = 1, 'open' = 2),
  reason          LowCardinality(String),
  failures        UInt32,
  open_until      DateTime64(3, 'UTC') COMMENT '1970-01-01: none',
  kafka_topic     LowCardinality(String),
  kafka_partition UInt32,
  kafka_offset    UInt64
) ENGINE = ReplicatedMergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (tenant_id, endpoint_id, at)
TTL toDateTime(at) + INTERVAL 400 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 20000,
  replicated_deduplication_window = 20000, replicated_deduplication_window_seconds = 604800
;
CREATE TABLE IF NOT EXISTS hookstream.audit (
  tenant_id       LowCardinality(String),
  at              DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  kind            LowCardinality(String) COMMENT 'audit: somebody did it; disabled: hookstream disabled an endpoint',
  actor           LowCardinality(String) COMMENT 'id of the key, root, or hookstream',
  action          LowCardinality(String),
  target          String CODEC(ZSTD(1)),
  endpoint_id     LowCardinality(String),
  reason          LowCardinality(String),
  detail          String CODEC(ZSTD(1)),
  kafka_topic     LowCardinality(String),
  kafka_partition UInt32,
  kafka_offset    UInt64
) ENGINE = ReplicatedMergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (tenant_id, at)
TTL toDateTime(at) + INTERVAL 400 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 20000,
  replicated_deduplication_window = 20000, replicated_deduplication_window_seconds = 604800
