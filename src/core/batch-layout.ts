// Where the fields of a record batch v2 header stand (Kafka protocol guide, "Record Batch").

export const BATCH_HEADER_BYTES = 61;
/** The first two fields, which the length field does not count. */
export const OFFSET_AND_LENGTH_BYTES = 12;
export const LENGTH_AT = 8;
export const LEADER_EPOCH_AT = 12;
export const MAGIC_AT = 16;
export const CRC_AT = 17;
/** The checksum covers everything from here to the end. */
export const ATTRIBUTES_AT = 21;
export const LAST_OFFSET_DELTA_AT = 23;
export const BASE_TIMESTAMP_AT = 27;
export const MAX_TIMESTAMP_AT = 35;
export const PRODUCER_ID_AT = 43;
export const PRODUCER_EPOCH_AT = 51;
export const BASE_SEQUENCE_AT = 53;
export const COUNT_AT = 57;

export const MAGIC_V2 = 2;
export const COMPRESSION_MASK = 7;
export const LOG_APPEND_TIME_FLAG = 8;
export const TRANSACTIONAL_FLAG = 16;
export const CONTROL_FLAG = 32;

/** The key of a control record is its version and its type, 16 bits each. */
export const CONTROL_KEY_BYTES = 4;
export const CONTROL_TYPE_ABORT = 0;
export const CONTROL_TYPE_COMMIT = 1;

/** A 64-bit integer as a number: exact up to 2^53, which offsets, times and producer ids do not reach. */
export function readInt64(buffer: Buffer, at: number): number {
  return buffer.readInt32BE(at) * 0x1_0000_0000 + buffer.readUInt32BE(at + 4);
}

/** One past the last offset of a batch, as its header says: what is wrong with the batch may be wrong with that too. */
export function endOffsetOfBatch(buffer: Buffer, at: number): number {
  return readInt64(buffer, at) + Math.max(0, buffer.readInt32BE(at + LAST_OFFSET_DELTA_AT)) + 1;
}

export function writeInt64(buffer: Buffer, at: number, value: number): void {
  buffer.writeInt32BE(Math.floor(value / 0x1_0000_0000), at);
  buffer.writeUInt32BE(value >>> 0, at + 4);
}

/** Where the whole batches of a fetch answer end and which offset follows them. */
export interface WholeBatches {
  /** Bytes of whole batches from `start` on end here; what follows is one batch that maxBytes has cut off. */
  readonly end: number;
  /** One past the last offset of the last whole batch; null when there is none. */
  readonly nextOffset: number | null;
}

/** Looks for the batch that begins at `baseOffset`, and says which offset follows it; that after its first one when nothing tells. */
export function offsetAfterBatch(buffer: Buffer, baseOffset: number): number {
  for (let at = 0; at + BATCH_HEADER_BYTES <= buffer.length; ) {
    if (readInt64(buffer, at) === baseOffset) return endOffsetOfBatch(buffer, at);
    const batchBytes = OFFSET_AND_LENGTH_BYTES + buffer.readInt32BE(at + LENGTH_AT);
    if (batchBytes < BATCH_HEADER_BYTES) break;
    at += batchBytes;
  }
  return baseOffset + 1;
}

/** Walks over batch headers in `buffer[start, end)` without looking into the batches. Nonsense is kept, for the reader to refuse. */
export function findWholeBatches(buffer: Buffer, start: number, end: number): WholeBatches {
  let position = start;
  let nextOffset: number | null = null;
  while (position + BATCH_HEADER_BYTES <= end) {
    const batchBytes = OFFSET_AND_LENGTH_BYTES + buffer.readInt32BE(position + LENGTH_AT);
    if (batchBytes < BATCH_HEADER_BYTES || buffer[position + MAGIC_AT] !== MAGIC_V2) return { end, nextOffset };
    if (position + batchBytes > end) break;
    nextOffset = readInt64(buffer, position) + buffer.readInt32BE(position + LAST_OFFSET_DELTA_AT) + 1;
    position += batchBytes;
  }
  return { end: position, nextOffset };
}
