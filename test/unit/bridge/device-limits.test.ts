import { describe, expect, it } from 'vitest';
import { DEVICE_PLACE_MS, DeviceLimits, deviceLimits } from '../../../src/bridge/device-limits.ts';
import { RecentTable } from '../../../src/core/recent-table.ts';

const T0 = 1_795_252_383_000;
const topicOf = (device: string | number) => `devices/${device}/telemetry`;
const rateLimits = (rateMax: number, burst: number) => new DeviceLimits({ rateMax, burst, devicesMax: 0 });

/** How many of `count` messages, `everyMs` apart, pass. */
function passing(limits: DeviceLimits, { count, everyMs, fromMs = T0 }: { count: number; everyMs: number; fromMs?: number }): number {
  let passed = 0;
  for (let i = 0; i < count; i++) if (limits.judge(topicOf('d1'), fromMs + i * everyMs) === 'pass') passed++;
  return passed;
}

describe('the rate of a device', () => {
  it('lets the burst pass at once, then what the rate allows', () => {
    const limits = rateLimits(2, 10);
    expect(passing(limits, { count: 100, everyMs: 0 })).toBe(10);
    // 100 s at ten a second, two of which are allowed.
    expect(passing(limits, { count: 1_000, everyMs: 100, fromMs: T0 + 1 })).toBe(199);
  });

  it('does not touch a device that keeps to it', () => {
    expect(passing(rateLimits(2, 1), { count: 1_000, everyMs: 500 })).toBe(1_000);
    expect(passing(rateLimits(0.1, 1), { count: 10, everyMs: 10_000 })).toBe(10);
  });

  it('saves nothing beyond the burst for a device that was silent', () => {
    const limits = rateLimits(1, 10);
    expect(limits.judge(topicOf('d1'), T0)).toBe('pass');
    // Shorter than what it takes to fill an empty bucket, after which it is forgotten.
    expect(passing(limits, { count: 100, everyMs: 0, fromMs: T0 + 9_500 })).toBe(10);
  });

  it('is one device’s alone', () => {
    const limits = rateLimits(1, 1);
    expect(limits.judge(topicOf('noisy'), T0)).toBe('pass');
    expect(limits.judge(topicOf('noisy'), T0)).toBe('shed');
    expect(limits.judge(topicOf('other'), T0)).toBe('pass');
  });

  it('is shared by all topics that are too long for a device', () => {
    const limits = rateLimits(1, 2);
    const verdicts = ['a', 'b', 'c'].map((end) => limits.judge(topicOf('x'.repeat(60_000) + end), T0));
    expect(verdicts).toEqual(['pass', 'pass', 'shed']);
    expect(limits.judge(topicOf('x'.repeat(128)), T0)).toBe('pass');
  });

  it('goes on when the clock is set back, and gives nothing for it', () => {
    const limits = rateLimits(1, 1);
    expect(limits.judge(topicOf('d1'), T0)).toBe('pass');
    expect(limits.judge(topicOf('d1'), T0 - 3_600_000)).toBe('shed');
    expect(limits.judge(topicOf('d1'), T0 - 3_600_000 + 1_000)).toBe('pass');
  });

  it('still holds for a noisy device while a flood of other ids comes', () => {
    const limits = rateLimits(1, 5);
    let passed = 0;
    for (let i = 0; i < 300_000; i++) {
      limits.judge(topicOf(`flood-${i}`), T0);
      if (i % 1_000 === 0 && limits.judge(topicOf('noisy'), T0) === 'pass') passed++;
    }
    expect(passed).toBe(5);
  });
});

describe('the number of devices', () => {
  const limits = () => new DeviceLimits({ rateMax: 0, burst: 1, devicesMax: 2 });

  it('refuses one too many, and goes on taking the others', () => {
    const cap = limits();
    expect(['a', 'b', 'a', 'c', 'b', 'c'].map((device) => cap.judge(topicOf(device), T0))).toEqual([
      'pass',
      'pass',
      'pass',
      'device_limit',
      'pass',
      'device_limit',
    ]);
  });

  it('gives the place of a device that fell silent to another one, and keeps that of one that speaks', () => {
    const cap = limits();
    cap.judge(topicOf('silent'), T0);
    cap.judge(topicOf('alive'), T0);
    for (let hour = 1; hour < 24; hour++) cap.judge(topicOf('alive'), T0 + hour * 3_600_000);
    expect(cap.judge(topicOf('new'), T0 + DEVICE_PLACE_MS - 1)).toBe('device_limit');
    for (let hour = 24; hour < 48; hour++) cap.judge(topicOf('alive'), T0 + hour * 3_600_000);
    expect(cap.judge(topicOf('new'), T0 + 2 * DEVICE_PLACE_MS)).toBe('pass');
    expect(cap.judge(topicOf('alive'), T0 + 2 * DEVICE_PLACE_MS)).toBe('pass');
    expect(cap.judge(topicOf('silent'), T0 + 2 * DEVICE_PLACE_MS)).toBe('device_limit');
  });

  it('counts devices, not topics that name none', () => {
    const cap = limits();
    for (const topic of ['devices/a b/telemetry', 'something/else', 'devices/a/b/telemetry']) expect(cap.judge(topic, T0)).toBe('pass');
    expect(cap.judge(topicOf('a'), T0)).toBe('pass');
    expect(cap.judge(topicOf('b'), T0)).toBe('pass');
    expect(cap.judge(topicOf('c'), T0)).toBe('device_limit');
  });
});

it('there is nothing when no limit is set', () => {
  expect(deviceLimits({ rateMax: 0, burst: 10, devicesMax: 0 })).toBeNull();
  expect(deviceLimits({ rateMax: 0.5, burst: 10, devicesMax: 0 })).not.toBeNull();
});

it('the table of recent keys never holds more than two generations', () => {
  const table = new RecentTable<number>({ spanMs: 1_000, maxKeys: 100 });
  for (let i = 0; i < 10_000; i++) {
    if (table.use(`key-${i}`, T0) === undefined) table.add(`key-${i}`, i, T0);
    expect(table.size).toBeLessThanOrEqual(200);
  }
  expect(table.use('key-9999', T0)).toBe(9_999);
  expect(table.use('key-0', T0)).toBeUndefined();
  expect(table.use('key-9999', T0 + 999)).toBe(9_999);
  expect(table.use('key-9999', T0 + 1_999)).toBe(9_999);
  expect(table.use('key-9999', T0 + 10_000)).toBeUndefined();
});
