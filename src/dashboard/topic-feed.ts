import { setTimeout as sleep } from 'node:timers/promises';
import { CompressedBatchError, CorruptBatchError } from '../core/batch-errors.ts';
import { RecordReader } from '../core/record-batch.ts';
import { IngotError } from '../errors.ts';
import type { Fetched, FetchLoop, LogAdmin, PartitionCursor, Watermarks } from '../kafka/log-port.ts';
import { batchSkipped, feedInterrupted, feedStarted, recordsBehindSkipped, recordUndecodable } from '../ops/dashboard-events.ts';
import type { ValueDecoder } from '../registry/value-decoder-port.ts';

export interface TopicFeedOptions<Value> {
  readonly topic: string;
  readonly fetchLoop: FetchLoop;
  readonly admin: Pick<LogAdmin, 'watermarks'>;
  readonly decoder: ValueDecoder<Value>;
  /** How many records before the end it begins, per partition. */
  readonly backRecords: number;
  /** When it is further behind than this, it goes on `backRecords` before the end; null: it never leaves anything out. */
  readonly behindRecordsMax: number | null;
  /** `appendMs` is the record's append time. */
  observe(value: Value, appendMs: number): void;
}

const RETRY_MS = 1_000;
const START_DEADLINE_MS = 30_000;

/**
 * Reads a topic for the page: all its partitions from shortly before their end, for ever. It only looks, so that what it cannot read
 * it leaves out and counts. Its memory is one answer per partition.
 */
export class TopicFeed<Value> {
  readonly #options: TopicFeedOptions<Value>;
  readonly #closing = new AbortController();
  readonly #cursors = new Set<PartitionCursor>();
  #following: Promise<unknown> = Promise.resolve();

  constructor(options: TopicFeedOptions<Value>) {
    this.#options = options;
  }

  /**
   * Resolves with whether older records were left out. A log that does not answer is asked again for a while: partitions that were just
   * made may not have a leader yet. IngotErrors `TOPIC_MISSING`, `KAFKA_UNREACHABLE`.
   */
  async start(): Promise<{ readonly isCut: boolean }> {
    const { topic, backRecords } = this.#options;
    const watermarks = await this.#firstWatermarks();
    const starts = watermarks.map(({ logStartOffset, highWatermark }) => Math.max(logStartOffset, highWatermark - backRecords));
    const records = watermarks.reduce((sum, { highWatermark }, partition) => sum + highWatermark - starts[partition]!, 0);
    feedStarted({ topic, partitions: starts.length, records });
    this.#following = Promise.all(starts.map((offset, partition) => this.#follow(partition, offset)));
    // A log that does not begin at 0 has lost its oldest records to retention.
    return { isCut: starts.some((offset) => offset > 0) };
  }

  /** Never rejects. */
  async close(): Promise<void> {
    this.#closing.abort();
    for (const cursor of this.#cursors) cursor.close();
    await this.#following;
  }

  get #isClosed(): boolean {
    return this.#closing.signal.aborted;
  }

  async #firstWatermarks(): Promise<readonly Watermarks[]> {
    const deadlineAtMs = performance.now() + START_DEADLINE_MS;
    for (;;) {
      try {
        return await this.#options.admin.watermarks(this.#options.topic);
      } catch (error) {
        if (!(error instanceof IngotError && error.canRetry) || performance.now() > deadlineAtMs) throw error;
        await sleep(RETRY_MS, undefined, { signal: this.#closing.signal });
      }
    }
  }

  async #follow(partition: number, startOffset: number): Promise<void> {
    const { topic, fetchLoop } = this.#options;
    let offset = startOffset;
    while (!this.#isClosed) {
      const reader = new RecordReader();
      let cursor: PartitionCursor | null = null;
      try {
        cursor = fetchLoop.open({ topic, partition }, offset);
        this.#cursors.add(cursor);
        offset = await this.#readUntilJump(cursor, reader);
      } catch (error) {
        if (this.#isClosed) return;
        feedInterrupted({ topic, partition }, error);
        offset = await this.#offsetAfter(error, partition, Math.max(offset, reader.nextOffset));
      } finally {
        cursor?.close();
        if (cursor !== null) this.#cursors.delete(cursor);
      }
    }
  }

  /** Reads on and on; resolves with another offset when it has to go on there. */
  async #readUntilJump(cursor: PartitionCursor, reader: RecordReader): Promise<number> {
    const { topic, backRecords, behindRecordsMax } = this.#options;
    for (;;) {
      const fetched = await cursor.next();
      try {
        await this.#observeAll(fetched, reader);
      } catch (error) {
        if (!isDamage(error)) throw error;
        batchSkipped({ topic, partition: fetched.partition, offset: reader.nextOffset }, error);
        return Math.max(reader.nextOffset + 1, fetched.lastStableOffset);
      }
      const behind = fetched.highWatermark - reader.nextOffset;
      if (behindRecordsMax === null || behind <= Math.max(behindRecordsMax, backRecords)) continue;
      recordsBehindSkipped(topic, behind - backRecords);
      return fetched.highWatermark - backRecords;
    }
  }

  async #observeAll(fetched: Fetched, reader: RecordReader): Promise<void> {
    reader.reset(fetched);
    while (reader.next()) {
      if (reader.valueStart < 0) continue;
      let decoded = this.#decode(reader);
      while (decoded.kind === 'unknown_schema') {
        await this.#load(decoded.schemaId);
        decoded = this.#decode(reader);
      }
      if (decoded.kind === 'value') this.#options.observe(decoded.value, reader.timestampMs);
      else recordUndecodable(this.#options.topic);
    }
  }

  #decode(reader: RecordReader) {
    return this.#options.decoder.decode(reader.buffer, reader.valueStart, reader.valueEnd);
  }

  /** Waits for as long as the registry is away. Rejects when the feed is closed meanwhile. */
  async #load(schemaId: number): Promise<void> {
    for (;;) {
      try {
        await this.#options.decoder.load(schemaId);
        this.#closing.signal.throwIfAborted();
        return;
      } catch {
        await sleep(RETRY_MS, undefined, { signal: this.#closing.signal });
      }
    }
  }

  /** Where to go on after an interruption: where it was, or near the end when that is gone. */
  async #offsetAfter(error: unknown, partition: number, offset: number): Promise<number> {
    const { topic, admin, backRecords } = this.#options;
    try {
      await sleep(RETRY_MS, undefined, { signal: this.#closing.signal });
      if (!(error instanceof IngotError) || error.code !== 'OFFSET_OUT_OF_RANGE') return offset;
      const found = (await admin.watermarks(topic))[partition];
      return found === undefined ? offset : Math.max(found.logStartOffset, found.highWatermark - backRecords);
    } catch {
      // Closed, or the log is away: the next round finds out.
      return offset;
    }
  }
}

function isDamage(error: unknown): boolean {
  return error instanceof CorruptBatchError || error instanceof CompressedBatchError;
}
