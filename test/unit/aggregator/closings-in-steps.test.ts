// Many devices fall due by the partition clock at once: after a pause of all of them, or when nobody has looked for a while.

import { expect, test, vi } from 'vitest';
import type { JournalEntry } from '../../../src/aggregator/progress.ts';
import type { FoldSettings } from '../../../src/core/fold-settings.ts';
import { PLAIN_SETTINGS, playScene, START_MS } from '../../support/aggregator-scene.ts';
import { storyViolations } from '../../support/aggregator-verdict.ts';
import { type AggregatorWorld, TOPICS } from '../../support/aggregator-world.ts';
import type { RecordStep } from '../../support/oracle/fold-steps.ts';
import { plainReading } from '../../support/oracle/plain-reading.ts';

vi.mock('node:timers/promises', async () => ({ setTimeout: (await import('../../support/virtual-clock.ts')).promisedTimeout }));

const DEVICES = 60;
const SETTINGS: FoldSettings = { ...PLAIN_SETTINGS, devicesPerPartitionMax: 1_000, duplicateOffsets: 0 };
const PACE = { recordsMax: 1_000, intervalMs: 50 };

const readingOf = (deviceId: string, afterMs: number): RecordStep => {
  const time = START_MS + afterMs;
  const reading = plainReading({ deviceId, eventTime: time, temperature: 20 });
  return { kind: 'record', offset: 0, appendTime: time, key: deviceId, reading };
};

/** Each device speaks once, late in the same window, so that each is due at a time of its own. */
function speakOnce(world: AggregatorWorld): void {
  for (let number = 0; number < DEVICES; number++) world.append([readingOf(`d${number}`, 45_000 + 100 * number)], 1);
}

interface Outcome {
  /** Rows of each transaction that has any. */
  readonly rows: readonly number[];
  readonly ticks: number;
  readonly all: readonly (string | null)[];
  readonly violations: readonly string[];
}

/** What comes out when all that fell silent is due at once, by a record after a pause or by a tick after a long poll. */
function outcomeOf(dueDevicesMax: number, by: 'record' | 'tick'): Promise<Outcome> {
  const pace = { live: PACE, behind: PACE, behindRecords: 5_000, dueDevicesMax };
  return playScene({ pace, fetchBytes: 100_000, longPollMs: by === 'tick' ? 120_000 : 10_000 }, async (world, clock) => {
    const rows: number[] = [];
    const append = world.log.appendInTransaction.bind(world.log);
    vi.spyOn(world.log, 'appendInTransaction').mockImplementation((id, producer, batch) => {
      if (batch.topic === TOPICS.aggregates) rows.push(batch.count);
      return append(id, producer, batch);
    });
    speakOnce(world);
    world.start(SETTINGS, 0);
    await clock.advance(2_000);
    if (by === 'record') {
      // In one batch with what comes after it: the steps lie between two records of an answer.
      world.append([readingOf('d7', 600_000), readingOf('other', 600_000)], 1);
    }
    await clock.advance(300_000);
    const ticks = world.committed(TOPICS.journal).filter(({ value }) => (JSON.parse(value!) as JournalEntry).tick).length;
    const all = world.committed(TOPICS.aggregates).map(({ value }) => value);
    return { rows, ticks, all, violations: storyViolations(world, 0) };
  });
}

test.each(['record', 'tick'] as const)('what a %s makes due closes in several transactions, none beyond the bound', async (by) => {
  const { rows, ticks, all, violations } = await outcomeOf(7, by);
  expect(violations).toEqual([]);
  expect(Math.max(...rows)).toBeLessThanOrEqual(7);
  expect(ticks).toBeGreaterThanOrEqual(Math.floor(DEVICES / 7));
  const { rows: rowsAtOnce, all: allAtOnce } = await outcomeOf(1_000, by);
  expect(Math.max(...rowsAtOnce)).toBeGreaterThanOrEqual(DEVICES - 1);
  expect(all).toHaveLength(by === 'tick' ? DEVICES : DEVICES + 2);
  // The device that speaks after the pause was due before: its window ends by silence or by its own time, and holds the same.
  const contents = (rows: Outcome['all']) => rows.map((row) => JSON.stringify({ ...JSON.parse(row!), closedBy: '' })).sort();
  expect(contents(all)).toEqual(contents(allAtOnce));
  if (by === 'tick') expect(all).toEqual(allAtOnce);
});
