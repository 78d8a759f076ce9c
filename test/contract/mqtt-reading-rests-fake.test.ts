import { describe, expect, it, onTestFinished } from 'vitest';
import type { Delivery } from '../../src/mqtt/delivery-port.ts';
import { MqttSource, type MqttSourceOptions } from '../../src/mqtt/mqtt-source.ts';
import { noSubscriptionMemory } from '../../src/mqtt/subscription-file.ts';
import { BridgeEvents } from '../../src/ops/bridge-events.ts';
import { configureLog } from '../../src/ops/log.ts';
import { publish, type ScriptedBroker, startScriptedBroker } from '../support/scripted-broker.ts';
import { waitUntil } from '../support/wait-until.ts';

// Reading that rests: what comes meanwhile is taken in one go, and nothing else suffers.

configureLog({ level: 'silent', format: 'json' });

/** Longer than any of these tests takes when it does not wait for the end of a rest. */
const ENDLESS_MS = 60_000;

interface Taking {
  readonly server: ScriptedBroker;
  readonly source: MqttSource;
  readonly taken: Delivery[];
  /** Packet ids would not show where the rests are: the number of messages taken at the beginning of each. */
  readonly rests: number[];
}

async function taking(readRestMs: number, options: Partial<MqttSourceOptions> = {}): Promise<Taking> {
  const server = await startScriptedBroker();
  onTestFinished(() => server.close());
  const taken: Delivery[] = [];
  const rests: number[] = [];
  const source = new MqttSource({
    url: server.url,
    clientId: 'bridge-0',
    topics: ['devices/+/telemetry'],
    qos: 1,
    receiveMaximum: 1000,
    maxInFlightMessages: 10_000,
    maxInFlightBytes: 64 * 1024 ** 2,
    readRestMs,
    connectDeadlineMs: 5_000,
    subscriptions: noSubscriptionMemory,
    events: new BridgeEvents(),
    ...options,
  });
  onTestFinished(() => source.close(1_000));
  await source.start(
    (delivery) => taken.push(delivery),
    () => rests.push(taken.length),
  );
  return { server, source, taken, rests };
}

const ids = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('reading that rests', () => {
  it('takes what came meanwhile in one read, and says each time that no more is coming', async () => {
    const { server, taken, rests } = await taking(1_000);
    const connection = server.connections[0]!;
    connection.send(publish(1));
    await waitUntil(() => taken.length === 1, 'the first message');
    expect(rests).toEqual([1]);
    for (const id of ids(2, 6)) {
      connection.send(publish(id));
      await turn();
    }
    await waitUntil(() => taken.length === 6, 'what came during the rest');
    expect(new Set(taken.slice(1).map(({ bytes }) => bytes)).size).toBe(1);
    expect(rests).toEqual([1, 6]);
  });

  it('does not rest before the first message: connecting and subscribing wait for nothing', async () => {
    const { rests } = await taking(ENDLESS_MS);
    expect(rests).toEqual([]);
  });

  it('does not rest behind a backlog', async () => {
    const { server, taken } = await taking(ENDLESS_MS);
    server.connections[0]!.send(...ids(1, 4_000).map((id) => publish(id, Buffer.alloc(1_024, 0x20))));
    await waitUntil(() => taken.length === 4_000, 'all of it');
  });

  it('sees that the connection was lost, and takes the next one', async () => {
    const { server, taken } = await taking(200);
    server.connections[0]!.send(publish(1));
    await waitUntil(() => taken.length === 1, 'the message before the rest');
    server.connections[0]!.socket.destroy();
    const next = await server.subscribed(1);
    next.send(publish(1), publish(2));
    await waitUntil(() => taken.length === 3, 'the messages of the next connection');
    for (const delivery of taken) delivery.ack();
    await waitUntil(() => next.pubacks.length === 2, 'their PUBACKs');
    expect(next.pubacks).toEqual([1, 2]);
  });

  it('acknowledges while it rests', async () => {
    const { server, taken } = await taking(ENDLESS_MS);
    server.connections[0]!.send(publish(7));
    await waitUntil(() => taken.length === 1, 'the message');
    taken[0]!.ack();
    await waitUntil(() => server.connections[0]!.pubacks.length === 1, 'the PUBACK');
  });

  it('ends while it rests: PUBACKs, DISCONNECT, and it reads on until the broker closes', async () => {
    const { server, source, taken } = await taking(ENDLESS_MS);
    const connection = server.connections[0]!;
    connection.send(publish(7));
    await waitUntil(() => taken.length === 1, 'the message');
    source.hold();
    taken[0]!.ack();
    await source.close(30_000);
    expect(connection.pubacks).toEqual([7]);
    expect(connection.packets.at(-1)?.cmd).toBe('disconnect');
  });

  it('stops at the limit and goes on when there is room, rests or not', async () => {
    const { server, taken } = await taking(20, { maxInFlightMessages: 3 });
    const connection = server.connections[0]!;
    connection.send(...ids(1, 8).map((id) => publish(id)));
    await waitUntil(() => taken.length === 3, 'the limit');
    for (const delivery of taken.slice(0, 3)) delivery.ack();
    await waitUntil(() => taken.length === 6, 'the limit again');
    for (const delivery of taken.slice(3, 6)) delivery.ack();
    await waitUntil(() => taken.length === 8, 'the rest');
    connection.send(publish(9));
    await waitUntil(() => taken.length === 9, 'what comes later');
  });

  it('keeps the connection, message by message, for longer than the keepalive time', async () => {
    const { server, taken } = await taking(300, { keepAliveSeconds: 1 });
    const connection = server.connections[0]!;
    const pings = () => connection.packets.filter(({ cmd }) => cmd === 'pingreq').length;
    let id = 0;
    const timer = setInterval(() => connection.send(publish(++id)), 50);
    onTestFinished(() => clearInterval(timer));
    await waitUntil(() => pings() >= 6 && taken.length >= 40, 'twice the keepalive time');
    expect([connection.isClosed, server.connections.length]).toEqual([false, 1]);
  });
});
