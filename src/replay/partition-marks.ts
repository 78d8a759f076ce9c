import { setTimeout as sleep } from 'node:timers/promises';
import { IngotError } from '../errors.ts';
import type { EncodedRecords, TransactionLane } from '../kafka/log-port.ts';
import { replayInDoubt } from '../ops/replay-events.ts';
import { readRange } from './read-range.ts';
import { MarkBook } from './replay-marks.ts';
import type { ReplayContext } from './replay-ports.ts';

// The marks of one partition, and the right to write them: fence first, then read up to the fence, so that whoever writes has seen every
// mark that there is. Two replays of one partition cannot both go on.

/** A commit or fence that fails without anybody having fenced us is tried again so often. */
const ATTEMPTS_MAX = 5;

export class PartitionMarks {
  readonly #context: ReplayContext;
  readonly #partition: number;
  readonly #isGone: (place: string) => boolean;
  #lane: TransactionLane | null = null;
  #book = new MarkBook();
  #failures = 0;

  constructor(context: ReplayContext, partition: number, isGone: (place: string) => boolean) {
    this.#context = context;
    this.#partition = partition;
    this.#isGone = isGone;
  }

  get book(): MarkBook {
    return this.#book;
  }

  /** Only looks: for a dry run. */
  async read(): Promise<void> {
    const { admin, topics } = this.#context;
    const { highWatermark } = (await admin.watermarks(topics.marks))[this.#partition]!;
    await this.#readUpTo(highWatermark, 'leave');
  }

  /** Takes the partition and reads its marks. IngotErrors `REPLAY_FENCED`, `TRANSACTION_IN_DOUBT` after several attempts, `REPLAY_TIMEOUT`. */
  async own(): Promise<void> {
    for (;;) {
      const lane = this.#context.openLane(this.#partition);
      this.#lane = lane;
      try {
        const fenceOffset = await lane.fence({ topic: this.#context.topics.marks, partition: this.#partition });
        await this.#readUpTo(fenceOffset + 1, 'await');
        return;
      } catch (error) {
        await this.#giveUpOrWait(lane, error);
      }
    }
  }

  /**
   * Commits. False when the outcome was in doubt: then the marks have been read again, and say what was committed.
   * IngotErrors as of `own`.
   */
  async commit(batches: readonly EncodedRecords[]): Promise<boolean> {
    const lane = this.#lane!;
    try {
      await lane.commit(batches);
      this.#failures = 0;
      return true;
    } catch (error) {
      await this.#giveUpOrWait(lane, error);
    }
    await this.own();
    return false;
  }

  async close(): Promise<void> {
    await this.#lane?.close();
  }

  async #readUpTo(to: number, hidden: 'leave' | 'await'): Promise<void> {
    const { admin, topics, loop, signal } = this.#context;
    const at = { topic: topics.marks, partition: this.#partition };
    const { logStartOffset } = (await admin.watermarks(at.topic))[at.partition]!;
    const book = new MarkBook(this.#isGone);
    for await (const { key, value } of readRange({ ...at, from: logStartOffset, to }, { loop, signal, hidden })) {
      if (key !== null) book.take(key.toString('utf8'), value);
    }
    // A reading that was cut short must not pass for a partition without marks.
    if (signal.aborted) throw new IngotError('CURSOR_CLOSED', 'the replay was told to stop');
    this.#book = book;
  }

  /** Whoever was fenced does not fence back: the other one is at work. */
  async #giveUpOrWait(lane: TransactionLane, error: unknown): Promise<void> {
    const { signal, backOffMs } = this.#context;
    await lane.close();
    if (lane.isFenced(error)) {
      throw new IngotError(
        'REPLAY_FENCED',
        `Another replay has taken over partition ${this.#partition}, or this one stood still for more than 10 s. What it had told as replayed is replayed. Start it again when the other one has ended.`,
        { cause: error },
      );
    }
    const isInDoubt = error instanceof IngotError && error.code === 'TRANSACTION_IN_DOUBT';
    this.#failures += 1;
    if (!isInDoubt || signal.aborted || this.#failures >= ATTEMPTS_MAX) throw error;
    replayInDoubt({ partition: this.#partition, attempt: this.#failures, error: error.message });
    await sleep(backOffMs * 2 ** (this.#failures - 1), undefined, { signal }).catch(() => undefined);
  }
}
