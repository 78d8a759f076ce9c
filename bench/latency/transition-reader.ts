import { RecordReader } from '../../src/core/record-batch.ts';
import type { LogClient, PartitionCursor } from '../../src/kafka/log-port.ts';

/** When a reader has seen a transition, and the time in the reading that caused it; both epoch ms of this machine. */
export interface SeenTransition {
  readonly readingAtMs: number;
  readonly seenAtMs: number;
}

/** The reading's time from the value buffer[start, end) of a record; null when the record is no transition. */
export type ReadingTime = (buffer: Buffer, start: number, end: number) => number | null | Promise<number | null>;

export interface TransitionReader {
  readonly seen: readonly SeenTransition[];
  /** Resolves when the reading has ended; rejects with what it failed with. */
  stop(): Promise<void>;
}

/** Follows a topic from its beginning, read_committed. */
export function readTransitions(log: LogClient, at: { topic: string; partitions: number }, readingTime: ReadingTime): TransitionReader {
  const loop = log.fetchLoop({ name: 'transitions', maxWaitMs: 500, maxBytesPerPartition: 1 << 20, isolation: 'committed' });
  const seen: SeenTransition[] = [];
  let isStopped = false;
  const follow = async (cursor: PartitionCursor): Promise<void> => {
    const reader = new RecordReader();
    while (!isStopped) {
      const fetched = await cursor.next();
      const seenAtMs = Date.now();
      reader.reset(fetched);
      while (reader.next()) {
        const readingAtMs = await readingTime(reader.buffer, reader.valueStart, reader.valueEnd);
        if (readingAtMs !== null) seen.push({ readingAtMs, seenAtMs });
      }
    }
  };
  const following = Promise.all(
    Array.from({ length: at.partitions }, (_, partition) => follow(loop.open({ topic: at.topic, partition }, 0))),
  );
  following.catch(() => undefined); // It is awaited at the stop.
  return {
    seen,
    stop: async () => {
      isStopped = true;
      await following;
      await loop.close();
    },
  };
}
