import { setTimeout as sleep } from 'node:timers/promises';
import { CompressedBatchError, CorruptBatchError } from '../core/batch-errors.ts';
import { RecordReader } from '../core/record-batch.ts';
import { IngotError } from '../errors.ts';
import type { Fetched, PartitionCursor, TopicPartition } from '../kafka/log-port.ts';
import * as events from '../ops/sink-events.ts';
import type { SinkContext, SinkSource } from './sink-ports.ts';
import type { LastRecord, RawRecord, RejectedRecord, SinkRecord } from './sink-slice.ts';
import { checkExpected, restartAfter, type Start, startOf } from './start-position.ts';

// One partition's life in the sink: find the position, read on from there, hand slices to the writer, one at a time.

/** Records of a slice at most: several partitions fit into one transaction. */
const RECORDS_PER_SLICE = 2_000;
/** A partition where only transaction markers came has its position written down this late, so that retention may delete them. */
const IDLE_POSITION_MS = 30_000;
const FIRST_RETRY_MS = 200;
const LAST_RETRY_MS = 5_000;

export class PartitionReader<Value> {
  readonly #context: SinkContext;
  readonly #source: SinkSource<Value>;
  readonly #at: TopicPartition;
  readonly #stopping = new AbortController();
  readonly #records = new RecordReader();
  #cursor: PartitionCursor | null = null;
  #slice: { records: SinkRecord<Value>[]; rejected: RejectedRecord[]; last: LastRecord | null } = { records: [], rejected: [], last: null };
  #expected: LastRecord | null = null;
  #writtenAtMs = 0;
  #writtenOffset: number | null = null;

  constructor(context: SinkContext, source: SinkSource<Value>, partition: number) {
    this.#context = context;
    this.#source = source;
    this.#at = { topic: source.topic, partition };
  }

  /** The position in the database; null until it is known. */
  get writtenOffset(): number | null {
    return this.#writtenOffset;
  }

  /** Reads until `stop`. Rejects with IngotError `LOG_TRUNCATED` or `LOG_REPLACED`, or with what is wrong with the log's bytes. */
  async run(): Promise<void> {
    try {
      while (!this.#stopping.signal.aborted) await this.#readOn(await this.#start());
    } catch (error) {
      // Whatever rejects after a stop does so because of it.
      if (!this.#stopping.signal.aborted) throw error;
    } finally {
      this.#cursor?.close();
      events.sinkPartitionStopped(this.#at);
    }
  }

  stop(): void {
    this.#stopping.abort();
    this.#cursor?.close();
  }

  /** Asks database and log for the position, as often as it takes. */
  #start(): Promise<Start> {
    return this.#patiently(
      () => startOf(this.#context, this.#at, this.#stopping.signal),
      (error, retryInMs) => events.sinkPartitionDelayed({ ...this.#at, error: error.message, retryInMs }),
    );
  }

  /** Reads from a position until another sink has moved it. */
  async #readOn(start: Start): Promise<void> {
    // Stopped while the position was asked for: a cursor that is opened now would be closed by nobody.
    if (this.#stopping.signal.aborted) return;
    this.#slice = { records: [], rejected: [], last: null };
    this.#expected = start.expected;
    this.#writtenOffset = start.nextOffset;
    this.#writtenAtMs = performance.now();
    this.#cursor = this.#context.fetchLoop.open(this.#at, start.readFrom);
    events.sinkPartitionStarted({ ...this.#at, offset: start.nextOffset });
    try {
      for (;;) {
        const fetched = await this.#cursor.next();
        if (!(await this.#take(fetched))) return events.sinkPartitionMoved(this.#at);
      }
    } catch (error) {
      // Retention was quicker than the start: look at the log once more.
      if (error instanceof IngotError && error.code === 'OFFSET_OUT_OF_RANGE') return;
      await restartAfter(this.#context, this.#at, error);
    } finally {
      this.#cursor.close();
    }
  }

  /** Writes the records of an answer. False when another sink has moved the position. */
  async #take(fetched: Fetched): Promise<boolean> {
    const records = this.#records;
    records.reset(fetched);
    while (this.#next()) {
      this.#check({ offset: records.offset, appendedAtMs: records.timestampMs });
      if (records.offset < this.#writtenOffset!) continue;
      await this.#add();
      const { length } = this.#slice.records;
      if (length >= RECORDS_PER_SLICE && !(await this.#write(records.offset + 1))) return false;
    }
    events.sinkPosition({ ...this.#at, lagRecords: Math.max(0, fetched.highWatermark - records.nextOffset) });
    const hasRecords = this.#slice.last !== null;
    const isOverdue = records.nextOffset > this.#writtenOffset! && performance.now() - this.#writtenAtMs > IDLE_POSITION_MS;
    return hasRecords || isOverdue ? this.#write(records.nextOffset) : true;
  }

  #next(): boolean {
    try {
      return this.#records.next();
    } catch (cause) {
      const where = `${this.#at.topic}, partition ${this.#at.partition}`;
      if (cause instanceof CorruptBatchError) throw new IngotError('CORRUPT_BATCH', `${where}: ${cause.message}.`, { cause });
      if (cause instanceof CompressedBatchError) throw new IngotError('COMPRESSED_INPUT', `${where}: ${cause.message}.`, { cause });
      throw cause;
    }
  }

  #check(found: LastRecord): void {
    if (this.#expected === null) return;
    checkExpected(this.#at, this.#expected, found);
    this.#expected = null;
  }

  /** Adds the record that the reader stands on to the slice. */
  async #add(): Promise<void> {
    const { offset, timestampMs, buffer, keyStart, keyEnd, valueStart, valueEnd } = this.#records;
    const raw: RawRecord = { offset, buffer, keyStart, keyEnd, valueStart, valueEnd };
    const decoded = await this.#decode(raw);
    if (decoded.kind === 'value') this.#slice.records.push({ ...raw, value: decoded.value });
    else this.#slice.rejected.push({ ...raw, reason: 'undecodable', detail: decoded.detail });
    this.#slice.last = { offset, appendedAtMs: timestampMs };
  }

  async #decode({ buffer, valueStart, valueEnd }: RawRecord) {
    if (valueStart < 0) return { kind: 'undecodable', detail: 'the value is null' } as const;
    for (;;) {
      const decoded = this.#source.decoder.decode(buffer, valueStart, valueEnd);
      if (decoded.kind !== 'unknown_schema') return decoded;
      await this.#loadSchema(decoded.schemaId);
    }
  }

  #loadSchema(schemaId: number): Promise<void> {
    return this.#patiently(
      () => this.#source.decoder.load(schemaId),
      (error) => events.sinkSchemaAwaited({ ...this.#at, schemaId, error: error.message }),
    );
  }

  /** Writes what was gathered and moves the position to `to`. */
  async #write(to: number): Promise<boolean> {
    const { records, rejected, last } = this.#slice;
    const slice = { ...this.#at, from: this.#writtenOffset!, to, last, rejected, ...this.#source.place(records) };
    const outcome = await this.#context.writer.write(slice);
    if (outcome === 'moved') return false;
    this.#slice = { records: [], rejected: [], last: null };
    this.#writtenOffset = to;
    this.#writtenAtMs = performance.now();
    return true;
  }

  /** Repeats what failed for a while, until it succeeds or the reader is stopped. */
  async #patiently<Result>(work: () => Promise<Result>, onRetry: (error: Error, retryInMs: number) => void): Promise<Result> {
    for (let retryInMs = FIRST_RETRY_MS; ; retryInMs = Math.min(retryInMs * 2, LAST_RETRY_MS)) {
      try {
        return await work();
      } catch (error) {
        const mayRecover =
          error instanceof IngotError && (error.canRetry || error.code === 'REGISTRY_REFUSED' || error.code === 'DATABASE_REFUSED');
        if (!mayRecover) throw error;
        onRetry(error, retryInMs);
        await sleep(retryInMs, undefined, { signal: this.#stopping.signal });
      }
    }
  }
}
