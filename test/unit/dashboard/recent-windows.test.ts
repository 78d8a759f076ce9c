import fc from 'fast-check';
import { expect, test } from 'vitest';
import { mergeParts } from '../../../src/core/window-aggregate.ts';
import { RecentWindows } from '../../../src/dashboard/recent-windows.ts';
import { aWindow } from '../../support/page-rows.ts';

const add = (windows: RecentWindows, starts: readonly number[]) => {
  for (const windowStart of starts) windows.add(aWindow('d', { windowStart, mean: windowStart / 1000 }));
  return windows.windows().map((window) => window.startMs);
};

test('windows are kept in the order of their time, whatever the order they come in', () => {
  expect(add(new RecentWindows(5), [30_000, 10_000, 20_000])).toEqual([10_000, 20_000, 30_000]);
});

test('the oldest make room, and what is older than all does not get in', () => {
  const windows = new RecentWindows(3);
  expect(add(windows, [20_000, 30_000, 40_000, 10_000])).toEqual([20_000, 30_000, 40_000]);
  expect(add(windows, [60_000])).toEqual([30_000, 40_000, 60_000]);
  expect(add(windows, [50_000])).toEqual([40_000, 50_000, 60_000]);
});

test('a window that is missing between two is one gap in the line', () => {
  const windows = new RecentWindows(5);
  add(windows, [10_000, 20_000, 50_000]);
  expect(windows.means()).toEqual([10, 20, null, 50]);
});

test('the last windows are the merge of their parts, in any order', () => {
  const part = fc.record({
    windowStart: fc.integer({ min: 0, max: 9 }).map((index) => index * 10_000),
    count: fc.integer({ min: 1, max: 100 }),
    mean: fc.integer({ min: -50, max: 150 }),
  });
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 40 }), (fields) => {
      const parts = fields.map((each, index) => aWindow('d', { ...each, part: index }));
      const windows = new RecentWindows(10);
      for (const each of parts) windows.add(each);
      const expected = [...Map.groupBy(parts, (each) => each.windowStart)]
        .sort(([a], [b]) => a - b)
        .map(([startMs, ofWindow]) => {
          const { count, min, max, sum } = mergeParts(ofWindow);
          return { startMs, endMs: startMs + 10_000, count, min, max, mean: sum / count };
        });
      expect(windows.windows()).toEqual(expected);
    }),
  );
});
