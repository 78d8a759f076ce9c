import { IngotError } from '../../src/errors.ts';
import type { Fetched, FetchLoop, PartitionCursor, TopicPartition } from '../../src/kafka/log-port.ts';
import type { MemoryLog } from './memory-log.ts';

// Reading from the in-memory log.

export interface MemoryFetchOptions {
  readonly maxWaitMs: number;
  readonly maxBytesPerPartition: number;
  readonly isolation: 'committed' | 'uncommitted';
}

export class MemoryFetchLoop implements FetchLoop {
  readonly #log: MemoryLog;
  readonly #options: MemoryFetchOptions;
  readonly #cursors = new Set<MemoryCursor>();

  constructor(log: MemoryLog, options: MemoryFetchOptions) {
    this.#log = log;
    this.#options = options;
  }

  open(at: TopicPartition, offset: number): PartitionCursor {
    const cursor = new MemoryCursor(this.#log, { at, offset, options: this.#options });
    this.#cursors.add(cursor);
    return cursor;
  }

  async close(): Promise<void> {
    for (const cursor of this.#cursors) cursor.close();
    this.#cursors.clear();
  }
}

class MemoryCursor implements PartitionCursor {
  readonly #log: MemoryLog;
  readonly #at: TopicPartition;
  readonly #options: MemoryFetchOptions;
  #position: number;
  #isClosed = false;
  #wake: () => void = () => undefined;

  constructor(log: MemoryLog, start: { at: TopicPartition; offset: number; options: MemoryFetchOptions }) {
    this.#log = log;
    this.#at = start.at;
    this.#options = start.options;
    this.#position = start.offset;
  }

  async next(): Promise<Fetched> {
    let sentAtMs = this.#log.monotonicMs();
    await Promise.resolve();
    let answer = this.#read(sentAtMs);
    if (answer.batches.length === 0) {
      await this.#longPoll();
      if (this.#log.isPollInstant) sentAtMs = this.#log.monotonicMs();
      answer = this.#read(sentAtMs);
    }
    return answer;
  }

  close(): void {
    this.#isClosed = true;
    this.#wake();
  }

  #read(sentAtMs: number): Fetched {
    const { topic, partition } = this.#at;
    const name = `${topic}-${partition}`;
    if (this.#isClosed) throw new IngotError('CURSOR_CLOSED', `${name}: the cursor is closed`);
    const stored = this.#log.partition(this.#at);
    const fetchOffset = this.#position;
    if (!stored.holds(fetchOffset)) {
      throw new IngotError('OFFSET_OUT_OF_RANGE', `${name} does not hold offset ${fetchOffset}`, {
        details: { topic, partition, offset: fetchOffset },
      });
    }
    const isCommitted = this.#options.isolation === 'committed';
    const { batches, nextOffset, abortedTransactions } = stored.read(fetchOffset, {
      maxBytes: this.#options.maxBytesPerPartition,
      isCommitted,
    });
    if (nextOffset !== null) this.#position = nextOffset;
    const { highWatermark, lastStableOffset, logStartOffset } = stored;
    return { topic, partition, fetchOffset, batches, highWatermark, lastStableOffset, logStartOffset, abortedTransactions, sentAtMs };
  }

  /** Until something can be read, the time is over, or the cursor is closed. */
  async #longPoll(): Promise<void> {
    if (this.#log.isPollInstant) {
      await new Promise((resolve) => setImmediate(resolve));
      return;
    }
    const deadlineMs = performance.now() + this.#options.maxWaitMs;
    const isCommitted = this.#options.isolation === 'committed';
    const isEmpty = () => this.#log.partition(this.#at).read(this.#position, { maxBytes: 1, isCommitted }).nextOffset === null;
    while (!this.#isClosed && isEmpty() && performance.now() < deadlineMs) await this.#changeWithin(deadlineMs - performance.now());
  }

  #changeWithin(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        giveUp();
        resolve();
      };
      const timer = setTimeout(done, ms);
      const giveUp = this.#log.partition(this.#at).onceChanged(done);
      this.#wake = done;
    });
  }
}
