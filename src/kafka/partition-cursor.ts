import { IngotError } from '../errors.ts';
import { backOffMs } from './deadline.ts';
import type { FetchedPartition } from './fetch-response.ts';
import type { Fetched, PartitionCursor, TopicPartition } from './log-port.ts';

// One partition's place in the fetch loop: where it is, whether it wants to be fetched, and the one answer that waits to be taken.
//
//   wanting -> fetching -> (answer waits -> taken) -> wanting      refused: wanting again after a back-off

/** How long OFFSET_OUT_OF_RANGE is asked again: a new leader may lag behind what the old one had acknowledged. */
const OUT_OF_RANGE_PATIENCE_MS = 30_000;
const BACK_OFF = { firstMs: 20, maxMs: 1_000 };

interface Waiter {
  readonly resolve: (fetched: Fetched) => void;
  readonly reject: (error: Error) => void;
  readonly sinceMs: number;
}

export interface CursorOwner {
  /** The cursor may be wanting now. */
  readonly onWanting: () => void;
  readonly onClosed: (cursor: LoopCursor) => void;
  /** Calls it soon, after those that were given before. */
  readonly inTurn: (handOver: () => void) => void;
}

export class LoopCursor implements PartitionCursor {
  readonly topic: string;
  readonly partition: number;
  /** The offset of the next fetch. */
  position: number;
  readonly #owner: CursorOwner;
  #waiter: Waiter | null = null;
  #answer: Fetched | null = null;
  /** Says that nobody looks any more at the bytes of that answer; null when it has none. */
  #releaseAnswer: (() => void) | null = null;
  /** The same of the answer that was taken last. */
  #releaseTaken: (() => void) | null = null;
  #answeredAtMs = 0;
  #failure: IngotError | null = null;
  #isFetching = false;
  #refusals = 0;
  #notBeforeMs = 0;
  #outOfRangeSinceMs: number | null = null;

  constructor(at: TopicPartition, offset: number, owner: CursorOwner) {
    this.topic = at.topic;
    this.partition = at.partition;
    this.position = offset;
    this.#owner = owner;
  }

  next(): Promise<Fetched> {
    if (this.#waiter !== null) return Promise.reject(new Error(`${this.#name}: next was called while one was waiting`));
    this.#releaseTaken?.();
    this.#releaseTaken = null;
    if (this.#answer !== null) {
      const answer = this.#answer;
      this.#answer = null;
      this.#releaseTaken = this.#releaseAnswer;
      this.#owner.onWanting();
      return Promise.resolve(answer);
    }
    if (this.#failure !== null) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject, sinceMs: performance.now() };
      this.#owner.onWanting();
    });
  }

  close(): void {
    this.fail(new IngotError('CURSOR_CLOSED', `${this.#name}: the cursor is closed`));
    this.#owner.onClosed(this);
  }

  /** Whether it should be in the next fetch. */
  isWanting(nowMs: number): boolean {
    return !this.#isFetching && this.#answer === null && this.#failure === null && nowMs >= this.#notBeforeMs;
  }

  /** For how long an answer has been waiting to be taken; null when there is none. */
  untakenForMs(nowMs: number): number | null {
    return this.#answer === null ? null : nowMs - this.#answeredAtMs;
  }

  /** When it will want again after a refusal; null when it is not waiting for that. */
  wantsAtMs(nowMs: number): number | null {
    return this.#failure === null && this.#notBeforeMs > nowMs ? this.#notBeforeMs : null;
  }

  fetchStarted(): void {
    this.#isFetching = true;
  }

  /** The fetch has ended, with or without an answer for this partition. */
  fetchEnded(): void {
    this.#isFetching = false;
  }

  /**
   * Takes over an answer and moves on. An empty one is only passed on to somebody who has waited for a whole long poll: others'
   * records end the poll for all. Returns whether there were records; then `release` is called once they have been read, unless it all ends
   * before.
   */
  accept(answer: FetchedPartition, request: { sentAtMs: number; maxWaitMs: number; release: () => void }): boolean {
    if (this.#failure !== null) return false;
    this.#refusals = 0;
    this.#outOfRangeSinceMs = null;
    const isEmpty = answer.batches.length === 0;
    const nowMs = performance.now();
    if (isEmpty && (this.#waiter === null || nowMs - this.#waiter.sinceMs < request.maxWaitMs - 1)) return false;
    const { topic, partition, position: fetchOffset } = this;
    const { batches, highWatermark, lastStableOffset, logStartOffset, abortedTransactions } = answer;
    const { sentAtMs } = request;
    const fetched = {
      topic,
      partition,
      fetchOffset,
      batches,
      highWatermark,
      lastStableOffset,
      logStartOffset,
      abortedTransactions,
      sentAtMs,
    };
    if (answer.nextOffset !== null) this.position = Math.max(this.position, answer.nextOffset);
    const release = isEmpty ? null : request.release;
    const waiter = this.#waiter;
    this.#waiter = null;
    if (waiter !== null) {
      this.#releaseTaken = release;
      this.#owner.inTurn(() => waiter.resolve(fetched));
    } else {
      this.#answer = fetched;
      this.#releaseAnswer = release;
      this.#answeredAtMs = nowMs;
    }
    return !isEmpty;
  }

  /** The partition could not be fetched; returns for which time that is, and after how many ms it is tried again. */
  refuse(): { attempt: number; retryInMs: number } {
    this.#refusals++;
    const retryInMs = backOffMs(this.#refusals, BACK_OFF);
    this.#notBeforeMs = performance.now() + retryInMs;
    return { attempt: this.#refusals, retryInMs };
  }

  /** The log does not hold `position`. Returns true when that has been so for too long, and the cursor has failed. */
  refuseOutOfRange(patienceMs = OUT_OF_RANGE_PATIENCE_MS): boolean {
    const nowMs = performance.now();
    this.#outOfRangeSinceMs ??= nowMs;
    this.refuse();
    if (nowMs - this.#outOfRangeSinceMs < patienceMs) return false;
    this.fail(
      new IngotError('OFFSET_OUT_OF_RANGE', `${this.#name} does not hold offset ${this.position}`, {
        details: { topic: this.topic, partition: this.partition, offset: this.position },
      }),
    );
    return true;
  }

  fail(error: IngotError): void {
    this.#failure ??= error;
    this.#answer = null;
    const waiter = this.#waiter;
    this.#waiter = null;
    waiter?.reject(this.#failure);
  }

  get #name(): string {
    return `${this.topic}-${this.partition}`;
  }
}
