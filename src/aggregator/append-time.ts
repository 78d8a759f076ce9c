import type { RecordReader } from '../core/record-batch.ts';
import { IngotError } from '../errors.ts';
import type { TopicPartition } from '../kafka/log-port.ts';

/** An append time further ahead than this is a broken clock, and believing it would close every window. */
export const APPEND_TIME_AHEAD_MAX_MS = 3_600_000;

/** Of the record that the reader stands on: IngotError `APPEND_TIME_AHEAD`. */
export function appendTimeAhead({ offset, timestampMs }: RecordReader, { topic, partition }: TopicPartition): IngotError {
  return new IngotError(
    'APPEND_TIME_AHEAD',
    `${topic}-${partition} offset ${offset} was appended at ${new Date(timestampMs).toISOString()}, more than an hour ahead of this machine's clock. Correct the clock that is wrong.`,
  );
}
