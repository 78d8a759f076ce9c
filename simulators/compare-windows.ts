import { type Difference, timeText, type Verdict } from './difference.ts';
import { type ExpectedWindow, expectedWindows } from './truth.ts';
import type { TruthReading } from './truth-file.ts';

// Merges the parts of each window that came out, and compares the windows with those that the truth demands.

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

interface MergedWindow {
  count: number;
  min: number;
  max: number;
  sum: number;
  parts: Set<number>;
}

export function compareWindows(readings: readonly TruthReading[], windowSizeMs: number, rows: readonly ActualAggregate[]): Verdict {
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

function windowKey(device: string, metric: string, windowStart: number): string {
  return `${device}\n${metric}\n${windowStart}`;
}

function nameOf({ device, metric, windowStart }: { device: string; metric: string; windowStart: number }): string {
  return `window ${device} ${metric} ${timeText(windowStart)}`;
}
