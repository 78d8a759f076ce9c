import { AbortedProducers, type AbortedRange } from './aborted-producers.ts';
import { CompressedBatchError, CorruptBatchError } from './batch-errors.ts';
import {
  ATTRIBUTES_AT,
  BASE_SEQUENCE_AT,
  BASE_TIMESTAMP_AT,
  BATCH_HEADER_BYTES,
  COMPRESSION_MASK,
  CONTROL_FLAG,
  CONTROL_KEY_BYTES,
  CONTROL_TYPE_ABORT,
  CONTROL_TYPE_COMMIT,
  COUNT_AT,
  CRC_AT,
  LAST_OFFSET_DELTA_AT,
  LEADER_EPOCH_AT,
  LENGTH_AT,
  LOG_APPEND_TIME_FLAG,
  MAGIC_AT,
  MAGIC_V2,
  MAX_TIMESTAMP_AT,
  OFFSET_AND_LENGTH_BYTES,
  PRODUCER_EPOCH_AT,
  PRODUCER_ID_AT,
  readInt64,
  TRANSACTIONAL_FLAG,
  writeInt64,
} from './batch-layout.ts';
import { viewOf } from './buffer-view.ts';
import { crc32c } from './crc32c.ts';
import { encodeHeaders } from './record-headers.ts';
import { varintSize, wideVarintValue, writeVarint } from './varint.ts';

// Record batch v2, the form in which Kafka stores and sends records (protocol guide, "Record Batch"). Encoding and decoding touch
// each byte once and make no object per record: this is the hot path of bridge and aggregator.

const MIN_LENGTH_FIELD = BATCH_HEADER_BYTES - OFFSET_AND_LENGTH_BYTES;

export type RecordHeader = readonly [name: string, value: Uint8Array | string];

const NO_HEADERS: readonly RecordHeader[] = [];

/** Encodes records one after the other into one growing buffer that is used again and again. */
export class RecordsEncoder {
  #buffer: Buffer;
  #size = 0;
  #count = 0;
  #baseTimestampMs = 0;
  #maxTimestampMs = 0;

  constructor(initialBytes = 65_536) {
    this.#buffer = Buffer.allocUnsafe(initialBytes);
  }

  /** Forgets all records; the deltas of those that follow count from `baseTimestampMs` (an integer, epoch ms). */
  reset(baseTimestampMs: number): void {
    this.#size = 0;
    this.#count = 0;
    this.#baseTimestampMs = baseTimestampMs;
    this.#maxTimestampMs = baseTimestampMs;
  }

  /** Appends one record; key and value are copied. `timestampMs` is an integer. */
  add(key: Uint8Array | null, value: Uint8Array | null, timestampMs: number, headers: readonly RecordHeader[] = NO_HEADERS): void {
    const timestampDelta = timestampMs - this.#baseTimestampMs;
    const encodedHeaders = headers.length === 0 ? null : encodeHeaders(headers);
    const bodyBytes =
      1 +
      varintSize(timestampDelta) +
      varintSize(this.#count) +
      sizeWithLength(key) +
      sizeWithLength(value) +
      (encodedHeaders === null ? 1 : encodedHeaders.length);
    this.#makeRoom(bodyBytes + varintSize(bodyBytes));
    const buffer = this.#buffer;
    let position = writeVarint(buffer, this.#size, bodyBytes);
    buffer[position++] = 0;
    position = writeVarint(buffer, position, timestampDelta);
    position = writeVarint(buffer, position, this.#count);
    position = writeWithLength(buffer, position, key);
    position = writeWithLength(buffer, position, value);
    if (encodedHeaders === null) buffer[position++] = 0;
    else position = copyInto(buffer, position, encodedHeaders);
    this.#size = position;
    this.#count++;
    if (timestampMs > this.#maxTimestampMs) this.#maxTimestampMs = timestampMs;
  }

  get count(): number {
    return this.#count;
  }

  /** Bytes of all records so far; the batch header is 61 more. */
  get sizeBytes(): number {
    return this.#size;
  }

  get baseTimestampMs(): number {
    return this.#baseTimestampMs;
  }

  get maxTimestampMs(): number {
    return this.#maxTimestampMs;
  }

  /** A copy of the records so far: it stays valid while the encoder is used again. The encoder keeps them until `reset`. */
  take(): Buffer {
    return Buffer.from(this.#buffer.subarray(0, this.#size));
  }

  #makeRoom(bytes: number): void {
    if (this.#size + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#size + bytes));
    this.#buffer.copy(larger, 0, 0, this.#size);
    this.#buffer = larger;
  }
}

function sizeWithLength(bytes: Uint8Array | null): number {
  return bytes === null ? 1 : varintSize(bytes.length) + bytes.length;
}

function writeWithLength(into: Buffer, position: number, bytes: Uint8Array | null): number {
  if (bytes === null) return writeVarint(into, position, -1);
  return copyInto(into, writeVarint(into, position, bytes.length), bytes);
}

/** For a few bytes a loop is faster than a call into the runtime. */
function copyInto(into: Buffer, position: number, bytes: Uint8Array): number {
  if (bytes.length < 48) for (let i = 0; i < bytes.length; i++) into[position + i] = bytes[i]!;
  else into.set(bytes, position);
  return position + bytes.length;
}

export interface RecordBatchFields {
  /** Encoded records, as `RecordsEncoder.take` gives them. */
  readonly records: Uint8Array;
  readonly count: number;
  readonly baseTimestampMs: number;
  readonly maxTimestampMs?: number | undefined;
  readonly baseOffset?: number | undefined;
  /** Larger than count - 1 only in batches that compaction has thinned out. */
  readonly lastOffsetDelta?: number | undefined;
  readonly producerId?: number | undefined;
  readonly producerEpoch?: number | undefined;
  readonly baseSequence?: number | undefined;
  readonly transactional?: boolean | undefined;
  readonly control?: boolean | undefined;
  /** The log's time of appending, epoch ms: makes it a batch of timestamp type LogAppendTime. */
  readonly appendTime?: number | null | undefined;
}

/** One whole record batch v2, uncompressed. */
export function encodeRecordBatch(fields: RecordBatchFields): Buffer {
  const { records, count, baseTimestampMs, appendTime = null } = fields;
  const batch = Buffer.allocUnsafe(BATCH_HEADER_BYTES + records.length);
  const attributes =
    (appendTime === null ? 0 : LOG_APPEND_TIME_FLAG) |
    (fields.transactional === true ? TRANSACTIONAL_FLAG : 0) |
    (fields.control === true ? CONTROL_FLAG : 0);
  writeInt64(batch, 0, fields.baseOffset ?? 0);
  batch.writeInt32BE(batch.length - OFFSET_AND_LENGTH_BYTES, LENGTH_AT);
  batch.writeInt32BE(0, LEADER_EPOCH_AT);
  batch[MAGIC_AT] = MAGIC_V2;
  batch.writeInt16BE(attributes, ATTRIBUTES_AT);
  batch.writeInt32BE(fields.lastOffsetDelta ?? count - 1, LAST_OFFSET_DELTA_AT);
  writeInt64(batch, BASE_TIMESTAMP_AT, baseTimestampMs);
  writeInt64(batch, MAX_TIMESTAMP_AT, appendTime ?? fields.maxTimestampMs ?? baseTimestampMs);
  writeInt64(batch, PRODUCER_ID_AT, fields.producerId ?? -1);
  batch.writeInt16BE(fields.producerEpoch ?? -1, PRODUCER_EPOCH_AT);
  batch.writeInt32BE(fields.baseSequence ?? -1, BASE_SEQUENCE_AT);
  batch.writeInt32BE(count, COUNT_AT);
  batch.set(records, BATCH_HEADER_BYTES);
  batch.writeUInt32BE(crc32c(batch, ATTRIBUTES_AT), CRC_AT);
  return batch;
}

/** The records of a control batch: the marker that ends a transaction. */
export function encodeControlMarker(kind: 'abort' | 'commit'): Buffer {
  const encoder = new RecordsEncoder(32);
  encoder.add(Uint8Array.of(0, 0, 0, kind === 'abort' ? CONTROL_TYPE_ABORT : CONTROL_TYPE_COMMIT), Uint8Array.of(0, 0, 0, 0, 0, 0), 0);
  return encoder.take();
}

/** One answer of the log, as the reader needs it; log-port's `Fetched` is one. */
export interface BatchesToRead {
  /** Whole record batches, one after the other. */
  readonly batches: Buffer;
  readonly fetchOffset: number;
  /** Empty when reading uncommitted. */
  readonly abortedTransactions: readonly AbortedRange[];
}

/**
 * Walks over the records of an answer, without an object per record: after `next` has returned true the fields tell where the
 * record stands in `buffer`. Skips control records, records of aborted transactions and those before `fetchOffset`. `next` throws
 * CorruptBatchError or CompressedBatchError; the reader may not be used after that until `reset`.
 */
export class RecordReader {
  offset = -1;
  /**
   * The record's own time, or the log's time of appending when the batch is of type LogAppendTime; epoch ms. NaN at first: a whole number here
   * would make the engine compile all that read it once more.
   */
  timestampMs = Number.NaN;
  buffer: Buffer = Buffer.alloc(0);
  /** Of the whole buffer. */
  view = viewOf(this.buffer);
  /** -1 when the key is null. */
  keyStart = -1;
  keyEnd = -1;
  /** -1 when the value is null. */
  valueStart = -1;
  valueEnd = -1;
  /** Where to go on reading: after everything read so far, skipped batches included. */
  nextOffset = 0;

  readonly #aborted = new AbortedProducers();
  #fetchOffset = 0;
  #position = 0;
  #headersAt = 0;
  #recordEnd = 0;
  #recordsLeft = 0;
  #batchEnd = 0;
  #baseOffset = 0;
  #endOffset = 0;
  #baseTimestampMs = Number.NaN;
  /** NaN when the records have times of their own. */
  #appendTimeMs = Number.NaN;

  reset(fetched: BatchesToRead): void {
    this.buffer = fetched.batches;
    this.view = viewOf(fetched.batches);
    this.nextOffset = fetched.fetchOffset;
    this.#fetchOffset = fetched.fetchOffset;
    this.#aborted.reset(fetched.abortedTransactions);
    this.#position = 0;
    this.#batchEnd = 0;
    this.#recordsLeft = 0;
    this.#endOffset = 0;
  }

  /** Moves to the next visible record. False at the end of the answer; then `nextOffset` is the offset to fetch from. */
  next(): boolean {
    for (;;) {
      while (this.#recordsLeft > 0) {
        this.#readRecord();
        if (this.offset < this.#fetchOffset) continue;
        this.nextOffset = this.offset + 1;
        return true;
      }
      if (this.#position !== this.#batchEnd) this.#refuse('bytes are left after its last record');
      if (this.#endOffset > this.nextOffset) this.nextOffset = this.#endOffset;
      if (this.#position >= this.buffer.length) return false;
      this.#openBatch();
    }
  }

  /** Whether the current record has headers: most have none, and a map for each would cost more than the fold. */
  get hasHeaders(): boolean {
    return this.buffer[this.#headersAt] !== 0;
  }

  /** The headers of the current record. Of headers with equal names the last one counts; a null value is given as an empty one. */
  headers(): Map<string, Buffer> {
    const headers = new Map<string, Buffer>();
    this.#walkHeaders(headers);
    return headers;
  }

  #openBatch(): void {
    const { buffer } = this;
    const at = this.#position;
    const left = buffer.length - at;
    this.#baseOffset = left < 8 ? -1 : readInt64(buffer, at);
    if (left < BATCH_HEADER_BYTES) this.#refuse('is cut off');
    const length = buffer.readInt32BE(at + LENGTH_AT);
    if (length < MIN_LENGTH_FIELD || length > left - OFFSET_AND_LENGTH_BYTES) this.#refuse(`claims a length of ${length} bytes`);
    if (buffer[at + MAGIC_AT] !== MAGIC_V2) this.#refuse(`has magic ${buffer[at + MAGIC_AT]}, not 2`);
    const end = at + OFFSET_AND_LENGTH_BYTES + length;
    if (crc32c(buffer, at + ATTRIBUTES_AT, end) !== buffer.readUInt32BE(at + CRC_AT)) this.#refuse('does not match its checksum');
    const lastOffsetDelta = buffer.readInt32BE(at + LAST_OFFSET_DELTA_AT);
    const count = buffer.readInt32BE(at + COUNT_AT);
    if (lastOffsetDelta < 0 || count < 0) this.#refuse(`has ${count} records and last offset delta ${lastOffsetDelta}`);
    this.#batchEnd = end;
    this.#endOffset = this.#baseOffset + lastOffsetDelta + 1;
    this.offset = this.#baseOffset - 1;
    const attributes = buffer.readInt16BE(at + ATTRIBUTES_AT);
    this.#aborted.advanceTo(this.#endOffset - 1);
    if (attributes & CONTROL_FLAG) this.#takeControlBatch(at, count);
    else if (attributes & TRANSACTIONAL_FLAG && this.#aborted.has(readInt64(buffer, at + PRODUCER_ID_AT))) this.#skipRecords();
    else {
      if (attributes & COMPRESSION_MASK) throw new CompressedBatchError(this.#baseOffset, attributes & COMPRESSION_MASK);
      this.#recordsLeft = count;
      this.#position = at + BATCH_HEADER_BYTES;
      this.#baseTimestampMs = readInt64(buffer, at + BASE_TIMESTAMP_AT);
      this.#appendTimeMs = attributes & LOG_APPEND_TIME_FLAG ? readInt64(buffer, at + MAX_TIMESTAMP_AT) : Number.NaN;
    }
  }

  #skipRecords(): void {
    this.#recordsLeft = 0;
    this.#position = this.#batchEnd;
  }

  /** A control batch holds one marker; only that of an abort ends what the list of aborted transactions began. */
  #takeControlBatch(at: number, count: number): void {
    this.#position = at + BATCH_HEADER_BYTES;
    if (count > 0) {
      this.#recordsLeft = count;
      this.#readRecord();
      const isAbort = this.keyEnd - this.keyStart >= CONTROL_KEY_BYTES && this.buffer.readInt16BE(this.keyStart + 2) === CONTROL_TYPE_ABORT;
      if (isAbort) this.#aborted.endTransaction(readInt64(this.buffer, at + PRODUCER_ID_AT));
    }
    this.#skipRecords();
  }

  #readRecord(): void {
    this.#recordsLeft--;
    const bodyBytes = this.#readVarint();
    const end = this.#position + bodyBytes;
    if (!(bodyBytes > 0 && end <= this.#batchEnd)) this.#refuse(`a record after offset ${this.offset} claims ${bodyBytes} bytes`);
    this.#recordEnd = end;
    this.#position++;
    const timestampDelta = this.#readVarint();
    const offset = this.#baseOffset + this.#readVarint();
    if (!(offset > this.offset && offset < this.#endOffset)) this.#refuse(`its offset ${offset} is not in order`);
    this.offset = offset;
    this.timestampMs = Number.isNaN(this.#appendTimeMs) ? this.#baseTimestampMs + timestampDelta : this.#appendTimeMs;
    const keyBytes = this.#readVarint();
    this.keyStart = keyBytes === -1 ? -1 : this.#position;
    this.keyEnd = this.#skipBytes(keyBytes);
    const valueBytes = this.#readVarint();
    this.valueStart = valueBytes === -1 ? -1 : this.#position;
    this.valueEnd = this.#skipBytes(valueBytes);
    this.#headersAt = this.#position;
    if (this.#position + 1 === end && this.buffer[this.#position] === 0) this.#position = end;
    else this.#walkHeaders(null);
  }

  #walkHeaders(into: Map<string, Buffer> | null): void {
    const positionBefore = this.#position;
    this.#position = this.#headersAt;
    const count = this.#readVarint();
    if (!(count >= 0)) this.#refuse(`record ${this.offset} claims ${count} headers`);
    for (let i = 0; i < count; i++) {
      const nameBytes = this.#readVarint();
      const nameAt = this.#position;
      if (nameBytes < 0) this.#refuse(`record ${this.offset} has a header without a name`);
      const nameEnd = this.#skipBytes(nameBytes);
      const valueBytes = this.#readVarint();
      const valueAt = this.#position;
      this.#skipBytes(valueBytes);
      into?.set(this.buffer.toString('utf8', nameAt, nameEnd), this.buffer.subarray(valueAt, this.#position));
    }
    if (this.#position !== this.#recordEnd) this.#refuse(`record ${this.offset} is not as long as it claims`);
    if (into !== null) this.#position = positionBefore;
  }

  /** Steps over bytes of which the length was just read; the end, or -1 for null. */
  #skipBytes(length: number): number {
    if (length === -1) return -1;
    if (!(length >= 0 && length <= this.#recordEnd - this.#position)) this.#refuse(`a field of ${length} bytes does not fit its record`);
    this.#position += length;
    return this.#position;
  }

  #readVarint(): number {
    const { buffer } = this;
    const start = this.#position;
    // Nearly all are of one or two bytes.
    const first = buffer[start]!;
    if (first < 128 && start < this.#batchEnd) {
      this.#position = start + 1;
      return (first >>> 1) ^ -(first & 1);
    }
    const second = buffer[start + 1]!;
    if (second < 128 && start + 1 < this.#batchEnd) {
      const zigzag = (first & 127) | (second << 7);
      this.#position = start + 2;
      return (zigzag >>> 1) ^ -(zigzag & 1);
    }
    return this.#readWideVarint(start);
  }

  #readWideVarint(start: number): number {
    const value = wideVarintValue(this.buffer, start, this.#batchEnd);
    if (Number.isNaN(value)) this.#refuse('a number in it does not end');
    let position = start;
    while (this.buffer[position]! > 127) position++;
    this.#position = position + 1;
    return value;
  }

  #refuse(what: string): never {
    throw new CorruptBatchError(this.#baseOffset, what);
  }
}
