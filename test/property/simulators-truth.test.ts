import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compare } from '../../simulators/compare.ts';
import { expectedAlerts, expectedWindows } from '../../simulators/truth.ts';
import type { TruthReading } from '../../simulators/truth-file.ts';

// The truth is checked by a second computation, as naive as can be.

const WINDOW_MS = 10_000;

/** Values in quarters add up exactly, so sums can be compared without a tolerance. */
const value = fc.integer({ min: 360, max: 440 }).map((quarters) => quarters / 4);

const readings = fc
  .array(
    fc.record({
      device: fc.constantFrom('d1', 'd2'),
      ts: fc.integer({ min: 0, max: 60_000 }),
      temperature: value,
      humidity: fc.option(value, { nil: undefined }),
    }),
    { maxLength: 60 },
  )
  .map((list) =>
    list.map(({ device, ts, temperature, humidity }, seq): TruthReading => {
      const metrics = humidity === undefined ? { temperature } : { temperature, humidity };
      return { device, ts, seq, sentAt: ts, metrics, acked: true };
    }),
  );

describe('truth', () => {
  test('windows agree with a naive group-by', () => {
    fc.assert(
      fc.property(readings, (list) => {
        const found = expectedWindows(list, WINDOW_MS);
        let total = 0;
        for (const window of found) {
          const values = list
            .filter((reading) => reading.device === window.device)
            .filter((reading) => reading.ts >= window.windowStart && reading.ts < window.windowStart + WINDOW_MS)
            .map((reading) => reading.metrics[window.metric])
            .filter((candidate) => candidate !== undefined);
          const sum = values.reduce((a, b) => a + b, 0);
          expect(window).toMatchObject({
            count: values.length,
            min: Math.min(...values),
            max: Math.max(...values),
            sum,
            mean: sum / values.length,
          });
          total += values.length;
        }
        // Nothing is left out.
        expect(total).toBe(list.reduce((sum, reading) => sum + Object.keys(reading.metrics).length, 0));
      }),
    );
  });

  test('alerts agree with a naive look at each reading, in order', () => {
    fc.assert(
      fc.property(readings, fc.constantFrom(0, 1, 3), (list, deadband) => {
        const rule = { id: 'hot', metric: 'temperature', above: 100, deadband, forMs: 0, offDelayMs: 0 };
        const { episodes, undecided } = expectedAlerts(list, [rule]);
        expect(undecided).toEqual([]);
        for (const device of ['d1', 'd2']) {
          const own = list.filter((reading) => reading.device === device);
          // A reading is judged when no earlier one has a later time.
          const judged = own.filter((reading, index) => own.slice(0, index).every((before) => before.ts <= reading.ts));
          const text = judged
            .map(({ metrics }) =>
              metrics['temperature']! > 100 ? 'B' : metrics['temperature']! < 100 - deadband || deadband === 0 ? 'C' : '-',
            )
            .join('');
          // An episode is a breach, anything but clear, and one clear or the end.
          const matches = [...text.matchAll(/B[^C]*(C|$)/g)];
          expect(episodes.filter((episode) => episode.device === device).map(({ raisedAt, resolvedAt }) => [raisedAt, resolvedAt])).toEqual(
            matches.map((match) => {
              const last = judged[match.index + match[0].length - 1]!;
              return [judged[match.index]!.ts, match[1] === 'C' ? last.ts : null];
            }),
          );
        }
      }),
    );
  });

  test('however a window is cut into parts, the comparison finds it equal; with one reading less it does not', () => {
    fc.assert(
      fc.property(readings, fc.infiniteStream(fc.integer({ min: 1, max: 5 })), fc.nat(), (list, sizes, pick) => {
        fc.pre(list.length > 0);
        const aggregates = list.flatMap((reading, part) =>
          Object.entries(reading.metrics).map(([metric, v]) => {
            const windowStart = reading.ts - (reading.ts % WINDOW_MS);
            return {
              deviceId: reading.device,
              metric,
              windowStart,
              windowEnd: windowStart + WINDOW_MS,
              part,
              count: 1,
              min: v,
              max: v,
              mean: v,
              sum: v,
            };
          }),
        );
        const settings = { windowSizeMs: WINDOW_MS, rules: [] };
        const merged = mergeSome(aggregates, sizes);
        expect(compare(list, settings, { aggregates: merged, alerts: [] }).differences).toEqual([]);
        const short = aggregates.toSpliced(pick % aggregates.length, 1);
        expect(compare(list, settings, { aggregates: short, alerts: [] }).differences).toHaveLength(1);
      }),
    );
  });
});

interface Part {
  deviceId: string;
  metric: string;
  windowStart: number;
  windowEnd: number;
  part: number;
  count: number;
  min: number;
  max: number;
  mean: number;
  sum: number;
}

/** Joins up to so many neighbouring parts of the same window. */
function mergeSome(parts: readonly Part[], sizes: Iterator<number>): Part[] {
  const open = new Map<string, { part: Part; left: number }>();
  const merged: Part[] = [];
  for (const part of parts) {
    const key = `${part.deviceId} ${part.metric} ${part.windowStart}`;
    const current = open.get(key);
    if (current === undefined || current.left === 0) {
      const copy = { ...part };
      merged.push(copy);
      open.set(key, { part: copy, left: (sizes.next().value as number) - 1 });
      continue;
    }
    current.left -= 1;
    current.part.count += 1;
    current.part.min = Math.min(current.part.min, part.min);
    current.part.max = Math.max(current.part.max, part.max);
    current.part.sum += part.sum;
    current.part.mean = current.part.sum / current.part.count;
  }
  return merged;
}
