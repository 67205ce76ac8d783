-- One row an attempt. All attempts of a delivery carry the delivery's
-- created_at and so lie side by side: the latest state of a delivery is a fold
-- over a short scan. Rollups are projections, because they commit with the part.

CREATE DATABASE IF NOT EXISTS hookstream;

CREATE TABLE IF NOT EXISTS hookstream.attempts (
  tenant_id        LowCardinality(String),
  endpoint_id      LowCardinality(String),
  created_at       DateTime64(3, 'UTC') COMMENT 'of the delivery; the same on all its attempts' CODEC(Delta(8), ZSTD(1)),
  delivery_id      String CODEC(ZSTD(1)),
  attempt_no       UInt16 COMMENT '1 for the first; 0 for a row without an HTTP exchange' CODEC(ZSTD(1)),
  event_id         String CODEC(ZSTD(1)),
  event_type       LowCardinality(String),
  state            Enum8('pending' = 0, 'success' = 1, 'error' = 2, 'skipped' = 3) COMMENT 'of the delivery after this attempt',
  attempted_at     DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
  next_retry_at    DateTime('UTC') COMMENT '1970-01-01: none' CODEC(Delta(4), ZSTD(1)),
  duration_ms      UInt32 CODEC(T64, ZSTD(1)),
  response_code    UInt16 COMMENT '0: no answer came' CODEC(ZSTD(1)),
  error_kind       LowCardinality(String) COMMENT 'why it failed or was skipped; empty on success',
  error_message    String CODEC(ZSTD(1)),
  response_body    String COMMENT 'excerpt, at most 4 KiB' CODEC(ZSTD(3)),
  url              String CODEC(ZSTD(1)),
  profile          LowCardinality(String),
  kind             LowCardinality(String) COMMENT 'event, test, replay, challenge, notice',
  replay_of        String COMMENT 'the delivery that this one repeats' CODEC(ZSTD(1)),
  slow             Bool CODEC(ZSTD(1)),
  trace_id         String CODEC(ZSTD(1)),
  source_topic     LowCardinality(String) COMMENT 'where the event''s own record lies',
  source_partition UInt32 CODEC(ZSTD(1)),
  source_offset    UInt64 CODEC(ZSTD(1)),
  kafka_topic      LowCardinality(String) COMMENT 'topic name # first 8 hex digits of the topic id',
  kafka_partition  UInt32 CODEC(ZSTD(1)),
  kafka_offset     UInt64 CODEC(Delta(8), ZSTD(1)),
  INDEX ix_delivery  delivery_id  TYPE bloom_filter(0.01) GRANULARITY 4,
  INDEX ix_event     event_id     TYPE bloom_filter(0.01) GRANULARITY 4,
  INDEX ix_attempted attempted_at TYPE minmax GRANULARITY 1,
  PROJECTION p_offsets (SELECT kafka_topic, kafka_partition, min(kafka_offset), max(kafka_offset), count() GROUP BY kafka_topic, kafka_partition),
  PROJECTION p_endpoint_1h (SELECT tenant_id, endpoint_id, toStartOfHour(attempted_at),
      countIf(attempt_no > 0), countIf(state = 'success'), countIf(state = 'error'), countIf(state = 'skipped'),
      quantilesTDigestIf(0.5, 0.95, 0.99)(duration_ms, attempt_no > 0)
    GROUP BY tenant_id, endpoint_id, toStartOfHour(attempted_at)),
  PROJECTION p_type_1h (SELECT toStartOfHour(attempted_at), tenant_id, event_type,
      countIf(attempt_no > 0), countIf(state = 'success'), countIf(state = 'error'), countIf(state = 'skipped'),
      quantilesTDigestIf(0.5, 0.95, 0.99)(duration_ms, attempt_no > 0)
    GROUP BY toStartOfHour(attempted_at), tenant_id, event_type),
  PROJECTION p_error_1h (SELECT tenant_id, endpoint_id, toStartOfHour(attempted_at), state, error_kind, response_code, count()
    GROUP BY tenant_id, endpoint_id, toStartOfHour(attempted_at), state, error_kind, response_code),
  PROJECTION p_time (SELECT attempted_at, created_at, tenant_id, endpoint_id, event_type, state, response_code, error_kind, duration_ms ORDER BY attempted_at)
) ENGINE = {ENGINE}
PARTITION BY toMonday(created_at)
ORDER BY (tenant_id, endpoint_id, created_at, delivery_id, attempt_no)
TTL toDateTime(created_at) + INTERVAL 97 DAY DELETE
SETTINGS index_granularity = 2048, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 20000,
  replicated_deduplication_window = 20000, replicated_deduplication_window_seconds = 604800;
