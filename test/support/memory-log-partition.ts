import { encodeControlMarker, encodeRecordBatch, RecordReader } from '../../src/core/record-batch.ts';
import type { AbortedTransaction, EncodedRecords } from '../../src/kafka/log-port.ts';

// One partition of the in-memory log: stored batches in wire form, open transactions, markers, last stable offset, log start.

interface StoredBatch {
  readonly bytes: Buffer;
  readonly baseOffset: number;
  readonly lastOffset: number;
}

export interface Producer {
  readonly producerId: number;
  readonly epoch: number;
}

export interface MemoryAnswer {
  readonly batches: Buffer;
  /** One past the last offset of `batches`; null when there are none. */
  readonly nextOffset: number | null;
  readonly abortedTransactions: readonly AbortedTransaction[];
}

export class MemoryPartition {
  highWatermark = 0;
  logStartOffset = 0;
  readonly #isAppendTime: boolean;
  readonly #nowMs: () => number;
  #batches: StoredBatch[] = [];
  /** Producer id -> first offset of its open transaction. */
  readonly #open = new Map<number, number>();
  readonly #aborted: (AbortedTransaction & { readonly lastOffset: number })[] = [];
  readonly #appendTimes: { readonly offset: number; readonly timeMs: number }[] = [];
  readonly #waiting = new Set<() => void>();

  constructor(options: { isAppendTime: boolean; nowMs: () => number }) {
    this.#isAppendTime = options.isAppendTime;
    this.#nowMs = options.nowMs;
  }

  get lastStableOffset(): number {
    return Math.min(this.highWatermark, ...this.#open.values());
  }

  /** Appends as the broker does and returns the base offset. `producer` is given for records of a transaction. */
  append(batch: EncodedRecords, producer: Producer | null): number {
    const baseOffset = this.highWatermark;
    if (producer !== null && !this.#open.has(producer.producerId)) this.#open.set(producer.producerId, baseOffset);
    const bytes = encodeRecordBatch({
      records: batch.records,
      count: batch.count,
      baseTimestampMs: batch.baseTimestampMs,
      baseOffset,
      producerId: producer?.producerId,
      producerEpoch: producer?.epoch,
      transactional: producer !== null,
      appendTime: this.#isAppendTime ? this.#nowMs() : null,
    });
    requireReadable(bytes, batch);
    this.#store(bytes, batch.count);
    return baseOffset;
  }

  /** Ends the transaction that this producer has open here, if it has one. */
  endTransaction(producer: Producer, kind: 'commit' | 'abort'): void {
    const firstOffset = this.#open.get(producer.producerId);
    if (firstOffset === undefined) return;
    this.#open.delete(producer.producerId);
    const marker = encodeRecordBatch({
      records: encodeControlMarker(kind),
      count: 1,
      baseTimestampMs: this.#nowMs(),
      baseOffset: this.highWatermark,
      producerId: producer.producerId,
      producerEpoch: producer.epoch,
      transactional: true,
      control: true,
    });
    if (kind === 'abort') this.#aborted.push({ producerId: producer.producerId, firstOffset, lastOffset: this.highWatermark });
    this.#store(marker, 1);
  }

  holds(offset: number): boolean {
    return offset >= this.logStartOffset && offset <= this.highWatermark;
  }

  /** Whole batches from the one that holds `fetchOffset`: at least one, then up to `maxBytes`. */
  read(fetchOffset: number, options: { maxBytes: number; isCommitted: boolean }): MemoryAnswer {
    const end = options.isCommitted ? this.lastStableOffset : this.highWatermark;
    const batches: StoredBatch[] = [];
    let bytes = 0;
    for (const batch of this.#batches) {
      if (batch.lastOffset < fetchOffset) continue;
      if (batch.baseOffset >= end || (bytes > 0 && bytes + batch.bytes.length > options.maxBytes)) break;
      batches.push(batch);
      bytes += batch.bytes.length;
    }
    const nextOffset = batches.length === 0 ? null : batches.at(-1)!.lastOffset + 1;
    const abortedTransactions = options.isCommitted
      ? this.#aborted.filter((range) => range.lastOffset >= fetchOffset && range.firstOffset < (nextOffset ?? end))
      : [];
    return { batches: Buffer.concat(batches.map((batch) => batch.bytes)), nextOffset, abortedTransactions };
  }

  /** The first offset appended at or after `timeMs`; the high watermark when there is none. */
  offsetAtTime(timeMs: number): number {
    return this.#appendTimes.find((entry) => entry.timeMs >= timeMs)?.offset ?? this.highWatermark;
  }

  /** What retention does: drops whole batches below `offset` and raises the log's start to it. */
  deleteBefore(offset: number): void {
    this.logStartOffset = Math.max(this.logStartOffset, Math.min(offset, this.highWatermark));
    this.#batches = this.#batches.filter((batch) => batch.lastOffset >= this.logStartOffset);
  }

  /** What a bad disk does: the batch that holds the offset does not match its checksum any more. */
  damage(offset: number): void {
    const { bytes } = this.#batches.find((batch) => batch.baseOffset <= offset && offset <= batch.lastOffset)!;
    bytes[bytes.length - 1]! ^= 0xff;
  }

  /** Calls back once, after the next change of what can be read; returns how to give that up. */
  onceChanged(callback: () => void): () => void {
    this.#waiting.add(callback);
    return () => this.#waiting.delete(callback);
  }

  #store(bytes: Buffer, count: number): void {
    const baseOffset = this.highWatermark;
    this.#batches.push({ bytes, baseOffset, lastOffset: baseOffset + count - 1 });
    this.#appendTimes.push({ offset: baseOffset, timeMs: this.#nowMs() });
    this.highWatermark += count;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const callback of waiting) callback();
  }
}

/** The broker refuses what it cannot read; a test that writes such a thing has a bug. */
function requireReadable(bytes: Buffer, batch: EncodedRecords): void {
  const reader = new RecordReader();
  reader.reset({ batches: bytes, fetchOffset: 0, abortedTransactions: [] });
  let count = 0;
  while (reader.next()) count++;
  if (count !== batch.count) throw new Error(`${batch.topic}-${batch.partition}: ${count} records were encoded, not ${batch.count}`);
}
