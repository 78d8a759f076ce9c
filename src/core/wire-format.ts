// The Confluent wire format: a record's value is one zero byte, the schema id in four bytes, big-endian, and then the Avro bytes.

/** Bytes before the Avro bytes. */
export const WIRE_PREFIX_BYTES = 5;

/** The highest schema id that the four bytes can hold. */
export const MAX_SCHEMA_ID = 0xffff_ffff;

const MAGIC_BYTE = 0;

/** Writes the five bytes at the start of `buffer`. */
export function writeWirePrefix(buffer: Uint8Array, schemaId: number): void {
  buffer[0] = MAGIC_BYTE;
  buffer[1] = schemaId >>> 24;
  buffer[2] = schemaId >>> 16;
  buffer[3] = schemaId >>> 8;
  buffer[4] = schemaId;
}

/** The schema id of the value in buffer[start, end), or -1 when it is not in the wire format. */
export function readSchemaId(buffer: Uint8Array, start: number, end: number): number {
  if (end - start < WIRE_PREFIX_BYTES || end > buffer.length || buffer[start] !== MAGIC_BYTE) return -1;
  // `>>> 0` because an id above 2^31 would come out of the shifts as a negative number.
  return ((buffer[start + 1]! << 24) | (buffer[start + 2]! << 16) | (buffer[start + 3]! << 8) | buffer[start + 4]!) >>> 0;
}
