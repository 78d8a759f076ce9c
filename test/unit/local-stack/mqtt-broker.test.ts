import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, connectAsync, type MqttClient } from 'mqtt';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type RunningMqttBroker, startMqttBroker } from '../../../src/local-stack/mqtt-broker.ts';
import { waitUntil } from '../../support/wait-until.ts';

// What the broker inside `ingot up` does for kept sessions: with a level of a topic that is empty (a device with no name must be a dead letter, not
// a broken bridge), and with a backlog while more comes.

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

const BACKLOG = 1_500;
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

test('a session that is back takes its backlog on one connection while more is published', async () => {
  const before = await session([]);
  await before.subscribeAsync('devices/+/telemetry', { qos: 1 });
  await before.endAsync();
  const device = await connected();
  let published = 0;
  const publish = (): Promise<unknown> => device.publishAsync(`devices/d${published++}/telemetry`, '{}', { qos: 1 });
  await Promise.all(Array.from({ length: BACKLOG }, publish));
  const seen = new Set<string>();
  let isLost = false;
  let isDoubled = false;
  const bridge = connect(broker.url, { clientId: 'bridge', clean: false, reconnectPeriod: 0 });
  clients.push(bridge);
  bridge.on('close', () => (isLost = true));
  bridge.on('message', (topic) => {
    isDoubled ||= seen.has(topic);
    seen.add(topic);
  });
  // While the session is restored, so that messages are kept for it and forwarded to it at the same time: of those one comes twice when the backlog
  // is through, nearly always.
  for (let round = 0; round < 1_500 && !isLost && !isDoubled; round++) await Promise.all(Array.from({ length: 5 }, publish));
  await waitUntil(() => isLost || seen.size === published, 'every message', 60_000);
  expect(isLost).toBe(false);
});
