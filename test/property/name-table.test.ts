import fc from 'fast-check';
import { expect, test } from 'vitest';
import { viewOf } from '../../src/core/buffer-view.ts';
import { murmur2 } from '../../src/core/murmur2.ts';
import { NameTable } from '../../src/core/name-table.ts';
import { DEVICE_ID_PATTERN } from '../../src/core/reading.ts';

test('a name is that of its bytes, whatever was asked for before', () => {
  const name = fc.oneof(
    fc.nat(5_000).map((n) => `device-${n}`),
    fc.string({ maxLength: 12 }),
    fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 125, maxLength: 131 }),
  );
  fc.assert(
    fc.property(fc.array(name, { maxLength: 4_000, size: 'max' }), (asked) => {
      const table = new NameTable();
      for (const text of asked) {
        const bytes = Buffer.from(text);
        const place = table.find(viewOf(bytes), 0, bytes.length);
        if (DEVICE_ID_PATTERN.test(text)) {
          expect(table.nameAt(place)).toBe(text);
          expect(table.hashAt(place)).toBe(murmur2(bytes));
        } else {
          expect(place).toBe(-1);
        }
      }
    }),
    { numRuns: 8 },
  );
});

test('when it is full it forgets, and goes on to find each name', () => {
  const table = new NameTable();
  for (const round of [1, 2]) {
    for (let n = 0; n < 300_000; n += 1) {
      const text = `${round}-${n % 280_000}`;
      const bytes = Buffer.from(text);
      if (table.nameAt(table.find(viewOf(bytes), 0, bytes.length)) !== text) expect.fail(`${text} is not found`);
    }
  }
});
