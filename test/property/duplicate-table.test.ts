// The table of identities against a list that forgets nothing.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DuplicateTable } from '../../src/core/duplicate-table.ts';

const DAY_MS = 86_400_000;

const records = fc.array(
  fc.record({
    identity: fc.oneof(
      { weight: 4, arbitrary: fc.integer({ min: 1, max: 6 }) },
      { weight: 1, arbitrary: fc.integer({ min: 1, max: 2 ** 53 - 1 }) },
    ),
    gap: fc.oneof({ weight: 6, arbitrary: fc.integer({ min: 1, max: 3 }) }, { weight: 1, arbitrary: fc.integer({ min: 1, max: 40 }) }),
    elapsedMs: fc.constantFrom(0, 1, 1000, DAY_MS / 2, DAY_MS, DAY_MS + 1, -1000),
  }),
  { maxLength: 150 },
);

test('an identity is a duplicate within N offsets and 24 hours of the last record that had it', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 12 }), records, (offsetsKept, moves) => {
      const table = new DuplicateTable(offsetsKept);
      const seen: { identity: number; offset: number; appendTimeMs: number }[] = [];
      let offset = 0;
      let appendTimeMs = Date.UTC(2026, 0, 1);
      for (const { identity, gap, elapsedMs } of moves) {
        offset += gap;
        appendTimeMs += elapsedMs;
        const last = seen.findLast((record) => record.identity === identity);
        const expected = last !== undefined && last.offset >= offset - offsetsKept && last.appendTimeMs >= appendTimeMs - DAY_MS;
        expect(table.isDuplicate(identity, offset, appendTimeMs)).toBe(expected);
        seen.push({ identity, offset, appendTimeMs });
      }
    }),
    { numRuns: 500 },
  );
});

test('it holds as many as it is told, and forgets what lies further back', () => {
  const kept = 100_000;
  const table = new DuplicateTable(kept);
  const identityOf = (n: number) => n * 7919;
  let duplicates = 0;
  for (let n = 1; n <= kept; n += 1) if (table.isDuplicate(identityOf(n), n, 0)) duplicates += 1;
  expect(duplicates).toBe(0);
  expect(table.isDuplicate(identityOf(1), kept + 1, 0)).toBe(true);
  expect(table.isDuplicate(identityOf(2), kept + 3, 0)).toBe(false);
  expect(table.isDuplicate(identityOf(kept), kept + 4, 0)).toBe(true);
});
