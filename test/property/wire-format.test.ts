import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { MAX_SCHEMA_ID, readSchemaId, WIRE_PREFIX_BYTES, writeWirePrefix } from '../../src/core/wire-format.ts';

describe('the wire format', () => {
  it('gives back every schema id, wherever the value lies in the buffer', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: MAX_SCHEMA_ID }), fc.nat(20), fc.uint8Array({ maxLength: 20 }), (schemaId, start, avro) => {
        const buffer = new Uint8Array(start + WIRE_PREFIX_BYTES + avro.length).fill(0xaa);
        writeWirePrefix(buffer.subarray(start), schemaId);
        expect(readSchemaId(buffer, start, buffer.length)).toBe(schemaId);
      }),
    );
  });

  it('is the layout that others write: zero byte, id in four bytes, big-endian', () => {
    const buffer = new Uint8Array(WIRE_PREFIX_BYTES);
    writeWirePrefix(buffer, 0x89abcdef);
    expect([...buffer]).toEqual([0, 0x89, 0xab, 0xcd, 0xef]);
  });

  it('takes nothing shorter than the prefix, and nothing that begins with another byte', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 12 }), (bytes) => {
        const accepted = bytes.length >= WIRE_PREFIX_BYTES && bytes[0] === 0;
        expect(readSchemaId(bytes, 0, bytes.length) >= 0).toBe(accepted);
        expect(readSchemaId(bytes, 0, bytes.length + 1)).toBe(-1);
      }),
    );
  });
});
