import { type ExpectedEpisode, type TruthRule, watch } from './truth-alerts.ts';
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

/** An alert that may come out, not come out, or come out with another end or peak: it depends on moments that the truth file does not know. */
export interface UndecidedEpisodes {
  readonly device: string;
  readonly ruleId: string;
  /** Event times of the first breach, both inclusive. */
  readonly fromMs: number;
  readonly toMs: number;
}

export interface ExpectedAlerts {
  /** Sorted by device and rule, then in the order in which they were raised. */
  readonly episodes: readonly ExpectedEpisode[];
  readonly undecided: readonly UndecidedEpisodes[];
}

/** What each rule makes of each device's readings, which are judged in the order in which they were sent. */
export function expectedAlerts(readings: readonly TruthReading[], rules: readonly TruthRule[]): ExpectedAlerts {
  const byDevice = Map.groupBy(readings, (reading) => reading.device);
  const episodes: ExpectedEpisode[] = [];
  const undecided: UndecidedEpisodes[] = [];
  for (const device of [...byDevice.keys()].sort(compareText)) {
    for (const rule of [...rules].sort((a, b) => compareText(a.id, b.id))) {
      const seen = watch(rule, byDevice.get(device) ?? []);
      const subject = { device, ruleId: rule.id };
      episodes.push(...seen.episodes.map((episode) => ({ ...subject, ...episode })));
      undecided.push(...seen.undecided.map((range) => ({ ...subject, ...range })));
    }
  }
  return { episodes, undecided };
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
