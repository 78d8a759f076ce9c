import type { TruthReading } from './truth-file.ts';

// What has to come out, computed from what was sent by code that shares nothing with the aggregator.

export interface ExpectedWindow {
  readonly device: string;
  readonly metric: string;
  readonly windowStart: number;
  /** The merge of all parts of the window. */
  count: number;
  min: number;
  max: number;
  sum: number;
  mean: number;
  /** How many of `count` were sent but never acknowledged: these may be missing in what came out. */
  unacked: number;
}

/** Tumbling windows [windowStart, windowStart + windowSizeMs) in event time, per device and metric, sorted by device, metric, start. */
export function expectedWindows(readings: readonly TruthReading[], windowSizeMs: number): ExpectedWindow[] {
  const sums = new Map<string, ExpectedWindow & { lost: number }>();
  for (const { device, ts, metrics, acked } of readings) {
    const windowStart = Math.floor(ts / windowSizeMs) * windowSizeMs;
    for (const [metric, value] of Object.entries(metrics)) {
      const key = `${device}\n${metric}\n${windowStart}`;
      let window = sums.get(key);
      if (window === undefined) {
        window = { device, metric, windowStart, count: 0, min: value, max: value, sum: 0, mean: 0, unacked: 0, lost: 0 };
        sums.set(key, window);
      }
      window.count += 1;
      if (!acked) window.unacked += 1;
      window.min = Math.min(window.min, value);
      window.max = Math.max(window.max, value);
      // Neumaier's summation: `lost` gathers what each addition rounds away.
      const sum = window.sum + value;
      window.lost += Math.abs(window.sum) >= Math.abs(value) ? window.sum - sum + value : value - sum + window.sum;
      window.sum = sum;
    }
  }
  return [...sums.values()]
    .map(({ lost, ...window }) => ({ ...window, sum: window.sum + lost, mean: (window.sum + lost) / window.count }))
    .sort((a, b) => compareText(a.device, b.device) || compareText(a.metric, b.metric) || a.windowStart - b.windowStart);
}

export interface TruthRule {
  readonly id: string;
  readonly metric: string;
  /** Exactly one of the two. Equality is no breach. */
  readonly above?: number | undefined;
  readonly below?: number | undefined;
  /** How far back over the threshold a value must come to end the episode; 0 = any value that is no breach ends it. */
  readonly deadband: number;
  readonly forMs: number;
  readonly offDelayMs: number;
}

/** One alert: from the first breach to the reading (or the timer) that ended it. */
export interface ExpectedEpisode {
  readonly device: string;
  readonly ruleId: string;
  /** Event time of the first breach. */
  readonly raisedAt: number;
  /** Null: still raised after the last reading. */
  resolvedAt: number | null;
  /** The most extreme value among the readings judged in the episode, the one that ended it included. */
  peak: number;
}

/** From here on what comes out for this device and rule depends on moments that the truth file cannot know. */
export interface Undecided {
  readonly device: string;
  readonly ruleId: string;
  /** Episodes raised at or after this event time may or may not come out, or differ. */
  readonly fromMs: number;
  readonly because: 'unacknowledged' | 'silence';
}

export interface ExpectedAlerts {
  /** Sorted by device and rule, then in the order in which they were raised. */
  readonly episodes: readonly ExpectedEpisode[];
  readonly undecided: readonly Undecided[];
}

/** What each rule makes of each device's readings, which are judged in the order in which they were sent. */
export function expectedAlerts(readings: readonly TruthReading[], rules: readonly TruthRule[]): ExpectedAlerts {
  const byDevice = new Map<string, TruthReading[]>();
  for (const reading of readings) {
    const list = byDevice.get(reading.device);
    if (list === undefined) byDevice.set(reading.device, [reading]);
    else list.push(reading);
  }
  const episodes: ExpectedEpisode[] = [];
  const undecided: Undecided[] = [];
  for (const device of [...byDevice.keys()].sort(compareText)) {
    for (const rule of [...rules].sort((a, b) => compareText(a.id, b.id))) {
      const watch = new Watch(device, rule);
      for (const reading of byDevice.get(device) ?? []) {
        if (watch.undecided !== null) break;
        watch.observe(reading);
      }
      watch.end();
      episodes.push(...watch.episodes);
      if (watch.undecided !== null) undecided.push(watch.undecided);
    }
  }
  return { episodes, undecided };
}

/** After this long without a judged reading, an earlier event time is taken for a clock that was set back. */
const TIMELINE_RESTART_MS = 5 * 60_000;
/** Between sending and the broker's append time lie moments; a silence this close to its limit may fall on either side. */
const SILENCE_TOLERANCE_MS = 2_000;

/** One rule watching one device. */
class Watch {
  readonly episodes: ExpectedEpisode[] = [];
  undecided: Undecided | null = null;
  readonly #device: string;
  readonly #rule: TruthRule;
  /** Turns `below` into `above`: -1 mirrors values and threshold. */
  readonly #sign: 1 | -1;
  readonly #threshold: number;
  #judged: { ts: number; sentAt: number } | null = null;
  /** Highest event time of the device and when it was last heard, whatever it said. */
  #maxTs = Number.NEGATIVE_INFINITY;
  #heardAt = 0;
  /** A breach that has not lasted for forMs yet. */
  #pending: { raisedAt: number; peak: number; timerAt: number } | null = null;
  #open: ExpectedEpisode | null = null;
  /** Clear, but not for offDelayMs yet. */
  #recovering: { since: number; timerAt: number } | null = null;

  constructor(device: string, rule: TruthRule) {
    const limit = rule.above ?? rule.below;
    if (limit === undefined || (rule.above !== undefined && rule.below !== undefined)) {
      throw new Error(`rule ${rule.id} must have either 'above' or 'below'`);
    }
    this.#device = device;
    this.#rule = rule;
    this.#sign = rule.above === undefined ? -1 : 1;
    this.#threshold = this.#sign * limit;
  }

  observe(reading: TruthReading): void {
    this.#silenceUntil(reading.sentAt);
    if (this.undecided !== null) return;
    this.#maxTs = Math.max(this.#maxTs, reading.ts);
    this.#heardAt = reading.sentAt;
    const value = reading.metrics[this.#rule.metric];
    if (!reading.acked && value !== undefined) {
      this.#leaveUndecided(reading.ts, 'unacknowledged');
      return;
    }
    if (value !== undefined && this.#isInOrder(reading)) this.#judge(this.#sign * value, reading.ts);
    if (this.undecided !== null) return;
    // What the device's own clock has passed by now has lasted, even when this reading said nothing about the metric.
    const timerAt = this.#timerAt();
    if (timerAt !== null && timerAt <= this.#maxTs) this.#timerFires();
  }

  /** The run is over. A timer that still runs will elapse, or not, depending on how long somebody waits. */
  end(): void {
    if (this.undecided === null && this.#timerAt() !== null) this.#leaveUndecided(this.#maxTs, 'silence');
  }

  /** Silence moves a device's timers on, because other devices (or ticks) move the clock of its partition. */
  #silenceUntil(sentAt: number): void {
    const timerAt = this.#timerAt();
    if (timerAt === null) return;
    const overdueMs = sentAt - (this.#heardAt + Math.max(0, timerAt - this.#maxTs));
    if (overdueMs <= -SILENCE_TOLERANCE_MS) return;
    if (overdueMs < SILENCE_TOLERANCE_MS) this.#leaveUndecided(this.#maxTs, 'silence');
    else this.#timerFires();
  }

  /** Alerts judge in event-time order; equal times are in order. */
  #isInOrder({ ts, sentAt }: TruthReading): boolean {
    const before = this.#judged;
    if (before !== null && ts < before.ts) {
      const quietMs = sentAt - before.sentAt;
      if (quietMs < TIMELINE_RESTART_MS - SILENCE_TOLERANCE_MS) return false;
      if (quietMs <= TIMELINE_RESTART_MS + SILENCE_TOLERANCE_MS) {
        this.#leaveUndecided(ts, 'silence');
        return false;
      }
      this.#pending = null;
      this.#recovering = null;
    }
    this.#judged = { ts, sentAt };
    return true;
  }

  #judge(value: number, ts: number): void {
    const breach = value > this.#threshold;
    if (this.#open !== null) this.#judgeOpen(this.#open, value, ts);
    else if (!breach) this.#pending = null;
    else if (this.#pending === null) {
      this.#pending = { raisedAt: ts, peak: value, timerAt: Math.max(ts, this.#maxTs) + this.#rule.forMs };
      if (this.#rule.forMs === 0) this.#timerFires();
    } else {
      this.#pending.peak = Math.max(this.#pending.peak, value);
      if (ts - this.#pending.raisedAt >= this.#rule.forMs) this.#timerFires();
    }
  }

  #judgeOpen(open: ExpectedEpisode, value: number, ts: number): void {
    open.peak = this.#sign * Math.max(this.#sign * open.peak, value);
    const { deadband, offDelayMs } = this.#rule;
    const clear = deadband === 0 ? value <= this.#threshold : value < this.#threshold - deadband;
    if (!clear) this.#recovering = null;
    else if (offDelayMs === 0 || (this.#recovering !== null && ts - this.#recovering.since >= offDelayMs)) this.#resolve(open, ts);
    else this.#recovering ??= { since: ts, timerAt: Math.max(ts, this.#maxTs) + offDelayMs };
  }

  #timerAt(): number | null {
    return this.#pending?.timerAt ?? this.#recovering?.timerAt ?? null;
  }

  #timerFires(): void {
    if (this.#pending !== null) {
      const { raisedAt, peak } = this.#pending;
      this.#open = { device: this.#device, ruleId: this.#rule.id, raisedAt, resolvedAt: null, peak: this.#sign * peak };
      this.episodes.push(this.#open);
      this.#pending = null;
    } else if (this.#open !== null && this.#recovering !== null) this.#resolve(this.#open, this.#recovering.timerAt);
  }

  #resolve(open: ExpectedEpisode, at: number): void {
    open.resolvedAt = at;
    this.#open = null;
    this.#recovering = null;
  }

  /** What was going on is undecided too, so it leaves the list of what is certain. */
  #leaveUndecided(ts: number, because: Undecided['because']): void {
    const fromMs = this.#open?.raisedAt ?? this.#pending?.raisedAt ?? ts;
    if (this.#open !== null) this.episodes.pop();
    this.undecided = { device: this.#device, ruleId: this.#rule.id, fromMs, because };
  }
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
