import { RecordReader } from '../../src/core/record-batch.ts';
import type { FetchLoop, LogClient } from '../../src/kafka/log-port.ts';
import type { LaneRecord } from './held-lane.ts';

/** A record of the log as a test wants to see it. */
export interface TopicRecord extends LaneRecord {
  readonly offset: number;
}

/** Everything that is in a topic now and visible to read_committed, partition after partition, each in order. */
export async function readTopic(log: LogClient, topic: string): Promise<TopicRecord[]> {
  const admin = log.admin();
  const loop = log.fetchLoop({ name: 'read-topic', maxWaitMs: 100, maxBytesPerPartition: 1_048_576, isolation: 'committed' });
  try {
    const records: TopicRecord[] = [];
    for (const [partition, { logStartOffset, highWatermark }] of (await admin.watermarks(topic)).entries()) {
      records.push(...(await readPartition(loop, { topic, partition }, { from: logStartOffset, until: highWatermark })));
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
  range: { from: number; until: number },
): Promise<TopicRecord[]> {
  if (range.from >= range.until) return [];
  const records: TopicRecord[] = [];
  const cursor = loop.open(at, range.from);
  const reader = new RecordReader();
  for (let position = range.from; position < range.until; position = reader.nextOffset) {
    reader.reset(await cursor.next());
    while (reader.next()) {
      if (reader.offset >= range.until) continue;
      records.push({
        ...at,
        offset: reader.offset,
        key: reader.keyStart < 0 ? null : reader.buffer.toString('utf8', reader.keyStart, reader.keyEnd),
        value: Buffer.from(reader.buffer.subarray(reader.valueStart, reader.valueEnd)),
        timestampMs: reader.timestampMs,
        headers: Object.fromEntries([...reader.headers()].map(([name, value]) => [name, String(value)])),
      });
    }
  }
  cursor.close();
  return records;
}
