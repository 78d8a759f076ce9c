import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import { afterEach, describe, expect, test } from 'vitest';
import { type RunningMosquitto, startMosquitto } from '../../src/local-stack/mosquitto.ts';
import { ForeignProducer } from '../support/foreign-producer.ts';
import { retainedMessages } from '../support/retained-messages.ts';
import { TestPipeline } from '../support/test-pipeline.ts';
import { waitUntil } from '../support/wait-until.ts';

// Alerts at a real MQTT broker: retained while they fire, and right again after the publisher or the broker was killed.

const RULES = `rules:
  - { id: hot, metric: temperature, above: 100, severity: WARNING, levels: [{ above: 150, severity: CRITICAL }] }
`;

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function brokerInFolder(): Promise<{ start: () => Promise<RunningMosquitto> }> {
  const folder = await mkdtemp(join(tmpdir(), 'ingot-notices-'));
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  return {
    // Not durable: what is retained is lost with a kill, so that somebody has to bring it back.
    start: async () => {
      const running = await startMosquitto({ folder, isDurable: false });
      cleanups.push(() => running.stop());
      return running;
    },
  };
}

/** Every message below the filter, from now on. */
async function listen(url: string, filter: string): Promise<{ topic: string; payload: string; retain: boolean }[]> {
  const heard: { topic: string; payload: string; retain: boolean }[] = [];
  const client = await connectAsync(url);
  cleanups.push(() => client.endAsync(true));
  client.on('message', (topic, payload, { retain }) => heard.push({ topic, payload: payload.toString('utf8'), retain }));
  await client.subscribeAsync(filter, { qos: 1 });
  return heard;
}

describe('alerts at the MQTT broker', () => {
  test('are retained while they fire, through kills of the publisher and of the broker', { timeout: 240_000 }, async () => {
    const broker = await brokerInFolder();
    const first = await broker.start();
    const pipeline = await TestPipeline.create({ partitions: 2, rules: RULES, settings: { MQTT_URL: first.url } });
    cleanups.push(() => pipeline.close());
    const by = await ForeignProducer.open({ prefix: pipeline.prefix, partitions: 2 });
    cleanups.push(() => by.close());
    let said = 0;
    const say = async (deviceId: string, temperature: number) =>
      await by.send([by.record({ deviceId, eventTime: Date.now(), identity: ++said, temperature })]);
    const retained = async () => await retainedMessages(first.url, 'alerts/#');
    const shown = async () => [...(await retained())].map(([topic, { severity }]) => `${topic} ${severity}`).sort();
    const become = async (expected: string[]) =>
      await waitUntil(async () => JSON.stringify(await shown()) === JSON.stringify(expected), `retained ${expected}`, 60_000);

    const aggregator = pipeline.start('aggregate');
    const notices = pipeline.start('notices');
    await aggregator.logged('"started"');
    await notices.logged('retained messages of alerts are');
    await say('m0', 120);
    await become(['alerts/m0/hot WARNING']);
    expect((await retained()).get('alerts/m0/hot')).toMatchObject({
      deviceId: 'm0',
      ruleId: 'hot',
      state: 'FIRING',
      transition: 'RAISED',
      transitionNumber: 1,
      value: 120,
      threshold: 100,
      record: { offset: expect.any(Number) },
    });
    await say('m0', 160);
    await become(['alerts/m0/hot CRITICAL']);

    // The publisher is away: one alert ends, one begins, and somebody leaves something behind.
    await notices.kill();
    await say('m0', 20);
    await say('m1', 130);
    const foreign = await connectAsync(first.url);
    await foreign.publishAsync('alerts/ghost/hot', '{"state":"FIRING","severity":"INFO"}', { qos: 1, retain: true });
    await foreign.endAsync();
    await become(['alerts/ghost/hot INFO', 'alerts/m0/hot CRITICAL']);
    const second = pipeline.start('notices');
    await become(['alerts/m1/hot WARNING']);

    // The broker is killed and comes back with nothing.
    await first.kill();
    await waitUntil(() => second.log().includes('connecting again'), 'the loss of the broker', 60_000);
    await say('m2', 140);
    await broker.start();
    await become(['alerts/m1/hot WARNING', 'alerts/m2/hot WARNING']);

    const heard = await listen(first.url, 'alerts/m1/hot');
    await say('m1', 20);
    await become(['alerts/m2/hot WARNING']);
    await waitUntil(() => heard.at(-1)?.payload === '', 'the end of the alert', 60_000);
    const told = heard.filter(({ payload, retain }) => payload !== '' && !retain).map(({ payload }) => JSON.parse(payload) as object);
    expect(told).toMatchObject([{ transition: 'RESOLVED', transitionNumber: 2, state: 'RESOLVED', value: 20 }]);
    expect(await second.stop()).toBe(0);
    expect(await aggregator.stop()).toBe(0);
  });
});
