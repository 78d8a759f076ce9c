import { RecordReader } from '../../src/core/record-batch.ts';
import type { LogClient, PartitionCursor, TopicPartition } from '../../src/kafka/log-port.ts';
import type { RoleProcess } from './role-process.ts';
import { waitUntil } from './wait-until.ts';

const DEADLINE_MS = 60_000;
/** The broker writes the markers of an ended transaction within a few milliseconds; this is long enough on a busy machine. */
const MARKER_WAIT_MS = 500;

/**
 * Freezes a process in the middle of a transaction: it has written to the partition and not asked for the end. Rejects when that did not
 * succeed until the deadline.
 */
export async function freezeInTransaction(role: RoleProcess, { log, ...at }: TopicPartition & { log: LogClient }): Promise<void> {
  const admin = log.admin();
  const loop = log.fetchLoop({ name: 'open-transaction', maxWaitMs: 100, maxBytesPerPartition: 1_048_576, isolation: 'uncommitted' });
  const deadlineAt = performance.now() + DEADLINE_MS;
  try {
    const end = new TransactionEnd(loop.open(at, (await admin.watermarks(at.topic))[at.partition]!.highWatermark));
    while (performance.now() < deadlineAt) {
      await end.read();
      if (!end.isOpen) continue;
      role.child.kill('SIGSTOP');
      // The process may have asked for the end just before.
      const decidedAt = performance.now() + MARKER_WAIT_MS;
      while (end.isOpen && performance.now() < decidedAt) await end.read();
      if (end.isOpen) return;
      role.child.kill('SIGCONT');
    }
    throw new Error(`no transaction was seen open in ${at.topic}-${at.partition}`);
  } finally {
    await Promise.all([loop.close(), admin.close()]);
  }
}

/** Waits until no transaction is open in the partition, whoever ended it. Rejects at the deadline. */
export async function untilTransactionEnds(
  { log, topic, partition }: TopicPartition & { log: LogClient },
  deadlineMs: number,
): Promise<void> {
  const admin = log.admin();
  const loop = log.fetchLoop({ name: 'transaction-end', maxWaitMs: 100, maxBytesPerPartition: 1_048_576, isolation: 'committed' });
  try {
    const cursor = loop.open({ topic, partition }, (await admin.watermarks(topic))[partition]!.highWatermark);
    const hasEnded = async (): Promise<boolean> => {
      const { lastStableOffset, highWatermark } = await cursor.next();
      return lastStableOffset === highWatermark;
    };
    await waitUntil(hasEnded, 'the end of the transaction', deadlineMs);
  } finally {
    await Promise.all([loop.close(), admin.close()]);
  }
}

/** Follows the end of a partition of which one producer writes, in transactions. */
class TransactionEnd {
  readonly #cursor: PartitionCursor;
  readonly #reader = new RecordReader();
  #position = -1;
  isOpen = false;

  constructor(cursor: PartitionCursor) {
    this.#cursor = cursor;
  }

  async read(): Promise<void> {
    this.#reader.reset(await this.#cursor.next());
    let lastOffset = -1;
    while (this.#reader.next()) lastOffset = this.#reader.offset;
    if (this.#reader.nextOffset === this.#position) return;
    this.#position = this.#reader.nextOffset;
    // The reader passes over markers: when the last thing in the answer is a record, its transaction has not ended.
    this.isOpen = lastOffset >= 0 && this.#reader.nextOffset === lastOffset + 1;
  }
}
