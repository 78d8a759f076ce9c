import { type ExpectedWindow, expectedAlerts, expectedWindows } from './truth.ts';
import type { ExpectedEpisode, TruthRule } from './truth-alerts.ts';
import type { TruthReading } from './truth-file.ts';

// Compares what came out of the pipeline with what was sent. Pure: arrays in, a list of differences out.

/** A record of the aggregates topic, read_committed, in the order of its partition. Other fields do not matter here. */
export interface ActualAggregate {
  readonly deviceId: string;
  readonly metric: string;
  readonly windowStart: number;
  readonly windowEnd: number;
  readonly part: number;
  readonly count: number;
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  readonly sum: number;
}

/** A record of the alerts topic, read_committed, in the order of its partition. */
export interface ActualAlert {
  readonly alertId: string;
  readonly ruleId: string;
  readonly deviceId: string;
  readonly transition: string;
  readonly transitionNumber: number;
  readonly raisedAt: number;
  readonly resolvedAt: number | null;
  readonly peakValue: number | null;
}

export interface ComparisonSettings {
  readonly windowSizeMs: number;
  readonly rules: readonly TruthRule[];
}

export type DifferenceKind =
  | 'part_repeated'
  | 'window_size'
  | 'window_missing'
  | 'window_unexpected'
  | 'window_differs'
  | 'alert_repeated'
  | 'alert_order'
  | 'alert_missing'
  | 'alert_unexpected'
  | 'alert_differs';

export interface Difference {
  readonly kind: DifferenceKind;
  readonly device: string;
  /** One sentence with what was expected and what was found. */
  readonly text: string;
}

export interface Comparison {
  readonly readingsSent: number;
  readonly readingsAcked: number;
  /** Merged windows and alerts that the truth demands, and how many of them came out as demanded. */
  readonly windowsExpected: number;
  readonly windowsEqual: number;
  readonly alertsExpected: number;
  readonly alertsEqual: number;
  /** Not judged: they depend on readings that were never acknowledged, or on a silence that ends too close to a limit. */
  readonly windowsUndecided: number;
  readonly alertsUndecided: number;
  readonly differences: readonly Difference[];
}

/**
 * Rows of devices that the truth does not know, and rows from before a device's first reading or after its last, belong to somebody
 * else and are left out.
 */
export function compare(
  readings: readonly TruthReading[],
  settings: ComparisonSettings,
  actual: { readonly aggregates: readonly ActualAggregate[]; readonly alerts: readonly ActualAlert[] },
): Comparison {
  const spans = deviceSpans(readings);
  const windows = compareWindows(readings, settings.windowSizeMs, ownAggregates(actual.aggregates, spans, settings.windowSizeMs));
  const alerts = compareAlerts(readings, settings.rules, ownAlerts(actual.alerts, spans));
  return {
    readingsSent: readings.length,
    readingsAcked: readings.filter((reading) => reading.acked).length,
    windowsExpected: windows.expected,
    windowsEqual: windows.equal,
    windowsUndecided: windows.undecided,
    alertsExpected: alerts.expected,
    alertsEqual: alerts.equal,
    alertsUndecided: alerts.undecided,
    differences: [...windows.differences, ...alerts.differences],
  };
}

interface Verdict {
  readonly expected: number;
  readonly equal: number;
  readonly undecided: number;
  readonly differences: readonly Difference[];
}

interface Span {
  firstTs: number;
  lastTs: number;
}

function deviceSpans(readings: readonly TruthReading[]): ReadonlyMap<string, Span> {
  const spans = new Map<string, Span>();
  for (const { device, ts } of readings) {
    const span = spans.get(device);
    if (span === undefined) spans.set(device, { firstTs: ts, lastTs: ts });
    else {
      span.firstTs = Math.min(span.firstTs, ts);
      span.lastTs = Math.max(span.lastTs, ts);
    }
  }
  return spans;
}

function ownAggregates(rows: readonly ActualAggregate[], spans: ReadonlyMap<string, Span>, windowSizeMs: number): ActualAggregate[] {
  return rows.filter((row) => {
    const span = spans.get(row.deviceId);
    return span !== undefined && row.windowStart > span.firstTs - windowSizeMs && row.windowStart <= span.lastTs;
  });
}

function ownAlerts(rows: readonly ActualAlert[], spans: ReadonlyMap<string, Span>): ActualAlert[] {
  return rows.filter((row) => {
    const span = spans.get(row.deviceId);
    return span !== undefined && row.raisedAt >= span.firstTs && row.raisedAt <= span.lastTs;
  });
}

interface MergedWindow {
  count: number;
  min: number;
  max: number;
  sum: number;
  parts: Set<number>;
}

function compareWindows(readings: readonly TruthReading[], windowSizeMs: number, rows: readonly ActualAggregate[]): Verdict {
  const differences: Difference[] = [];
  const merged = mergeParts(rows, windowSizeMs, differences);
  const expected = expectedWindows(readings, windowSizeMs);
  let equal = 0;
  let undecided = 0;
  for (const window of expected) {
    const key = windowKey(window.device, window.metric, window.windowStart);
    const found = merged.get(key);
    merged.delete(key);
    const difference = window.unacked === 0 ? windowDifference(window, found) : uncertainWindowDifference(window, found);
    if (difference !== null) differences.push(difference);
    else if (window.unacked > 0) undecided += 1;
    else equal += 1;
  }
  for (const [key, found] of merged) {
    const [device = '', metric = '', start = ''] = key.split('\n');
    const text = `${nameOf({ device, metric, windowStart: Number(start) })} was not expected; found ${found.count} readings`;
    differences.push({ kind: 'window_unexpected', device, text });
  }
  return { expected: expected.length, equal, undecided, differences };
}

/** Adds the parts of each window together. A part that is there twice is a difference and counts twice, as a reader would count it. */
function mergeParts(rows: readonly ActualAggregate[], windowSizeMs: number, differences: Difference[]): Map<string, MergedWindow> {
  const merged = new Map<string, MergedWindow>();
  for (const row of rows) {
    const { deviceId: device, metric, windowStart } = row;
    if (row.windowEnd - windowStart !== windowSizeMs || windowStart % windowSizeMs !== 0) {
      const text = `${nameOf({ device, metric, windowStart })} is ${row.windowEnd - windowStart} ms long; expected windows of ${windowSizeMs} ms`;
      differences.push({ kind: 'window_size', device, text });
      continue;
    }
    const key = windowKey(device, metric, windowStart);
    const window = merged.get(key);
    if (window === undefined) {
      merged.set(key, { count: row.count, min: row.min, max: row.max, sum: row.sum, parts: new Set([row.part]) });
      continue;
    }
    if (window.parts.has(row.part)) {
      differences.push({ kind: 'part_repeated', device, text: `${nameOf({ device, metric, windowStart })} has part ${row.part} twice` });
    }
    window.parts.add(row.part);
    window.count += row.count;
    window.min = Math.min(window.min, row.min);
    window.max = Math.max(window.max, row.max);
    window.sum += row.sum;
  }
  return merged;
}

function windowDifference(window: ExpectedWindow, found: MergedWindow | undefined): Difference | null {
  const { device } = window;
  if (found === undefined) {
    return { kind: 'window_missing', device, text: `${nameOf(window)} is missing; expected ${window.count} readings` };
  }
  const wrong: string[] = [];
  if (found.count !== window.count) wrong.push(`count ${found.count}, expected ${window.count}`);
  if (found.min !== window.min) wrong.push(`min ${found.min}, expected ${window.min}`);
  if (found.max !== window.max) wrong.push(`max ${found.max}, expected ${window.max}`);
  if (!isClose(found.sum, window.sum, window)) wrong.push(`sum ${found.sum}, expected ${window.sum}`);
  return wrong.length === 0 ? null : { kind: 'window_differs', device, text: `${nameOf(window)} has ${wrong.join('; ')}` };
}

/** Of a window with unacknowledged readings only the number of readings can be judged, between two bounds. */
function uncertainWindowDifference(window: ExpectedWindow, found: MergedWindow | undefined): Difference | null {
  const count = found?.count ?? 0;
  if (count >= window.count - window.unacked && count <= window.count) return null;
  const text = `${nameOf(window)} has count ${count}, expected ${window.count - window.unacked} to ${window.count}`;
  return { kind: found === undefined ? 'window_missing' : 'window_differs', device: window.device, text };
}

/** Sums of the same numbers in another order, or merged from parts, differ in the last digits. */
function isClose(found: number, expected: number, window: ExpectedWindow): boolean {
  const scale = Math.max(1, window.count * Math.max(Math.abs(window.min), Math.abs(window.max)));
  return Math.abs(found - expected) <= 1e-12 * scale;
}

interface Episode {
  readonly raisedAt: number;
  readonly alertId: string;
  resolvedAt: number | null;
  expired: boolean;
  peak: number | null;
}

function compareAlerts(readings: readonly TruthReading[], rules: readonly TruthRule[], rows: readonly ActualAlert[]): Verdict {
  const differences: Difference[] = [];
  const { episodes, undecided } = expectedAlerts(readings, rules);
  const undecidedBySubject = Map.groupBy(undecided, ({ device, ruleId }) => subjectKey(device, ruleId));
  const found = groupBySubject(rows);
  let equal = 0;
  for (const episode of episodes) {
    const candidates = found.get(subjectKey(episode.device, episode.ruleId)) ?? [];
    const at = candidates.findIndex((candidate) => candidate.raisedAt === episode.raisedAt);
    const [match] = at < 0 ? [] : candidates.splice(at, 1);
    const difference = alertDifference(episode, match);
    if (difference === null) equal += 1;
    else differences.push(difference);
  }
  let alertsUndecided = 0;
  for (const [key, rest] of found) {
    const [device = '', ruleId = ''] = key.split('\n');
    const ranges = undecidedBySubject.get(key) ?? [];
    for (const { raisedAt } of rest) {
      if (ranges.some(({ fromMs, toMs }) => raisedAt >= fromMs && raisedAt <= toMs)) alertsUndecided += 1;
      else differences.push({ kind: 'alert_unexpected', device, text: `${nameOfAlert({ device, ruleId, raisedAt })} was not expected` });
    }
  }
  differences.push(...sequenceDifferences(rows));
  return { expected: episodes.length, equal, undecided: alertsUndecided, differences };
}

/** Alerts by device and rule, in the order in which they were raised. */
function groupBySubject(rows: readonly ActualAlert[]): Map<string, Episode[]> {
  const byAlert = new Map<string, Episode>();
  const bySubject = new Map<string, Episode[]>();
  for (const row of rows) {
    let episode = byAlert.get(row.alertId);
    if (episode === undefined) {
      episode = { raisedAt: row.raisedAt, alertId: row.alertId, resolvedAt: null, expired: false, peak: row.peakValue };
      byAlert.set(row.alertId, episode);
      const key = subjectKey(row.deviceId, row.ruleId);
      bySubject.set(key, [...(bySubject.get(key) ?? []), episode]);
    }
    if (row.transition === 'RAISED') continue;
    episode.peak = row.peakValue;
    if (row.transition === 'RESOLVED') episode.resolvedAt = row.resolvedAt;
    if (row.transition === 'EXPIRED') episode.expired = true;
  }
  return bySubject;
}

function alertDifference(episode: ExpectedEpisode, found: Episode | undefined): Difference | null {
  const { device } = episode;
  if (found === undefined) return { kind: 'alert_missing', device, text: `${nameOfAlert(episode)} is missing` };
  const wrong: string[] = [];
  if (found.resolvedAt !== episode.resolvedAt) {
    wrong.push(`resolved ${timeText(found.resolvedAt)}${found.expired ? ' (expired)' : ''}, expected ${timeText(episode.resolvedAt)}`);
  }
  // The peak of an alert that is still raised is only written when it ends.
  if (episode.resolvedAt !== null && found.peak !== episode.peak) wrong.push(`peak ${found.peak}, expected ${episode.peak}`);
  return wrong.length === 0 ? null : { kind: 'alert_differs', device, text: `${nameOfAlert(episode)}: ${wrong.join('; ')}` };
}

/** Each alert is raised once and ends at most once, and of one device and rule one ends before the next is raised. */
function sequenceDifferences(rows: readonly ActualAlert[]): Difference[] {
  const differences: Difference[] = [];
  const seen = new Set<string>();
  const raised = new Map<string, string>();
  for (const row of rows) {
    const { deviceId: device, ruleId, alertId, transition } = row;
    const name = nameOfAlert({ device, ruleId, raisedAt: row.raisedAt });
    if (seen.has(`${alertId}\n${row.transitionNumber}`)) {
      differences.push({ kind: 'alert_repeated', device, text: `${name} has transition ${row.transitionNumber} (${transition}) twice` });
      continue;
    }
    seen.add(`${alertId}\n${row.transitionNumber}`);
    const subject = subjectKey(device, ruleId);
    const open = raised.get(subject);
    if (transition === 'RAISED') {
      if (open !== undefined) differences.push({ kind: 'alert_order', device, text: `${name} was raised while another one was` });
      raised.set(subject, alertId);
    } else if (transition === 'RESOLVED' || transition === 'EXPIRED') {
      if (open !== alertId)
        differences.push({ kind: 'alert_order', device, text: `${name} was ${transition.toLowerCase()} but not raised` });
      raised.delete(subject);
    }
  }
  return differences;
}

function windowKey(device: string, metric: string, windowStart: number): string {
  return `${device}\n${metric}\n${windowStart}`;
}

function subjectKey(device: string, ruleId: string): string {
  return `${device}\n${ruleId}`;
}

function nameOf({ device, metric, windowStart }: { device: string; metric: string; windowStart: number }): string {
  return `window ${device} ${metric} ${timeText(windowStart)}`;
}

function nameOfAlert({ device, ruleId, raisedAt }: { device: string; ruleId: string; raisedAt: number }): string {
  return `alert ${device} ${ruleId} raised ${timeText(raisedAt)}`;
}

function timeText(ms: number | null): string {
  return ms === null ? 'never' : new Date(ms).toISOString();
}
