import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { Delivery } from '../../src/mqtt/delivery-port.ts';
import { MqttSource, type MqttSourceOptions } from '../../src/mqtt/mqtt-source.ts';
import { noSubscriptionMemory, subscriptionFile } from '../../src/mqtt/subscription-file.ts';
import { BridgeEvents } from '../../src/ops/bridge-events.ts';
import { configureLog } from '../../src/ops/log.ts';
import { publish, type ScriptedBroker, type ScriptedBrokerOptions, startScriptedBroker } from '../support/scripted-broker.ts';
import { waitUntil } from '../support/wait-until.ts';

configureLog({ level: 'silent', format: 'json' });

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function broker(options: ScriptedBrokerOptions = {}): Promise<ScriptedBroker> {
  const started = await startScriptedBroker(options);
  cleanups.push(() => started.close());
  return started;
}

function source(url: string, options: Partial<MqttSourceOptions> = {}): MqttSource {
  const made = new MqttSource({
    url,
    clientId: 'bridge-0',
    topics: ['devices/+/telemetry'],
    qos: 1,
    receiveMaximum: 1000,
    maxInFlightMessages: 2000,
    maxInFlightBytes: 32 * 1024 ** 2,
    readRestMs: 10,
    connectDeadlineMs: 5_000,
    subscriptions: noSubscriptionMemory,
    events: new BridgeEvents(),
    ...options,
  });
  cleanups.push(() => made.close(1_000));
  return made;
}

interface Taking {
  readonly server: ScriptedBroker;
  readonly taken: Delivery[];
  readonly mqtt: MqttSource;
}

async function taking(options: Partial<MqttSourceOptions> = {}, brokerOptions: ScriptedBrokerOptions = {}): Promise<Taking> {
  const server = await broker(brokerOptions);
  const mqtt = source(server.url, options);
  const taken: Delivery[] = [];
  await mqtt.start((delivery) => taken.push(delivery));
  return { server, taken, mqtt };
}

const ids = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
const topicsOf = (packets: readonly object[], cmd: string): unknown[] =>
  packets.filter((packet) => (packet as { cmd: string }).cmd === cmd);

describe('connecting', () => {
  it('asks for a session that is kept, with a receive maximum, and for no retained messages', async () => {
    const { server } = await taking({ receiveMaximum: 77, username: 'u', password: 'p' });
    const [connection] = server.connections;
    expect(connection!.packets[0]).toMatchObject({
      cmd: 'connect',
      protocolVersion: 5,
      clean: false,
      clientId: 'bridge-0',
      keepalive: 60,
      username: 'u',
      properties: { receiveMaximum: 77, sessionExpiryInterval: 604_800 },
    });
    expect(topicsOf(connection!.packets, 'subscribe')).toMatchObject([
      { subscriptions: [{ topic: 'devices/+/telemetry', qos: 1, rh: 2 }] },
    ]);
    expect(connection!.packets[0]).not.toHaveProperty('properties.topicAliasMaximum');
  });

  it.each([
    { cmd: 'connack', returnCode: 1, reasonCode: 1, sessionPresent: false } as const,
    { cmd: 'connack', returnCode: 0x84, reasonCode: 0x84, sessionPresent: false } as const,
  ])('falls back to MQTT 3.1.1 when 5 is refused with %j', async (refused) => {
    const granted = { cmd: 'connack', returnCode: 0, reasonCode: 0, sessionPresent: false } as const;
    const { server, taken } = await taking({}, { connack: (connect) => (connect.protocolVersion === 5 ? refused : granted) });
    const connection = server.connections.at(-1)!;
    expect(connection.protocolVersion).toBe(4);
    connection.send(publish(9));
    await waitUntil(() => taken.length === 1, 'a message');
    taken[0]!.ack();
    await waitUntil(() => connection.pubacks.length === 1, 'the PUBACK');
  });

  it('says so when the broker refuses the credentials', async () => {
    const server = await broker({ connack: () => ({ cmd: 'connack', returnCode: 0x86, reasonCode: 0x86, sessionPresent: false }) });
    await expect(source(server.url).start(() => {})).rejects.toMatchObject({ code: 'MQTT_REFUSED' });
  });

  it('says so when the broker refuses the subscription', async () => {
    const server = await broker({ suback: () => [0x87] });
    await expect(source(server.url).start(() => {})).rejects.toMatchObject({ code: 'MQTT_SUBSCRIPTION_REFUSED' });
  });

  it('says so when nobody answers until the deadline', async () => {
    const server = await broker({ connack: () => null });
    await expect(source(server.url, { connectDeadlineMs: 200 }).start(() => {})).rejects.toMatchObject({ code: 'MQTT_UNREACHABLE' });
    await server.close();
    await expect(source(server.url, { connectDeadlineMs: 200 }).start(() => {})).rejects.toMatchObject({ code: 'MQTT_UNREACHABLE' });
    cleanups.splice(0, 1);
  });

  it('waits for a broker that says it is busy', async () => {
    let asked = 0;
    const busy = { cmd: 'connack', returnCode: 0x89, reasonCode: 0x89, sessionPresent: false } as const;
    const granted = { cmd: 'connack', returnCode: 0, reasonCode: 0, sessionPresent: false } as const;
    const { server } = await taking({}, { connack: () => (++asked < 2 ? busy : granted) });
    expect(server.connections.length).toBe(2);
  });

  it('unsubscribes what it subscribed to in an earlier life', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ingot-mqtt-'));
    cleanups.push(() => rm(folder, { recursive: true }));
    const file = join(folder, 'below', 'subscriptions.json');
    const before = await taking({ topics: ['a/+/telemetry', 'b/+/telemetry'], subscriptions: subscriptionFile(file) });
    await before.mqtt.close(1_000);
    const { server } = await taking({ topics: ['b/+/telemetry', 'c/+/telemetry'], subscriptions: subscriptionFile(file) });
    expect(topicsOf(server.connections[0]!.packets, 'unsubscribe')).toMatchObject([{ unsubscriptions: ['a/+/telemetry'] }]);
    expect(JSON.parse(await readFile(file, 'utf8'))).toEqual(['b/+/telemetry', 'c/+/telemetry']);
  });
});

describe('PUBACKs', () => {
  it('go out only after ack, in the order of the messages, and those that are ready in one write', async () => {
    const { server, taken } = await taking();
    const connection = await server.subscribed();
    connection.send(...ids(1, 100).map((id) => publish(id)));
    await waitUntil(() => taken.length === 100, 'all messages');
    for (const delivery of taken.slice(50).reverse()) delivery.ack();
    connection.send({ cmd: 'pingresp' });
    await new Promise((resolve) => setImmediate(resolve));
    expect(connection.pubacks).toEqual([]);
    for (const delivery of taken.slice(0, 50).reverse()) delivery.ack();
    await waitUntil(() => connection.pubacks.length === 100, 'all PUBACKs');
    expect(connection.pubacks).toEqual(ids(1, 100));
    expect(connection.pubackWrites).toEqual([100]);
  });

  it('count each message once, however often it is acknowledged', async () => {
    const { server, taken } = await taking();
    const connection = await server.subscribed();
    connection.send(publish(1), publish(2));
    await waitUntil(() => taken.length === 2, 'two messages');
    taken[0]!.ack();
    taken[0]!.ack();
    await waitUntil(() => connection.pubacks.length > 0, 'a PUBACK');
    expect(connection.pubacks).toEqual([1]);
  });

  it('never go to another connection, although the packet id is in use again', async () => {
    const { server, taken } = await taking();
    const first = await server.subscribed();
    first.send(publish(1), publish(2));
    await waitUntil(() => taken.length === 2, 'two messages');
    first.socket.destroy();
    const second = await server.subscribed(1);
    second.send(publish(1, '{"seq":1,"temperature":1}', { dup: true }), publish(3));
    await waitUntil(() => taken.length === 4, 'the same message again and another one');
    taken[0]!.ack();
    taken[1]!.ack();
    taken[3]!.ack();
    await new Promise((resolve) => setImmediate(resolve));
    taken[2]!.ack();
    await waitUntil(() => second.pubacks.length === 2, 'the PUBACKs of the second connection');
    expect(second.pubacks).toEqual([1, 3]);
    expect(second.pubackWrites).toEqual([2]);
  });

  it('are not sent for QoS 0, which is taken all the same', async () => {
    const { server, taken } = await taking();
    const connection = await server.subscribed();
    connection.send(
      { cmd: 'publish', topic: 'devices/d1/telemetry', payload: '{}', qos: 0, dup: false, retain: false },
      publish(5, '{}', { retain: true }),
    );
    await waitUntil(() => taken.length === 2, 'both messages');
    expect(taken.map(({ qos, retain }) => ({ qos, retain }))).toEqual([
      { qos: 0, retain: false },
      { qos: 1, retain: true },
    ]);
    for (const delivery of taken) delivery.ack();
    await waitUntil(() => connection.pubacks.length > 0, 'a PUBACK');
    expect(connection.pubacks).toEqual([5]);
  });
});

describe('limits', () => {
  it('stop reading at the number of messages, whatever the broker sends, and go on when there is room', async () => {
    const { server, taken } = await taking({ maxInFlightMessages: 10 });
    const connection = await server.subscribed();
    connection.send(...ids(1, 35).map((id) => publish(id)));
    for (const until of [10, 20, 30, 35]) {
      await waitUntil(() => taken.length >= until, `${until} messages`);
      await new Promise((resolve) => setImmediate(resolve));
      expect(taken.length).toBe(until);
      for (const delivery of taken) delivery.ack();
    }
    await waitUntil(() => connection.pubacks.length === 35, 'all PUBACKs');
    expect(connection.pubacks).toEqual(ids(1, 35));
  });

  it('stop reading at the bytes', async () => {
    const { server, taken } = await taking({ maxInFlightBytes: 2_500 });
    const connection = await server.subscribed();
    connection.send(...ids(1, 6).map((id) => publish(id, Buffer.alloc(1_000))));
    await waitUntil(() => taken.length === 3, 'three messages');
    await new Promise((resolve) => setImmediate(resolve));
    expect(taken.length).toBe(3);
    taken[0]!.ack();
    await waitUntil(() => taken.length === 4, 'the fourth');
  });

  it('count QoS 0 too', async () => {
    const { server, taken } = await taking({ maxInFlightMessages: 3 });
    const connection = await server.subscribed();
    connection.send(...ids(1, 9).map(() => ({ cmd: 'publish', topic: 'x', payload: '{}', qos: 0, dup: false, retain: false }) as const));
    await waitUntil(() => taken.length === 3, 'three messages');
    await new Promise((resolve) => setImmediate(resolve));
    expect(taken.length).toBe(3);
    for (const delivery of taken) delivery.ack();
    await waitUntil(() => taken.length === 6, 'three more');
  });

  it('hold without losing the connection: pings go on although their answers are not seen', async () => {
    const { server, taken } = await taking({ maxInFlightMessages: 1, keepAliveSeconds: 1 });
    const connection = await server.subscribed();
    connection.send(publish(1), publish(2));
    const pings = () => topicsOf(connection.packets, 'pingreq').length;
    await waitUntil(() => pings() >= 9, 'three times the keepalive time');
    expect(connection.isClosed).toBe(false);
    taken[0]!.ack();
    await waitUntil(() => taken.length === 2, 'the second message');
  });

  it('drop the connection when nothing could be acknowledged for too long; the messages come again', async () => {
    const { server, taken } = await taking({ maxInFlightMessages: 1, heldMsMax: 100 });
    const connection = await server.subscribed();
    connection.send(publish(1), publish(2));
    await waitUntil(() => connection.isClosed, 'the end of the connection');
    const next = await server.subscribed(1);
    taken[0]!.ack();
    next.send(publish(1), publish(2));
    await waitUntil(() => taken.length === 2, 'the first message again');
    taken[1]!.ack();
    await waitUntil(() => next.pubacks.length === 1, 'its PUBACK');
  });

  it('never call a held message of a lost connection into the next one', async () => {
    const { server, taken } = await taking({ maxInFlightMessages: 1 });
    const first = await server.subscribed();
    first.send(publish(1), publish(2), publish(3));
    await waitUntil(() => taken.length === 1, 'the first message');
    first.socket.destroy();
    const second = await server.subscribed(1);
    taken[0]!.ack();
    second.send(publish(8));
    await waitUntil(() => taken.length === 2, 'a message of the second connection');
    taken[1]!.ack();
    await waitUntil(() => second.pubacks.length === 1, 'its PUBACK');
    expect(second.pubacks).toEqual([8]);
    expect(taken.length).toBe(2);
  });
});

describe('ending', () => {
  it('unsubscribes when it leaves, and does not subscribe again on the next connection', async () => {
    const { server, mqtt, taken } = await taking();
    const first = await server.subscribed();
    await mqtt.leave();
    expect(topicsOf(first.packets, 'unsubscribe')).toMatchObject([{ unsubscriptions: ['devices/+/telemetry'] }]);
    expect(mqtt.leftOn).toBe(1);
    first.socket.destroy();
    // A broker that is away has confirmed nothing.
    await waitUntil(() => mqtt.leftOn === null, 'the end of the first connection');
    await waitUntil(() => topicsOf(server.connections[1]?.packets ?? [], 'unsubscribe').length === 1, 'the next connection');
    await waitUntil(() => mqtt.leftOn === 2, 'the broker to confirm it');
    server.connections[1]!.send(publish(1));
    await waitUntil(() => taken.length === 1, 'what the session still holds');
    expect(topicsOf(server.connections[1]!.packets, 'subscribe')).toEqual([]);
    await mqtt.close(1_000);
    await mqtt.endSession();
    expect(server.connections[2]!.packets[0]).toMatchObject({ cmd: 'connect', clean: true, clientId: 'bridge-0' });
    expect(server.connections[2]!.packets[0]).not.toHaveProperty('properties.sessionExpiryInterval');
  });

  it('takes nothing after hold, sends the PUBACKs that are ready, then DISCONNECT, and reads until the broker closes', async () => {
    const { server, taken, mqtt } = await taking();
    const connection = await server.subscribed();
    connection.send(publish(1), publish(2));
    await waitUntil(() => taken.length === 2, 'two messages');
    mqtt.hold();
    connection.send(publish(3), ...ids(4, 500).map((id) => publish(id)));
    taken[0]!.ack();
    taken[1]!.ack();
    await mqtt.close(5_000);
    await waitUntil(() => connection.isClosed, 'the end of the connection');
    expect(taken.length).toBe(2);
    expect(connection.packets.slice(-3)).toMatchObject([
      { cmd: 'puback', messageId: 1 },
      { cmd: 'puback', messageId: 2 },
      { cmd: 'disconnect' },
    ]);
  });

  it('ends at its deadline when the broker does not close', async () => {
    const { server, mqtt } = await taking();
    const connection = await server.subscribed();
    connection.socket.removeAllListeners('data');
    const startedAt = performance.now();
    await mqtt.close(200);
    expect(performance.now() - startedAt).toBeLessThan(2_000);
    await waitUntil(() => connection.isClosed, 'the end of the connection');
  });

  it('ends while it is still connecting', async () => {
    const server = await broker({ connack: () => null });
    const mqtt = source(server.url, { connectDeadlineMs: 60_000 });
    const started = mqtt.start(() => {});
    const failed = expect(started).rejects.toMatchObject({ code: 'MQTT_UNREACHABLE' });
    await waitUntil(() => server.connections[0]?.packets.length === 1, 'CONNECT');
    await mqtt.close(1_000);
    await failed;
  });
});
