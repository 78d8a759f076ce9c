// Compression in the Snappy format (google/snappy, format_description.txt), in the framing that Kafka's Java clients write and every
// client reads: a header, then blocks of at most 32 KiB, each with its length in front (xerial snappy-java, SnappyOutputStream).

const FRAME_MAGIC = Uint8Array.of(0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0);
const FRAME_VERSION = 1;
const FRAME_HEADER_BYTES = 16;
const BLOCK_BYTES = 32 * 1024;

const HASH_BITS = 13;
const HASH_MULTIPLIER = 0x1e35a7bd;
const MATCH_BYTES_MIN = 4;
/** A copy element holds at most this many bytes. */
const COPY_BYTES_MAX = 64;
const SHORT_COPY_BYTES_MAX = 11;
const SHORT_COPY_OFFSET_MAX = 2048;

/** Where a sequence of four bytes was seen last in the block; 0 is nowhere, since no match begins before position 1. */
const lastSeen = new Uint16Array(1 << HASH_BITS);

/** The bytes in Snappy's framed form. */
export function snappyCompress(bytes: Uint8Array): Uint8Array {
  const blocks = Math.ceil(bytes.length / BLOCK_BYTES);
  const output = new Uint8Array(FRAME_HEADER_BYTES + blocks * (4 + compressedBytesMax(BLOCK_BYTES)));
  const view = new DataView(output.buffer);
  output.set(FRAME_MAGIC);
  view.setInt32(8, FRAME_VERSION);
  view.setInt32(12, FRAME_VERSION);
  let end = FRAME_HEADER_BYTES;
  for (let start = 0; start < bytes.length; start += BLOCK_BYTES) {
    const blockStart = end + 4;
    const blockEnd = compressBlock(bytes.subarray(start, start + BLOCK_BYTES), output, blockStart);
    view.setInt32(end, blockEnd - blockStart);
    end = blockEnd;
  }
  return output.subarray(0, end);
}

/** Without any match: the length in front, and a few bytes for each literal. */
function compressedBytesMax(bytes: number): number {
  return bytes + Math.ceil(bytes / 6) + 32;
}

/** Returns the position behind the block. */
function compressBlock(block: Uint8Array, output: Uint8Array, start: number): number {
  lastSeen.fill(0);
  let at = writeLength(block.length, output, start);
  let literalStart = 0;
  let position = 1;
  // The longer nothing matches, the larger the steps: what cannot be compressed costs little.
  let misses = 0;
  while (position + MATCH_BYTES_MIN <= block.length) {
    const sequence = sequenceAt(block, position);
    const hash = Math.imul(sequence, HASH_MULTIPLIER) >>> (32 - HASH_BITS);
    const candidate = lastSeen[hash]!;
    lastSeen[hash] = position;
    if (candidate === 0 || sequenceAt(block, candidate) !== sequence) {
      position += 1 + (misses++ >>> 5);
      continue;
    }
    misses = 0;
    at = writeLiteral({ block, start: literalStart, end: position }, output, at);
    let matched = MATCH_BYTES_MIN;
    while (position + matched < block.length && block[candidate + matched] === block[position + matched]) matched++;
    at = writeCopies({ offset: position - candidate, length: matched }, output, at);
    position += matched;
    literalStart = position;
  }
  return writeLiteral({ block, start: literalStart, end: block.length }, output, at);
}

function sequenceAt(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

function writeLength(length: number, output: Uint8Array, at: number): number {
  for (; length >= 0x80; length >>>= 7) output[at++] = (length & 0x7f) | 0x80;
  output[at++] = length;
  return at;
}

interface Literal {
  readonly block: Uint8Array;
  readonly start: number;
  readonly end: number;
}

/** Tag 00: the length minus one in the tag, or in the one or two bytes behind it. */
function writeLiteral({ block, start, end }: Literal, output: Uint8Array, at: number): number {
  const last = end - start - 1;
  if (last < 0) return at;
  if (last < 60) output[at++] = last << 2;
  else {
    output[at++] = (last < 256 ? 60 : 61) << 2;
    output[at++] = last & 0xff;
    if (last >= 256) output[at++] = last >>> 8;
  }
  // Between matches stand a few bytes, for which a loop is faster than a call into the runtime.
  if (last < 48) for (let from = start; from < end; from++) output[at++] = block[from]!;
  else {
    output.set(block.subarray(start, end), at);
    at += last + 1;
  }
  return at;
}

/** Tag 01 is a short copy from nearby, tag 10 one with two bytes of offset. A long match is several. */
function writeCopies({ offset, length }: { offset: number; length: number }, output: Uint8Array, at: number): number {
  for (let left = length; left > 0; ) {
    // What remains must be long enough for either tag.
    const copied = left > COPY_BYTES_MAX && left < COPY_BYTES_MAX + MATCH_BYTES_MIN ? COPY_BYTES_MAX - MATCH_BYTES_MIN : left;
    const bytes = Math.min(copied, COPY_BYTES_MAX);
    if (bytes >= MATCH_BYTES_MIN && bytes <= SHORT_COPY_BYTES_MAX && offset < SHORT_COPY_OFFSET_MAX) {
      output[at++] = 1 | ((bytes - MATCH_BYTES_MIN) << 2) | ((offset >>> 8) << 5);
      output[at++] = offset & 0xff;
    } else {
      output[at++] = 2 | ((bytes - 1) << 2);
      output[at++] = offset & 0xff;
      output[at++] = offset >>> 8;
    }
    left -= bytes;
  }
  return at;
}
