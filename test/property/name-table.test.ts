import fc from 'fast-check';
import { expect, test } from 'vitest';
import { NameTable } from '../../src/core/name-table.ts';

test('a name is that of its bytes, whatever was asked for before', () => {
  const name = fc.oneof(
    fc.nat(5_000).map((n) => `device-${n}`),
    fc.string({ maxLength: 12 }),
  );
  fc.assert(
    fc.property(fc.array(name, { maxLength: 4_000, size: 'max' }), (asked) => {
      const table = new NameTable();
      for (const text of asked) {
        const bytes = Buffer.from(text);
        expect(table.nameOf(bytes, 0, bytes.length)).toBe(bytes.some((byte) => byte >= 0x80) ? null : text);
      }
    }),
    { numRuns: 30 },
  );
});
