import { IngotError } from '../../errors.ts';
import type { LogClient, TopicPartition } from '../../kafka/log-port.ts';
import { type LogRecord, PartitionFeed } from './partition-feed.ts';

const LONG_POLL_MS = 200;
const BYTES_PER_PARTITION = 1024 * 1024;

/**
 * One record. IngotError `RECORD_GONE` when there is none at this offset: deleted by retention, never written, or not committed; `USAGE`
 * when there is no such partition.
 */
export async function readRecordAt(log: LogClient, at: TopicPartition & { readonly offset: number }): Promise<LogRecord> {
  const { topic, partition, offset } = at;
  const admin = log.admin();
  const marks = await admin.watermarks(topic).finally(() => admin.close());
  const range = marks[partition];
  if (range === undefined) {
    throw new IngotError('USAGE', `${topic} has no partition ${partition}, only 0 to ${marks.length - 1}. See 'ingot dlq list'.`);
  }
  const { logStartOffset, highWatermark } = range;
  const held = logStartOffset === highWatermark ? 'nothing' : `${logStartOffset} to ${highWatermark - 1}`;
  const gone = new IngotError('RECORD_GONE', `${topic}/${partition} has no record ${offset}: it holds ${held}. See 'ingot dlq list'.`);
  if (offset < logStartOffset || offset >= highWatermark) throw gone;
  const loop = log.fetchLoop({ name: 'cli', maxWaitMs: LONG_POLL_MS, maxBytesPerPartition: BYTES_PER_PARTITION, isolation: 'committed' });
  const feed = new PartitionFeed(loop, { topic, partition, offset, endOffset: offset + 1 });
  try {
    while (feed.isEmpty && !feed.isCaughtUp && feed.failure === null) {
      const { promise, resolve } = Promise.withResolvers<void>();
      feed.fill(resolve);
      await promise;
    }
    if (feed.failure !== null) throw feed.failure;
    if (feed.head?.offset === offset) return feed.take();
    throw gone;
  } finally {
    feed.close();
    await loop.close();
  }
}
