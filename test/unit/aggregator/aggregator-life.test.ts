// The life of the aggregator's partitions, in virtual time on the log in memory: who fences when, and what a stop leaves behind.

import { expect, test, vi } from 'vitest';
import type { JournalEntry } from '../../../src/aggregator/progress.ts';
import type { Reading } from '../../../src/core/reading.ts';
import { PLAIN_SETTINGS, playScene, START_MS } from '../../support/aggregator-scene.ts';
import { type AggregatorWorld, TOPICS, type WorldOptions } from '../../support/aggregator-world.ts';
import type { RecordStep } from '../../support/oracle/fold-steps.ts';
import { partitionOfKey } from '../../support/oracle/murmur2.ts';
import { plainReading } from '../../support/oracle/plain-reading.ts';
import type { VirtualClock } from '../../support/virtual-clock.ts';

vi.mock('node:timers/promises', async () => ({ setTimeout: (await import('../../support/virtual-clock.ts')).promisedTimeout }));

/** How often any partition was fenced, in the scene that is played. */
function fencesOf({ log }: AggregatorWorld): number {
  return vi.mocked(log.initProducer).mock.calls.length;
}

interface Scene {
  readonly world: AggregatorWorld;
  readonly clock: VirtualClock;
  /** Appends readings of one device to partition 0, a second apart. */
  readonly append: (count: number) => void;
  /** How often partition 0 was fenced. */
  readonly fences: () => number;
}

function play(options: Partial<WorldOptions>, scene: (of: Scene) => Promise<void>): Promise<void> {
  return playScene(options, async (world, clock) => {
    const deviceId = Array.from({ length: 100 }, (_, index) => `d${index}`).find((id) => partitionOfKey(id, world.partitions) === 0)!;
    let seconds = 0;
    const reading = (): RecordStep => {
      const time = START_MS + 1_000 * seconds++;
      return { kind: 'record', offset: 0, appendTime: time, key: deviceId, reading: plainReading({ deviceId, eventTime: time }) };
    };
    const init = vi.spyOn(world.log, 'initProducer');
    await scene({
      world,
      clock,
      append: (count) => world.append(Array.from({ length: count }, reading), 1),
      fences: () => init.mock.calls.filter(([id]) => id === 'aggregator-0').length,
    });
  });
}

test('what is folded and not yet committed is committed by a stop, and told to the group', () =>
  play(
    {
      pace: { live: { recordsMax: 1_000, intervalMs: 600_000 }, behind: { recordsMax: 1_000, intervalMs: 600_000 }, behindRecords: 5_000 },
    },
    async ({ world, clock, append }) => {
      const process = world.start(PLAIN_SETTINGS, 0);
      await clock.advance(1_000);
      append(5);
      await clock.advance(100);
      expect(world.progress?.nextOffset).toBe(0);
      world.stop(process, 10_000);
      await clock.advance(1_000);
      expect(world.progress?.nextOffset).toBe(5);
      expect(world.committedOffset).toBe(5);
    },
  ));

test('a stop in the middle of a slice that was being committed commits the rest of the answer too', () => {
  const pace = { recordsMax: 3, intervalMs: 600_000 };
  return play({ pace: { live: pace, behind: pace, behindRecords: 5_000 }, latenciesMs: [20] }, async ({ world, clock, append }) => {
    const process = world.start(PLAIN_SETTINGS, 0);
    await clock.advance(1_000);
    append(5);
    // The first three are being committed.
    await clock.advance(10);
    world.stop(process, 10_000);
    await clock.advance(1_000);
    expect(world.progress).toMatchObject({ nextOffset: 5, txnSeq: 3 });
  });
});

test('a stop in the middle of an offset commit leaves nothing ticking', () =>
  play({}, async ({ world, clock, append }) => {
    const process = world.start(PLAIN_SETTINGS, 0);
    await clock.advance(1_000);
    append(1);
    world.isGroupSilent = true;
    await clock.advance(2_000);
    const stopped = process.aggregator.stop(1_000);
    await clock.advance(60_000);
    await stopped;
    expect(clock.waiting).toBe(0);
  }));

test('partitions that the group assigns during a stop are not begun', () =>
  play({ partitions: 2 }, async ({ world, clock, fences }) => {
    const process = world.start(PLAIN_SETTINGS, 0);
    await clock.advance(1_000);
    world.assign([[1]]);
    await clock.advance(1_000);
    const before = fences();
    const stopped = process.aggregator.stop(1_000);
    world.assign([[0, 1]]);
    await clock.advance(10_000);
    await stopped;
    expect(fences()).toBe(before);
  }));

test('a partition that was given up before its turn to restore came is not fenced', () =>
  play({ partitions: 4, latenciesMs: [20] }, async ({ world, clock }) => {
    world.start(PLAIN_SETTINGS, 0);
    await clock.advance(50);
    world.assign([[]]);
    await clock.advance(10_000);
    const fenced = [0, 1, 2, 3].map((partition) => world.log.partition({ topic: TOPICS.state, partition }).highWatermark > 0);
    expect(fenced).toEqual([true, true, true, false]);
  }));

test('after any error a partition is fenced again only when the group has confirmed us', () =>
  play({}, async ({ world, clock, append, fences }) => {
    world.start(PLAIN_SETTINGS, 0);
    await clock.advance(1_000);
    const before = fences();
    world.scriptCommits(['aborted']);
    world.isGroupSilent = true;
    append(1);
    await clock.advance(120_000);
    expect(fences()).toBe(before);
    world.isGroupSilent = false;
    await clock.advance(40_000);
    expect(fences()).toBe(before + 1);
    expect(world.progress?.nextOffset).toBe(1);
  }));

test('a commit that fails every time is tried ever more seldom', () =>
  play({}, async ({ world, clock, append, fences }) => {
    world.start(PLAIN_SETTINGS, 0);
    await clock.advance(1_000);
    world.scriptCommits(Array.from({ length: 30 }, () => 'aborted'));
    append(1);
    await clock.advance(60_000);
    expect(fences()).toBeLessThan(20);
    await clock.advance(120_000);
    expect(world.progress?.nextOffset).toBe(1);
  }));

test('a stop does not wait for a group that does not answer, nor for a log that is away', () =>
  play({}, async ({ world, clock, append }) => {
    const unconfirmed = world.start(PLAIN_SETTINGS, 0);
    await clock.advance(1_000);
    world.scriptCommits(['aborted']);
    world.isGroupSilent = true;
    append(1);
    await clock.advance(1_000);
    const stops = [unconfirmed.stop(10_000)];
    world.isGroupSilent = false;
    world.expelDead();
    world.log.beginOutage();
    const unfenced = world.start(PLAIN_SETTINGS, 0);
    await clock.advance(100);
    stops.push(unfenced.stop(10_000));
    await clock.advance(500);
    const ended = await Promise.race([Promise.all(stops).then(() => true), clock.advance(1).then(() => false)]);
    expect(ended).toBe(true);
  }));

test('a partition that leaves and comes back is begun when its first life has ended', () =>
  play({ latenciesMs: [20] }, async ({ world, clock, append, fences }) => {
    world.start(PLAIN_SETTINGS, 0);
    await clock.advance(1_000);
    append(1);
    await clock.advance(55);
    const before = fences();
    world.assign([[]]);
    world.assign([[0]]);
    // The commit of the first life has been asked for, and is not answered yet.
    await clock.advance(30);
    expect(fences()).toBe(before);
    await clock.advance(1_000);
    expect(fences()).toBe(before + 1);
    expect(world.progress).toMatchObject({ nextOffset: 1, txnSeq: 2 });
  }));

const journalOf = (world: AggregatorWorld) => world.committed(TOPICS.journal, 0).map(({ value }) => JSON.parse(value!) as JournalEntry);

test('each run tells its settings in the journal, so that a journal of the last days is enough to repeat the fold', () =>
  play({}, async ({ world, clock, append }) => {
    for (let run = 0; run < 3; run++) {
      const process = world.start(PLAIN_SETTINGS, 0);
      await clock.advance(1_000);
      append(1);
      await clock.advance(1_000);
      append(1);
      await clock.advance(1_000);
      world.stop(process, 1_000);
      await clock.advance(2_000);
    }
    const told = journalOf(world).map(({ settings, settingsInForce }) => (settings ? 'new' : settingsInForce ? 'repeated' : ''));
    // Before the first record there is no clock from which a day could be counted.
    expect(told).toEqual(['new', 'repeated', '', 'repeated', '', 'repeated', '']);
  }));

test('a higher version of the same settings is kept, and a version in between does not overrule it', () =>
  play({}, async ({ world, clock }) => {
    const others = { ...PLAIN_SETTINGS, windowSizeMs: 7_000 };
    for (const [settings, version] of [
      [PLAIN_SETTINGS, 0],
      [PLAIN_SETTINGS, 5],
      [others, 3],
    ] as const) {
      const process = world.start(settings, version);
      await clock.advance(1_000);
      world.stop(process, 1_000);
      await clock.advance(2_000);
    }
    const changes = journalOf(world).flatMap(({ settings }) => (settings ? [settings.windowSizeMs] : []));
    expect(changes).toEqual([60_000, 60_000]);
  }));

/** What no bridge of ours writes, but any producer can. */
function foreign(changes: Partial<Reading>): RecordStep {
  const reading = { ...plainReading({ deviceId: 'd1', eventTime: START_MS }), ...changes };
  return { kind: 'record', offset: 0, appendTime: START_MS, key: reading.deviceId, reading };
}

test.each([
  ['a device named like the record of the settings', { deviceId: '$settings' }],
  ['a device named like the progress', { deviceId: '$progress' }],
  ['a device id with a newline', { deviceId: 'd1\nd2' }],
  ['no device id', { deviceId: '' }],
  ['a time that is no date', { eventTime: 9e15 }],
  ['a time before all dates', { eventTime: -9e15 }],
])('%s is refused, and a restart finds its state', (_name, changes) =>
  play({}, async ({ world, clock, append }) => {
    for (let run = 0; run < 2; run++) {
      const process = world.start(PLAIN_SETTINGS, 0);
      await clock.advance(1_000);
      world.append([foreign(changes)], 1);
      append(1);
      await clock.advance(1_000);
      expect(process.failure).toBe(null);
      world.stop(process, 1_000);
      await clock.advance(2_000);
    }
    expect(world.progress?.nextOffset).toBe(4);
    const refused = world.committed(TOPICS.readingsDlq, 0);
    expect(refused.map(({ headers }) => headers['failure-reason'])).toEqual(['undecodable', 'undecodable']);
  }),
);

test('partitions are fenced together and restored one after the other', () =>
  play({ partitions: 3, latenciesMs: [20] }, async ({ world, clock }) => {
    const first = world.start(PLAIN_SETTINGS, 0);
    await clock.advance(5_000);
    first.kill();
    world.expelDead();
    const second = world.start(PLAIN_SETTINGS, 0);
    /** At which step all three had been fenced, and at which each was running. */
    const seen = { fenced: -1, running: [] as number[] };
    const fencesBefore = fencesOf(world);
    for (let step = 0; seen.running.length < 3 && step < 1_000; step++) {
      await clock.advance(10);
      if (seen.fenced < 0 && fencesOf(world) === fencesBefore + 3) seen.fenced = step;
      const running = [...second.aggregator.partitions().values()].filter((status) => status !== null).length;
      while (seen.running.length < running) seen.running.push(step);
    }
    expect(seen.fenced).toBeLessThan(seen.running[0]!);
    expect(new Set(seen.running).size).toBe(3);
  }));

test('a partition that is given up while it waits for its restore is left alone', () =>
  play({ partitions: 3, latenciesMs: [20] }, async ({ world, clock }) => {
    const first = world.start(PLAIN_SETTINGS, 0);
    await clock.advance(5_000);
    first.kill();
    world.expelDead();
    const second = world.start(PLAIN_SETTINGS, 0);
    const fencesBefore = fencesOf(world);
    for (let step = 0; fencesOf(world) < fencesBefore + 3 && step < 1_000; step++) await clock.advance(10);
    world.assign([[0]]);
    await clock.advance(5_000);
    expect([...second.aggregator.partitions()].map(([partition, status]) => [partition, status !== null])).toEqual([[0, true]]);
    world.assign([[0, 1, 2]]);
    await clock.advance(5_000);
    expect([...second.aggregator.partitions().values()].every((status) => status !== null)).toBe(true);
    expect(second.failure).toBeNull();
  }));

/** What a restore meets when retention moves the start of the log after it was asked for: `times` in a row. */
function overtakeRestores({ log }: AggregatorWorld, times: number): void {
  const state = log.partition({ topic: TOPICS.state, partition: 0 });
  const holds = vi.spyOn(state, 'holds');
  for (let time = 0; time < times; time++) holds.mockReturnValueOnce(false);
}

test('a restore that retention has overtaken is tried again', () =>
  play({}, async ({ world, clock, append }) => {
    append(3);
    overtakeRestores(world, 3);
    const process = world.start(PLAIN_SETTINGS, 0);
    await clock.advance(60_000);
    expect(process.failure).toBeNull();
    expect(world.progress?.nextOffset).toBe(3);
  }));

test('but not for ever', () =>
  play({}, async ({ world, clock, append }) => {
    append(3);
    overtakeRestores(world, 1_000);
    const process = world.start(PLAIN_SETTINGS, 0);
    await clock.advance(120_000);
    expect(process.failure).toMatchObject({ code: 'OFFSET_OUT_OF_RANGE' });
  }));
