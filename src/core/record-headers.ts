import type { RecordHeader } from './record-batch.ts';
import { writeVarint } from './varint.ts';

// The headers of a record as they stand in a batch (record batch v2).

const utf8 = new TextEncoder();
const VARINT_BYTES_MAX = 5;
/** Of a UTF-16 code unit in UTF-8. */
const UTF8_BYTES_MAX = 3;

/** Headers are copied into their batch at once, so one place will do for all of them. */
let place = Buffer.allocUnsafeSlow(4_096);
/** For more than this there is a place of its own: an MQTT topic may have 64 KiB. */
const PLACE_BYTES_MAX = 65_536;

/** What is returned is valid until the next call. */
export function encodeHeaders(headers: readonly RecordHeader[]): Uint8Array {
  let sizeMax = VARINT_BYTES_MAX;
  for (let i = 0; i < headers.length; i++) sizeMax += partSizeMax(headers[i]![0]) + partSizeMax(headers[i]![1]);
  const encoded = roomFor(sizeMax);
  let position = writeVarint(encoded, 0, headers.length);
  for (let i = 0; i < headers.length; i++) {
    position = writePart(encoded, position, headers[i]![0]);
    position = writePart(encoded, position, headers[i]![1]);
  }
  return encoded.subarray(0, position);
}

function roomFor(bytes: number): Buffer {
  if (bytes <= place.length) return place;
  const larger = Buffer.allocUnsafeSlow(Math.max(bytes, 2 * place.length));
  if (larger.length <= PLACE_BYTES_MAX) place = larger;
  return larger;
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
