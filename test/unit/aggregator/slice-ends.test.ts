// When a slice ends: by what it holds, and by who waits for it.

import { expect, test, vi } from 'vitest';
import type { JournalEntry } from '../../../src/aggregator/progress.ts';
import { highTemperatureRule } from '../../../src/core/alert-rule.ts';
import type { FoldSettings } from '../../../src/core/fold-settings.ts';
import { RecordsEncoder } from '../../../src/core/record-batch.ts';
import { PLAIN_SETTINGS, playScene, START_MS } from '../../support/aggregator-scene.ts';
import { type AggregatorWorld, TOPICS, type WorldOptions } from '../../support/aggregator-world.ts';
import type { RecordStep } from '../../support/oracle/fold-steps.ts';
import { plainReading } from '../../support/oracle/plain-reading.ts';
import type { VirtualClock } from '../../support/virtual-clock.ts';

vi.mock('node:timers/promises', async () => ({ setTimeout: (await import('../../support/virtual-clock.ts')).promisedTimeout }));

const SETTINGS: FoldSettings = { ...PLAIN_SETTINGS, duplicateOffsets: 0, rules: [highTemperatureRule(100, 5)] };
const MEGABYTE = 1024 * 1024;
const PACE = { live: { recordsMax: 5_000, intervalMs: 50 }, behind: { recordsMax: 100_000, intervalMs: 1_000 }, behindRecords: 10 };

function play(options: Partial<WorldOptions>, scene: (world: AggregatorWorld, clock: VirtualClock) => Promise<void>): Promise<void> {
  return playScene({ pace: PACE, ...options }, scene);
}

const record = (second: number, temperature: number): RecordStep => {
  const appendTime = START_MS + 1_000 * second;
  const reading = plainReading({ deviceId: 'd0', eventTime: appendTime, temperature });
  return { kind: 'record', offset: 0, appendTime, key: 'd0', reading };
};

test('a slice of large dead letters ends after a few of them', () =>
  play({ fetchBytes: 100 * MEGABYTE }, async (world, clock) => {
    const at = { topic: TOPICS.readings, partition: 0 };
    const encoder = new RecordsEncoder(MEGABYTE);
    encoder.reset(0);
    const garbage = Buffer.alloc(MEGABYTE - 10_000, 'x');
    for (let count = 0; count < 40; count++) encoder.add(Buffer.from('d0'), garbage, 0);
    world.log.partition(at).append({ ...at, records: encoder.take(), count: encoder.count, baseTimestampMs: 0 }, null);
    world.start(SETTINGS, 0);
    await clock.advance(5_000);
    const slices = world.committed(TOPICS.journal).map(({ value }) => JSON.parse(value!) as JournalEntry);
    expect(slices.at(-1)?.to).toBe(40);
    expect(Math.max(...slices.map(({ from, to }) => to - from))).toBeLessThanOrEqual(9);
  }));

test('an alert is written at once where nothing more can be read, however much an open transaction holds back', () =>
  play({ longPollMs: 30_000 }, async (world, clock) => {
    world.append([record(0, 101)], 1);
    const held = Array.from({ length: 200 }, (_, index) => record(1 + index, 20));
    world.appendInTransaction(held, { schemaId: 1, end: 'open' });
    world.start(SETTINGS, 0);
    await clock.advance(200);
    expect(world.committed(TOPICS.alerts)).toHaveLength(1);
  }));

test('readings and the rows of a window wait for 50 ms, no longer', () =>
  play({ longPollMs: 30_000 }, async (world, clock) => {
    world.start(SETTINGS, 0);
    await clock.advance(500);
    world.append([record(0, 20)], 1);
    await clock.advance(40);
    expect(world.committed(TOPICS.journal)).toHaveLength(1);
    await clock.advance(40);
    expect(world.committed(TOPICS.journal)).toHaveLength(2);
    world.append([record(70, 20)], 1);
    await clock.advance(40);
    expect(world.committed(TOPICS.aggregates)).toHaveLength(0);
    await clock.advance(40);
    expect(world.committed(TOPICS.aggregates)).toHaveLength(1);
  }));
