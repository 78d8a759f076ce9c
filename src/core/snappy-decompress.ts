import { CorruptCompressionError, UnpackedBytes } from './compression.ts';

// Snappy (google/snappy, format_description.txt): a length, then literals and copies of what came before. Java clients put blocks of it
// behind a header of their own (xerial snappy-java, SnappyOutputStream); librdkafka and others write one block and no header. Both are read.

const FRAME_MAGIC = Uint8Array.of(0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0);
/** The magic, a version, and the lowest version that can read it. */
const FRAME_HEADER_BYTES = 16;
const BLOCK_LENGTH_BYTES = 4;
const LENGTH_VARINT_BYTES_MAX = 5;
/** A length is only a promise: more than this is not set aside on its word. */
const EXPECTED_BYTES_MAX = 1024 * 1024;
const LITERAL_LENGTH_IN_TAG_MAX = 60;

/** Throws CorruptCompressionError or DecompressedTooLargeError. */
export function snappyDecompress(bytes: Uint8Array, bytesMax: number): Uint8Array {
  const unpacked = new UnpackedBytes({ expectedBytes: Math.min(bytes.length * 4, EXPECTED_BYTES_MAX), bytesMax });
  if (!isFramed(bytes)) {
    unpackBlock(bytes, unpacked);
    return unpacked.bytes();
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let position = FRAME_HEADER_BYTES;
  while (position < bytes.length) {
    if (position + BLOCK_LENGTH_BYTES > bytes.length) throw new CorruptCompressionError('a block is cut off');
    const length = view.getInt32(position);
    position += BLOCK_LENGTH_BYTES;
    if (length < 0 || length > bytes.length - position) throw new CorruptCompressionError(`a block claims ${length} bytes`);
    unpackBlock(bytes.subarray(position, position + length), unpacked);
    position += length;
  }
  return unpacked.bytes();
}

function isFramed(bytes: Uint8Array): boolean {
  return bytes.length >= FRAME_HEADER_BYTES && FRAME_MAGIC.every((byte, index) => bytes[index] === byte);
}

function unpackBlock(block: Uint8Array, into: UnpackedBytes): void {
  const { length, position: start } = readLength(block);
  const end = into.length + length;
  let position = start;
  while (position < block.length) {
    const tag = block[position++]!;
    position = (tag & 3) === 0 ? takeLiteral(block, { tag, position }, into) : takeCopy(block, { tag, position }, into);
  }
  if (into.length !== end) throw new CorruptCompressionError(`a block promises ${length} bytes and holds ${into.length - end + length}`);
}

function readLength(block: Uint8Array): { length: number; position: number } {
  let length = 0;
  for (let i = 0; i < LENGTH_VARINT_BYTES_MAX && i < block.length; i++) {
    length += (block[i]! & 0x7f) * 2 ** (7 * i);
    if (block[i]! < 0x80) return { length, position: i + 1 };
  }
  throw new CorruptCompressionError('the length of a block does not end');
}

/** Tag 00: the length minus one in the tag, or in the one to four bytes behind it. Returns the position behind the literal. */
function takeLiteral(block: Uint8Array, at: { tag: number; position: number }, into: UnpackedBytes): number {
  const inTag = at.tag >>> 2;
  if (inTag < LITERAL_LENGTH_IN_TAG_MAX) {
    into.append(block, at.position, inTag + 1);
    return at.position + inTag + 1;
  }
  const lengthBytes = inTag - LITERAL_LENGTH_IN_TAG_MAX + 1;
  const length = littleEndian(block, at.position, lengthBytes) + 1;
  into.append(block, at.position + lengthBytes, length);
  return at.position + lengthBytes + length;
}

/** Tags 01, 10 and 11: copies with one, two and four bytes behind the tag. Returns the position behind them. */
function takeCopy(block: Uint8Array, { tag, position }: { tag: number; position: number }, into: UnpackedBytes): number {
  if ((tag & 3) === 1) {
    into.repeat(((tag >>> 5) << 8) | littleEndian(block, position, 1), 4 + ((tag >>> 2) & 7));
    return position + 1;
  }
  const distanceBytes = (tag & 3) === 2 ? 2 : 4;
  into.repeat(littleEndian(block, position, distanceBytes), 1 + (tag >>> 2));
  return position + distanceBytes;
}

function littleEndian(block: Uint8Array, position: number, bytes: number): number {
  if (position + bytes > block.length) throw new CorruptCompressionError('a block ends in the middle of an element');
  let value = 0;
  for (let i = 0; i < bytes; i++) value += block[position + i]! * 2 ** (8 * i);
  return value;
}
