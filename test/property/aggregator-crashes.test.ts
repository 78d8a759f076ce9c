// Whatever happens to the processes and to their commits, the outputs are those of one sequential fold of the log: random readings x
// slicing x crashes x outcomes of commits x rebalances x ticks x changes of settings, on the log in memory and in virtual time.

import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { type Story, StoryPlayer, story } from '../support/aggregator-story.ts';
import { storyViolations } from '../support/aggregator-verdict.ts';
import { AggregatorWorld } from '../support/aggregator-world.ts';
import { plainReading } from '../support/oracle/plain-reading.ts';
import { inVirtualTime } from '../support/virtual-clock.ts';

vi.mock('node:timers/promises', async () => ({ setTimeout: (await import('../support/virtual-clock.ts')).promisedTimeout }));

const numRuns = Number(process.env['INGOT_PROPERTY_RUNS'] ?? 2_000);
/** Fifteen times what a story takes on a machine with nothing else to do. */
const STORY_DEADLINE_MS = 300;
/** For so long a failure is made smaller. */
const SHRINKING_MS = 60_000;
const PARTITIONS = 3;
const BUSY = 1;
/**
 * Twice as long as any window stays open, with its back-offs: a transaction that expired unnoticed makes the first tick fail, and what is due
 * is then waited for anew.
 */
const SETTLING_MS = 250_000;

async function outcomeOf({ log, happenings, pace, dueDevicesMax, ...rest }: Story): Promise<string[]> {
  return await inVirtualTime(async (clock) => {
    const behind = { recordsMax: pace.recordsMax * 3, intervalMs: pace.intervalMs * 4 };
    const worldPace = { live: pace, behind, behindRecords: 6, dueDevicesMax };
    const options = { partitions: PARTITIONS, busyPartition: BUSY, pace: worldPace, ...rest };
    const world = new AggregatorWorld(clock, options);
    await new StoryPlayer(world, log).play(happenings);
    await clock.advance(SETTLING_MS);
    const violations = storyViolations(world, BUSY);
    await world.stopAll();
    return violations;
  });
}

test('a story of crashes ends with the outputs of one sequential fold', {
  timeout: numRuns * STORY_DEADLINE_MS + SHRINKING_MS,
}, async () => {
  const cpuBefore = process.cpuUsage();
  const seed = Math.floor(Math.random() * 2 ** 31);
  let shrinkUntilMs = Number.POSITIVE_INFINITY;
  await fc.assert(
    fc.asyncProperty(story, async (of) => {
      if (Date.now() > shrinkUntilMs) return;
      const violations = await outcomeOf(of);
      if (violations.length > 0) shrinkUntilMs = Math.min(shrinkUntilMs, Date.now() + SHRINKING_MS);
      expect(violations).toEqual([]);
    }),
    { numRuns, seed },
  );
  const { user } = process.cpuUsage(cpuBefore);
  process.stdout.write(`aggregator crashes: ${numRuns} stories, seed ${seed}, ${(user / 1000 / numRuns).toFixed(1)} ms CPU each\n`);
});

const settings = {
  windowMs: 60_000,
  graceMs: 10_000,
  idleMs: 30_000,
  batchSize: 0,
  skewMs: 60_000,
  pastLimitMs: null,
  maxOpenParts: 100,
  maxDevices: 100,
  duplicateOffsets: 20,
  rules: [],
};
/** A story without anything in it. */
const QUIET: Story = {
  log: { setup: { partition: BUSY, partitionCount: PARTITIONS, settings }, steps: [] },
  happenings: [],
  pace: { recordsMax: 1, intervalMs: 5 },
  dueDevicesMax: 5_000,
  fetchBytes: 1,
  longPollMs: 500,
  latenciesMs: [1],
};

// Found by the property: the second process took the records of the third for those of a state that was lost, and gave up.
test('processes that begin with a new partition at the same time do not take each other for a lost state', async () => {
  const start = { kind: 'start', hasNewSettings: false, version: 0 } as const;
  const append = { kind: 'append', records: 1, schemaId: 1, as: 'plain' } as const;
  const beginning: Story = {
    ...QUIET,
    happenings: [
      { kind: 'time', ms: 23 },
      { kind: 'stop', process: 0, deadlineMs: 5 },
      start,
      { kind: 'time', ms: 27 },
      { kind: 'expel', process: 0 },
      start,
      { kind: 'expelDead' },
      { kind: 'expelDead' },
      append,
      start,
      { kind: 'profiles' },
      append,
      { kind: 'stop', process: 2, deadlineMs: 5 },
      { ...append, schemaId: 2, as: 'commit' },
    ],
    latenciesMs: [5, 2, 3, 20],
  };
  expect(await outcomeOf(beginning)).toEqual([]);
});

// Found by the property when it waited for less: the tick that closes the window fails, and comes again after a whole silence.
test('a window is closed although the owner was fenced while nothing happened', async () => {
  const time = 1_767_225_900_000;
  const reading = plainReading({ deviceId: 'd1', eventTime: time, temperature: 20, identity: 1 });
  const silent: Story = {
    ...QUIET,
    log: { ...QUIET.log, steps: [{ kind: 'record', offset: 1, appendTime: time, key: 'd1', headers: {}, reading }] },
    happenings: [{ kind: 'append', records: 1, schemaId: 1, as: 'plain' }, { kind: 'time', ms: 400 }, { kind: 'expireTransaction' }],
    latenciesMs: [1],
  };
  expect(await outcomeOf(silent)).toEqual([]);
});
