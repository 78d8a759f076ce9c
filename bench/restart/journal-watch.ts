import { BATCH_HEADER_BYTES, LENGTH_AT, OFFSET_AND_LENGTH_BYTES, PRODUCER_EPOCH_AT, readInt64 } from '../../src/core/batch-layout.ts';
import { RecordReader } from '../../src/core/record-batch.ts';
import type { LogClient } from '../../src/kafka/log-port.ts';
import { waitUntil } from '../support/wait-until.ts';

interface Arrival {
  readonly partition: number;
  readonly atMs: number;
  /** Of the producer: each process that takes the partition over gets the next one. */
  readonly epoch: number;
}

/** When committed transactions became visible, by partition: each leaves one record, alone in its batch, in the journal. */
export class JournalWatch {
  readonly #arrivals: Arrival[] = [];
  readonly #partitions: number;
  #isStopped = false;
  readonly #following: Promise<unknown>;
  readonly #close: () => Promise<void>;

  constructor(log: LogClient, at: { topic: string; partitions: number }) {
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
        while (reader.next()) this.#arrivals.push({ partition, atMs: performance.now(), epoch: epochs.get(reader.offset)! });
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
    const epochBefore = partitions.map((partition) => this.#arrivals.findLast((one) => one.partition === partition)?.epoch);
    const isNext = ({ partition, atMs, epoch }: Arrival): boolean => atMs > sinceMs && epoch !== epochBefore[partition];
    const firstOfEach = (): number[] =>
      partitions.map((partition) => this.#arrivals.find((one) => one.partition === partition && isNext(one))?.atMs ?? Number.NaN);
    await waitUntil('a commit of every partition', () => !firstOfEach().some(Number.isNaN), { pollMs: 10 });
    const times = firstOfEach().map((atMs) => atMs - sinceMs);
    return { firstMs: Math.min(...times), allMs: Math.max(...times) };
  }

  /** The longest time in which a partition committed nothing, between two moments. */
  longestPauseMs(fromMs: number, toMs: number): number {
    let longest = 0;
    for (let partition = 0; partition < this.#partitions; partition += 1) {
      let last = fromMs;
      for (const one of this.#arrivals) {
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

/** The producer's epoch of each batch, by its base offset. */
function epochsOf(batches: Buffer): ReadonlyMap<number, number> {
  const epochs = new Map<number, number>();
  for (let at = 0; at + BATCH_HEADER_BYTES <= batches.length; at += OFFSET_AND_LENGTH_BYTES + batches.readInt32BE(at + LENGTH_AT))
    epochs.set(readInt64(batches, at), batches.readInt16BE(at + PRODUCER_EPOCH_AT));
  return epochs;
}
