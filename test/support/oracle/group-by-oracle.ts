// The second oracle, for windows only: no clock, no order, no parts. All counted readings are grouped by device, metric and
// window, and each group is summed exactly. What the fold wrote must, merged part by part, give the same totals.

import { exactSum } from './exact-sum.ts';
import { byCodeUnit } from './metric-values.ts';
import type { AggregateRow } from './output-rows.ts';

/** A reading that was counted, from any partition. */
export interface CountedReading {
  readonly deviceId: string;
  readonly offset: number;
  readonly eventTime: number;
  /** The window size of the settings under which it was folded. */
  readonly windowMs: number;
  readonly values: readonly (readonly [metric: string, value: number])[];
}

/** The total of one window of one metric of one device. */
export interface WindowTotal {
  readonly deviceId: string;
  readonly metric: string;
  readonly windowStart: number;
  readonly windowEnd: number;
  readonly count: number;
  readonly min: number;
  readonly max: number;
  readonly sum: number;
  readonly m2: number;
  readonly first: number;
  readonly firstTime: number;
  readonly last: number;
  readonly lastTime: number;
}

interface Sample {
  readonly t: number;
  readonly offset: number;
  readonly value: number;
}

type WindowKey = Pick<WindowTotal, 'deviceId' | 'metric' | 'windowStart' | 'windowEnd'>;

/** Groups by window and returns the groups ordered by device, metric, start and end. */
function groupByWindow<Item>(items: Iterable<readonly [WindowKey, Item]>): (readonly [WindowKey, Item[]])[] {
  const groups = new Map<string, [WindowKey, Item[]]>();
  for (const [key, item] of items) {
    const text = JSON.stringify([key.deviceId, key.metric, key.windowStart, key.windowEnd]);
    const group = groups.get(text);
    if (group) group[1].push(item);
    else groups.set(text, [key, [item]]);
  }
  return [...groups.values()].sort(
    ([a], [b]) =>
      byCodeUnit(a.deviceId, b.deviceId) || byCodeUnit(a.metric, b.metric) || a.windowStart - b.windowStart || a.windowEnd - b.windowEnd,
  );
}

function* samplesOf(readings: Iterable<CountedReading>): Generator<readonly [WindowKey, Sample]> {
  for (const { deviceId, offset, eventTime, windowMs, values } of readings) {
    const windowStart = Math.floor(eventTime / windowMs) * windowMs;
    for (const [metric, value] of values) {
      yield [
        { deviceId, metric, windowStart, windowEnd: windowStart + windowMs },
        { t: eventTime, offset, value },
      ];
    }
  }
}

/** The totals of all windows, straight from the readings, in any order of readings. */
export function totalsOfReadings(readings: Iterable<CountedReading>): WindowTotal[] {
  return groupByWindow(samplesOf(readings)).map(([key, samples]) => {
    const ordered = [...samples].sort((a, b) => a.t - b.t || a.offset - b.offset);
    const values = ordered.map(({ value }) => value);
    const sum = exactSum(values);
    const mean = sum / values.length;
    return {
      ...key,
      count: values.length,
      min: values.reduce((a, b) => Math.min(a, b)),
      max: values.reduce((a, b) => Math.max(a, b)),
      sum,
      m2: exactSum(values.map((value) => (value - mean) ** 2)),
      first: ordered[0]!.value,
      firstTime: ordered[0]!.t,
      last: ordered.at(-1)!.value,
      lastTime: ordered.at(-1)!.t,
    };
  });
}

/** The totals of all windows, merged from parts. Rows of many partitions may be mixed. */
export function totalsOfParts(rows: Iterable<AggregateRow>): WindowTotal[] {
  const parts = [...rows].map((row) => [row, row] as const);
  return groupByWindow<AggregateRow>(parts).map(([key, group]) => {
    const inOrder = [...group].sort((a, b) => a.part - b.part);
    const count = inOrder.reduce((sum, row) => sum + row.count, 0);
    const sum = exactSum(inOrder.map((row) => row.sum));
    const mean = sum / count;
    // Around another mean, the squared differences of n values grow by n * (difference of the means)^2.
    const m2 = exactSum(inOrder.map((row) => row.m2 + row.count * (row.mean - mean) ** 2));
    // A window has one open part at a time, so every reading of a part comes before every reading of the next part.
    const earliest = inOrder.reduce((best, row) => (row.firstTime < best.firstTime ? row : best));
    const latest = inOrder.reduce((best, row) => (row.lastTime >= best.lastTime ? row : best));
    return {
      deviceId: key.deviceId,
      metric: key.metric,
      windowStart: key.windowStart,
      windowEnd: key.windowEnd,
      count,
      min: Math.min(...inOrder.map((row) => row.min)),
      max: Math.max(...inOrder.map((row) => row.max)),
      sum,
      m2,
      first: earliest.first,
      firstTime: earliest.firstTime,
      last: latest.last,
      lastTime: latest.lastTime,
    };
  });
}
