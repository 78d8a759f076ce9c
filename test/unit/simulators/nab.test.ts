import { describe, expect, test } from 'vitest';
import { readSeries, type SeriesPoint } from '../../../simulators/replay.ts';
import { expectedAlerts, expectedWindows } from '../../../simulators/truth.ts';
import type { TruthRule } from '../../../simulators/truth-alerts.ts';
import type { TruthReading } from '../../../simulators/truth-file.ts';

const points = await readSeries('examples/nab/machine_temperature_system_failure.csv');

function asReadings(series: readonly SeriesPoint[], sendEveryMs = 1): TruthReading[] {
  return series.map(({ ts, value }, seq) => ({
    device: 'machine-1',
    ts,
    seq,
    sentAt: seq * sendEveryMs,
    metrics: { machine_temperature: value },
    acked: true,
  }));
}

function overheat(deadband: number): TruthRule {
  return { id: 'machine-overheat', metric: 'machine_temperature', above: 100, deadband, forMs: 0, offDelayMs: 0 };
}

describe('the machine temperature series of NAB', () => {
  test('has 22 695 readings and a clock that goes back once', () => {
    const backwards = points.filter((point, index) => index > 0 && point.ts < points[index - 1]!.ts);
    expect(points).toHaveLength(22_695);
    expect(backwards.map(({ ts }) => new Date(ts).toISOString())).toEqual(['2014-01-07T02:00:00.000Z']);
    expect(expectedWindows(asReadings(points), 60_000)).toHaveLength(22_695 - 12);
  });

  test.each([
    { deadband: 5, episodes: 21 },
    { deadband: 0, episodes: 239 },
  ])('makes $episodes episodes with a deadband of $deadband, however the hour that is there twice is treated', ({ deadband, episodes }) => {
    const rules = [overheat(deadband)];
    const inFileOrder = expectedAlerts(asReadings(points), rules);
    expect(inFileOrder.episodes).toHaveLength(episodes);
    expect(inFileOrder.episodes.every((episode) => episode.resolvedAt !== null && episode.resolvedAt > episode.raisedAt)).toBe(true);
    expect(inFileOrder.undecided).toEqual([]);
    // Slow enough that the set-back clock restarts the timeline, so that the hour is judged twice.
    expect(expectedAlerts(asReadings(points, 400_000), rules).episodes).toHaveLength(episodes);
    const sorted = [...points].sort((a, b) => a.ts - b.ts);
    expect(expectedAlerts(asReadings(sorted), rules).episodes).toHaveLength(episodes);
  });

  test('its first and its worst episode', () => {
    const { episodes } = expectedAlerts(asReadings(points), [overheat(5)]);
    expect(episodes[0]).toMatchObject({
      raisedAt: Date.UTC(2013, 11, 11, 5, 5),
      resolvedAt: Date.UTC(2013, 11, 11, 8, 40),
      peak: 102.7362135,
    });
    expect(Math.max(...episodes.map((episode) => episode.peak))).toBe(108.51054280000001);
  });
});
