// A part of a window that keeps every reading it got, and computes its rows from that list when it closes.

import { byCodeUnit } from './metric-values.ts';
import type { AggregateRow } from './output-rows.ts';

interface PartReading {
  readonly t: number;
  readonly values: readonly (readonly [string, number])[];
}

export interface OpenPart {
  readonly start: number;
  readonly end: number;
  /** The offset of the first reading. */
  readonly part: number;
  /** The partition clock when the part began. */
  readonly firstHeard: number;
  readonly late: boolean;
  /** In the order of their offsets. */
  readonly readings: PartReading[];
  /** The names of those that are not common ones. */
  readonly otherMetrics: Set<string>;
}

/** The sum of the values in their order, by Neumaier's variant of Kahan's summation. */
export function neumaierSum(values: readonly number[]): number {
  let sum = 0;
  let lost = 0;
  for (const value of values) {
    const next = sum + value;
    lost += Math.abs(sum) >= Math.abs(value) ? sum - next + value : value - next + sum;
    sum = next;
  }
  return sum + lost;
}

/** The sum of squared differences from the mean, by Welford's method in the order of the values. */
export function welfordM2(values: readonly number[]): number {
  let mean = 0;
  let m2 = 0;
  values.forEach((value, index) => {
    const difference = value - mean;
    mean += difference / (index + 1);
    m2 += difference * (value - mean);
  });
  return m2;
}

/** The rows of a part, one per metric, ordered by metric. */
export function rowsOfPart(
  deviceId: string,
  part: OpenPart,
  options: { closedBy: AggregateRow['closedBy']; unitOf: (metric: string) => string; labels: Readonly<Record<string, string>> },
): AggregateRow[] {
  const metrics = new Set(part.readings.flatMap((reading) => reading.values.map(([metric]) => metric)));
  return [...metrics].sort(byCodeUnit).map((metric) => {
    const samples = part.readings.flatMap((reading) =>
      reading.values.filter(([name]) => name === metric).map(([, value]) => ({ t: reading.t, value })),
    );
    const values = samples.map((sample) => sample.value);
    const sum = neumaierSum(values);
    const earliest = samples.reduce((best, sample) => (sample.t < best.t ? sample : best));
    const latest = samples.reduce((best, sample) => (sample.t >= best.t ? sample : best));
    return {
      deviceId,
      metric,
      unit: options.unitOf(metric),
      windowStart: part.start,
      windowEnd: part.end,
      part: part.part,
      count: values.length,
      min: values.reduce((a, b) => Math.min(a, b)),
      max: values.reduce((a, b) => Math.max(a, b)),
      mean: sum / values.length,
      sum,
      m2: welfordM2(values),
      first: earliest.value,
      firstTime: earliest.t,
      last: latest.value,
      lastTime: latest.t,
      closedBy: options.closedBy,
      labels: { ...options.labels },
    };
  });
}
