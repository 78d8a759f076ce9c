import { IngotError } from '../errors.ts';
import { type DeadLetter, isRefusedReplay, letterPlace } from './dead-letter.ts';
import { type Judge, judgeMessage, judgeReading, type Verdict } from './judge-letter.ts';
import { PartitionMarks } from './partition-marks.ts';
import { type OffsetRange, readRange } from './read-range.ts';
import { BYTES_PER_TRANSACTION, encodeTransaction, LETTERS_PER_TRANSACTION, type SettledLetter } from './replay-batch.ts';
import type { ReplayMark } from './replay-marks.ts';
import type { ReplayContext } from './replay-ports.ts';

// The letters of one partition, oldest first: judge, and append what passes in transactions with the marks.

/** What became of one letter. */
export interface LetterResult {
  readonly letter: DeadLetter;
  /** `would_replay` in a dry run. `refused` letters stay as they are, without a mark. */
  readonly outcome: 'replayed' | 'would_replay' | 'duplicate' | 'already_replayed' | 'refused';
  /** Of a refused letter: why it is no reading today either. */
  readonly reason: string | null;
  readonly detail: string;
}

export interface PartitionRequest {
  readonly partition: number;
  /** Ranges of the two dead letter topics in this partition. */
  readonly ranges: readonly OffsetRange[];
  /** The first offset that each topic still has in this partition. */
  readonly logStartOffsets: ReadonlyMap<string, number>;
  readonly isWanted: (letter: DeadLetter) => boolean;
  readonly isDryRun: boolean;
  /** Replays at most so many. */
  readonly replaysMax: number;
}

/** Letters that wait to be told about while a transaction fills. */
const WAITING_MAX = 1_000;

export async function* replayPartition(context: ReplayContext, request: PartitionRequest): AsyncGenerator<LetterResult, void, void> {
  const run = new PartitionReplay(context, request);
  try {
    yield* run.results();
  } catch (error) {
    // Told to stop while the marks were being read: nothing was begun.
    if (!(context.signal.aborted && error instanceof IngotError && error.code === 'CURSOR_CLOSED')) throw error;
  } finally {
    await run.close();
  }
}

class PartitionReplay {
  readonly #context: ReplayContext;
  readonly #request: PartitionRequest;
  readonly #marks: PartitionMarks;
  #isOpen = false;
  /** Of the transaction that is filling. */
  #settled: SettledLetter[] = [];
  #settledBytes = 0;
  #waiting: LetterResult[] = [];
  /** Replayed so far, those of the filling transaction included. */
  #replays = 0;

  constructor(context: ReplayContext, request: PartitionRequest) {
    this.#context = context;
    this.#request = request;
    const isGone = (place: string): boolean => {
      const [, topic = '', offset] = /^(.+)\/\d+\/(\d+)$/.exec(place) ?? [];
      return offset !== undefined && Number(offset) < (request.logStartOffsets.get(topic) ?? 0);
    };
    this.#marks = new PartitionMarks(context, request.partition, isGone);
  }

  async close(): Promise<void> {
    await this.#marks.close();
  }

  async *results(): AsyncGenerator<LetterResult, void, void> {
    const { isWanted, ranges, replaysMax } = this.#request;
    const { loop, signal } = this.#context;
    for (const range of ranges) {
      for await (const letter of readRange(range, { loop, signal, hidden: 'leave' })) {
        if (!isWanted(letter)) continue;
        if (this.#replays >= replaysMax) break;
        await this.#open();
        await this.#settle(letter);
        if (this.#isFull || this.#waiting.length >= WAITING_MAX) await this.#commit();
        if (this.#settled.length === 0) yield* this.#tell();
      }
    }
    // Told to stop: what was not committed is left to the next run.
    if (signal.aborted) this.#drop();
    await this.#commit();
    yield* this.#tell();
  }

  /** The partition is taken when the first wanted letter is there: most partitions often have none. */
  async #open(): Promise<void> {
    if (this.#isOpen) return;
    this.#isOpen = true;
    if (this.#request.isDryRun) await this.#marks.read();
    else await this.#marks.own();
  }

  async #settle(letter: DeadLetter): Promise<void> {
    const { book } = this.#marks;
    const earlier = book.of(letter);
    if (earlier !== null) {
      this.#waiting.push(alreadyReplayed(letter, earlier));
      return;
    }
    const verdict = await this.#judge(letter);
    if (verdict.kind !== 'replayable') {
      this.#waiting.push({ letter, outcome: 'refused', reason: verdict.reason, detail: verdict.detail });
      return;
    }
    // The letter of a replay that was refused has the message of the letter that was replayed: it is no second copy.
    const copyOf = isRefusedReplay(letter) ? null : book.placeOfMessage(verdict.identity);
    const mark: ReplayMark = {
      outcome: copyOf === null ? 'replayed' : 'duplicate',
      letterAppendTimeMs: letter.appendTimeMs,
      replayedAtMs: this.#context.nowMs(),
      identity: isRefusedReplay(letter) ? 0 : verdict.identity,
      run: this.#context.runId,
    };
    // Known at once, so that a copy of the message in the same transaction is told apart; after a failure the book is read anew.
    book.put(letterPlace(letter), mark);
    this.#settled.push({ letter, mark, reading: copyOf === null ? verdict : null });
    if (copyOf === null) {
      this.#replays += 1;
      this.#settledBytes += verdict.value.length;
    }
    const outcome = copyOf !== null ? 'duplicate' : this.#request.isDryRun ? 'would_replay' : 'replayed';
    const detail = copyOf !== null ? `the same message as ${copyOf}` : `to ${this.#context.topics.readings}/${verdict.partition}`;
    this.#waiting.push({ letter, outcome, reason: null, detail });
  }

  async #judge(letter: DeadLetter): Promise<Exclude<Verdict, { kind: 'unknown_schema' }>> {
    const { topics, decoder, encoder, limits, partitions, nowMs } = this.#context;
    const judge: Judge = { decoder, encoder, limits, partitions, nowMs: nowMs() };
    if (letter.topic === topics.bridgeDeadLetters) {
      const verdict = judgeMessage(letter, judge);
      if (verdict.kind !== 'unknown_schema') return verdict;
    }
    const first = judgeReading(letter, judge);
    if (first.kind !== 'unknown_schema') return first;
    await decoder.load(first.schemaId);
    const second = judgeReading(letter, judge);
    if (second.kind !== 'unknown_schema') return second;
    return { kind: 'refused', reason: 'undecodable', detail: `schema ${second.schemaId} is not known to the registry` };
  }

  get #isFull(): boolean {
    return this.#settled.length >= LETTERS_PER_TRANSACTION || this.#settledBytes >= BYTES_PER_TRANSACTION;
  }

  /** All that is settled, or nothing; in doubt the marks decide. */
  async #commit(): Promise<void> {
    const { topics, nowMs, runId } = this.#context;
    const { partition, isDryRun } = this.#request;
    while (this.#settled.length > 0 && !isDryRun) {
      const batches = encodeTransaction(this.#settled, this.#marks.book.takeExpired(), { topics, partition, nowMs: nowMs() });
      if (await this.#marks.commit(batches)) break;
      // One transaction marks all of them or none.
      if (this.#marks.book.of(this.#settled[0]!.letter)?.run === runId) break;
      // Another replay may have been at work meanwhile, and its marks are in the book now.
      for (const letter of this.#drop()) await this.#settle(letter);
    }
    this.#settled = [];
    this.#settledBytes = 0;
  }

  /** Takes back what is settled and not committed; returns its letters. */
  #drop(): DeadLetter[] {
    const letters = this.#settled.map(({ letter }) => letter);
    const places = new Set(letters.map(letterPlace));
    this.#waiting = this.#waiting.filter(({ letter }) => !places.has(letterPlace(letter)));
    this.#replays -= this.#settled.filter(({ reading }) => reading !== null).length;
    this.#settled = [];
    this.#settledBytes = 0;
    return letters;
  }

  *#tell(): Generator<LetterResult, void, void> {
    const told = this.#waiting;
    this.#waiting = [];
    yield* told;
  }
}

function alreadyReplayed(letter: DeadLetter, { outcome, replayedAtMs }: ReplayMark): LetterResult {
  const when = new Date(replayedAtMs).toISOString();
  const detail = outcome === 'replayed' ? `at ${when}` : `its message was, as another letter; settled at ${when}`;
  return { letter, outcome: 'already_replayed', reason: null, detail };
}
