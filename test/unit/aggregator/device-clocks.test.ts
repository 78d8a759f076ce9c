// Devices, and a broker, whose clocks are wrong, stand still, or jump: each reading ends in exactly one outcome, what was counted is in the
// rows, what was refused is in readings.dlq, and the oracle agrees.

import { readFileSync } from 'node:fs';
import { describe, expect, test, vi } from 'vitest';
import type { FoldSettings } from '../../../src/core/fold-settings.ts';
import { storyViolations } from '../../support/aggregator-verdict.ts';
import { AggregatorWorld, TOPICS } from '../../support/aggregator-world.ts';
import type { RecordStep } from '../../support/oracle/fold-steps.ts';
import { type JournalRecord, totalOutcomes } from '../../support/oracle/invariants.ts';
import type { AggregateRow } from '../../support/oracle/output-rows.ts';
import { plainReading } from '../../support/oracle/plain-reading.ts';
import { inVirtualTime } from '../../support/virtual-clock.ts';

vi.mock('node:timers/promises', async () => ({ setTimeout: (await import('../../support/virtual-clock.ts')).promisedTimeout }));

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const YEAR_MS = 365 * 24 * HOUR_MS;
const START_MS = Date.UTC(2026, 0, 10);
const SETTINGS: FoldSettings = {
  windowSizeMs: MINUTE_MS,
  graceMs: 10 * SECOND_MS,
  idleMs: 30 * SECOND_MS,
  batchSize: 0,
  skewMs: MINUTE_MS,
  pastLimitMs: 7 * 24 * HOUR_MS,
  openPartsPerDeviceMax: 1_000,
  devicesPerPartitionMax: 10,
  duplicateOffsets: 10_000,
  rules: [],
  foldVersion: 1,
};
const SETTLING_MS = 150 * SECOND_MS;

interface Said {
  readonly appendMs: number;
  /** Default: the append time. */
  readonly eventMs?: number;
  readonly device?: string;
  readonly identity?: number;
}

const steps = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
/** A device whose clock is that of the broker, every ten seconds. */
const live = (count: number, device = 'd1', fromMs = START_MS): Said[] =>
  steps(count).map((index) => ({ appendMs: fromMs + index * 10 * SECOND_MS, device }));
const off = (byMs: number, said: readonly Said[]): Said[] => said.map((one) => ({ ...one, eventMs: one.appendMs + byMs }));
/** Six hours, a reading every two minutes, all told at one moment after them. */
const BACKLOG = steps(6 * 30).map((index) => ({ appendMs: START_MS + 6 * HOUR_MS, eventMs: START_MS + index * 2 * MINUTE_MS }));
const BEFORE = live(6);

/** The series of a real machine of the day on which its clock was set back by an hour, told one reading a second. */
function machineSeries(): Said[] {
  const text = readFileSync(new URL('../../../examples/nab/machine_temperature_system_failure.csv', import.meta.url), 'utf8');
  const times = text
    .split('\n')
    .filter((line) => line.startsWith('2014-01-07'))
    .map((line) => Date.parse(`${line.split(',')[0]!.replace(' ', 'T')}Z`));
  expect(times.filter((time, index) => index > 0 && time < times[index - 1]!)).toHaveLength(1);
  return times.map((eventMs, index) => ({ appendMs: START_MS + index * SECOND_MS, eventMs }));
}

const mixed = (): Said[] => {
  const now = live(BACKLOG.length, 'd1', START_MS + 6 * HOUR_MS);
  return BACKLOG.flatMap((one, index) => [{ ...one, appendMs: now[index]!.appendMs }, now[index]!]);
};

interface Scene {
  readonly name: string;
  readonly said: readonly Said[];
  readonly outcomes: Readonly<Record<string, number>>;
  readonly settings?: Partial<FoldSettings>;
}

const SCENES: readonly Scene[] = [
  { name: 'readings of one time', said: steps(50).map(() => ({ appendMs: START_MS })), outcomes: { counted: 50 } },
  { name: 'a clock that stands still', said: live(180).map((one) => ({ ...one, eventMs: START_MS })), outcomes: { counted: 180 } },
  {
    name: 'a clock set back by an hour',
    said: [...live(60), ...off(-HOUR_MS, live(60, 'd1', START_MS + 600_000))],
    outcomes: { counted: 120 },
  },
  { name: 'the machine whose clock was set back', said: machineSeries(), outcomes: { counted: 300 }, settings: { pastLimitMs: null } },
  { name: 'a clock that is a year behind', said: off(-YEAR_MS, live(20)), outcomes: { ancient: 20 } },
  { name: 'a clock that is a year ahead', said: off(YEAR_MS, live(20)), outcomes: { future: 20 } },
  {
    name: 'late, too late, too early and repeated readings among others',
    said: live(60).map((one, index) => {
      const byMs = [0, -2 * MINUTE_MS, -8 * 24 * HOUR_MS, 5 * MINUTE_MS, 0, 0][index % 6]!;
      return { ...one, eventMs: one.appendMs + byMs, identity: index % 6 === 5 ? index : index + 1 };
    }),
    outcomes: { counted: 30, ancient: 10, future: 10, duplicate: 10 },
  },
  { name: 'a backlog of six hours in order', said: [...BEFORE, ...BACKLOG], outcomes: { counted: 186 } },
  { name: 'a backlog with the newest first', said: [...BEFORE, ...BACKLOG.toReversed()], outcomes: { counted: 186 } },
  { name: 'a backlog among live readings', said: [...BEFORE, ...mixed()], outcomes: { counted: 366 } },
  {
    // The devices' clocks are right: when the broker's is behind, they seem ahead of it.
    name: 'a broker whose clock jumps ahead, and back, and is behind for a while',
    said: [
      ...live(30),
      ...off(-1_800_000, live(30, 'd1', START_MS + 2_100_000)),
      ...live(30, 'd1', START_MS + 600_000),
      ...off(HOUR_MS, live(10, 'd1', START_MS - 2_700_000)),
    ],
    outcomes: { counted: 90, future: 10 },
  },
];

function recordOf({ appendMs, eventMs = appendMs, device = 'd1', identity = 0 }: Said, index: number): RecordStep {
  const reading = plainReading({ deviceId: device, eventTime: eventMs, identity, temperature: 20 + (index % 7) });
  return { kind: 'record', offset: index, appendTime: appendMs, key: device, reading };
}

describe('each reading has one outcome', () => {
  test.each(SCENES)('$name', { timeout: 120_000 }, async ({ said, outcomes, settings }) => {
    await inVirtualTime(async (clock) => {
      const pace = { recordsMax: 40, intervalMs: 50 };
      const world = new AggregatorWorld(clock, {
        partitions: 1,
        busyPartition: 0,
        pace: { live: pace, behind: pace, behindRecords: 5_000 },
        fetchBytes: 4_000,
        longPollMs: 1_000,
        latenciesMs: [2],
      });
      world.start({ ...SETTINGS, ...settings }, 0);
      await clock.advance(1_000);
      for (const [index, one] of said.entries()) {
        world.append([recordOf(one, index)], 1);
        // Faster than the log's clock says: nothing here depends on our own.
        await clock.advance(20);
      }
      await clock.advance(SETTLING_MS);
      expect(storyViolations(world, 0)).toEqual([]);
      const found = totalOutcomes(world.committed(TOPICS.journal).map(({ value }) => JSON.parse(value!) as JournalRecord));
      expect(Object.fromEntries(found)).toEqual(outcomes);
      expect([...found.values()].reduce((sum, count) => sum + count, 0)).toBe(said.length);
      const rows = world.committed(TOPICS.aggregates).map(({ value }) => JSON.parse(value!) as AggregateRow);
      const { counted = 0, duplicate = 0 } = Object.fromEntries(found);
      expect(rows.reduce((sum, { count }) => sum + count, 0)).toBe(counted);
      expect(world.committed(TOPICS.readingsDlq)).toHaveLength(said.length - counted - duplicate);
      for (const process of world.processes) process.kill();
    });
  });
});
