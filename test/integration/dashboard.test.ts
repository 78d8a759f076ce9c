import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import type { LogClient } from '../../src/kafka/log-port.ts';
import { topicNames, topicSpecs } from '../../src/kafka/topics.ts';
import type { AvroEncoder } from '../../src/registry/avro-codec.ts';
import { AGGREGATE_SCHEMA, ALERT_SCHEMA, READING_SCHEMA } from '../../src/registry/our-schemas.ts';
import { openSchemaCodecs } from '../../src/registry/schema-codecs.ts';
import { anAlert, aReading, aWindow } from '../support/page-rows.ts';
import { type RoleProcess, startRole } from '../support/role-process.ts';
import { freshName, stack } from '../support/stack.ts';
import { waitUntil } from '../support/wait-until.ts';
import { encodedRecords } from '../support/written-records.ts';

const PARTITIONS = 3;
const prefix = `${freshName('page')}.`;
const topics = topicNames(prefix);
const dataFolder = mkdtempSync(join(tmpdir(), 'ingot-dashboard-'));

let log: LogClient;
let write: <Value>(topic: string, encoder: AvroEncoder<Value>, rows: readonly (Value & { deviceId: string })[]) => Promise<void>;
let encoders: Awaited<ReturnType<typeof openEncoders>>;

async function openEncoders() {
  const codecs = await openSchemaCodecs({ registry: { url: stack().registryUrl, autoRegister: true }, topicPrefix: prefix });
  return {
    reading: await codecs.openEncoder(READING_SCHEMA),
    aggregate: await codecs.openEncoder(AGGREGATE_SCHEMA),
    alert: await codecs.openEncoder(ALERT_SCHEMA),
  };
}

beforeAll(async () => {
  log = createKafkaLog({ brokers: stack().kafkaBrokers, clientId: freshName('test'), ssl: false });
  await log.admin().createTopics(topicSpecs({ prefix, partitions: PARTITIONS, replication: 1 }));
  encoders = await openEncoders();
  const lane = log.produceLane({ name: 'test', acks: 'all' });
  write = async (topic, encoder, rows) => {
    const records = rows.map((row) => ({ key: row.deviceId, value: Buffer.from(encoder.encode(row)) }));
    for (const record of encodedRecords(topic, PARTITIONS, records)) await lane.send([record]);
  };
});
afterAll(async () => {
  await log.close();
  rmSync(dataFolder, { recursive: true, force: true });
});

function startDashboard(topicPrefix: string): RoleProcess {
  const { kafkaBrokers, registryUrl } = stack();
  const addresses = { KAFKA_BROKERS: kafkaBrokers.join(','), SCHEMA_REGISTRY_URL: registryUrl };
  return startRole('dashboard', { ...addresses, KAFKA_TOPIC_PREFIX: topicPrefix, DATA_FOLDER: dataFolder });
}

test('the page shows what the topics say: what was there when it started, and what comes', async () => {
  const now = Date.now();
  await write(topics.readings, encoders.reading, [
    aReading('pump-1', { eventTime: now, temperature: 20.5 }),
    aReading('pump-2', { eventTime: now, metrics: { torque: 7 }, status: 'ok' }),
  ]);
  await write(topics.aggregates, encoders.aggregate, [
    aWindow('pump-1', { windowStart: 10_000, mean: 20 }),
    aWindow('pump-1', { windowStart: 20_000, mean: 22 }),
  ]);
  await write(topics.alerts, encoders.alert, [
    anAlert('pump-1', { alertId: '00000000-0000-5000-8000-000000000001' }),
    anAlert('pump-1', { alertId: '00000000-0000-5000-8000-000000000001', transition: 'RESOLVED' }),
    anAlert('pump-3', { alertId: '00000000-0000-5000-8000-000000000002' }),
  ]);
  const role = startDashboard(prefix);
  try {
    await role.logged('"msg":"started"');
    const url = /"url":"(http:[^"]+)"/.exec(role.log())![1]!;
    const get = async (path: string) => (await fetch(url + path)).json() as Promise<Record<string, unknown>>;
    const device = (id: string) => get(`/api/devices/${id}`).catch(() => null);
    // The topics are read side by side.
    const first = await waitUntil(async () => {
      const row = await device('pump-1');
      const spark = row?.['spark'] as { means: number[] } | null;
      return row !== null && row['isSilent'] === false && spark?.means.length === 2 && row['firing'] === null && row;
    }, 'reading and windows of pump-1');
    expect(first).toMatchObject({ values: [{ metric: 'temperature', value: 20.5 }], spark: { metric: 'temperature', means: [20, 22] } });
    expect(await waitUntil(() => device('pump-2'), 'pump-2')).toMatchObject({ status: 'ok', values: [{ metric: 'torque', value: 7 }] });
    const alerts = await waitUntil(async () => {
      const view = await get('/api/alerts');
      return (view['recent'] as unknown[]).length === 3 && view;
    }, 'the alerts');
    expect(alerts).toMatchObject({ firingCount: 1, firing: [{ deviceId: 'pump-3' }], isCut: false });
    expect(await get('/api/ledger')).toEqual({ ledger: null });
    expect(await get('/readyz')).toMatchObject({ state: 'ready', dependencies: [{ name: 'kafka', isUp: true }] });
    expect(await (await fetch(url)).text()).toContain('<title>Ingot</title>');

    await write(topics.readings, encoders.reading, [aReading('pump-4', { eventTime: now, temperature: 101 })]);
    await write(topics.alerts, encoders.alert, [anAlert('pump-4', { alertId: '00000000-0000-5000-8000-000000000004' })]);
    const hot = await waitUntil(async () => {
      const row = await device('pump-4');
      return row?.['firing'] && row;
    }, 'the alert of pump-4');
    expect(hot).toMatchObject({ values: [{ value: 101 }], firing: { count: 1, severity: 'CRITICAL' } });
    expect(await role.stop()).toBe(0);
  } finally {
    await role.kill();
  }
});

test('an open page does not hold the end up', async () => {
  const role = startDashboard(prefix);
  try {
    await role.logged('"msg":"started"');
    const url = /"url":"(http:[^"]+)"/.exec(role.log())![1]!;
    const reader = (await fetch(`${url}/events`)).body!.getReader();
    expect(new TextDecoder().decode((await reader.read()).value)).toContain('event: snapshot');
    const stopping = role.stop();
    for (let isDone = false; !isDone; ) isDone = (await reader.read()).done;
    expect(await stopping).toBe(0);
    expect(role.log()).toContain('"msg":"drained"');
  } finally {
    await role.kill();
  }
});

test('without the topics it does not start, and says how to make them', async () => {
  const role = startDashboard(`${freshName('none')}.`);
  try {
    const code = await waitUntil(() => role.child.exitCode, 'the end');
    expect(code).toBe(2);
    expect(role.log()).toContain("'ingot topics create'");
  } finally {
    await role.kill();
  }
});
