// The closed lists of what can become of a message and of a reading. Each reason is a metric label and a row in docs/errors.md.

/** Why the bridge refused a message: it goes to mqtt.dlq with this as `failure-reason`. */
export const BRIDGE_REJECT_REASONS = [
  'empty_payload',
  'payload_too_large',
  'invalid_utf8',
  'invalid_json',
  'json_too_deep',
  'json_too_many_keys',
  'not_an_object',
  'invalid_topic',
  'invalid_device_id',
  'device_id_mismatch',
  'invalid_timestamp',
  'invalid_sequence',
  'invalid_field',
  'invalid_metric',
  'metric_out_of_range',
  'no_metrics',
  'record_too_large',
  'device_limit',
] as const;
export type BridgeRejectReason = (typeof BRIDGE_REJECT_REASONS)[number];

/** Why the aggregator refused a reading: it goes to readings.dlq with this as `failure-reason`. */
export const READING_REJECT_REASONS = ['undecodable', 'misrouted', 'future', 'ancient', 'state_limit'] as const;
export type ReadingRejectReason = (typeof READING_REJECT_REASONS)[number];

/** What became of one reading in the aggregator: every reading of the log has exactly one outcome. */
export type ReadingOutcome = 'counted' | 'not_aggregatable' | 'duplicate' | ReadingRejectReason;
