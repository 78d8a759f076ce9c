import { CODEC_NAMES } from './compression.ts';

// What the reader of record batches refuses. The stages turn these into errors of the catalogue (CORRUPT_BATCH, COMPRESSED_INPUT).

/** A batch that does not match its checksum or its own lengths, or is of a format before v2. */
export class CorruptBatchError extends Error {
  readonly baseOffset: number;
  constructor(baseOffset: number, what: string) {
    super(`record batch at offset ${baseOffset}: ${what}`);
    this.name = 'CorruptBatchError';
    this.baseOffset = baseOffset;
  }
}

/** A batch whose records are compressed: the reader wants them unpacked before (unpack-batches.ts). */
export class CompressedBatchError extends Error {
  readonly baseOffset: number;
  readonly codec: string;
  constructor(baseOffset: number, codecNumber: number) {
    const codec = CODEC_NAMES[codecNumber] ?? `codec ${codecNumber}`;
    super(`record batch at offset ${baseOffset} is compressed with ${codec}`);
    this.name = 'CompressedBatchError';
    this.baseOffset = baseOffset;
    this.codec = codec;
  }
}
