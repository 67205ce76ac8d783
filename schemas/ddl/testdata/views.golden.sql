CREATE VIEW IF NOT EXISTS hookstream.deliveries AS
SELECT tenant_id, endpoint_id, created_at, delivery_id,
  any(event_id) AS event_id, any(event_type) AS event_type,
  argMax(row_state, rank) AS state,
  max(row_no) AS attempts,
  argMax(row_code, rank) AS response_code,
  argMax(row_error_kind, rank) AS error_kind,
  argMax(row_error, rank) AS error_message,
  argMax(row_duration, rank) AS duration_ms,
  argMax(row_next, rank) AS next_retry_at,
  max(row_at) AS last_attempt_at,
  argMax(row_url, rank) AS url,
  max(row_profile) AS profile, max(row_kind) AS kind, max(row_replay_of) AS replay_of
FROM (
  SELECT tenant_id, endpoint_id, created_at, delivery_id, event_id, event_type,
    toString(state) AS row_state, attempt_no AS row_no, response_code AS row_code, toString(error_kind) AS row_error_kind,
    error_message AS row_error, duration_ms AS row_duration, next_retry_at AS row_next,
    if(attempt_no > 0, attempted_at, toDateTime64(0, 3, 'UTC')) AS row_at,
    url AS row_url, toString(profile) AS row_profile, toString(kind) AS row_kind, replay_of AS row_replay_of,
    (state != 'pending', attempt_no, attempted_at) AS rank
  FROM hookstream.attempts
  UNION ALL
  SELECT tenant_id, endpoint, created_at, delivery, event_id, event_type,
    'pending', toUInt16(0), toUInt16(0), '', '', toUInt32(0), toDateTime(0, 'UTC'), toDateTime64(0, 3, 'UTC'),
    '', '', toString(kind), replay_of,
    (toUInt8(0), toUInt16(0), toDateTime64(0, 3, 'UTC'))
  FROM hookstream.events ARRAY JOIN endpoint_ids AS endpoint, delivery_ids AS delivery
)
GROUP BY tenant_id, endpoint_id, created_at, delivery_id
;
CREATE VIEW IF NOT EXISTS hookstream.endpoint_1h AS
SELECT tenant_id, endpoint_id, toStartOfHour(attempted_at) AS bucket,
  countIf(attempt_no > 0) AS attempts, countIf(state = 'success') AS ok, countIf(state = 'error') AS final_errors, countIf(state = 'skipped') AS skipped,
  quantilesTDigestIf(0.5, 0.95, 0.99)(duration_ms, attempt_no > 0) AS p50_p95_p99
FROM hookstream.attempts GROUP BY tenant_id, endpoint_id, bucket
;
CREATE VIEW IF NOT EXISTS hookstream.type_1h AS
SELECT toStartOfHour(attempted_at) AS bucket, tenant_id, event_type,
  countIf(attempt_no > 0) AS attempts, countIf(state = 'success') AS ok, countIf(state = 'error') AS final_errors, countIf(state = 'skipped') AS skipped,
  quantilesTDigestIf(0.5, 0.95, 0.99)(duration_ms, attempt_no > 0) AS p50_p95_p99
FROM hookstream.attempts GROUP BY bucket, tenant_id, event_type
;
CREATE VIEW IF NOT EXISTS hookstream.error_1h AS
SELECT tenant_id, endpoint_id, toStartOfHour(attempted_at) AS bucket, state, error_kind, response_code, count() AS n
FROM hookstream.attempts GROUP BY tenant_id, endpoint_id, bucket, state, error_kind, response_code
;
CREATE VIEW IF NOT EXISTS hookstream.breaker_now AS
SELECT tenant_id, endpoint_id,
  argMax(state, (at, kafka_offset)) AS state, argMax(reason, (at, kafka_offset)) AS reason,
  argMax(failures, (at, kafka_offset)) AS failures, argMax(open_until, (at, kafka_offset)) AS open_until, max(at) AS since
FROM hookstream.breaker_events GROUP BY tenant_id, endpoint_id
;
CREATE VIEW IF NOT EXISTS hookstream.conservation AS
SELECT tenant_id,
  countIf(is_made) AS made,
  countIf(is_terminal) AS terminal,
  countIf(is_made AND NOT is_terminal) AS pending,
  toInt64(made) - toInt64(terminal) - toInt64(pending) AS difference,
  sum(exchanges) AS attempts,
  sum(rows_of_exchanges) - sum(exchanges) AS repeated_attempts
FROM (
  SELECT tenant_id, delivery_id,
    max(of_event) AS is_made, max(ends) AS is_terminal,
    uniqExactIf(no, no > 0) AS exchanges, countIf(no > 0) AS rows_of_exchanges
  FROM (
    SELECT tenant_id, delivery_id, toUInt8(0) AS of_event, toUInt8(state != 'pending') AS ends, attempt_no AS no
    FROM hookstream.attempts WHERE kind NOT IN ('challenge', 'notice') AND endpoint_id != ''
    UNION ALL
    SELECT tenant_id, delivery, toUInt8(1), toUInt8(0), toUInt16(0)
    FROM hookstream.events ARRAY JOIN arrayDistinct(arrayConcat(delivery_ids, `skipped.delivery_id`)) AS delivery
    WHERE kind NOT IN ('challenge', 'notice') AND delivery != ''
  )
  GROUP BY tenant_id, delivery_id
)
GROUP BY tenant_id
