import type { JournalEntry } from '../../src/aggregator/progress.ts';
import { RecordReader } from '../../src/core/record-batch.ts';
import type { LogClient } from '../../src/kafka/log-port.ts';
import { waitUntil } from './wait-until.ts';

/** A transaction that has become visible. */
interface Commit {
  readonly partition: number;
  readonly atMs: number;
  /** How many readings it folded. */
  readonly readings: number;
  /** Whether it is the first one of whoever owns the partition: each owner tells its settings first. */
  readonly isFirstOfOwner: boolean;
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
        reader.reset(fetched);
        while (reader.next()) {
          const { from, to, settings, settingsInForce } = entryAt(reader);
          const isFirstOfOwner = settings !== undefined || settingsInForce !== undefined;
          const commit = { partition, atMs: performance.now(), readings: to - from, isFirstOfOwner };
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
    const isNext = ({ atMs, isFirstOfOwner }: Commit): boolean => atMs > sinceMs && isFirstOfOwner;
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

function entryAt(reader: RecordReader): JournalEntry {
  return JSON.parse(reader.buffer.toString('utf8', reader.valueStart, reader.valueEnd)) as JournalEntry;
}
