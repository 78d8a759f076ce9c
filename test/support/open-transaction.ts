import { RecordReader } from '../../src/core/record-batch.ts';
import type { LogClient } from '../../src/kafka/log-port.ts';

const DEADLINE_MS = 30_000;

/**
 * Resolves at the moment when a transaction has written to the partition and its end has not: the best one to kill whoever writes it.
 * Rejects when there was none until the deadline.
 */
export async function openTransaction(log: LogClient, at: { topic: string; partition: number }): Promise<void> {
  const admin = log.admin();
  const loop = log.fetchLoop({ name: 'open-transaction', maxWaitMs: 200, maxBytesPerPartition: 1_048_576, isolation: 'uncommitted' });
  const deadlineAt = performance.now() + DEADLINE_MS;
  try {
    const cursor = loop.open(at, (await admin.watermarks(at.topic))[at.partition]!.highWatermark);
    const reader = new RecordReader();
    while (performance.now() < deadlineAt) {
      reader.reset(await cursor.next());
      let lastOffset = -1;
      while (reader.next()) lastOffset = reader.offset;
      // A marker is a record too, which the reader passes over: then the transaction has ended.
      if (lastOffset >= 0 && reader.nextOffset === lastOffset + 1) return;
    }
    throw new Error(`no transaction was seen open in ${at.topic}-${at.partition}`);
  } finally {
    void loop.close();
    void admin.close();
  }
}
