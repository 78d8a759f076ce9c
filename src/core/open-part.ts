import { Accumulator, addValue, NO_VALUES } from './accumulator.ts';
import { plainNumbers } from './plain-numbers.ts';
import { COMMON_METRICS, type CommonMetricName, NO_METRICS, type Reading } from './reading.ts';
import type { ClosedBy, WindowAggregate } from './window-aggregate.ts';

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

// The numbers of a part: its times, then those of each common metric that it has, in the order of COMMON_METRICS.
const START = 0;
const END = 1;
const PART = 2;
const FIRST_HEARD = 3;
const FIRST_METRIC = 4;

/** What a part with so many common metrics begins with. */
const NEW: readonly (readonly number[])[] = Array.from({ length: COMMON_METRIC_NAMES.length + 1 }, (_, count) =>
  plainNumbers([0, 0, 0, 0, ...Array.from({ length: count }, () => NO_VALUES).flat()]),
);

/** Where the numbers of a common metric begin, by the set of metrics that the part has (a bit for each) and the metric; 0 when it has it not. */
const PLACES = placesOfMetrics();

function placesOfMetrics(): Uint8Array {
  const metrics = COMMON_METRIC_NAMES.length;
  const places = new Uint8Array(metrics << metrics);
  for (let set = 0; set < 1 << metrics; set += 1) {
    let place = FIRST_METRIC;
    for (let index = 0; index < metrics; index += 1) {
      if ((set & (1 << index)) === 0) continue;
      places[set * metrics + index] = place;
      place += NO_VALUES.length;
    }
  }
  return places;
}

/** One part of one window of one device while it is being filled: the summary of each metric. */
export class OpenPart {
  /** Whether the window had already been emitted when the part began. */
  readonly late: boolean;
  readings = 0;
  /** Another part of the same device: see DeviceState. */
  next: OpenPart | null = null;
  private numbers: number[];
  /** Which common metrics it has: a bit for each. */
  private commonSet = 0;
  private others: Map<string, Accumulator> | null = null;

  constructor(origin: { start: number; end: number; part: number; firstHeard: number; late: boolean }) {
    this.late = origin.late;
    const numbers = NEW[0]!.slice();
    numbers[START] = origin.start;
    numbers[END] = origin.end;
    numbers[PART] = origin.part;
    numbers[FIRST_HEARD] = origin.firstHeard;
    this.numbers = numbers;
  }

  get start(): number {
    return this.numbers[START]!;
  }

  /** Exclusive. */
  get end(): number {
    return this.numbers[END]!;
  }

  /** Offset of the part's first reading. */
  get part(): number {
    return this.numbers[PART]!;
  }

  /** The partition clock when the part began. */
  get firstHeard(): number {
    return this.numbers[FIRST_HEARD]!;
  }

  /** Adds every metric of the reading. */
  add(reading: Reading): void {
    const set = commonSetOf(reading);
    this.readings += 1;
    this.makeRoomFor(set);
    noteCommonValues(reading);
    const { numbers, commonSet } = this;
    const timeMs = reading.eventTime;
    for (let rest = set; rest !== 0; rest &= rest - 1) {
      const index = 31 - Math.clz32(rest & -rest);
      addValue(numbers, placeOf(commonSet, index), commonValues[index]!, timeMs);
    }
    const { metrics } = reading;
    if (metrics === NO_METRICS) return;
    for (const name in metrics) this.addNamed(name, metrics[name]!, reading);
  }

  /** Whether it has as many metrics as a part may have. */
  get isFull(): boolean {
    return this.others !== null && this.others.size >= OTHER_METRICS_MAX;
  }

  private addNamed(name: string, value: number, reading: Reading): void {
    const index = commonIndexByName.get(name);
    if (index === undefined) {
      this.otherOf(name).add(value, reading.eventTime);
    } else if (reading[name as CommonMetricName] === null) {
      // The field counts where a producer gives both.
      this.makeRoomFor(1 << index);
      addValue(this.numbers, placeOf(this.commonSet, index), value, reading.eventTime);
    }
  }

  private otherOf(name: string): Accumulator {
    this.others ??= new Map();
    let accumulator = this.others.get(name);
    if (accumulator === undefined) {
      accumulator = new Accumulator();
      this.others.set(name, accumulator);
    }
    return accumulator;
  }

  /** Begins the common metrics of the set that it does not have yet. */
  private makeRoomFor(set: number): void {
    const before = this.commonSet;
    const after = before | set;
    if (after === before) return;
    const { numbers } = this;
    let count = 0;
    for (let rest = after; rest !== 0; rest &= rest - 1) count += 1;
    const larger = NEW[count]!.slice();
    for (let at = 0; at < FIRST_METRIC; at += 1) larger[at] = numbers[at]!;
    for (let index = 0; index < COMMON_METRIC_NAMES.length; index += 1) {
      if ((before & (1 << index)) !== 0) new Accumulator(numbers, placeOf(before, index)).copyTo(larger, placeOf(after, index));
    }
    this.numbers = larger;
    this.commonSet = after;
  }

  /** All metrics with their accumulators, in the order of the names. */
  metrics(): [string, Accumulator][] {
    const all: [string, Accumulator][] = [];
    for (const index of COMMON_BY_NAME) {
      const place = placeOf(this.commonSet, index);
      if (place !== 0) all.push([COMMON_METRIC_NAMES[index]!, new Accumulator(this.numbers, place)]);
    }
    if (this.others === null) return all;
    all.push(...this.others);
    return all.sort(([a], [b]) => (a < b ? -1 : 1));
  }

  /** Puts a restored accumulator in its place. */
  restore(metric: string, accumulator: Accumulator): void {
    const index = commonIndexByName.get(metric);
    if (index === undefined) {
      this.others ??= new Map();
      this.others.set(metric, accumulator);
    } else {
      this.makeRoomFor(1 << index);
      accumulator.copyTo(this.numbers, placeOf(this.commonSet, index));
    }
  }
}

function placeOf(set: number, index: number): number {
  return PLACES[set * COMMON_METRIC_NAMES.length + index]!;
}

/** The values of the reading that is being added: a loop over them costs less than one over names, or than a call for each field. */
const commonValues = new Float64Array(COMMON_METRIC_NAMES.length);

function noteCommonValues(reading: Reading): void {
  commonValues[0] = reading.temperature ?? 0;
  commonValues[1] = reading.humidity ?? 0;
  commonValues[2] = reading.pressure ?? 0;
  commonValues[3] = reading.battery ?? 0;
  commonValues[4] = reading.voltage ?? 0;
  commonValues[5] = reading.current ?? 0;
  commonValues[6] = reading.power ?? 0;
  commonValues[7] = reading.co2 ?? 0;
  commonValues[8] = reading.illuminance ?? 0;
}

/** Which fields of common metrics the reading has: a bit for each. */
function commonSetOf(reading: Reading): number {
  return (
    (reading.temperature === null ? 0 : 1) |
    (reading.humidity === null ? 0 : 2) |
    (reading.pressure === null ? 0 : 4) |
    (reading.battery === null ? 0 : 8) |
    (reading.voltage === null ? 0 : 16) |
    (reading.current === null ? 0 : 32) |
    (reading.power === null ? 0 : 64) |
    (reading.co2 === null ? 0 : 128) |
    (reading.illuminance === null ? 0 : 256)
  );
}

/** Whether the reading has anything to aggregate. */
export function hasMetric(reading: Reading): boolean {
  if (commonSetOf(reading) !== 0) return true;
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
