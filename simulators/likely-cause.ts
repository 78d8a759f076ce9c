import type { ActualAggregate } from './compare-windows.ts';
import { timeText } from './difference.ts';
import { type ExpectedWindow, expectedWindows } from './truth.ts';
import type { TruthReading } from './truth-file.ts';

// Readings that are missing in a pattern: where they are missing says more than each window that has too few of them. Pure.

/** What to look at first, a sentence or two; null when nothing is missing, or in no pattern that would tell. */
export function likelyCause(readings: readonly TruthReading[], windowSizeMs: number, rows: readonly ActualAggregate[]): string | null {
  const expected = expectedWindows(readings, windowSizeMs);
  const found = foundCounts(rows);
  const short = expected.filter((window) => (found.get(keyOf(window)) ?? 0) < window.count - window.unacked);
  if (short.length === 0) return null;
  const devices = new Set(expected.map(({ device }) => device));
  const out = rows.filter((row) => devices.has(row.deviceId));
  if (out.length === 0) {
    return `Nothing of these devices has come out. Do a bridge at the MQTT broker that they published to and an aggregator run, both with this KAFKA_TOPIC_PREFIX? See 'ingot lag' and 'ingot dlq list'.`;
  }
  const starts = out.map(({ windowStart }) => windowStart);
  const [firstMs, lastMs] = [starts.reduce((a, b) => Math.min(a, b)), starts.reduce((a, b) => Math.max(a, b))];
  if (short.every(({ windowStart }) => windowStart <= firstMs)) {
    return `Only the beginning is missing, up to the window of ${timeText(firstMs)}: the bridge has probably subscribed after the devices began. An MQTT broker keeps nothing for a session that it does not know yet.`;
  }
  if (short.every(({ windowStart }) => windowStart >= lastMs)) {
    return `Only the end is missing, from the window of ${timeText(lastMs)} on: those windows are probably not closed yet, or the aggregator is behind ('ingot lag'). --timeout waits longer.`;
  }
  return causeOfSomeDevices(short, new Set(out.map((row) => row.deviceId)), devices.size);
}

function causeOfSomeDevices(short: readonly ExpectedWindow[], seen: ReadonlySet<string>, deviceCount: number): string | null {
  const missing = new Set(short.map(({ device }) => device).filter((device) => !seen.has(device)));
  if (!short.every(({ device }) => missing.has(device))) return null;
  const [example = ''] = missing;
  return `Nothing has come out of ${missing.size} of ${deviceCount} devices, and the others are whole: MQTT_TOPICS or the broker's access list leaves them out, or they are refused: 'ingot dlq list --device ${example}'.`;
}

/** Of the parts of each window together. */
function foundCounts(rows: readonly ActualAggregate[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { deviceId: device, metric, windowStart, count } of rows) {
    const key = keyOf({ device, metric, windowStart });
    counts.set(key, (counts.get(key) ?? 0) + count);
  }
  return counts;
}

function keyOf({ device, metric, windowStart }: Pick<ExpectedWindow, 'device' | 'metric' | 'windowStart'>): string {
  return `${device}\n${metric}\n${windowStart}`;
}
