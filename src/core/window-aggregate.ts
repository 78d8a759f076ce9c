// The summary of one metric over the readings of one part of a window.

export type ClosedBy = 'UNKNOWN' | 'TIME' | 'COUNT' | 'IDLE' | 'LATE';

/** A row of the aggregates topic; the field names are those of schemas/window-aggregate.avsc. Times in epoch ms. */
export interface WindowAggregate {
  deviceId: string;
  metric: string;
  unit: string;
  windowStart: number;
  windowEnd: number;
  part: number;
  count: number;
  min: number;
  max: number;
  mean: number;
  sum: number;
  m2: number;
  first: number;
  firstTime: number;
  last: number;
  lastTime: number;
  closedBy: ClosedBy;
  labels: { [name: string]: string };
}

/** Count, extremes, compensated sum, squared deviations, first and last by event time: everything in one pass, without keeping readings. */
export class Accumulator {
  count = 0;
  min = Number.POSITIVE_INFINITY;
  max = Number.NEGATIVE_INFINITY;
  /** Neumaier's running sum; the true sum is this plus `compensation`. */
  partialSum = 0;
  compensation = 0;
  /** Welford's running mean, which m2 is counted against. It is not reported: sum / count is more exact. */
  runningMean = 0;
  m2 = 0;
  first = 0;
  firstTime = 0;
  last = 0;
  lastTime = 0;

  add(value: number, timeMs: number): void {
    if (this.count === 0) {
      this.first = this.last = value;
      this.firstTime = this.lastTime = timeMs;
    } else if (timeMs < this.firstTime) {
      this.first = value;
      this.firstTime = timeMs;
    } else if (timeMs >= this.lastTime) {
      this.last = value;
      this.lastTime = timeMs;
    }
    this.count += 1;
    if (value < this.min) this.min = value;
    if (value > this.max) this.max = value;

    const total = this.partialSum + value;
    this.compensation += Math.abs(this.partialSum) >= Math.abs(value) ? this.partialSum - total + value : value - total + this.partialSum;
    this.partialSum = total;

    const delta = value - this.runningMean;
    this.runningMean += delta / this.count;
    this.m2 += delta * (value - this.runningMean);
  }

  get sum(): number {
    return this.partialSum + this.compensation;
  }
}

/** What merging needs of a row. */
export type Summary = Pick<
  WindowAggregate,
  'count' | 'min' | 'max' | 'sum' | 'mean' | 'm2' | 'first' | 'firstTime' | 'last' | 'lastTime' | 'part'
>;

/**
 * The total of a window from its parts (at least one), m2 by the parallel formula of Chan et al. Equal times: the part that began
 * earlier holds the first reading, the part that began later the last one.
 */
export function mergeParts(parts: readonly Summary[]): Summary {
  const [head, ...rest] = [...parts].sort((a, b) => a.part - b.part);
  if (head === undefined) throw new RangeError('a window has at least one part');
  const total = { ...head };
  for (const part of rest) {
    const count = total.count + part.count;
    const delta = part.mean - total.mean;
    total.m2 += part.m2 + (delta * delta * total.count * part.count) / count;
    total.sum += part.sum;
    total.count = count;
    total.mean = total.sum / count;
    total.min = Math.min(total.min, part.min);
    total.max = Math.max(total.max, part.max);
    if (part.firstTime < total.firstTime) {
      total.first = part.first;
      total.firstTime = part.firstTime;
    }
    if (part.lastTime >= total.lastTime) {
      total.last = part.last;
      total.lastTime = part.lastTime;
    }
  }
  return total;
}
