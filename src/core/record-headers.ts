import type { RecordHeader } from './record-batch.ts';
import { writeVarint } from './varint.ts';

// The headers of a record as they stand in a batch (record batch v2).

const utf8 = new TextEncoder();
const VARINT_BYTES_MAX = 5;
/** Of a UTF-16 code unit in UTF-8. */
const UTF8_BYTES_MAX = 3;

export function encodeHeaders(headers: readonly RecordHeader[]): Uint8Array {
  const sizeMax = headers.reduce((sum, [name, value]) => sum + partSizeMax(name) + partSizeMax(value), VARINT_BYTES_MAX);
  const encoded = Buffer.allocUnsafe(sizeMax);
  let position = writeVarint(encoded, 0, headers.length);
  for (const [name, value] of headers) position = writePart(encoded, writePart(encoded, position, name), value);
  return encoded.subarray(0, position);
}

function partSizeMax(part: string | Uint8Array): number {
  return VARINT_BYTES_MAX + (typeof part === 'string' ? UTF8_BYTES_MAX : 1) * part.length;
}

/** Texts of headers are short and nearly always ASCII, which a loop writes in a tenth of the time that an encoder takes. */
function writePart(into: Buffer, start: number, part: string | Uint8Array): number {
  if (typeof part !== 'string') return writeBytes(into, start, part);
  const position = writeVarint(into, start, part.length);
  for (let i = 0; i < part.length; i++) {
    const unit = part.charCodeAt(i);
    if (unit > 0x7f) return writeBytes(into, start, utf8.encode(part));
    into[position + i] = unit;
  }
  return position + part.length;
}

function writeBytes(into: Buffer, start: number, bytes: Uint8Array): number {
  const position = writeVarint(into, start, bytes.length);
  into.set(bytes, position);
  return position + bytes.length;
}
