// Zigzag varints as record batch v2 has them. Numbers are safe integers; what is read beyond that goes through BigInt, which is slow and rare.

const MAX_VARINT_BYTES = 10;
const TWO_TO_27 = 2 ** 27;

/** The largest magnitude whose zigzag form, twice as large, is still exact as a double. */
const EXACT_LIMIT = 2 ** 51;

/** Bytes that `writeVarint` will take. */
export function varintSize(value: number): number {
  if (value >= -64 && value < 64) return 1;
  if (value >= -8192 && value < 8192) return 2;
  let size = 2;
  let limit = 8192;
  while (size < MAX_VARINT_BYTES && (value >= limit || value < -limit)) {
    limit *= 128;
    size++;
  }
  return size;
}

/** Writes a safe integer and returns the position after it. The caller has made room for `varintSize(value)` bytes. */
export function writeVarint(into: Uint8Array, position: number, value: number): number {
  if (value >= -0x40000000 && value < 0x40000000) {
    let zigzag = ((value << 1) ^ (value >> 31)) >>> 0;
    while (zigzag > 127) {
      into[position++] = (zigzag & 127) | 128;
      zigzag >>>= 7;
    }
    into[position++] = zigzag;
    return position;
  }
  return writeWideVarint(into, position, value);
}

/** Split below the bit that zigzag adds, so that no part needs more than 31 bits. */
function writeWideVarint(into: Uint8Array, position: number, value: number): number {
  const half = value >= 0 ? value : -value - 1;
  const low = ((half % TWO_TO_27) << 1) | (value >= 0 ? 0 : 1);
  let high = Math.floor(half / TWO_TO_27);
  for (let shift = 0; shift < 28; shift += 7) into[position++] = ((low >>> shift) & 127) | 128;
  while (high > 127) {
    into[position++] = (high & 127) | 128;
    high = Math.floor(high / 128);
  }
  into[position++] = high;
  return position;
}

/** The value of a varint of any length, read from its first byte on; NaN when no varint ends within `end`. */
export function wideVarintValue(bytes: Uint8Array, position: number, end: number): number {
  let zigzag = 0;
  let scale = 1;
  for (let i = 0; i < MAX_VARINT_BYTES && position + i < end; i++) {
    const byte = bytes[position + i]!;
    zigzag += (byte & 127) * scale;
    scale *= 128;
    if (byte > 127) continue;
    if (zigzag >= EXACT_LIMIT * 2) return exactVarintValue(bytes, position, i + 1);
    return zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
  }
  return Number.NaN;
}

function exactVarintValue(bytes: Uint8Array, position: number, size: number): number {
  let zigzag = 0n;
  for (let i = size - 1; i >= 0; i--) zigzag = (zigzag << 7n) | BigInt(bytes[position + i]! & 127);
  zigzag = BigInt.asUintN(64, zigzag);
  return Number((zigzag >> 1n) ^ -(zigzag & 1n));
}
