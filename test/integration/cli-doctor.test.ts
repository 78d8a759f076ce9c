import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Aedes } from 'aedes';
import { connectAsync } from 'mqtt';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import type { LogClient } from '../../src/kafka/log-port.ts';
import { topicNames, topicSpecs } from '../../src/kafka/topics.ts';
import { type RunningChild, startChild } from '../../src/local-stack/child.ts';
import { freePort } from '../../src/local-stack/ports.ts';
import { requireMosquitto } from '../../src/local-stack/required-program.ts';
import { READING_SCHEMA, subjectOf } from '../../src/registry/our-schemas.ts';
import { createSchemaRegistry } from '../../src/registry/registry-client.ts';
import { jsonLines, runIngot } from '../support/ingot-process.ts';
import { encoded } from '../support/memory-log-records.ts';
import { readTopic } from '../support/read-topic.ts';
import { freshName, stack } from '../support/stack.ts';
import { waitUntil } from '../support/wait-until.ts';

// `ingot doctor` on real components: well, ill, and away.

const folder = mkdtempSync(join(tmpdir(), 'ingot-doctor-'));
const prefix = `${freshName('doctor')}.`;
const topics = topicNames(prefix);
const servers: Server[] = [];
const sockets: Socket[] = [];
let log: LogClient;
let well: Readonly<Record<string, string>>;

interface Row {
  readonly state: string;
  readonly check: string;
  readonly what: string;
  readonly todo: string | null;
  readonly latencyMs: number | null;
}

async function examine(environment: Readonly<Record<string, string>>, words: readonly string[] = []) {
  const { code, out, err } = await runIngot(['doctor', ...words], { ...well, ...environment });
  const rows = jsonLines(out) as unknown as Row[];
  return { code, err, out, rows, of: (check: string) => rows.filter((row) => row.check === check) };
}

const statesOf = (rows: readonly Row[]) => [...new Set(rows.map(({ state }) => state))];

async function listen(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  servers.push(server);
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

beforeAll(async () => {
  log = createKafkaLog({ brokers: stack().kafkaBrokers, clientId: freshName('test') });
  well = {
    KAFKA_TOPIC_PREFIX: prefix,
    DATABASE_URL: stack().postgresUrl,
    DATA_FOLDER: join(folder, 'data'),
    LOG_LEVEL: 'fatal',
  };
  await log.admin().createTopics(topicSpecs({ prefix, partitions: 2, replication: 1 }));
  expect((await runIngot(['schemas', 'register'], well)).code).toBe(0);
});
afterAll(async () => {
  await log.close();
  for (const socket of sockets) socket.destroy();
  for (const server of servers) server.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('all is well', () => {
  it('exit code 0, each dependency with its address, where that came from, and its latency', async () => {
    const lane = log.produceLane({ name: 'test', acks: 'all' });
    await lane.send([encoded({ topic: topics.readings, partition: 1 }, ['a', 'b', 'c'])]);
    const { code, of, rows } = await examine({}, ['--broker-checked', '--schema-registry-url', stack().registryUrl]);
    expect(code, JSON.stringify(rows, null, 1)).toBe(0);
    expect(of('Kafka')[0]!.what).toContain(`${stack().kafkaBrokers[0]} (environment variable KAFKA_BROKERS) tells its topics in`);
    expect(of('registry')[0]!.what).toContain(`${stack().registryUrl} (flag --schema-registry-url) answers in`);
    expect(of('MQTT')[0]!.what).toMatch(/\(environment variable MQTT_URL\) accepts a connection in .*mosquitto version .*, MQTT 5/);
    expect(of('SQL')[0]!.what).toMatch(/environment variable DATABASE_URL\) answers in .*PostgreSQL/);
    for (const check of ['Kafka', 'registry', 'MQTT', 'SQL']) {
      expect(of(check)).toMatchObject([{ state: 'ok', todo: null, latencyMs: expect.any(Number) }]);
    }
    // One broker has one copy of everything.
    expect(of('topics').map(({ state }) => state)).toEqual(['ok', 'warn']);
    for (const check of ['clock', 'schemas', 'MQTT broker', 'data folder', 'versions']) expect(statesOf(of(check))).toEqual(['ok']);
    expect(of('MQTT broker')[0]!.what).toContain('for 7 d');
    expect(of('duplicates')[0]!.what).toContain('the busiest partition got 0.0 records/s');
  });

  it('leaves nothing that a reader would see', async () => {
    expect(await readTopic(log, topics.bridgeDeadLetters)).toEqual([]);
    const { of } = await examine({}, ['--read-only']);
    expect(of('clock')).toMatchObject([{ state: 'ok', what: expect.stringContaining('not measured') }]);
  });

  it('shows no secret', async () => {
    const withPassword = (url: string) => url.replace(/\/\/(\w+@)?/, '//someone:verysecret@');
    const { out, err } = await examine({
      MQTT_URL: withPassword(stack().mosquittoUrl),
      SCHEMA_REGISTRY_URL: withPassword(stack().registryUrl),
      DATABASE_URL: withPassword(stack().postgresUrl),
    });
    expect(`${out}${err}`).not.toContain('verysecret');
  });

  it('is one line each in a table', async () => {
    const { out } = await runIngot(['doctor', '-o', 'table'], well);
    const lines = out.trimEnd().split('\n');
    expect(lines[0]).toMatch(/^state +check +what, and what to do$/);
    for (const line of lines.slice(1)) expect(line).toMatch(/^(ok|warn|fail) +\S/);
  });
});

describe('something is wrong', () => {
  it('topics: exit code 4 and what is wrong with which, while everything else is looked at', async () => {
    const illPrefix = `${freshName('ill')}.`;
    const ill = topicNames(illPrefix);
    const specs = topicSpecs({ prefix: illPrefix, partitions: 2, replication: 1 }).filter(({ name }) => name !== ill.alerts);
    const changed: Readonly<Record<string, object>> = {
      [ill.readings]: { configs: { 'message.timestamp.type': 'CreateTime', 'max.message.bytes': '10000', 'min.insync.replicas': '2' } },
      [ill.aggregates]: { partitions: 3 },
      [ill.aggregatorState]: { configs: { 'cleanup.policy': 'delete' } },
    };
    await log.admin().createTopics(specs.map((spec) => ({ ...spec, ...changed[spec.name] })));
    const { code, of, rows } = await examine({ KAFKA_TOPIC_PREFIX: illPrefix, SCHEMA_AUTO_REGISTER: 'true' });
    expect(code).toBe(4);
    const failures = of('topics').filter(({ state }) => state === 'fail');
    expect(failures.map(({ what }) => what)).toEqual([
      `not there: ${ill.alerts}`,
      `${ill.readings}: message.timestamp.type is CreateTime, must be LogAppendTime`,
      expect.stringContaining(`${ill.aggregates}: it has 3 partitions`),
      `${ill.aggregatorState}: cleanup.policy is delete, must be compact`,
      `${ill.readings}: min.insync.replicas is above the number of copies: nothing can be written`,
    ]);
    expect(failures.every(({ todo }) => todo !== null)).toBe(true);
    expect(of('topics').map(({ what }) => what)).toContainEqual(expect.stringContaining('max.message.bytes is 10000'));
    // Not registered, but the next start will do that.
    expect(of('schemas').map(({ state }) => state)).toEqual(['warn', 'warn', 'warn', 'ok']);
    expect(rows.map(({ check }) => check)).toEqual(expect.arrayContaining(['clock', 'duplicates', 'registry', 'MQTT', 'SQL']));
  });

  it('a schema that cannot follow: exit code 4 and the field', async () => {
    const otherPrefix = `${freshName('schema')}.`;
    const registry = createSchemaRegistry({ url: stack().registryUrl });
    const earlier = JSON.parse(READING_SCHEMA.text) as { fields: { name: string; type: unknown }[] };
    earlier.fields = earlier.fields.map((field) => (field.name === 'eventTime' ? { ...field, type: 'string' } : field));
    await registry.register(subjectOf(READING_SCHEMA, otherPrefix), JSON.stringify(earlier));
    const { code, of } = await examine({ KAFKA_TOPIC_PREFIX: otherPrefix });
    expect(code).toBe(4);
    expect(of('schemas')[0]).toMatchObject({
      state: 'fail',
      what: expect.stringMatching(/sensor-reading\.avsc cannot follow .*eventTime/),
    });
  });

  it('a data folder that cannot be made, and a misspelt variable', async () => {
    const { code, of } = await examine({ DATA_FOLDER: join(folder, 'not', 'there'), KAFKA_BROKER: 'x' });
    expect(code).toBe(4);
    expect(of('data folder')[0]!.state).toBe('fail');
    // There Node's recursive mkdir never comes back.
    const nowhere = await examine({ DATA_FOLDER: '/proc/ingot' });
    expect(nowhere.of('data folder')).toMatchObject([{ state: 'fail', what: expect.stringContaining('cannot be written') }]);
    expect(of('configuration')).toMatchObject([{ state: 'warn', what: expect.stringContaining('KAFKA_BROKER') }]);
  });

  it('a broker that speaks MQTT 3.1.1 only is a warning', async () => {
    const aedes = await Aedes.createBroker();
    const { code, of } = await examine({ MQTT_URL: `mqtt://${await listen(createTcpServer(aedes.handle))}` });
    expect(code).toBe(0);
    expect(of('MQTT broker')[0]).toMatchObject({ state: 'warn', what: expect.stringContaining('3.1.1 only') });
    await new Promise<void>((resolve) => aedes.close(() => resolve()));
  });
});

describe('--try-queue', () => {
  it('a broker that queues without a limit has kept everything', async () => {
    const { code, of } = await examine({}, ['--try-queue', '--broker-checked']);
    expect(code).toBe(0);
    expect(of('MQTT broker').at(-1)).toMatchObject({ state: 'ok', what: 'kept 1200 of 1200 messages for a client that was away' });
  });

  it('a broker with mosquitto’s defaults has dropped what it had acknowledged', async () => {
    const mosquitto = await startDefaultMosquitto();
    const { code, of } = await examine({ MQTT_URL: mosquitto.url }, ['--try-queue']);
    expect(code).toBe(4);
    expect(of('MQTT broker').at(-1)).toMatchObject({
      state: 'fail',
      what: expect.stringMatching(/^kept 10\d\d of 1200 messages/),
      todo: expect.stringContaining('max_queued_messages 0'),
    });
    // The counter that the broker publishes tells the same afterwards.
    const again = await waitUntil(async () => {
      const { rows } = await examine({ MQTT_URL: mosquitto.url });
      return rows.find(({ what }) => /^has dropped [1-9]/.test(what));
    }, 'the count of dropped messages');
    expect(again.state).toBe('warn');
    await mosquitto.stop();
  });
});

/** A mosquitto that nobody has configured, but for telling its counters every second. */
async function startDefaultMosquitto(): Promise<RunningChild & { readonly url: string }> {
  const port = await freePort();
  const settingsFile = join(folder, 'mosquitto.conf');
  writeFileSync(settingsFile, `listener ${port} 127.0.0.1\nallow_anonymous true\nlog_dest stdout\nsys_interval 1\n`);
  const child = await startChild({
    name: 'mosquitto',
    program: requireMosquitto(),
    args: ['-c', settingsFile],
    workFolder: folder,
    logFile: join(folder, 'mosquitto.log'),
    isReady: () =>
      connectAsync(`mqtt://127.0.0.1:${port}`).then(
        (client) => client.endAsync().then(() => true),
        () => false,
      ),
    readyDeadlineMs: 30_000,
    stopDeadlineMs: 5_000,
  });
  return { ...child, url: `mqtt://127.0.0.1:${port}` };
}

describe('a dependency is away: exit code 3, and the others are looked at all the same', () => {
  const ADDRESSES = {
    Kafka: (at: string) => ({ KAFKA_BROKERS: at }),
    registry: (at: string) => ({ SCHEMA_REGISTRY_URL: `http://${at}` }),
    MQTT: (at: string) => ({ MQTT_URL: `mqtt://${at}` }),
    SQL: (at: string) => ({ DATABASE_URL: `postgres://${at}/ingot` }),
  } as const;
  const names = Object.keys(ADDRESSES) as (keyof typeof ADDRESSES)[];

  function expectOnlyAway(name: string, { code, rows, of }: Awaited<ReturnType<typeof examine>>): void {
    expect(code).toBe(3);
    expect(of(name)).toMatchObject([{ state: 'fail', latencyMs: null, todo: expect.stringMatching(/\w/) }]);
    for (const other of names) if (other !== name) expect(of(other)).toMatchObject([{ state: 'ok' }]);
    expect(rows.filter(({ state }) => state === 'fail')).toHaveLength(1);
  }

  it.each(names)('%s: nobody listens', async (name) => {
    expectOnlyAway(name, await examine(ADDRESSES[name]('127.0.0.1:1')));
  });

  it('somebody listens and never answers, everywhere: each is given up at the deadline', async () => {
    const silent = createTcpServer((socket) => sockets.push(socket.on('error', () => {})));
    const address = await listen(silent);
    const everywhere = Object.assign({}, ...names.map((name) => ADDRESSES[name](address))) as Record<string, string>;
    const { code, of } = await examine(everywhere, ['--deadline', '2s']);
    expect(code).toBe(3);
    for (const name of names) expect(of(name)).toMatchObject([{ state: 'fail', latencyMs: null, todo: expect.stringMatching(/\w/) }]);
    for (const check of ['topics', 'clock', 'duplicates', 'schemas']) expect(statesOf(of(check))).toEqual(['warn']);
    expect(statesOf(of('data folder'))).toEqual(['ok']);
  });
});
