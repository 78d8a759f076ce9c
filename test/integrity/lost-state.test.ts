import { afterEach, describe, expect, test } from 'vitest';
import { ForeignProducer } from '../support/foreign-producer.ts';
import { TestPipeline } from '../support/test-pipeline.ts';
import { recreateTopic } from '../support/topic-vandal.ts';

// The state or the log is not what the aggregator left behind: going on would count readings twice or skip some, so it refuses, and says
// what is wrong.

const PARTITIONS = 2;
const RULES = 'rules: [{ id: hot, metric: temperature, above: 100, deadband: 5, severity: CRITICAL }]\n';

let pipeline: TestPipeline | undefined;
afterEach(async () => {
  await pipeline?.close();
});

/** So many that every partition has some. */
const devices = Array.from({ length: 12 }, (_, index) => `p${index}`);

/** One reading of each device, with a sequence of its own so that no two are equal. */
async function feed(producer: ForeignProducer, sequence: number): Promise<void> {
  const now = Date.now();
  await producer.send(
    devices.map((deviceId, index) =>
      producer.record({ deviceId, eventTime: now, sequence, identity: 1 + sequence * 100 + index, temperature: 20 }),
    ),
  );
}

/** A pipeline that has run for a while and was stopped in order. */
async function used(): Promise<TestPipeline> {
  const running = await TestPipeline.create({ partitions: PARTITIONS, rules: RULES, settings: { WINDOW_SIZE: '1s', WINDOW_IDLE: '1s' } });
  pipeline = running;
  const producer = await ForeignProducer.open({ prefix: running.prefix, partitions: PARTITIONS });
  const aggregator = running.start('aggregate');
  for (let sequence = 0; sequence < 3; sequence++) await feed(producer, sequence);
  await running.settle();
  expect(await aggregator.stop()).toBe(0);
  const dump = await running.dump();
  expect(running.verdict(dump).violations).toEqual([]);
  expect(dump.partitions.every(({ aggregates }) => aggregates.length > 0)).toBe(true);
  await producer.close();
  return running;
}

describe('the aggregator refuses to start', () => {
  test('when the state topic was deleted and made anew while aggregates exist', { timeout: 60_000 }, async () => {
    const running = await used();
    const before = await running.dump();
    await recreateTopic(running, `${running.prefix}aggregator-state`);
    const refused = running.start('aggregate');
    expect(await refused.ended(30_000)).toBe(1);
    expect(refused.log()).toContain('STATE_LOST');
    expect(refused.log()).toMatch(/no progress record for partition \d in \S+aggregator-state/);
    expect(refused.log()).toContain(`${running.prefix}aggregates-`);
    expect(refused.log()).toContain(`group ${running.prefix}aggregator has committed offset`);
    expect(refused.log()).toContain('ingot rebuild-state');
    // Not a row was written.
    expect(await running.dump()).toMatchObject({ partitions: before.partitions });
  });

  test('when the readings were deleted and made anew', { timeout: 60_000 }, async () => {
    const running = await used();
    const before = await running.dump();
    await recreateTopic(running, `${running.prefix}readings`);
    const producer = await ForeignProducer.open({ prefix: running.prefix, partitions: PARTITIONS });
    for (let sequence = 10; sequence < 16; sequence++) await feed(producer, sequence);
    await producer.close();
    const refused = running.start('aggregate');
    expect(await refused.ended(45_000)).toBe(1);
    expect(refused.log()).toContain('LOG_REPLACED');
    const rows = (await running.dump()).partitions.map(({ aggregates }) => aggregates);
    expect(rows).toEqual(before.partitions.map(({ aggregates }) => aggregates));
  });
});
