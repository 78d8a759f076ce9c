// What all codecs of Kafka's record batches have in common.

/** The codecs by their number in a batch's attributes. */
export const CODEC_NAMES = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const;

export type CodecName = (typeof CODEC_NAMES)[number];

/** The bytes are not what the codec writes. */
export class CorruptCompressionError extends Error {
  constructor(what: string) {
    super(what);
    this.name = 'CorruptCompressionError';
  }
}

/** Unpacked it would be larger than allowed. */
export class DecompressedTooLargeError extends Error {
  constructor(bytesMax: number) {
    super(`it unpacks to more than ${bytesMax} bytes`);
    this.name = 'DecompressedTooLargeError';
  }
}

/**
 * Bytes that grow while they are unpacked, and of which earlier ones are copied: what Snappy and LZ4 are made of. Throws
 * DecompressedTooLargeError instead of growing beyond the limit, and CorruptCompressionError when a copy begins before the first byte.
 */
export class UnpackedBytes {
  #buffer: Uint8Array;
  readonly #bytesMax: number;
  length = 0;

  constructor(options: { readonly expectedBytes: number; readonly bytesMax: number }) {
    this.#bytesMax = options.bytesMax;
    this.#buffer = new Uint8Array(Math.min(options.expectedBytes, options.bytesMax));
  }

  /** A literal: source[start, start + length). */
  append(source: Uint8Array, start: number, length: number): void {
    if (length > source.length - start) throw new CorruptCompressionError('a literal is longer than what is left');
    this.#makeRoom(length);
    this.#buffer.set(source.subarray(start, start + length), this.length);
    this.length += length;
  }

  /** Once more what began `distance` bytes ago; it may overlap with what it makes. */
  repeat(distance: number, length: number): void {
    if (distance <= 0 || distance > this.length) throw new CorruptCompressionError('a copy begins before the first byte');
    this.#makeRoom(length);
    const buffer = this.#buffer;
    const from = this.length - distance;
    if (distance >= length) buffer.copyWithin(this.length, from, from + length);
    else for (let i = 0; i < length; i++) buffer[this.length + i] = buffer[from + i]!;
    this.length += length;
  }

  bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.length);
  }

  #makeRoom(bytes: number): void {
    const needed = this.length + bytes;
    if (needed > this.#bytesMax) throw new DecompressedTooLargeError(this.#bytesMax);
    if (needed <= this.#buffer.length) return;
    const larger = new Uint8Array(Math.min(this.#bytesMax, Math.max(needed, this.#buffer.length * 2, 1024)));
    larger.set(this.bytes());
    this.#buffer = larger;
  }
}
