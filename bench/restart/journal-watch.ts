import { RecordReader } from '../../src/core/record-batch.ts';
import type { LogClient } from '../../src/kafka/log-port.ts';
import { waitUntil } from '../support/wait-until.ts';

/** When committed transactions became visible, by partition: each leaves one record in the journal. */
export class JournalWatch {
  readonly #arrivals: { readonly partition: number; readonly atMs: number }[] = [];
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
        reader.reset(await cursor.next());
        while (reader.next()) this.#arrivals.push({ partition, atMs: performance.now() });
      }
    };
    this.#following = Promise.all(Array.from({ length: at.partitions }, (_, partition) => follow(partition)));
    this.#following.catch(() => undefined); // It is awaited at the stop.
  }

  /** Waits until a partition, and until every partition, has committed after this moment; gives how long after it that was. */
  async nextAfter(sinceMs: number): Promise<{ firstMs: number; allMs: number }> {
    const firstOfEach = (): number[] =>
      Array.from(
        { length: this.#partitions },
        (_, partition) => this.#arrivals.find((one) => one.partition === partition && one.atMs > sinceMs)?.atMs ?? Number.NaN,
      );
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
