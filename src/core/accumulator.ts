import { plainNumbers } from './plain-numbers.ts';

// The summary of one metric over the readings of one part of a window: eleven numbers in a row.

// Places of the numbers of one metric, counted from where they begin.
const COUNT = 0;
const MIN = 1;
const MAX = 2;
const PARTIAL_SUM = 3;
const COMPENSATION = 4;
const RUNNING_MEAN = 5;
const M2 = 6;
const FIRST = 7;
const FIRST_TIME = 8;
const LAST = 9;
const LAST_TIME = 10;

/** The numbers of a metric without a value yet: count, extremes, compensated sum, mean and squared deviations, first and last by event time. */
export const NO_VALUES: readonly number[] = plainNumbers([0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, 0, 0, 0, 0, 0, 0, 0]);

/** Adds a value to the metric whose numbers begin at `at`: everything in one pass, without keeping readings. */
export function addValue(numbers: number[], at: number, value: number, timeMs: number): void {
  const count = numbers[at + COUNT]! + 1;
  numbers[at + COUNT] = count;
  if (count === 1) {
    numbers[at + FIRST] = value;
    numbers[at + FIRST_TIME] = timeMs;
    numbers[at + LAST] = value;
    numbers[at + LAST_TIME] = timeMs;
  } else if (timeMs < numbers[at + FIRST_TIME]!) {
    numbers[at + FIRST] = value;
    numbers[at + FIRST_TIME] = timeMs;
  } else if (timeMs >= numbers[at + LAST_TIME]!) {
    numbers[at + LAST] = value;
    numbers[at + LAST_TIME] = timeMs;
  }
  if (value < numbers[at + MIN]!) numbers[at + MIN] = value;
  if (value > numbers[at + MAX]!) numbers[at + MAX] = value;

  // Neumaier's running sum: the true sum is this plus the compensation.
  const partialSum = numbers[at + PARTIAL_SUM]!;
  const total = partialSum + value;
  const lost = Math.abs(partialSum) >= Math.abs(value) ? partialSum - total + value : value - total + partialSum;
  numbers[at + COMPENSATION] = numbers[at + COMPENSATION]! + lost;
  numbers[at + PARTIAL_SUM] = total;

  // Welford's running mean, which m2 is counted against. It is not reported: sum / count is more exact.
  const meanBefore = numbers[at + RUNNING_MEAN]!;
  const delta = value - meanBefore;
  const runningMean = meanBefore + delta / count;
  numbers[at + RUNNING_MEAN] = runningMean;
  numbers[at + M2] = numbers[at + M2]! + delta * (value - runningMean);
}

/** The numbers of one metric by their names, where they stand. */
export class Accumulator {
  private readonly numbers: number[];
  private readonly at: number;

  /** Without arguments one of its own, without values. */
  constructor(numbers: number[] = NO_VALUES.slice(), at = 0) {
    this.numbers = numbers;
    this.at = at;
  }

  /** One of its own with these numbers. */
  static of(from: AccumulatorNumbers): Accumulator {
    const { count, min, max, partialSum, compensation, runningMean, m2, first, firstTime, last, lastTime } = from;
    return new Accumulator(plainNumbers([count, min, max, partialSum, compensation, runningMean, m2, first, firstTime, last, lastTime]));
  }

  add(value: number, timeMs: number): void {
    addValue(this.numbers, this.at, value, timeMs);
  }

  /** Writes its numbers into others, from `at` on. */
  copyTo(numbers: number[], at: number): void {
    for (let place = 0; place < NO_VALUES.length; place += 1) numbers[at + place] = this.numbers[this.at + place]!;
  }

  get count(): number {
    return this.numbers[this.at + COUNT]!;
  }

  get min(): number {
    return this.numbers[this.at + MIN]!;
  }

  get max(): number {
    return this.numbers[this.at + MAX]!;
  }

  get partialSum(): number {
    return this.numbers[this.at + PARTIAL_SUM]!;
  }

  get compensation(): number {
    return this.numbers[this.at + COMPENSATION]!;
  }

  get runningMean(): number {
    return this.numbers[this.at + RUNNING_MEAN]!;
  }

  get m2(): number {
    return this.numbers[this.at + M2]!;
  }

  get first(): number {
    return this.numbers[this.at + FIRST]!;
  }

  get firstTime(): number {
    return this.numbers[this.at + FIRST_TIME]!;
  }

  get last(): number {
    return this.numbers[this.at + LAST]!;
  }

  get lastTime(): number {
    return this.numbers[this.at + LAST_TIME]!;
  }

  get sum(): number {
    return this.partialSum + this.compensation;
  }
}

/** Everything that an accumulator remembers. */
export type AccumulatorNumbers = Omit<Accumulator, 'add' | 'copyTo' | 'sum'>;
