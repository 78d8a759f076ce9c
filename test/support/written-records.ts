import { partitionForKey } from '../../src/core/murmur2.ts';
import { type RecordHeader, RecordsEncoder } from '../../src/core/record-batch.ts';
import type { EncodedRecords } from '../../src/kafka/log-port.ts';

// Records for a lane, as the stages make them, for tests that need something in a topic.

export interface RecordToWrite {
  readonly key: string | null;
  readonly value: Uint8Array | string;
  readonly headers?: readonly RecordHeader[];
}

/** One batch per record, each for the partition of its key (0 without one), in order. */
export function encodedRecords(topic: string, partitions: number, records: readonly RecordToWrite[]): EncodedRecords[] {
  const encoder = new RecordsEncoder();
  return records.map(({ key, value, headers }) => {
    const baseTimestampMs = Date.now();
    encoder.reset(baseTimestampMs);
    encoder.add(key === null ? null : Buffer.from(key), typeof value === 'string' ? Buffer.from(value) : value, baseTimestampMs, headers);
    const partition = key === null ? 0 : partitionForKey(Buffer.from(key), partitions);
    return { topic, partition, records: encoder.take(), count: 1, baseTimestampMs };
  });
}
