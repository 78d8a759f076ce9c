import { encodeRecordBatch, RecordReader } from '../../src/core/record-batch.ts';
import { IngotError } from '../../src/errors.ts';
import type { EncodedRecords, ProduceLane } from '../../src/kafka/log-port.ts';

export interface LaneRecord {
  readonly topic: string;
  readonly partition: number;
  readonly key: string | null;
  readonly value: Buffer;
  readonly timestampMs: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** A lane that keeps every send until the test lets it go, and refuses what is larger than `maxBatchBytes`. */
export class HeldLane implements ProduceLane {
  /** What was acknowledged. */
  readonly records: LaneRecord[] = [];
  readonly batchSizes: number[] = [];
  sends = 0;
  isHeld = false;
  maxBatchBytes = Number.POSITIVE_INFINITY;
  /** Topics whose batches are refused above this many bytes. */
  readonly maxBytesOfTopic = new Map<string, number>();
  #waiting: { readonly batches: readonly EncodedRecords[]; settle(error?: Error): void } | null = null;

  async send(batches: readonly EncodedRecords[]): Promise<void> {
    this.sends++;
    if (this.#waiting !== null) throw new IngotError('LANE_BUSY', 'a send is in flight');
    const isTooLarge = (batch: EncodedRecords) => batch.records.length > (this.maxBytesOfTopic.get(batch.topic) ?? this.maxBatchBytes);
    const pending = batches.flatMap((batch, at) => (isTooLarge(batch) ? [at] : []));
    if (pending.length > 0) {
      this.#append(batches.filter((batch) => !isTooLarge(batch)));
      throw new IngotError('RECORD_TOO_LARGE', 'too large', { details: { pending } });
    }
    if (this.isHeld) {
      await new Promise<void>((resolve, reject) => {
        this.#waiting = { batches, settle: (error) => (error === undefined ? resolve() : reject(error)) };
      });
    }
    this.#append(batches);
  }

  /** Lets the send in flight succeed, and those that follow. */
  letGo(): void {
    this.isHeld = false;
    this.#settle();
  }

  fail(error: Error): void {
    this.#settle(error);
  }

  async close(): Promise<void> {
    this.#settle(new IngotError('LANE_CLOSED', 'closed'));
  }

  get isSending(): boolean {
    return this.#waiting !== null;
  }

  #settle(error?: Error): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.settle(error);
  }

  #append(batches: readonly EncodedRecords[]): void {
    if (batches.length > 0) this.batchSizes.push(batches.reduce((total, batch) => total + batch.count, 0));
    for (const batch of batches) this.records.push(...readRecords(batch));
  }
}

export function readRecords(encoded: EncodedRecords): LaneRecord[] {
  const { topic, partition, records, count, baseTimestampMs } = encoded;
  const reader = new RecordReader();
  reader.reset({ batches: encodeRecordBatch({ records, count, baseTimestampMs }), fetchOffset: 0, abortedTransactions: [] });
  const read: LaneRecord[] = [];
  while (reader.next()) {
    read.push({
      topic,
      partition,
      key: reader.keyStart < 0 ? null : reader.buffer.toString('utf8', reader.keyStart, reader.keyEnd),
      value: Buffer.from(reader.buffer.subarray(reader.valueStart, reader.valueEnd)),
      timestampMs: reader.timestampMs,
      headers: Object.fromEntries([...reader.headers()].map(([name, value]) => [name, String(value)])),
    });
  }
  return read;
}
