import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectAsync, type MqttClient } from 'mqtt';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type RunningMqttBroker, startMqttBroker } from '../../../src/local-stack/mqtt-broker.ts';
import { waitUntil } from '../../support/wait-until.ts';

// What the broker inside `ingot up` does with a level of a topic that is empty: a device with no name must be a dead letter, not a broken bridge.

let folder: string;
let broker: RunningMqttBroker;
const clients: MqttClient[] = [];
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ingot-broker-'));
  broker = await startMqttBroker({ folder, preferredPort: null });
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.end(true);
  await broker.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function connected(options: { clientId?: string; clean?: boolean } = {}): Promise<MqttClient> {
  const client = await connectAsync(broker.url, { reconnectPeriod: 0, ...options });
  clients.push(client);
  return client;
}

/** A session that is kept, as a bridge's. */
async function session(seen: string[]): Promise<MqttClient> {
  const options = { clientId: 'bridge', clean: false, reconnectPeriod: 0 };
  const client = await connectAsync(broker.url, options, false);
  clients.push(client);
  client.on('message', (topic) => seen.push(topic));
  return client;
}

const TOPICS = ['devices//telemetry', 'devices/d1/telemetry', '/devices/d1/telemetry', 'devices/d1/telemetry/'];
const MATCHING = ['devices//telemetry', 'devices/d1/telemetry'];

test('+ matches an empty level, and the connection of a kept session outlives it', async () => {
  const seen: string[] = [];
  const bridge = await session(seen);
  await bridge.subscribeAsync('devices/+/telemetry', { qos: 1 });
  const device = await connected();
  for (const topic of TOPICS) await device.publishAsync(topic, '{}', { qos: 1 });
  await waitUntil(() => seen.length >= 2, 'both messages', 15_000);
  await device.publishAsync('devices/d2/telemetry', '{}', { qos: 1 });
  await waitUntil(() => seen.includes('devices/d2/telemetry'), 'the message after them', 15_000);
  expect(seen).toEqual([...MATCHING, 'devices/d2/telemetry']);
  expect(bridge.connected).toBe(true);
});

test('what comes to an empty level is kept for a session that is away', async () => {
  const before = await session([]);
  await before.subscribeAsync('devices/+/telemetry', { qos: 1 });
  await before.endAsync();
  const device = await connected();
  for (const topic of TOPICS) await device.publishAsync(topic, '{}', { qos: 1 });
  const seen: string[] = [];
  await session(seen);
  await waitUntil(() => seen.length >= 2, 'both messages', 15_000);
  expect(seen.toSorted()).toEqual(MATCHING.toSorted());
});
