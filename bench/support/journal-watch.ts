import type { JournalEntry } from '../../src/aggregator/progress.ts';
import { BATCH_HEADER_BYTES, LENGTH_AT, OFFSET_AND_LENGTH_BYTES, PRODUCER_EPOCH_AT, readInt64 } from '../../src/core/batch-layout.ts';
import { RecordReader } from '../../src/core/record-batch.ts';
import type { LogClient } from '../../src/kafka/log-port.ts';
import { waitUntil } from './wait-until.ts';

/** A transaction that has become visible. */
export interface Commit {
  readonly partition: number;
  readonly atMs: number;
  /** How many readings it folded. */
  readonly readings: number;
  /** Of the producer: each process that takes the partition over gets the next one. */
  readonly epoch: number;
}

/** What was committed, and when it became visible: each transaction leaves one record, alone in its batch, in the journal. */
export class JournalWatch {
  readonly #commits: Commit[] = [];
  readonly #partitions: number;
  #isStopped = false;
  readonly #following: Promise<unknown>;
  readonly #close: () => Promise<void>;

  constructor(log: LogClient, at: { topic: string; partitions: number }, onCommit: (commit: Commit) => void = () => {}) {
    this.#partitions = at.partitions;
    const loop = log.fetchLoop({ name: 'journal', maxWaitMs: 200, maxBytesPerPartition: 1 << 20, isolation: 'committed' });
    this.#close = () => loop.close();
    const follow = async (partition: number): Promise<void> => {
      const cursor = loop.open({ topic: at.topic, partition }, 0);
      const reader = new RecordReader();
      while (!this.#isStopped) {
        const fetched = await cursor.next();
        const epochs = epochsOf(fetched.batches);
        reader.reset(fetched);
        while (reader.next()) {
          const commit = { partition, atMs: performance.now(), readings: readingsIn(reader), epoch: epochs.get(reader.offset)! };
          this.#commits.push(commit);
          onCommit(commit);
        }
      }
    };
    this.#following = Promise.all(Array.from({ length: at.partitions }, (_, partition) => follow(partition)));
    this.#following.catch(() => undefined); // It is awaited at the stop.
  }

  /**
   * Waits until the next owner of a partition, and those of all partitions, have committed after this moment; gives how long after it that was.
   * What the owner before had under way becomes visible after it too, and does not count.
   */
  async nextOwnerAfter(sinceMs: number): Promise<{ firstMs: number; allMs: number }> {
    const partitions = Array.from({ length: this.#partitions }, (_, partition) => partition);
    const epochBefore = partitions.map((partition) => this.#commits.findLast((one) => one.partition === partition)?.epoch);
    const isNext = ({ partition, atMs, epoch }: Commit): boolean => atMs > sinceMs && epoch !== epochBefore[partition];
    const firstOfEach = (): number[] =>
      partitions.map((partition) => this.#commits.find((one) => one.partition === partition && isNext(one))?.atMs ?? Number.NaN);
    await waitUntil('a commit of every partition', () => !firstOfEach().some(Number.isNaN), { pollMs: 10 });
    const times = firstOfEach().map((atMs) => atMs - sinceMs);
    return { firstMs: Math.min(...times), allMs: Math.max(...times) };
  }

  /** The longest time in which a partition committed nothing, between two moments. */
  longestPauseMs(fromMs: number, toMs: number): number {
    let longest = 0;
    for (let partition = 0; partition < this.#partitions; partition += 1) {
      let last = fromMs;
      for (const one of this.#commits) {
        if (one.partition !== partition || one.atMs < fromMs || one.atMs > toMs) continue;
        longest = Math.max(longest, one.atMs - last);
        last = one.atMs;
      }
      longest = Math.max(longest, toMs - last);
    }
    return longest;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#following;
    await this.#close();
  }
}

/** Of the entry that the reader stands on. */
function readingsIn(reader: RecordReader): number {
  const { from, to } = JSON.parse(reader.buffer.toString('utf8', reader.valueStart, reader.valueEnd)) as JournalEntry;
  return to - from;
}

/** The producer's epoch of each batch, by its base offset. */
function epochsOf(batches: Buffer): ReadonlyMap<number, number> {
  const epochs = new Map<number, number>();
  for (let at = 0; at + BATCH_HEADER_BYTES <= batches.length; at += OFFSET_AND_LENGTH_BYTES + batches.readInt32BE(at + LENGTH_AT))
    epochs.set(readInt64(batches, at), batches.readInt16BE(at + PRODUCER_EPOCH_AT));
  return epochs;
}
