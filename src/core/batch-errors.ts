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

/** A batch whose records are compressed, which this version does not read. */
export class CompressedBatchError extends Error {
  readonly baseOffset: number;
  readonly codec: string;
  constructor(baseOffset: number, codec: string) {
    super(`record batch at offset ${baseOffset} is compressed with ${codec}`);
    this.name = 'CompressedBatchError';
    this.baseOffset = baseOffset;
    this.codec = codec;
  }
}
