import { COMMON_METRICS, type CommonMetricName, type Reading } from './reading.ts';
import { Accumulator, type ClosedBy, type WindowAggregate } from './window-aggregate.ts';

/** The place of each common metric in `OpenPart.common`. */
export const COMMON_METRIC_NAMES: readonly string[] = COMMON_METRICS.map((metric) => metric.name);
/** Their places in the order of the names. */
const COMMON_BY_NAME: readonly number[] = COMMON_METRIC_NAMES.map((_, index) => index).sort((a, b) =>
  COMMON_METRIC_NAMES[a]! < COMMON_METRIC_NAMES[b]! ? -1 : 1,
);
const commonIndexByName: ReadonlyMap<string, number> = new Map(COMMON_METRIC_NAMES.map((name, index) => [name, index]));

/**
 * A part closes when it holds so many metrics that are not common ones: a device that makes up a new name for each reading must not make a
 * state that no transaction can hold.
 */
const OTHER_METRICS_MAX = 1_000;

/** One part of one window of one device while it is being filled: an accumulator per metric. */
export class OpenPart {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
  /** Offset of the part's first reading. */
  readonly part: number;
  /** The partition clock when the part began. */
  readonly firstHeard: number;
  /** Whether the window had already been emitted when the part began. */
  readonly late: boolean;
  readings = 0;
  /** Index: place in COMMON_METRICS; null where the metric has not occurred. */
  readonly common: (Accumulator | null)[] = new Array<Accumulator | null>(COMMON_METRIC_NAMES.length).fill(null);
  others: Map<string, Accumulator> | null = null;

  constructor(origin: { start: number; end: number; part: number; firstHeard: number; late: boolean }) {
    this.start = origin.start;
    this.end = origin.end;
    this.part = origin.part;
    this.firstHeard = origin.firstHeard;
    this.late = origin.late;
  }

  /** Adds every metric of the reading. The fields are named one by one because that is several times faster than a loop over names. */
  add(reading: Reading): void {
    const timeMs = reading.eventTime;
    this.readings += 1;
    if (reading.temperature !== null) this.addCommon(0, reading.temperature, timeMs);
    if (reading.humidity !== null) this.addCommon(1, reading.humidity, timeMs);
    if (reading.pressure !== null) this.addCommon(2, reading.pressure, timeMs);
    if (reading.battery !== null) this.addCommon(3, reading.battery, timeMs);
    if (reading.voltage !== null) this.addCommon(4, reading.voltage, timeMs);
    if (reading.current !== null) this.addCommon(5, reading.current, timeMs);
    if (reading.power !== null) this.addCommon(6, reading.power, timeMs);
    if (reading.co2 !== null) this.addCommon(7, reading.co2, timeMs);
    if (reading.illuminance !== null) this.addCommon(8, reading.illuminance, timeMs);
    const { metrics } = reading;
    for (const name in metrics) {
      const index = commonIndexByName.get(name);
      if (index === undefined) this.addOther(name, metrics[name]!, timeMs);
      // The field counts where a producer gives both.
      else if (reading[name as CommonMetricName] === null) this.addCommon(index, metrics[name]!, timeMs);
    }
  }

  /** Whether it has as many metrics as a part may have. */
  get isFull(): boolean {
    return this.others !== null && this.others.size >= OTHER_METRICS_MAX;
  }

  private addCommon(index: number, value: number, timeMs: number): void {
    let accumulator = this.common[index] as Accumulator | null;
    if (accumulator === null) {
      accumulator = new Accumulator();
      this.common[index] = accumulator;
    }
    accumulator.add(value, timeMs);
  }

  private addOther(name: string, value: number, timeMs: number): void {
    this.others ??= new Map();
    let accumulator = this.others.get(name);
    if (accumulator === undefined) {
      accumulator = new Accumulator();
      this.others.set(name, accumulator);
    }
    accumulator.add(value, timeMs);
  }

  /** All metrics with their accumulators, in the order of the names. */
  metrics(): [string, Accumulator][] {
    const all: [string, Accumulator][] = [];
    for (const index of COMMON_BY_NAME) {
      const accumulator = this.common[index] as Accumulator | null;
      if (accumulator !== null) all.push([COMMON_METRIC_NAMES[index]!, accumulator]);
    }
    if (this.others === null) return all;
    all.push(...this.others);
    return all.sort(([a], [b]) => (a < b ? -1 : 1));
  }

  /** Puts a restored accumulator in its place. */
  restore(metric: string, accumulator: Accumulator): void {
    const index = commonIndexByName.get(metric);
    if (index !== undefined) {
      this.common[index] = accumulator;
    } else {
      this.others ??= new Map();
      this.others.set(metric, accumulator);
    }
  }
}

/** Whether the reading has anything to aggregate. */
export function hasMetric(reading: Reading): boolean {
  if (reading.temperature !== null || reading.humidity !== null || reading.pressure !== null) return true;
  if (reading.battery !== null || reading.voltage !== null || reading.current !== null) return true;
  if (reading.power !== null || reading.co2 !== null || reading.illuminance !== null) return true;
  for (const _ in reading.metrics) return true;
  return false;
}

/** The rows of a part that closes, in the order of metric. */
export function partRows(
  part: OpenPart,
  of: { deviceId: string; closedBy: ClosedBy; unit: (metric: string) => string; labels: Readonly<Record<string, string>> },
): WindowAggregate[] {
  return part.metrics().map(([metric, summary]) => ({
    deviceId: of.deviceId,
    metric,
    unit: of.unit(metric),
    windowStart: part.start,
    windowEnd: part.end,
    part: part.part,
    count: summary.count,
    min: summary.min,
    max: summary.max,
    mean: summary.sum / summary.count,
    sum: summary.sum,
    m2: summary.m2,
    first: summary.first,
    firstTime: summary.firstTime,
    last: summary.last,
    lastTime: summary.lastTime,
    closedBy: of.closedBy,
    labels: of.labels,
  }));
}
