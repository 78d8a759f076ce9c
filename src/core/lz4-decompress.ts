import { CorruptCompressionError, UnpackedBytes } from './compression.ts';

// LZ4 in its frame format (lz4/lz4, lz4_Frame_format.md and lz4_Block_format.md), as all of Kafka's clients write it. The frame's own
// checksums are passed over: the record batch around it has one over the same bytes.

const FRAME_MAGIC = 0x184d2204;
const FRAME_VERSION = 1;
/** Magic, flags, block size, header checksum. */
const FRAME_HEADER_BYTES_MIN = 7;
const FLAG_BLOCK_CHECKSUM = 0x10;
const FLAG_CONTENT_SIZE = 0x08;
const FLAG_CONTENT_CHECKSUM = 0x04;
const FLAG_DICTIONARY_ID = 0x01;
const CONTENT_SIZE_BYTES = 8;
const CHECKSUM_BYTES = 4;
const BLOCK_SIZE_BYTES = 4;
const STORED_BLOCK = 0x8000_0000;
const MATCH_BYTES_MIN = 4;
const DISTANCE_BYTES = 2;
/** In either half of a token: the length goes on in the bytes that follow. */
const LENGTH_GOES_ON = 15;
const EXPECTED_BYTES_MAX = 1024 * 1024;

/** Throws CorruptCompressionError or DecompressedTooLargeError. */
export function lz4Decompress(bytes: Uint8Array, bytesMax: number): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const unpacked = new UnpackedBytes({ expectedBytes: Math.min(bytes.length * 4, EXPECTED_BYTES_MAX), bytesMax });
  let position = 0;
  while (position < bytes.length) position = takeFrame(bytes, { view, position }, unpacked);
  return unpacked.bytes();
}

/** Returns the position behind the frame. */
function takeFrame(bytes: Uint8Array, at: { view: DataView; position: number }, into: UnpackedBytes): number {
  const { view } = at;
  let { position } = at;
  if (bytes.length - position < FRAME_HEADER_BYTES_MIN) throw new CorruptCompressionError('a frame is cut off');
  if (view.getUint32(position, true) !== FRAME_MAGIC) throw new CorruptCompressionError('it does not begin as an LZ4 frame');
  const flags = bytes[position + 4]!;
  if (flags >>> 6 !== FRAME_VERSION) throw new CorruptCompressionError(`the frame is of version ${flags >>> 6}`);
  if (flags & FLAG_DICTIONARY_ID) throw new CorruptCompressionError('the frame needs a dictionary');
  position += FRAME_HEADER_BYTES_MIN + (flags & FLAG_CONTENT_SIZE ? CONTENT_SIZE_BYTES : 0);
  for (;;) {
    if (position + BLOCK_SIZE_BYTES > bytes.length) throw new CorruptCompressionError('a frame has no end');
    const size = view.getUint32(position, true);
    position += BLOCK_SIZE_BYTES;
    if (size === 0) break;
    const length = size & ~STORED_BLOCK;
    if (length > bytes.length - position) throw new CorruptCompressionError(`a block claims ${length} bytes`);
    if (size >= STORED_BLOCK) into.append(bytes, position, length);
    else unpackBlock(bytes.subarray(position, position + length), into);
    position += length + (flags & FLAG_BLOCK_CHECKSUM ? CHECKSUM_BYTES : 0);
  }
  return position + (flags & FLAG_CONTENT_CHECKSUM ? CHECKSUM_BYTES : 0);
}

/** Sequences of a literal and a match; the last one has no match. A match may reach back into the blocks before. */
function unpackBlock(block: Uint8Array, into: UnpackedBytes): void {
  let position = 0;
  const readLength = (inToken: number): number => {
    if (inToken < LENGTH_GOES_ON) return inToken;
    for (let length = inToken; position < block.length; ) {
      const byte = block[position++]!;
      length += byte;
      if (byte < 255) return length;
    }
    throw new CorruptCompressionError('a length does not end');
  };
  while (position < block.length) {
    const token = block[position++]!;
    const literal = readLength(token >>> 4);
    into.append(block, position, literal);
    position += literal;
    if (position === block.length) return;
    if (position + DISTANCE_BYTES > block.length) throw new CorruptCompressionError('a block ends in the middle of a match');
    const distance = block[position]! | (block[position + 1]! << 8);
    position += DISTANCE_BYTES;
    into.repeat(distance, MATCH_BYTES_MIN + readLength(token & LENGTH_GOES_ON));
  }
}
