import { plainNumbers } from './plain-numbers.ts';

// What is remembered of one rule for one device. There is one of these for each device and rule, so the numbers stand in a row.

export type AlertPhase = 'NORMAL' | 'PENDING' | 'FIRING' | 'RECOVERING';

// Places of the numbers.
const LAST_JUDGED = 0;
const JUDGED_HEARD = 1;
const LAST_VALUE = 2;
const RAISED_AT = 3;
const FIRST_BREACH_OFFSET = 4;
const RECOVERING_SINCE = 5;
const TIMER_AT = 6;
const PEAK = 7;
const SAMPLE_COUNT = 8;
const LEVEL = 9;
const TRANSITIONS = 10;
const STALE_SINCE = 11;
const STALE_HEARD = 12;

const NEW = plainNumbers([-1, -1, 0, 0, 0, 0, 0, 0, 0, 1, 0, -1, -1]);

/** Times in epoch ms. */
export class AlertState {
  readonly ruleId: string;
  phase: AlertPhase = 'NORMAL';
  /** That of another rule of the same device: see DeviceState. */
  next: AlertState | null = null;
  private readonly numbers = NEW.slice();

  constructor(ruleId: string) {
    this.ruleId = ruleId;
  }

  /** Event time of the last judged reading, and the partition clock then. */
  get lastJudged(): number {
    return this.numbers[LAST_JUDGED]!;
  }
  set lastJudged(value: number) {
    this.numbers[LAST_JUDGED] = value;
  }

  get judgedHeard(): number {
    return this.numbers[JUDGED_HEARD]!;
  }
  set judgedHeard(value: number) {
    this.numbers[JUDGED_HEARD] = value;
  }

  get lastValue(): number {
    return this.numbers[LAST_VALUE]!;
  }
  set lastValue(value: number) {
    this.numbers[LAST_VALUE] = value;
  }

  /** Of the episode; meaningless in NORMAL. */
  get raisedAt(): number {
    return this.numbers[RAISED_AT]!;
  }
  set raisedAt(value: number) {
    this.numbers[RAISED_AT] = value;
  }

  get firstBreachOffset(): number {
    return this.numbers[FIRST_BREACH_OFFSET]!;
  }
  set firstBreachOffset(value: number) {
    this.numbers[FIRST_BREACH_OFFSET] = value;
  }

  get recoveringSince(): number {
    return this.numbers[RECOVERING_SINCE]!;
  }
  set recoveringSince(value: number) {
    this.numbers[RECOVERING_SINCE] = value;
  }

  /** On the device's clock; meaningful in PENDING and RECOVERING. */
  get timerAt(): number {
    return this.numbers[TIMER_AT]!;
  }
  set timerAt(value: number) {
    this.numbers[TIMER_AT] = value;
  }

  get peak(): number {
    return this.numbers[PEAK]!;
  }
  set peak(value: number) {
    this.numbers[PEAK] = value;
  }

  get sampleCount(): number {
    return this.numbers[SAMPLE_COUNT]!;
  }
  set sampleCount(value: number) {
    this.numbers[SAMPLE_COUNT] = value;
  }

  /** 1, 2, ...: where on the ladder a raised alert stands. */
  get level(): number {
    return this.numbers[LEVEL]!;
  }
  set level(value: number) {
    this.numbers[LEVEL] = value;
  }

  /** How many transitions of the episode were written. */
  get transitions(): number {
    return this.numbers[TRANSITIONS]!;
  }
  set transitions(value: number) {
    this.numbers[TRANSITIONS] = value;
  }

  /** Of the stale alert (stale-alert.ts): when it was raised, -1 when it is not, and the device's lastHeard then. */
  get staleSince(): number {
    return this.numbers[STALE_SINCE]!;
  }
  set staleSince(value: number) {
    this.numbers[STALE_SINCE] = value;
  }

  get staleHeard(): number {
    return this.numbers[STALE_HEARD]!;
  }
  set staleHeard(value: number) {
    this.numbers[STALE_HEARD] = value;
  }
}
