import { promisify } from 'node:util';
import { gunzip, zstdDecompress } from 'node:zlib';
import { CorruptBatchError } from '../core/batch-errors.ts';
import { endOffsetOfBatch } from '../core/batch-layout.ts';
import { type CodecName, CorruptCompressionError, DecompressedTooLargeError } from '../core/compression.ts';
import { lz4Decompress } from '../core/lz4-decompress.ts';
import { snappyDecompress } from '../core/snappy-decompress.ts';
import { asUncompressed, type CompressedBatch, compressedRecords, findCompressedBatches } from '../core/unpack-batches.ts';
import { IngotError } from '../errors.ts';
import type { FetchedPartition } from './fetch-response.ts';

// What a partition answered, with its compressed batches unpacked. A few bytes can unpack to gigabytes, so there are two limits: what a
// batch unpacks to, beyond which it is refused, and what an answer does, beyond which the rest is left for the next fetch.

/** Far above what a producer collects in one batch; Kafka itself takes 1 MiB of compressed bytes, 16 where our transactions write. */
export const UNPACKED_BATCH_BYTES_MAX = 64 * 1024 * 1024;
const UNPACKED_ANSWER_BYTES_MAX = 16 * 1024 * 1024;

const gunzipOnThreadPool = promisify(gunzip);
const zstdOnThreadPool = promisify(zstdDecompress);

const NOTHING = new Uint8Array(0);

type Unpack = (records: Buffer) => Uint8Array | Promise<Uint8Array>;

const limit = { maxOutputLength: UNPACKED_BATCH_BYTES_MAX };
const UNPACKERS: Readonly<Record<CodecName, Unpack>> = {
  none: (records) => records,
  gzip: (records) => gunzipOnThreadPool(records, limit),
  snappy: (records) => snappyDecompress(records, UNPACKED_BATCH_BYTES_MAX),
  lz4: (records) => lz4Decompress(records, UNPACKED_BATCH_BYTES_MAX),
  zstd: (records) => zstdOnThreadPool(records, limit),
};

export interface UnpackedAnswer {
  readonly answer: FetchedPartition;
  /** Why the first batch cannot be unpacked; then there is nothing in the answer. IngotErrors `CORRUPT_BATCH`, `COMPRESSED_INPUT`. */
  readonly failure: IngotError | null;
}

/** Never rejects. What comes before a batch that cannot be unpacked is given first; the next answer begins with that batch. */
export async function unpackAnswer(answer: FetchedPartition): Promise<UnpackedAnswer> {
  const compressed = findCompressedBatches(answer.batches);
  if (compressed.length === 0) return { answer, failure: null };
  const pieces: Buffer[] = [];
  let bytes = 0;
  let taken = 0;
  const take = (piece: Buffer): void => {
    if (piece.length > 0) pieces.push(piece);
    bytes += piece.length;
  };
  const upTo = (nextOffset: number | null): FetchedPartition => ({ ...answer, batches: Buffer.concat(pieces), nextOffset });
  for (const one of compressed) {
    take(answer.batches.subarray(taken, one.start));
    if (bytes > UNPACKED_ANSWER_BYTES_MAX) return { answer: upTo(one.baseOffset), failure: null };
    try {
      take(asUncompressed(one, await unpack(one)));
    } catch (cause) {
      if (pieces.length > 0) return { answer: upTo(one.baseOffset), failure: null };
      return { answer: upTo(null), failure: failureOf(cause, one, answer) };
    }
    taken = one.end;
  }
  take(answer.batches.subarray(taken));
  return { answer: upTo(answer.nextOffset), failure: null };
}

async function unpack(one: CompressedBatch): Promise<Uint8Array> {
  const records = compressedRecords(one);
  if (one.codec === null) throw new CorruptCompressionError('no such codec is known');
  // A batch that compaction has emptied may keep its codec.
  return records.length === 0 ? NOTHING : await UNPACKERS[one.codec](records);
}

/** `details.nextOffset`: from where on somebody who can do without the batch may read. */
function failureOf(cause: unknown, { baseOffset, codec, batch }: CompressedBatch, { topic, partition }: FetchedPartition): IngotError {
  const where = `${topic}-${partition}: record batch at offset ${baseOffset}`;
  const options = { cause, details: { nextOffset: endOffsetOfBatch(batch, 0) } };
  if (cause instanceof CorruptBatchError) return new IngotError('CORRUPT_BATCH', `${topic}-${partition}: ${cause.message}`, options);
  const packed = `compressed with ${codec ?? 'an unknown codec'}`;
  if (isTooLarge(cause)) {
    return new IngotError('COMPRESSED_INPUT', `${where}, ${packed}, unpacks to more than ${UNPACKED_BATCH_BYTES_MAX} bytes`, options);
  }
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new IngotError('CORRUPT_BATCH', `${where}, ${packed}, cannot be unpacked: ${reason}`, options);
}

function isTooLarge(cause: unknown): boolean {
  return cause instanceof DecompressedTooLargeError || (cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE';
}
