// Windows, accumulators and their merge, against the definitions.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Accumulator } from '../../src/core/accumulator.ts';
import { lastEndPassed, windowStartOf } from '../../src/core/tumbling-window.ts';
import { mergeParts, type Summary } from '../../src/core/window-aggregate.ts';
import { exactSum } from '../support/oracle/exact-sum.ts';

const timeMs = fc.integer({ min: 0, max: Date.UTC(2100, 0, 1) });
const sizeMs = fc.integer({ min: 1, max: 7 * 86_400_000 });

test('a time lies in exactly the window that begins at windowStartOf', () => {
  fc.assert(
    fc.property(timeMs, sizeMs, (time, size) => {
      const start = windowStartOf(time, size);
      expect(start % size).toBe(0);
      expect(start <= time && time < start + size).toBe(true);
    }),
  );
});

test('lastEndPassed is the end of the last window whose end and grace lie behind', () => {
  fc.assert(
    fc.property(timeMs, sizeMs, fc.integer({ min: 0, max: 86_400_000 }), (maxTime, size, grace) => {
      const end = lastEndPassed(maxTime, size, grace);
      expect(end % size === 0).toBe(true);
      expect(end + grace <= maxTime && maxTime < end + size + grace).toBe(true);
    }),
  );
});

interface Sample {
  readonly value: number;
  readonly timeMs: number;
}

const samples = fc.array(fc.record({ value: fc.double({ min: -1e6, max: 1e6, noNaN: true }), timeMs: fc.integer({ min: 0, max: 50 }) }), {
  minLength: 1,
  maxLength: 60,
});

function summaryOf(part: number, of: readonly Sample[]): Summary {
  const accumulator = new Accumulator();
  for (const { value, timeMs: at } of of) accumulator.add(value, at);
  const { count, min, max, sum, m2, first, firstTime, last, lastTime } = accumulator;
  return { part, count, min, max, sum, mean: sum / count, m2, first, firstTime, last, lastTime };
}

describe('an accumulator', () => {
  test('says what the definitions say', () => {
    fc.assert(
      fc.property(samples, (of) => {
        const { count, min, max, sum, mean, m2, first, last } = summaryOf(0, of);
        const values = of.map(({ value }) => value);
        const magnitude = Math.max(1, ...values.map(Math.abs));
        expect(count).toBe(of.length);
        expect([min, max]).toEqual([Math.min(...values), Math.max(...values)]);
        expect(Math.abs(sum - exactSum(values))).toBeLessThanOrEqual(1e-12 * magnitude * count);
        const deviations = values.map((value) => (value - mean) ** 2);
        expect(Math.abs(m2 - exactSum(deviations))).toBeLessThanOrEqual(1e-10 * magnitude ** 2 * count);
        const earliest = of.reduce((best, each) => (each.timeMs < best.timeMs ? each : best));
        const latest = of.reduce((best, each) => (each.timeMs >= best.timeMs ? each : best));
        expect([first, last]).toEqual([earliest.value, latest.value]);
      }),
    );
  });

  test('loses nothing to cancellation, where a plain sum loses everything', () => {
    const accumulator = new Accumulator();
    for (const value of [1, 1e100, 1, -1e100]) accumulator.add(value, 0);
    expect(accumulator.sum).toBe(2);
  });
});

test('merging parts gives what one part over all readings gives', () => {
  fc.assert(
    fc.property(samples, fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 5 }), (of, sizes) => {
      const parts: Summary[] = [];
      for (let from = 0, k = 0; from < of.length; k += 1) {
        const to = Math.min(of.length, from + sizes[k % sizes.length]!);
        parts.push(summaryOf(from, of.slice(from, to)));
        from = to;
      }
      const whole = summaryOf(0, of);
      const merged = mergeParts(parts.reverse());
      const { sum, mean, m2, ...exact } = merged;
      const { sum: wholeSum, mean: wholeMean, m2: wholeM2, ...wholeExact } = whole;
      expect(exact).toEqual(wholeExact);
      const magnitude = Math.max(1, ...of.map(({ value }) => Math.abs(value)));
      expect(Math.abs(sum - wholeSum)).toBeLessThanOrEqual(1e-12 * magnitude * of.length);
      expect(Math.abs(mean - wholeMean)).toBeLessThanOrEqual(1e-12 * magnitude);
      expect(Math.abs(m2 - wholeM2)).toBeLessThanOrEqual(1e-9 * magnitude ** 2 * of.length);
    }),
  );
});
