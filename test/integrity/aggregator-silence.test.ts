import { afterEach, expect, test } from 'vitest';
import { ForeignProducer } from '../support/foreign-producer.ts';
import { LiveFeed } from '../support/live-feed.ts';
import { partitionOfKey } from '../support/oracle/murmur2.ts';
import { TestPipeline } from '../support/test-pipeline.ts';
import { waitUntil } from '../support/wait-until.ts';

// A partition in which nobody talks, beside one in which records come faster than a long poll ends: both share their fetches.

const PARTITIONS = 2;
const [QUIET, BUSY] = [0, 1];
const [WINDOW_MS, GRACE_MS, IDLE_MS] = [1_000, 200, 1_000];
const SETTINGS = { WINDOW_SIZE: '1s', WINDOW_GRACE: '200ms', WINDOW_IDLE: '1s' };
const RULES = 'rules: [{ id: hot, metric: temperature, above: 100, deadband: 5, severity: CRITICAL }]\n';
/** It takes half a second; the machine may be busy. */
const TOLERANCE_MS = 20_000;

let pipeline: TestPipeline | undefined;
let producer: ForeignProducer | undefined;
let feed: LiveFeed | undefined;
afterEach(async () => {
  await feed?.stop();
  await producer?.close();
  await pipeline?.close();
});

function deviceOf(partition: number): string {
  return Array.from({ length: 100 }, (_, index) => `q${index}`).find((id) => partitionOfKey(id, PARTITIONS) === partition)!;
}

test('the windows of a partition that is silent close in time while another one is busy', { timeout: 180_000 }, async () => {
  const running = await TestPipeline.create({ partitions: PARTITIONS, rules: RULES, settings: SETTINGS });
  pipeline = running;
  const by = await ForeignProducer.open({ prefix: running.prefix, partitions: PARTITIONS });
  producer = by;
  const [quiet, busy] = [deviceOf(QUIET), deviceOf(BUSY)];
  const sending = new LiveFeed(by, (now, number) => [by.record({ deviceId: busy, eventTime: now, identity: number + 1, temperature: 20 })]);
  feed = sending;
  const aggregator = running.start('aggregate');
  await aggregator.logged('partition restored');
  const spokeAtMs = Date.now();
  await by.send([by.record({ deviceId: quiet, eventTime: spokeAtMs, temperature: 21 })]);
  const isClosed = async (): Promise<boolean> => (await running.dump()).partitions[QUIET]!.aggregates.length > 0;
  await waitUntil(isClosed, 'the window of the silent device', 60_000);
  const { readings, journal, aggregates } = (await running.dump()).partitions[QUIET]!;
  expect(aggregates).toMatchObject([{ deviceId: quiet, count: 1, closedBy: 'IDLE' }]);
  const windowEnd = (Math.floor(spokeAtMs / WINDOW_MS) + 1) * WINDOW_MS;
  const due = Math.max(windowEnd + GRACE_MS, readings[0]!.timestampMs + IDLE_MS);
  const [closing] = journal.filter(({ tick }) => tick);
  expect(closing!.P).toBeGreaterThanOrEqual(due);
  expect(closing!.P - due).toBeLessThan(TOLERANCE_MS);
  await sending.stop();
  await running.settle();
  expect(await aggregator.stop()).toBe(0);
  const { violations, outcomes } = running.verdict(await running.dump());
  expect(violations).toEqual([]);
  expect(Object.fromEntries(outcomes)).toEqual({ counted: sending.readings + 1 });
});
