import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Kafka, logLevel } from 'kafkajs';
import { connect, connectAsync } from 'mqtt';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type DataFolder, openDataFolder } from '../../src/local-stack/data-folder.ts';
import { type LocalStack, startLocalStack } from '../../src/local-stack/local-stack.ts';
import { startMosquitto } from '../../src/local-stack/mosquitto.ts';

// The stack of `ingot up` itself, not the one of this test run: killed with everything in it, and started again on the same folder.

const NEEDS = { needKafka: true, needRegistry: true, needMqtt: true, kafkaBrokers: [], preferUsualPorts: false };

interface Addresses {
  readonly kafkaBrokers: readonly string[];
  readonly registryUrl: string;
  readonly mqttUrl: string;
}

let path: string;
let owner: ChildProcess | null = null;
let stack: LocalStack | null = null;
let folder: DataFolder | null = null;

beforeAll(() => {
  path = mkdtempSync(join(tmpdir(), 'ingot-local-stack-'));
});
afterAll(async () => {
  owner?.kill('SIGKILL');
  await stack?.stop();
  folder?.release();
  rmSync(path, { recursive: true, force: true, maxRetries: 3 });
});

/** A process that starts the stack, says where it is, and stays. */
async function startInProcess(): Promise<Addresses> {
  const moduleAt = (name: string) => JSON.stringify(new URL(`../../src/local-stack/${name}.ts`, import.meta.url).href);
  const program = `
    import { openDataFolder } from ${moduleAt('data-folder')};
    import { startLocalStack } from ${moduleAt('local-stack')};
    const folder = await openDataFolder(${JSON.stringify(path)});
    const stack = await startLocalStack({ dataFolder: folder.path, ...${JSON.stringify(NEEDS)} });
    console.log(JSON.stringify(stack));`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  owner = child;
  return new Promise((resolve, reject) => {
    child.stdout.once('data', (chunk) => resolve(JSON.parse(String(chunk)) as Addresses));
    child.once('exit', (code) => reject(new Error(`the owner of the stack ended with ${code}`)));
  });
}

const kafkaAt = (brokers: readonly string[]) => new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING });
const subjectsAt = async (url: string) => (await fetch(`${url}/subjects`)).json();

test('after a kill -9 of its process the next start has the same addresses and all its data', async () => {
  const before = await startInProcess();
  const admin = kafkaAt(before.kafkaBrokers).admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: 'kept', numPartitions: 2 }] });
  await admin.disconnect();
  const registered = await fetch(`${before.registryUrl}/subjects/kept-value/versions`, {
    method: 'POST',
    headers: { 'content-type': 'application/vnd.schemaregistry.v1+json' },
    body: JSON.stringify({ schema: JSON.stringify({ type: 'record', name: 'Kept', fields: [] }) }),
  });
  expect(registered.status).toBe(200);

  owner?.removeAllListeners('exit').kill('SIGKILL');
  await once(owner!, 'exit');
  folder = await openDataFolder(path);
  stack = await startLocalStack({ dataFolder: path, ...NEEDS });

  expect(stack).toMatchObject({ kafkaBrokers: before.kafkaBrokers, registryUrl: before.registryUrl, mqttUrl: before.mqttUrl });
  expect(await subjectsAt(before.registryUrl)).toEqual(['kept-value']);
  const again = kafkaAt(before.kafkaBrokers).admin();
  await again.connect();
  expect(await again.listTopics()).toContain('kept');
  await again.disconnect();
}, 300_000);

test('a start that is given up ends what it has begun', async () => {
  const other = mkdtempSync(join(tmpdir(), 'ingot-given-up-'));
  const starting = startLocalStack({ dataFolder: other, ...NEEDS, signal: AbortSignal.timeout(100) });
  await expect(starting).rejects.toMatchObject({ code: 'COMPONENT_FAILED', message: expect.stringContaining('was told to stop') });
  rmSync(other, { recursive: true, force: true, maxRetries: 3 });
}, 180_000);

test('a durable mosquitto keeps a session and all messages but the last through a kill -9', async () => {
  const other = mkdtempSync(join(tmpdir(), 'ingot-mosquitto-'));
  const first = await startMosquitto({ folder: other, isDurable: true });
  const session = { clientId: 'away', clean: false, protocolVersion: 5, properties: { sessionExpiryInterval: 3600 } } as const;
  const away = await connectAsync(first.url, session);
  await away.subscribeAsync('kept', { qos: 1 });
  await away.endAsync();
  const publisher = await connectAsync(first.url);
  for (let count = 0; count < 20; count++) await publisher.publishAsync('kept', String(count), { qos: 1 });
  await first.kill();
  await publisher.endAsync(true);

  const second = await startMosquitto({ folder: other, isDurable: true });
  expect(second.url).toBe(first.url);
  const back = connect(second.url, session);
  const received: string[] = [];
  back.on('message', (_topic, payload) => received.push(payload.toString()));
  // It writes after it has acknowledged, so the very last message may be gone; the one before was written when that one came.
  const surviving = Array.from({ length: 19 }, (_, index) => String(index));
  await vi.waitFor(() => expect(received.slice(0, 19)).toEqual(surviving), 10_000);
  await back.endAsync();
  await second.stop();
  rmSync(other, { recursive: true, force: true });
}, 120_000);
