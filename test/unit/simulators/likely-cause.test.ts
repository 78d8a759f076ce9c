import { describe, expect, test } from 'vitest';
import type { ActualAggregate } from '../../../simulators/compare-windows.ts';
import { likelyCause } from '../../../simulators/likely-cause.ts';
import type { TruthReading } from '../../../simulators/truth-file.ts';

const SIZE_MS = 10_000;
const T0 = 1_000_000_000_000;

/** One reading every 5 s: two a window, of five windows. */
const readings: TruthReading[] = ['d1', 'd2'].flatMap((device) =>
  Array.from({ length: 10 }, (_, seq) => ({
    device,
    ts: T0 + seq * 5_000,
    seq,
    sentAt: 0,
    metrics: { temperature: 20 },
    acked: true,
  })),
);

const rowOf = (deviceId: string, index: number, count = 2): ActualAggregate => {
  const windowStart = T0 + index * SIZE_MS;
  const row = { deviceId, metric: 'temperature', windowStart, windowEnd: windowStart + SIZE_MS, part: 0 };
  return { ...row, count, min: 20, max: 20, mean: 20, sum: 20 * count };
};
const rowsOf = (device: string, from = 0, to = 5) => Array.from({ length: to - from }, (_, index) => rowOf(device, from + index));
const whole = [...rowsOf('d1'), ...rowsOf('d2')];

describe('the likely cause of what is missing', () => {
  test.each([
    ['nothing came out', [rowOf('other', 0)], /^Nothing of these devices has come out/],
    ['the beginning is missing', [...rowsOf('d1', 2), ...rowsOf('d2', 2)], /subscribed after the devices began/],
    ['the first window is short', [rowOf('d1', 0, 1), ...rowsOf('d1', 1), ...rowsOf('d2')], /subscribed after the devices began/],
    ['the end is missing', [...rowsOf('d1', 0, 3), ...rowsOf('d2', 0, 3)], /not closed yet/],
    ['one device is missing', rowsOf('d1'), /1 of 2 devices.*'ingot dlq list --device d2'/],
  ] as const)('%s', (_what, rows, said) => {
    expect(likelyCause(readings, SIZE_MS, rows)).toMatch(said);
  });

  test.each([
    ['nothing is missing', whole],
    ['something in the middle', whole.filter((row) => row.windowStart !== T0 + 2 * SIZE_MS)],
    ['more than was sent', [...whole, rowOf('d1', 2)]],
  ])('none when %s', (_what, rows) => {
    expect(likelyCause(readings, SIZE_MS, rows)).toBeNull();
  });
});
