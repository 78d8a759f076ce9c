import { describe, expect, it, onTestFinished } from 'vitest';
import type { Delivery } from '../../src/mqtt/delivery-port.ts';
import { MqttSource, type MqttSourceOptions } from '../../src/mqtt/mqtt-source.ts';
import { noSubscriptionMemory } from '../../src/mqtt/subscription-file.ts';
import { BridgeEvents } from '../../src/ops/bridge-events.ts';
import { configureLog } from '../../src/ops/log.ts';
import { type ClientConnection, publish, startScriptedBroker } from '../support/scripted-broker.ts';
import { waitUntil } from '../support/wait-until.ts';

// The limits against a broker that keeps to nothing, in both versions of MQTT: seen on the wire.

configureLog({ level: 'silent', format: 'json' });

const MQTT_5 = 5;
const LIMIT = 50;
const ids = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
const refused = { cmd: 'connack', returnCode: 1, reasonCode: 1, sessionPresent: false } as const;
const granted = { cmd: 'connack', returnCode: 0, reasonCode: 0, sessionPresent: false } as const;

/** So many looks in a row at which nothing has left the socket. */
const STILL_LOOKS = 40;

function standstillOf(socket: { readonly writableLength: number }): () => boolean {
  let looks = 0;
  let before = 0;
  return () => {
    const left = socket.writableLength;
    looks = left === before && left > 0 ? looks + 1 : 0;
    before = left;
    return looks >= STILL_LOOKS;
  };
}

describe.each([4, 5] as const)('MQTT protocol level %i', (protocolVersion) => {
  async function taking(options: Partial<MqttSourceOptions> = {}): Promise<{ taken: Delivery[]; connection: ClientConnection }> {
    const server = await startScriptedBroker({
      connack: (packet) => (protocolVersion !== MQTT_5 && packet.protocolVersion === MQTT_5 ? refused : granted),
    });
    onTestFinished(() => server.close());
    const taken: Delivery[] = [];
    const source = new MqttSource({
      url: server.url,
      clientId: 'bridge-0',
      topics: ['devices/+/telemetry'],
      qos: 1,
      receiveMaximum: 10,
      maxInFlightMessages: LIMIT,
      maxInFlightBytes: 32 * 1024 ** 2,
      readRestMs: 10,
      connectDeadlineMs: 5_000,
      subscriptions: noSubscriptionMemory,
      events: new BridgeEvents(),
      ...options,
    });
    onTestFinished(() => source.close(1_000));
    await source.start((delivery) => taken.push(delivery));
    const connection = server.connections.at(-1)!;
    expect(connection.protocolVersion).toBe(protocolVersion);
    return { taken, connection };
  }

  it('a broker that sends thousands at once is not read any further: its own socket fills up', async () => {
    const { taken, connection } = await taking();
    const payload = Buffer.alloc(4_096, 0x20);
    connection.send(...ids(1, 8_000).map((id) => publish(id, payload)));
    await waitUntil(() => taken.length === LIMIT, 'the limit');
    // 32 MB are more than the sockets of both sides hold: what is left stays with the broker, and does not get less.
    await waitUntil(standstillOf(connection.socket), 'a standstill');
    expect(taken.length).toBe(LIMIT);
    expect(connection.socket.writableLength).toBeGreaterThan(16 * 1024 ** 2);
  });

  it('the limit in bytes holds for what is long beside the payload too', async () => {
    const MEBIBYTE = 1024 ** 2;
    const { taken, connection } = await taking({ maxInFlightBytes: MEBIBYTE });
    const longTopic = { topic: `devices/${'x'.repeat(60_000)}/telemetry` };
    const longProperty = { properties: { userProperties: { note: 'x'.repeat(60_000) } } };
    connection.send(...ids(1, 40).map((id) => publish(id, '{}', protocolVersion === MQTT_5 ? longProperty : longTopic)));
    const fitting = Math.ceil(MEBIBYTE / 60_050);
    await waitUntil(() => taken.length >= fitting, 'the limit');
    for (let done = 0; done < 40; done++) {
      await waitUntil(() => taken.length === Math.min(40, done + fitting), 'as many as fit');
      taken[done]!.ack();
    }
    await waitUntil(() => connection.pubacks.length === 40, 'the PUBACKs');
  });

  it('acknowledging in any order sends PUBACKs in order, and takes as many more', async () => {
    const { taken, connection } = await taking();
    connection.send(...ids(1, 3 * LIMIT).map((id) => publish(id)));
    for (let round = 0; round < 3; round++) {
      await waitUntil(() => taken.length === (round + 1) * LIMIT, 'the next messages');
      for (const delivery of taken.slice(round * LIMIT).reverse()) delivery.ack();
    }
    await waitUntil(() => connection.pubacks.length === 3 * LIMIT, 'the PUBACKs');
    expect(connection.pubacks).toEqual(ids(1, 3 * LIMIT));
  });

  it('nothing but the PUBACKs that are ready goes out while reading is held, and pings', async () => {
    const { taken, connection } = await taking({ keepAliveSeconds: 1, maxInFlightMessages: 3 });
    connection.send(...ids(1, 10).map((id) => publish(id)));
    await waitUntil(() => taken.length === 3, 'the limit');
    taken[1]!.ack();
    await waitUntil(() => connection.packets.filter(({ cmd }) => cmd === 'pingreq').length >= 3, 'pings');
    expect(connection.pubacks).toEqual([]);
    expect(connection.isClosed).toBe(false);
    taken[0]!.ack();
    await waitUntil(() => connection.pubacks.length === 2, 'the PUBACKs of the head');
    expect(connection.pubacks).toEqual([1, 2]);
  });
});
