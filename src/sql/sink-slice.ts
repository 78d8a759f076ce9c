import type { Alert } from '../core/alert-record.ts';
import type { WindowAggregate } from '../core/window-aggregate.ts';
import type { TopicPartition } from '../kafka/log-port.ts';

// What travels from a partition to the database.

/** Where a record's bytes lie; key and value are -1, -1 when they are null. */
export interface RawRecord {
  readonly offset: number;
  readonly buffer: Buffer;
  readonly keyStart: number;
  readonly keyEnd: number;
  readonly valueStart: number;
  readonly valueEnd: number;
}

export interface SinkRecord<Value> extends RawRecord {
  readonly value: Value;
}

/** A record that becomes a row of rejected_rows. */
export interface RejectedRecord extends RawRecord {
  readonly reason: 'undecodable' | 'refused_by_database';
  readonly detail: string;
}

/** Decoded records of one partition, in order, with nothing left out between `from` and `to`. */
export interface SinkSlice extends TopicPartition {
  /** The position that the database must have, so that nobody else has written meanwhile. */
  readonly from: number;
  /** The position that it has afterwards. */
  readonly to: number;
  /** The last record before `to`: its offset and when the log got it. Null when the slice has no record. */
  readonly last: LastRecord | null;
  readonly aggregates: readonly SinkRecord<WindowAggregate>[];
  readonly alerts: readonly SinkRecord<Alert>[];
  readonly rejected: readonly RejectedRecord[];
}

export interface LastRecord {
  readonly offset: number;
  readonly appendedAtMs: number;
}

export function recordsIn(slice: SinkSlice): number {
  return slice.aggregates.length + slice.alerts.length + slice.rejected.length;
}
