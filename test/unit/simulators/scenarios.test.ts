import { describe, expect, test } from 'vitest';
import { simulatedFeeds } from '../../../simulators/feed.ts';
import { isOnline, partOf, SCENARIOS, type Scenario } from '../../../simulators/scenarios.ts';
import { type ExpectedAlerts, expectedAlerts } from '../../../simulators/truth.ts';
import type { TruthRule } from '../../../simulators/truth-alerts.ts';
import type { TruthReading } from '../../../simulators/truth-file.ts';

const STARTED_AT_MS = Date.UTC(2026, 0, 1);

/** Everything that a fleet at two readings a second and device says, as if the wire took no time. */
function readingsOf(scenario: Scenario, options: { devices: number; durationMs: number; seed: number }): TruthReading[] {
  const { devices, durationMs, seed } = options;
  const schedule = { startedAtMs: STARTED_AT_MS, devices, ratePerSecond: 2 * devices };
  const feeds = simulatedFeeds({ story: { scenario, seed, cycleMs: 60_000 }, schedule, durationMs, namePrefix: 'sim' });
  return feeds.flatMap((feed) =>
    Array.from({ length: feed.length }, (_, tick) => ({
      ...feed.reading(tick),
      sentAt: STARTED_AT_MS + feed.dueAfterMs(tick),
      acked: true,
    })),
  );
}

function alertsOf(readings: readonly TruthReading[], deadband: number): ExpectedAlerts['episodes'] {
  const rule: TruthRule = { id: 'high-temperature', metric: 'temperature', above: 100, deadband, forMs: 0, offDelayMs: 0 };
  return expectedAlerts(readings, [rule]).episodes;
}

describe('scenarios', () => {
  test.each([1, 2, 3, 99])('the default demo raises and resolves alerts within 30 s (seed %i)', (seed) => {
    const episodes = alertsOf(readingsOf('mix', { devices: 25, durationMs: 30_000, seed }), 5);
    const early = episodes.filter((episode) => episode.resolvedAt !== null && episode.resolvedAt < STARTED_AT_MS + 25_000);
    expect(early.length).toBeGreaterThanOrEqual(10);
    expect(Math.min(...episodes.map((episode) => episode.raisedAt))).toBeLessThan(STARTED_AT_MS + 10_000);
  });

  test('steady never raises an alert', () => {
    expect(alertsOf(readingsOf('steady', { devices: 30, durationMs: 180_000, seed: 1 }), 5)).toEqual([]);
  });

  test('heatwave: every third device once a cycle, and all of them come back', () => {
    const readings = readingsOf('heatwave', { devices: 9, durationMs: 180_000, seed: 1 });
    const episodes = alertsOf(readings, 5);
    expect(episodes.map((episode) => episode.device)).toEqual(['sim-0001', 'sim-0004', 'sim-0007'].flatMap((id) => [id, id, id]));
    expect(episodes.every((episode) => episode.resolvedAt !== null && episode.peak > 105)).toBe(true);
  });

  test('flapping: without a deadband many times as many alerts', () => {
    const readings = readingsOf('flapping', { devices: 4, durationMs: 120_000, seed: 1 });
    const calm = alertsOf(readings, 5).length;
    expect(calm).toBeGreaterThanOrEqual(4);
    expect(calm).toBeLessThanOrEqual(8);
    expect(alertsOf(readings, 0).length).toBeGreaterThan(4 * calm);
  });

  test('late-burst: a device is offline once a cycle, for longer than `up` takes to call it idle, and overheats meanwhile', () => {
    const story = { scenario: 'late-burst', seed: 1, cycleMs: 60_000 } as const;
    for (const device of [0, 2, 4]) {
      const offline = Array.from({ length: 600 }, (_, tenth) => tenth * 100).filter((ms) => !isOnline(story, device, ms));
      expect(offline.length * 100).toBeGreaterThan(12_000);
      expect(offline[0]).toBeGreaterThan(3_000);
      expect(offline.at(-1)).toBeLessThan(30_000);
      // One stretch, not several.
      expect(offline.at(-1)! - offline[0]!).toBe((offline.length - 1) * 100);
    }
    expect(isOnline(story, 1, 10_000)).toBe(true);
    const [episode] = alertsOf(readingsOf('late-burst', { devices: 1, durationMs: 60_000, seed: 1 }), 5);
    expect(isOnline(story, 0, (episode?.resolvedAt ?? 0) - STARTED_AT_MS)).toBe(false);
  });

  test('at the end of the run everybody is back, so that no backlog is left', () => {
    const story = { scenario: 'late-burst', seed: 1, cycleMs: 60_000 } as const;
    const schedule = { startedAtMs: STARTED_AT_MS, devices: 1, ratePerSecond: 2 };
    const [feed] = simulatedFeeds({ story, schedule, durationMs: 12_000, namePrefix: 'sim' });
    expect(isOnline(story, 0, 12_000)).toBe(false);
    expect(feed?.isOnline(11_999)).toBe(false);
    expect(feed?.isOnline(12_000)).toBe(true);
  });

  test('a fleet of one has something to show in every scenario but steady', () => {
    expect(SCENARIOS.filter((scenario) => partOf(scenario, 0) === 'steady')).toEqual(['steady']);
  });
});

describe('the schedule', () => {
  test.each([
    { devices: 10, ratePerSecond: 20, durationMs: 5_000 },
    { devices: 7, ratePerSecond: 3, durationMs: 10_000 },
    { devices: 3, ratePerSecond: 5_000, durationMs: 100 },
    { devices: 20, ratePerSecond: 1, durationMs: 4_500 },
  ])('$ratePerSecond readings/s over $devices devices for $durationMs ms', ({ devices, ratePerSecond, durationMs }) => {
    const schedule = { startedAtMs: STARTED_AT_MS, devices, ratePerSecond };
    const feeds = simulatedFeeds({ story: { scenario: 'mix', seed: 1, cycleMs: 60_000 }, schedule, durationMs, namePrefix: 'sim' });
    const total = feeds.reduce((sum, feed) => sum + feed.length, 0);
    expect(total).toBe(Math.ceil((ratePerSecond * durationMs) / 1000));
    for (const feed of feeds) {
      for (let tick = 0; tick < feed.length; tick += 1) {
        const due = feed.dueAfterMs(tick);
        expect(due).toBeLessThan(durationMs);
        expect(feed.reading(tick).ts).toBe(STARTED_AT_MS + Math.floor(due));
        expect(feed.reading(tick).seq).toBe(tick);
      }
    }
  });
});
