// Fifty crashes in a row on one log, commits in doubt among them, leave the same bytes as none.

import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { PROGRESS_KEY } from '../../src/aggregator/progress.ts';
import { AggregatorWorld, TOPICS } from '../support/aggregator-world.ts';
import type { CommitFault } from '../support/memory-log.ts';
import { type RandomLog, randomLog } from '../support/oracle/random-log.ts';
import { foldSettingsOf } from '../support/scenario-text/core-driver.ts';
import { inVirtualTime } from '../support/virtual-clock.ts';

vi.mock('node:timers/promises', async () => ({ setTimeout: (await import('../support/virtual-clock.ts')).promisedTimeout }));

const numRuns = Math.max(5, Number(process.env['INGOT_PROPERTY_RUNS'] ?? 200) / 20);
const LOGS_MIN = 3;
const CRASHES = 50;
const PARTITIONS = 3;
const BUSY = 1;
const SETTLING_MS = 150_000;
const FAULTS: readonly (CommitFault | null)[] = [null, 'committed', 'aborted', null, 'left-open', null, 'committed', null, 'fenced'];

interface Outputs {
  readonly rows: readonly string[];
  readonly deviceStates: ReadonlyMap<string, string>;
}

/** Plays a log to its end; `lifeMs` are the lives of those that are killed. */
async function outputsOf({ setup, steps }: RandomLog, lifeMs: readonly number[]): Promise<Outputs> {
  return await inVirtualTime(async (clock) => {
    const pace = { live: { recordsMax: 2, intervalMs: 5 }, behind: { recordsMax: 3, intervalMs: 5 }, behindRecords: 4 };
    const latenciesMs = [1, 3, 2];
    const world = new AggregatorWorld(clock, {
      partitions: PARTITIONS,
      busyPartition: BUSY,
      pace,
      fetchBytes: 400,
      longPollMs: 5_000,
      latenciesMs,
    });
    const settings = foldSettingsOf(setup.settings);
    // Everything is there from the beginning, so that no tick comes between two records, whose time would not be the same twice.
    for (const step of steps) if (step.kind === 'record') world.append([step], 1);
    world.start(settings, 0);
    for (const [time, ms] of lifeMs.entries()) {
      world.scriptCommits(FAULTS.slice(time % FAULTS.length));
      await clock.advance(ms);
      for (const process of world.alive) process.kill();
      world.expelDead();
      world.start(settings, 0);
    }
    await world.heal(settings);
    await clock.advance(SETTLING_MS);
    const bytes = ({ key, raw }: { key: string | null; raw: Buffer | null }): string => `${key} ${raw?.toString('hex') ?? ''}`;
    const rows = [TOPICS.aggregates, TOPICS.alerts, TOPICS.readingsDlq].flatMap((topic) => world.committed(topic).map(bytes));
    const deviceStates = new Map<string, string>();
    for (const { key, raw } of world.committed(TOPICS.state)) {
      if (raw === null) deviceStates.delete(key!);
      else if (key !== PROGRESS_KEY) deviceStates.set(key!, raw.toString('hex'));
    }
    for (const key of [...deviceStates.keys()].filter((one) => one.startsWith('$'))) deviceStates.delete(key);
    expect(world.progress?.nextOffset ?? world.logEnd).toBe(world.logEnd);
    await world.stopAll();
    return { rows, deviceStates };
  });
}

test('fifty crashes leave the same bytes as none', { timeout: 300_000 }, async () => {
  const lives = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: CRASHES, maxLength: CRASHES, size: 'max' });
  let played = 0;
  await fc.assert(
    fc.asyncProperty(randomLog({ maxMoves: 80 }), lives, async (log, lifeMs) => {
      expect(await outputsOf(log, lifeMs)).toEqual(await outputsOf(log, []));
      played++;
    }),
    { numRuns, interruptAfterTimeLimit: 60_000 },
  );
  // However slow the machine is: none would be well too.
  expect(played).toBeGreaterThanOrEqual(LOGS_MIN);
});
