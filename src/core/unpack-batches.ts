import { CorruptBatchError } from './batch-errors.ts';
import {
  ATTRIBUTES_AT,
  BATCH_HEADER_BYTES,
  COMPRESSION_MASK,
  CRC_AT,
  LENGTH_AT,
  MAGIC_AT,
  MAGIC_V2,
  OFFSET_AND_LENGTH_BYTES,
  readInt64,
} from './batch-layout.ts';
import { CODEC_NAMES, type CodecName } from './compression.ts';
import { crc32c } from './crc32c.ts';

// Compressed record batches become uncompressed ones before anybody reads them: the records behind the header are unpacked, and length,
// attributes and checksum of the header say so. So the reader of records has one form of batch to know, and codecs may work elsewhere.

/** Where a compressed batch stands in an answer. */
export interface CompressedBatch {
  /** null when no such codec is known. */
  readonly codec: CodecName | null;
  readonly baseOffset: number;
  /** The whole batch, header included. */
  readonly batch: Buffer;
  readonly start: number;
  readonly end: number;
}

/** The compressed batches in `batches`, which are whole; in most answers there is none. What is wrong with others is for the reader to refuse. */
export function findCompressedBatches(batches: Buffer): CompressedBatch[] {
  const found: CompressedBatch[] = [];
  for (let start = 0; start + BATCH_HEADER_BYTES <= batches.length; ) {
    const end = start + OFFSET_AND_LENGTH_BYTES + batches.readInt32BE(start + LENGTH_AT);
    if (end < start + BATCH_HEADER_BYTES || end > batches.length || batches[start + MAGIC_AT] !== MAGIC_V2) return found;
    const codec = batches.readInt16BE(start + ATTRIBUTES_AT) & COMPRESSION_MASK;
    if (codec !== 0) {
      const batch = batches.subarray(start, end);
      found.push({ codec: CODEC_NAMES[codec] ?? null, baseOffset: readInt64(batch, 0), batch, start, end });
    }
    start = end;
  }
  return found;
}

/** The compressed records of a batch. Throws CorruptBatchError when it does not match its checksum. */
export function compressedRecords({ batch, baseOffset }: CompressedBatch): Buffer {
  if (crc32c(batch, ATTRIBUTES_AT) !== batch.readUInt32BE(CRC_AT)) throw new CorruptBatchError(baseOffset, 'does not match its checksum');
  return batch.subarray(BATCH_HEADER_BYTES);
}

/** The same batch with its records unpacked. */
export function asUncompressed({ batch }: CompressedBatch, records: Uint8Array): Buffer {
  const unpacked = Buffer.allocUnsafe(BATCH_HEADER_BYTES + records.length);
  batch.copy(unpacked, 0, 0, BATCH_HEADER_BYTES);
  unpacked.set(records, BATCH_HEADER_BYTES);
  unpacked.writeInt32BE(unpacked.length - OFFSET_AND_LENGTH_BYTES, LENGTH_AT);
  unpacked.writeInt16BE(batch.readInt16BE(ATTRIBUTES_AT) & ~COMPRESSION_MASK, ATTRIBUTES_AT);
  unpacked.writeUInt32BE(crc32c(unpacked, ATTRIBUTES_AT), CRC_AT);
  return unpacked;
}
