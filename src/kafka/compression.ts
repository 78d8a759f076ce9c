import { promisify } from 'node:util';
import { gzip, zstdCompress } from 'node:zlib';
import kafkajs, { CompressionTypes } from 'kafkajs';
import { snappyCompress } from '../core/snappy-compress.ts';

// Node does not see this name among the exports of the CommonJS module.
const { CompressionCodecs } = kafkajs;

// How produced batches are compressed: the records behind the batch header, as the protocol has it. The library calls the codec with
// all records of a partition at once, pre-encoded ones too, and again when it repeats a request.

export type CompressionName = 'none' | 'gzip' | 'snappy' | 'zstd';

type CodecType = CompressionTypes.GZIP | CompressionTypes.Snappy | CompressionTypes.ZSTD;

/** What the library hands to a codec: the encoded records. */
interface RecordsToCompress {
  readonly buffer: Buffer;
}

const gzipOnThreadPool = promisify(gzip);
const zstdOnThreadPool = promisify(zstdCompress);

// Kafka's own clients use level 6; for records that are alike level 1 is nearly as small at a third of the time.
const GZIP_LEVEL = 1;

const CODECS: readonly (readonly [CodecType, (records: Buffer) => Promise<Buffer>])[] = [
  [CompressionTypes.GZIP, (records) => gzipOnThreadPool(records, { level: GZIP_LEVEL })],
  [CompressionTypes.Snappy, async (records) => Buffer.from(snappyCompress(records))],
  [CompressionTypes.ZSTD, (records) => zstdOnThreadPool(records)],
];

// The library's table of codecs belongs to the whole process, and of these it knows gzip alone. What it can decompress stays as it is:
// batches are read by our own reader.
for (const [type, compress] of CODECS) {
  const codecOfLibrary = CompressionCodecs[type] as () => { decompress(bytes: Buffer): Promise<Buffer> };
  CompressionCodecs[type] = () => ({
    compress: ({ buffer }: RecordsToCompress) => compress(buffer),
    decompress: (bytes: Buffer) => codecOfLibrary().decompress(bytes),
  });
}

const TYPES: Readonly<Record<CompressionName, CompressionTypes>> = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  zstd: CompressionTypes.ZSTD,
};

/** What the library's producer takes as `compression`. */
export function compressionType(name: CompressionName): CompressionTypes {
  return TYPES[name];
}
