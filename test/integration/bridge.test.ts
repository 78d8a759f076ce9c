import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, connectAsync, type MqttClient } from 'mqtt';
import { afterEach, describe, expect, it } from 'vitest';
import { Bridge } from '../../src/bridge/bridge.ts';
import type { Reading } from '../../src/core/reading.ts';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import type { EncodedRecords, LogClient, ProduceLane } from '../../src/kafka/log-port.ts';
import { topicNames, topicSpecs } from '../../src/kafka/topics.ts';
import { MqttSource } from '../../src/mqtt/mqtt-source.ts';
import { noSubscriptionMemory } from '../../src/mqtt/subscription-file.ts';
import { BridgeEvents } from '../../src/ops/bridge-events.ts';
import { configureLog } from '../../src/ops/log.ts';
import { READING_SCHEMA } from '../../src/registry/our-schemas.ts';
import { openSchemaCodecs } from '../../src/registry/schema-codecs.ts';
import { KAFKA_API, KafkaProxy } from '../support/kafka-proxy.ts';
import { readTopic } from '../support/read-topic.ts';
import { type RoleProcess, startRole } from '../support/role-process.ts';
import { publish, startScriptedBroker } from '../support/scripted-broker.ts';
import { freshName, stack } from '../support/stack.ts';
import { waitUntil } from '../support/wait-until.ts';

// The bridge on real components: mosquitto, Kafka and the registry.

configureLog({ level: 'silent', format: 'json' });

const PARTITIONS = 3;
const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Surroundings {
  readonly prefix: string;
  readonly log: LogClient;
  readonly devices: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readingsByDevice(): Promise<Map<string, Reading[]>>;
}

async function surroundings(deviceCount: number): Promise<Surroundings> {
  const { kafkaBrokers, registryUrl, mosquittoUrl } = stack();
  const prefix = `${freshName('bridge')}.`;
  const log = createKafkaLog({ brokers: kafkaBrokers, clientId: freshName('test') });
  const folder = await mkdtemp(join(tmpdir(), 'ingot-bridge-'));
  cleanups.push(
    () => rm(folder, { recursive: true }),
    () => log.close(),
  );
  const admin = log.admin();
  await admin.createTopics(topicSpecs({ prefix, partitions: PARTITIONS, replication: 1 }));
  await admin.close();
  const codecs = await openSchemaCodecs({ registry: { url: registryUrl, autoRegister: true }, topicPrefix: prefix });
  const decoder = codecs.openDecoder(READING_SCHEMA);
  const devices = Array.from({ length: deviceCount }, () => freshName('d'));
  return {
    prefix,
    log,
    devices,
    env: {
      MQTT_URL: mosquittoUrl,
      MQTT_CLIENT_ID: freshName('bridge'),
      MQTT_TOPICS: devices.map((device) => `devices/${device}/telemetry`).join(','),
      KAFKA_BROKERS: kafkaBrokers.join(','),
      KAFKA_TOPIC_PREFIX: prefix,
      SCHEMA_REGISTRY_URL: registryUrl,
      SCHEMA_AUTO_REGISTER: 'true',
      DATA_FOLDER: folder,
    },
    async readingsByDevice() {
      const readings = new Map<string, Reading[]>(devices.map((device) => [device, []]));
      for (const { key, value } of await readTopic(log, topicNames(prefix).readings)) {
        let decoded = decoder.decode(value, 0, value.length);
        if (decoded.kind === 'unknown_schema') {
          await decoder.load(decoded.schemaId);
          decoded = decoder.decode(value, 0, value.length);
        }
        if (decoded.kind !== 'value') throw new Error(`cannot be decoded: ${JSON.stringify(decoded)}`);
        readings.get(key!)!.push(decoded.value);
      }
      return readings;
    },
  };
}

function bridgeProcess(env: Readonly<Record<string, string>>): RoleProcess {
  const started = startRole('bridge', env);
  cleanups.push(() => started.kill());
  return started;
}

async function publisher(): Promise<MqttClient> {
  const client = await connectAsync(stack().mosquittoUrl);
  cleanups.push(() => client.endAsync(true));
  return client;
}

const TS = 1_795_252_383_511;
const topicOf = (device: string) => `devices/${device}/telemetry`;
const message = (seq: number) => JSON.stringify({ ts: TS + seq, seq, temperature: 20 + (seq % 10) / 2, humidity: 40, status: 'ok' });

/** A lane that waits for the gate before it hands on to the real one. */
class GatedLane implements ProduceLane {
  readonly #lane: ProduceLane;
  #gate = Promise.withResolvers<void>();
  waiting = 0;

  constructor(lane: ProduceLane) {
    this.#lane = lane;
  }

  async send(batches: readonly EncodedRecords[]): Promise<void> {
    this.waiting = batches.reduce((total, batch) => total + batch.count, 0);
    await this.#gate.promise;
    await this.#lane.send(batches);
  }

  open(): void {
    this.#gate.resolve();
  }

  close(deadlineMs: number): Promise<void> {
    return this.#lane.close(deadlineMs);
  }
}

describe('the bridge', () => {
  it('sends no PUBACK before Kafka has the records: seen on the wire', async () => {
    const { prefix, log } = await surroundings(0);
    const names = topicNames(prefix);
    const broker = await startScriptedBroker();
    const events = new BridgeEvents();
    const source = new MqttSource({
      url: broker.url,
      clientId: 'bridge-0',
      topics: ['devices/+/telemetry'],
      qos: 1,
      receiveMaximum: 1000,
      maxInFlightMessages: 2000,
      maxInFlightBytes: 32 * 1024 ** 2,
      connectDeadlineMs: 10_000,
      subscriptions: noSubscriptionMemory,
      events,
    });
    const codecs = await openSchemaCodecs({ registry: { url: stack().registryUrl, autoRegister: true }, topicPrefix: prefix });
    const lane = new GatedLane(log.produceLane({ name: 'readings', acks: 'all' }));
    const bridge = new Bridge({
      source,
      lane,
      encoder: await codecs.openEncoder(READING_SCHEMA),
      readingsTopic: names.readings,
      deadLettersTopic: names.bridgeDeadLetters,
      partitions: PARTITIONS,
      batch: { records: 1000, bytes: 524_288, lingerMs: 5 },
      maxPayloadBytes: 65_536,
      events,
    });
    cleanups.push(
      () => broker.close(),
      () => lane.close(1_000),
      () => bridge.stop(5_000),
    );
    await bridge.start((error) => {
      throw error;
    });
    const connection = await broker.subscribed();
    const ids = Array.from({ length: 200 }, (_, i) => i + 1);
    connection.send(...ids.map((id) => publish(id, id % 10 === 0 ? 'no JSON' : message(id), { topic: topicOf(`d${id % 7}`) })));
    await waitUntil(() => events.ledger().received === 200 && lane.waiting > 0, 'all messages taken');
    expect(connection.pubacks).toEqual([]);
    expect(await readTopic(log, names.readings)).toEqual([]);
    lane.open();
    await waitUntil(() => connection.pubacks.length === 200, 'the PUBACKs');
    expect(connection.pubacks).toEqual(ids);
    expect((await readTopic(log, names.readings)).length).toBe(180);
    const letters = await readTopic(log, names.bridgeDeadLetters);
    expect(letters.length).toBe(20);
    expect(letters[0]).toMatchObject({
      value: Buffer.from('no JSON'),
      headers: { 'failure-reason': 'invalid_json', 'failure-stage': 'bridge' },
    });
    expect(events.ledger()).toEqual({ received: 200, produced: 180, deadLettered: 20, ignored: 0, shed: 0, inFlight: 0, unprotected: 0 });
  });

  it('as a process: takes what came while it was away, in order, as Avro, and ends well on SIGTERM', async () => {
    const { devices, env, readingsByDevice } = await surroundings(5);
    const client = await publisher();
    const first = bridgeProcess(env);
    await first.logged('taking messages');
    expect(await first.stop()).toBe(0);
    for (let seq = 1; seq <= 40; seq++) for (const device of devices) await client.publishAsync(topicOf(device), message(seq), { qos: 1 });
    const second = bridgeProcess(env);
    await second.logged('taking messages');
    const counts = async () => [...(await readingsByDevice()).values()].map((readings) => readings.length);
    await waitUntil(async () => (await counts()).every((count) => count >= 40), 'all readings');
    expect(await second.stop()).toBe(0);
    expect(second.log()).toContain('"drained"');
    for (const [device, readings] of await readingsByDevice()) {
      expect(readings.map((reading) => reading.sequence)).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
      expect(readings[0]).toMatchObject({
        deviceId: device,
        eventTime: TS + 1,
        temperature: 20.5,
        humidity: 40,
        status: 'ok',
        eventTimeSource: 'DEVICE',
      });
      expect(readings[0]!.identity).toBeGreaterThan(0);
    }
  });

  it('says so when another one runs on its data folder: both get every message', async () => {
    const { env } = await surroundings(1);
    const first = bridgeProcess(env);
    await first.logged('taking messages');
    const second = bridgeProcess(env);
    await second.logged('another bridge runs on this DATA_FOLDER: this one has a session of its own');
    await second.logged('taking messages');
    expect(first.log()).not.toContain('another bridge runs');
  });

  it('with --end-session: takes what the session still holds, ends it, and goes', async () => {
    const { devices, env, readingsByDevice } = await surroundings(3);
    const client = await publisher();
    const first = bridgeProcess({ ...env, INSTANCE_ID: 'leaver' });
    await first.logged('taking messages');
    await first.stop();
    for (let seq = 1; seq <= 20; seq++) for (const device of devices) await client.publishAsync(topicOf(device), message(seq), { qos: 1 });
    const leaving = startRole('bridge --end-session', { ...env, INSTANCE_ID: 'leaver' });
    cleanups.push(() => leaving.kill());
    const [code] = await once(leaving.child, 'exit');
    expect(code, leaving.log()).toBe(0);
    for (const readings of (await readingsByDevice()).values()) expect(readings.length).toBe(20);
    const sessionPresent = await new Promise((resolve) => {
      const successor = connect(stack().mosquittoUrl, { clientId: `${env['MQTT_CLIENT_ID']}-leaver`, clean: false, protocolVersion: 5 });
      successor.once('connect', (connack) => successor.end(true, () => resolve(connack.sessionPresent)));
    });
    expect(sessionPresent).toBe(false);
  });

  it('with --end-session, stopped before it has taken all: keeps the session and what it holds', async () => {
    const { devices, env, readingsByDevice } = await surroundings(2);
    const client = await publisher();
    const first = bridgeProcess({ ...env, INSTANCE_ID: 'leaver' });
    await first.logged('taking messages');
    await first.stop();
    for (let seq = 1; seq <= 20; seq++) for (const device of devices) await client.publishAsync(topicOf(device), message(seq), { qos: 1 });
    // Kafka takes nothing, so nothing is acknowledged.
    const kafka = await KafkaProxy.start({
      broker: stack().kafkaBrokers[0]!,
      onRequest: ({ apiKey }) => (apiKey === KAFKA_API.produce ? 'drop' : 'pass'),
    });
    cleanups.push(() => kafka.close());
    const leaving = startRole('bridge --end-session', {
      ...env,
      INSTANCE_ID: 'leaver',
      KAFKA_BROKERS: kafka.address,
      SHUTDOWN_TIMEOUT: '2s',
    });
    cleanups.push(() => leaving.kill());
    await leaving.logged('taking messages');
    expect(await leaving.stop()).toBe(1);
    expect(leaving.log()).toContain('the session at the MQTT broker is kept');
    const again = startRole('bridge --end-session', { ...env, INSTANCE_ID: 'leaver' });
    cleanups.push(() => again.kill());
    const [code] = await once(again.child, 'exit');
    expect(code, again.log()).toBe(0);
    for (const readings of (await readingsByDevice()).values()) expect(readings.length).toBe(20);
  });

  it('loses nothing when it is killed three times in the middle; what comes twice has the same identity', async () => {
    const { devices, env, readingsByDevice } = await surroundings(10);
    const client = await publisher();
    let running = bridgeProcess(env);
    await running.logged('taking messages');
    let published = 0;
    let isPublishing = true;
    const publishing = (async () => {
      for (let seq = 1; isPublishing; seq++) {
        await Promise.all(devices.map((device) => client.publishAsync(topicOf(device), message(seq), { qos: 1 })));
        published = seq;
      }
    })();
    for (let kill = 1; kill <= 3; kill++) {
      const from = published;
      await waitUntil(() => published >= from + 100, 'some messages');
      await running.kill();
      running = bridgeProcess(env);
      await running.logged('taking messages');
    }
    isPublishing = false;
    await publishing;
    const complete = async () =>
      [...(await readingsByDevice()).values()].every((readings) => readings.some((reading) => reading.sequence === published));
    await waitUntil(complete, 'the last readings', 90_000);
    expect(await running.stop()).toBe(0);
    for (const readings of (await readingsByDevice()).values()) {
      const identities = new Map<number, number>();
      for (const { sequence, identity } of readings) {
        if (!identities.has(sequence!)) identities.set(sequence!, identity);
        expect(identities.get(sequence!)).toBe(identity);
      }
      // Every message that mosquitto accepted is there, each first seen in its order.
      expect([...identities.keys()]).toEqual(Array.from({ length: published }, (_, i) => i + 1));
    }
  });
});
