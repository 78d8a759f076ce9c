import { RecordReader } from '../../src/core/record-batch.ts';
import type { Fetched, FetchLoop, LogClient } from '../../src/kafka/log-port.ts';
import type { LaneRecord } from './held-lane.ts';

/** A record of the log as a test wants to see it. */
export interface TopicRecord extends LaneRecord {
  readonly offset: number;
  /** False for a null value, which `value` gives as an empty one. */
  readonly hasValue: boolean;
}

export interface ReadTopicOptions {
  /** Told of every answer of the log. */
  readonly onFetched?: (fetched: Fetched) => void;
}

const READ_DEADLINE_MS = 60_000;

/** Everything that is in a topic now and visible to read_committed, partition after partition, each in order. */
export async function readTopic(log: LogClient, topic: string, options: ReadTopicOptions = {}): Promise<TopicRecord[]> {
  const admin = log.admin();
  const loop = log.fetchLoop({ name: 'read-topic', maxWaitMs: 100, maxBytesPerPartition: 1_048_576, isolation: 'committed' });
  try {
    const records: TopicRecord[] = [];
    for (const [partition, { logStartOffset, highWatermark }] of (await admin.watermarks(topic)).entries()) {
      const ofPartition = await readPartition(loop, { topic, partition }, { from: logStartOffset, until: highWatermark, ...options });
      // One by one: so many arguments as there may be records are more than a call takes.
      for (const record of ofPartition) records.push(record);
    }
    return records;
  } finally {
    await loop.close();
    await admin.close();
  }
}

async function readPartition(
  loop: FetchLoop,
  at: { topic: string; partition: number },
  { from, until, onFetched }: { from: number; until: number } & ReadTopicOptions,
): Promise<TopicRecord[]> {
  if (from >= until) return [];
  const records: TopicRecord[] = [];
  const cursor = loop.open(at, from);
  const reader = new RecordReader();
  const deadlineAt = performance.now() + READ_DEADLINE_MS;
  for (let position = from; position < until; position = reader.nextOffset) {
    // A transaction that nobody ends hides everything after it from read_committed.
    if (performance.now() > deadlineAt) throw new Error(`${at.topic}-${at.partition} cannot be read beyond ${position} of ${until}`);
    const fetched = await cursor.next();
    onFetched?.(fetched);
    reader.reset(fetched);
    while (reader.next()) {
      if (reader.offset >= until) continue;
      records.push({
        ...at,
        offset: reader.offset,
        key: reader.keyStart < 0 ? null : reader.buffer.toString('utf8', reader.keyStart, reader.keyEnd),
        value: reader.valueStart < 0 ? Buffer.alloc(0) : Buffer.from(reader.buffer.subarray(reader.valueStart, reader.valueEnd)),
        hasValue: reader.valueStart >= 0,
        timestampMs: reader.timestampMs,
        headers: Object.fromEntries([...reader.headers()].map(([name, value]) => [name, String(value)])),
      });
    }
  }
  cursor.close();
  return records;
}
