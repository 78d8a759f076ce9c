import { type Finding, ok, spanText, warn } from './finding.ts';

const CHECK = 'duplicates';

export interface DuplicateRange {
  /** Records of a partition for which a redelivered message is known, and for how long. */
  readonly rangeRecords: number;
  readonly rangeMs: number;
  /** Records appended to each partition of the readings within `spanMs`. */
  readonly recordsByPartition: readonly number[];
  readonly spanMs: number;
  /** The outage of a bridge that shall be survived. */
  readonly outageMs: number;
}

/**
 * A message that comes again after an outage is known by its identity within a number of records of its partition. What other bridges write
 * meanwhile counts; so the present rate tells how long an outage of one of them may be.
 */
export function judgeDuplicates({ rangeRecords, rangeMs, recordsByPartition, spanMs, outageMs }: DuplicateRange): Finding {
  const busiest = Math.max(0, ...recordsByPartition);
  const range = `${rangeRecords} records of a partition and ${spanText(rangeMs)}`;
  if (busiest === 0) {
    return ok(CHECK, `known within ${range}; no readings in the last ${spanText(spanMs)}, so how long that is cannot be told`);
  }
  const perSecond = busiest / (spanMs / 1000);
  const reachMs = Math.min(rangeMs, (rangeRecords / perSecond) * 1000);
  const rate = `the busiest partition got ${perSecond < 10 ? perSecond.toFixed(1) : Math.round(perSecond)} records/s over the last ${spanText(spanMs)}`;
  const what = `known within ${range}; ${rate}, so for ${spanText(reachMs)}`;
  if (reachMs >= outageMs) return ok(CHECK, what);
  const todo = `A message that comes again after more than that, while other bridges went on, is counted twice. More partitions, or shorter outages than ${spanText(outageMs)} (--outage)`;
  return warn(CHECK, what, todo);
}
