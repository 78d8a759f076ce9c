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

/** Pseudo-random integers in [0, below), the same for the same seed (xorshift, two steps of 26 and 27 bits for 53). */
function makeRandom(seed: number): (below: number) => number {
  let state = seed;
  const step = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
  return (below) => Math.floor((((step() >>> 6) * 2 ** 27 + (step() >>> 5)) / 2 ** 53) * below);
}

test('it stays right while generations grow, and after a jump over several', () => {
  const runs = fc.record({
    seed: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
    offsetsKept: fc.integer({ min: 1400, max: 1600 }),
    startWithin: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    gapMax: fc.integer({ min: 1, max: 3 }),
    hasJump: fc.boolean(),
  });
  let duplicates = 0;
  fc.assert(
    fc.property(runs, ({ seed, offsetsKept, startWithin, gapMax, hasJump }) => {
      const random = makeRandom(seed);
      const table = new DuplicateTable(offsetsKept);
      const last = new Map<number, { offset: number; appendTimeMs: number }>();
      const identities: number[] = [];
      const records = 5_000;
      // More often early than late: a generation that has not grown yet is then followed by one that grows beyond it.
      const jumpAt = hasJump ? random(random(2) === 0 ? 600 : records) : -1;
      let offset = 3 * offsetsKept + Math.floor(startWithin * offsetsKept);
      let appendTimeMs = Date.UTC(2026, 0, 1);
      for (let n = 0; n < records; n += 1) {
        offset += n === jumpAt ? 2 * offsetsKept + 1 + random(2 * offsetsKept) : random(gapMax + 1);
        if (random(100) === 0) appendTimeMs += random(DAY_MS / 8);
        // Earlier ones from as far back as about 2 N offsets: those in the current generation, in the previous one and forgotten ones.
        const isEarlier = n > 0 && random(8) === 0;
        const identity = isEarlier ? identities[n - 1 - random(Math.min(n, 2 * offsetsKept))]! : 1 + random(2 ** 53 - 1);
        const before = last.get(identity);
        const expected = before !== undefined && before.offset >= offset - offsetsKept && before.appendTimeMs >= appendTimeMs - DAY_MS;
        const told = table.isDuplicate(identity, offset, appendTimeMs);
        if (told !== expected) throw new Error(`record ${n} at offset ${offset}: ${told} instead of ${expected}`);
        if (told) duplicates += 1;
        last.set(identity, { offset, appendTimeMs });
        identities.push(identity);
      }
    }),
    { numRuns: 200 },
  );
  expect(duplicates).toBeGreaterThan(1_000);
});
