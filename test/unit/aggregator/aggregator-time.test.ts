// Clocks of an aggregator's surroundings, in virtual time on the log in memory: being behind makes nothing late, and a log whose clock is
// wrong moves no clock of the fold.

import { expect, test, vi } from 'vitest';
import type { FoldSettings } from '../../../src/core/fold-settings.ts';
import { PLAIN_SETTINGS, plainWorld, START_MS } from '../../support/aggregator-scene.ts';
import { type AggregatorWorld, TOPICS } from '../../support/aggregator-world.ts';
import type { RecordStep } from '../../support/oracle/fold-steps.ts';
import { plainReading } from '../../support/oracle/plain-reading.ts';
import { inVirtualTime, type VirtualClock } from '../../support/virtual-clock.ts';

vi.mock('node:timers/promises', async () => ({ setTimeout: (await import('../../support/virtual-clock.ts')).promisedTimeout }));

const SETTINGS: FoldSettings = { ...PLAIN_SETTINGS, pastLimitMs: 600_000 };
const STEP_MS = 10_000;
const HOUR_MS = 3_600_000;
const SETTLING_MS = 150_000;

const readingAt = (timeMs: number): RecordStep => ({
  kind: 'record',
  offset: 0,
  appendTime: timeMs,
  key: 'd1',
  reading: plainReading({ deviceId: 'd1', eventTime: timeMs, temperature: 20 + ((timeMs / STEP_MS) % 7) }),
});

function newWorld(clock: VirtualClock): AggregatorWorld {
  const pace = { recordsMax: 50, intervalMs: 50 };
  return plainWorld(clock, { pace: { live: pace, behind: pace, behindRecords: 5_000 }, fetchBytes: 2_000 });
}

const rowsOf = (world: AggregatorWorld): unknown[] => world.committed(TOPICS.aggregates).map(({ value }) => JSON.parse(value!));
const letters = (world: AggregatorWorld): number => world.committed(TOPICS.readingsDlq).length;

test('who is an hour behind writes what he would have written in time', async () => {
  const times = Array.from({ length: HOUR_MS / STEP_MS }, (_, index) => START_MS + index * STEP_MS);
  const inTime = await inVirtualTime(async (clock) => {
    const world = newWorld(clock);
    world.start(SETTINGS, 0);
    await clock.advance(1_000);
    for (const time of times) {
      world.append([readingAt(time)], 1);
      await clock.advance(STEP_MS);
    }
    await clock.advance(SETTLING_MS);
    for (const process of world.processes) process.kill();
    return rowsOf(world);
  });
  const behind = await inVirtualTime(async (clock) => {
    const world = newWorld(clock);
    for (const time of times) world.append([readingAt(time)], 1);
    await clock.advance(HOUR_MS);
    world.start(SETTINGS, 0);
    await clock.advance(SETTLING_MS);
    expect(letters(world)).toBe(0);
    for (const process of world.processes) process.kill();
    return rowsOf(world);
  });
  expect(inTime).toHaveLength(HOUR_MS / SETTINGS.windowSizeMs);
  expect(inTime).not.toContainEqual(expect.objectContaining({ closedBy: 'LATE' }));
  expect(behind).toEqual(inTime);
});

test('a log whose clock is more than an hour ahead stops the partition before anything is folded by it', () =>
  inVirtualTime(async (clock) => {
    const world = newWorld(clock);
    const process = world.start(SETTINGS, 0);
    await clock.advance(1_000);
    const now = Date.now();
    world.append([readingAt(now)], 1);
    await clock.advance(1_000);
    expect(world.progress).toMatchObject({ nextOffset: 1 });
    world.append([readingAt(now + 2 * HOUR_MS)], 1);
    await clock.advance(SETTLING_MS);
    expect(process.failure).toMatchObject({ code: 'APPEND_TIME_AHEAD' });
    expect(world.progress).toMatchObject({ nextOffset: 1 });
    expect(letters(world)).toBe(0);
    process.kill();
  }));
