// What the readings of one part of a window come to, metric by metric.

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
