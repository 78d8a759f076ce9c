import { RecordReader, RecordsEncoder } from '../../src/core/record-batch.ts';
import type { EncodedRecords, FetchLoop, TopicPartition } from '../../src/kafka/log-port.ts';

// Writing and reading a few text records through the log's ports, for tests.

export interface TextRecord {
  readonly key?: string | null;
  readonly value: string | null;
  readonly timestampMs?: number;
  readonly headers?: readonly (readonly [string, string])[];
}

export interface ReadRecord {
  readonly offset: number;
  readonly timestampMs: number;
  readonly key: string | null;
  readonly value: string | null;
  readonly headers: Readonly<Record<string, string>>;
}

/** Of this run: a broker deletes what is older than its retention, every five minutes, even from a topic that was made a moment ago. */
export const DEFAULT_TIMESTAMP_MS = Date.now();

/** Encodes records for one partition; a text stands for a record with that value and the key `k`. */
export function encoded(to: TopicPartition, records: readonly (string | TextRecord)[]): EncodedRecords {
  const encoder = new RecordsEncoder();
  encoder.reset(DEFAULT_TIMESTAMP_MS);
  for (const record of records) {
    const { key = 'k', value, timestampMs = DEFAULT_TIMESTAMP_MS, headers = [] } = typeof record === 'string' ? { value: record } : record;
    encoder.add(key === null ? null : Buffer.from(key), value === null ? null : Buffer.from(value), timestampMs, headers);
  }
  return { topic: to.topic, partition: to.partition, records: encoder.take(), count: encoder.count, baseTimestampMs: DEFAULT_TIMESTAMP_MS };
}

/** Reads what is visible from `offset` up to the end of the partition as it is when an answer comes back empty there. */
export async function readToEnd(loop: FetchLoop, at: TopicPartition, offset = 0): Promise<ReadRecord[]> {
  const cursor = loop.open(at, offset);
  const reader = new RecordReader();
  const records: ReadRecord[] = [];
  for (;;) {
    const fetched = await cursor.next();
    // A broker that has given its bytes to other partitions answers with nothing too.
    if (fetched.batches.length === 0 && fetched.fetchOffset >= fetched.lastStableOffset) break;
    reader.reset(fetched);
    while (reader.next()) records.push(currentRecord(reader));
  }
  cursor.close();
  return records;
}

export function currentRecord(reader: RecordReader): ReadRecord {
  const text = (start: number, end: number) => (start === -1 ? null : reader.buffer.toString('utf8', start, end));
  return {
    offset: reader.offset,
    timestampMs: reader.timestampMs,
    key: text(reader.keyStart, reader.keyEnd),
    value: text(reader.valueStart, reader.valueEnd),
    headers: Object.fromEntries([...reader.headers()].map(([name, value]) => [name, value.toString('utf8')])),
  };
}

export function values(records: readonly ReadRecord[]): (string | null)[] {
  return records.map((record) => record.value);
}
