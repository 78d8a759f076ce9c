// Windows of devices that fall silent close in time: WINDOW_IDLE after the device's last reading, or WINDOW_GRACE after the window's end when
// that is later, whether others go on talking or nobody does.

import { describe, expect, test, vi } from 'vitest';
import { PLAIN_SETTINGS, playScene, START_MS } from '../../support/aggregator-scene.ts';
import { type AggregatorWorld, TOPICS } from '../../support/aggregator-world.ts';
import type { RecordStep } from '../../support/oracle/fold-steps.ts';
import { plainReading } from '../../support/oracle/plain-reading.ts';

vi.mock('node:timers/promises', async () => ({ setTimeout: (await import('../../support/virtual-clock.ts')).promisedTimeout }));

const SECOND_MS = 1_000;
/** A long poll, the interval of ticks, and a commit. */
const TOLERANCE_MS = 1_500;

const readingOf = (deviceId: string, timeMs: number): RecordStep => ({
  kind: 'record',
  offset: 0,
  appendTime: timeMs,
  key: deviceId,
  reading: plainReading({ deviceId, eventTime: timeMs, temperature: 20 }),
});

const isClosed = (world: AggregatorWorld): boolean =>
  world.committed(TOPICS.aggregates).some(({ value }) => (JSON.parse(value!) as { deviceId: string }).deviceId === 'silent');

/** How long after the start of its window the window of a device that spoke once was in the log. */
async function closedAfterMs(spokeAtMs: number, others: 'talk' | 'are silent too'): Promise<number> {
  const pace = { recordsMax: 50, intervalMs: 50 };
  const options = { pace: { live: pace, behind: pace, behindRecords: 5_000 }, fetchBytes: 2_000, longPollMs: 100 };
  return await playScene(options, async (world, clock) => {
    world.start(PLAIN_SETTINGS, 0);
    await clock.advance(SECOND_MS);
    // Our clock and that of the log go alike.
    const startedAtMs = clock.nowMs;
    const passedMs = (): number => clock.nowMs - startedAtMs;
    for (let time = 0; time < 180 && !isClosed(world); time++) {
      if (passedMs() === spokeAtMs) world.append([readingOf('silent', START_MS + spokeAtMs)], 1);
      else if (others === 'talk' || passedMs() < spokeAtMs) world.append([readingOf('other', START_MS + passedMs())], 1);
      for (let step = 0; step < 10 && !isClosed(world); step++) await clock.advance(100);
      if (passedMs() % SECOND_MS !== 0) break;
    }
    return passedMs();
  });
}

describe.each(['talk', 'are silent too'] as const)('the window of a silent device, while others %s,', (others) => {
  test.each([
    [5, 70],
    [35, 70],
    [50, 80],
  ])('heard last at second %i, closes at second %i', async (spoke, due) => {
    const afterMs = await closedAfterMs(spoke * SECOND_MS, others);
    expect(afterMs).toBeGreaterThanOrEqual(due * SECOND_MS);
    expect(afterMs).toBeLessThanOrEqual(due * SECOND_MS + TOLERANCE_MS);
  });
});
