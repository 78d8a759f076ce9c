import { findWholeBatches, readInt64 } from '../core/batch-layout.ts';
import type { AbortedTransaction } from './log-port.ts';

// Decodes a Fetch v11 response down to the record batches, which stay where they are in the buffer. The library's decoder makes
// objects of all records at once, which costs ten times as much and cannot be paced.

export interface FetchedPartition {
  readonly topic: string;
  readonly partition: number;
  /** Of the Kafka protocol; 0 is none. */
  readonly errorCode: number;
  readonly highWatermark: number;
  readonly lastStableOffset: number;
  readonly logStartOffset: number;
  readonly abortedTransactions: readonly AbortedTransaction[];
  /** Whole record batches; what maxBytes has cut off is left out. */
  readonly batches: Buffer;
  /** One past the last offset of `batches`; null when there is none. */
  readonly nextOffset: number | null;
}

export interface FetchResponse {
  readonly errorCode: number;
  readonly partitions: readonly FetchedPartition[];
}

const NO_ABORTED_TRANSACTIONS: readonly AbortedTransaction[] = [];

/** Reads fields one after the other. Node's own range checks throw a RangeError on a response that is cut off. */
class ResponseCursor {
  readonly #buffer: Buffer;
  #position = 0;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  int16(): number {
    this.#position += 2;
    return this.#buffer.readInt16BE(this.#position - 2);
  }

  int32(): number {
    this.#position += 4;
    return this.#buffer.readInt32BE(this.#position - 4);
  }

  int64(): number {
    this.#position += 8;
    return readInt64(this.#buffer, this.#position - 8);
  }

  string(): string {
    const start = this.#skip(this.int16());
    return this.#buffer.toString('utf8', start, this.#position);
  }

  recordBatches(): { batches: Buffer; nextOffset: number | null } {
    const start = this.#skip(this.int32());
    const { end, nextOffset } = findWholeBatches(this.#buffer, start, this.#position);
    return { batches: this.#buffer.subarray(start, end), nextOffset };
  }

  /** Steps over bytes (-1 is null) and gives where they start. */
  #skip(bytes: number): number {
    const start = this.#position;
    this.#position += Math.max(0, bytes);
    if (this.#position > this.#buffer.length) throw new RangeError('the fetch response is cut off');
    return start;
  }
}

/** Throws RangeError when the response is cut off. */
export function decodeFetchResponse(payload: Buffer): FetchResponse {
  const cursor = new ResponseCursor(payload);
  cursor.int32(); // throttle time: the library has seen it
  const errorCode = cursor.int16();
  cursor.int32(); // session id: we use none
  const partitions: FetchedPartition[] = [];
  for (let topics = cursor.int32(); topics > 0; topics--) {
    const topic = cursor.string();
    for (let left = cursor.int32(); left > 0; left--) partitions.push(decodePartition(cursor, topic));
  }
  return { errorCode, partitions };
}

function decodePartition(cursor: ResponseCursor, topic: string): FetchedPartition {
  const partition = cursor.int32();
  const errorCode = cursor.int16();
  const highWatermark = cursor.int64();
  const lastStableOffset = cursor.int64();
  const logStartOffset = cursor.int64();
  const abortedTransactions = decodeAbortedTransactions(cursor);
  cursor.int32(); // preferred read replica: we give no rack, so there is none
  return { topic, partition, errorCode, highWatermark, lastStableOffset, logStartOffset, abortedTransactions, ...cursor.recordBatches() };
}

function decodeAbortedTransactions(cursor: ResponseCursor): readonly AbortedTransaction[] {
  const count = cursor.int32();
  if (count <= 0) return NO_ABORTED_TRANSACTIONS;
  const aborted: AbortedTransaction[] = [];
  for (let left = count; left > 0; left--) aborted.push({ producerId: cursor.int64(), firstOffset: cursor.int64() });
  return aborted;
}
