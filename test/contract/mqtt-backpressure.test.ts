import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Aedes } from 'aedes';
import { connectAsync } from 'mqtt';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Delivery } from '../../src/mqtt/delivery-port.ts';
import { MqttSource, type MqttSourceOptions } from '../../src/mqtt/mqtt-source.ts';
import { noSubscriptionMemory } from '../../src/mqtt/subscription-file.ts';
import { BridgeEvents } from '../../src/ops/bridge-events.ts';
import { configureLog } from '../../src/ops/log.ts';
import { freshName, stack } from '../support/stack.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { waitUntil } from '../support/wait-until.ts';

// What the limits of the source do to real brokers, whatever they have been told about receive maxima: nothing more is taken, nothing is
// lost, the connection stays.

configureLog({ level: 'silent', format: 'json' });

async function aedesUrl(): Promise<string> {
  const broker = await Aedes.createBroker();
  const server = createServer(broker.handle);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    await new Promise<void>((resolve) => broker.close(() => resolve()));
    server.close();
  });
  return `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** "Unacceptable protocol version" in 3.1.1, as brokers answer that do not know 5. */
const VERSION_REFUSED = Buffer.from([0x20, 2, 0, 1]);
const MQTT_5 = 5;

/** mosquitto as if it spoke MQTT 3.1.1 only. */
async function oldMosquittoUrl(): Promise<string> {
  const { hostname, port } = new URL(stack().mosquittoUrl);
  const server = createServer((client) => {
    client.on('error', () => {});
    client.once('data', (first) => {
      // The protocol level stands behind the protocol's name.
      if (first[first.indexOf('MQTT') + 4] === MQTT_5) {
        client.end(VERSION_REFUSED);
        return;
      }
      const broker = connect(Number(port), hostname);
      broker.on('error', () => client.destroy());
      client.on('close', () => broker.destroy());
      broker.write(first);
      client.pipe(broker).pipe(client);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

interface Taking {
  readonly topic: string;
  readonly taken: Delivery[];
  publish(count: number): Promise<void>;
}

async function taking(brokerUrl: string, options: Partial<MqttSourceOptions>): Promise<Taking> {
  const topic = `devices/${freshName('d')}/telemetry`;
  const taken: Delivery[] = [];
  const source = new MqttSource({
    url: brokerUrl,
    clientId: freshName('source'),
    topics: [topic],
    qos: 1,
    receiveMaximum: 65_535,
    maxInFlightMessages: 2_000,
    maxInFlightBytes: 32 * 1024 ** 2,
    readRestMs: 10,
    connectDeadlineMs: 10_000,
    subscriptions: noSubscriptionMemory,
    events: new BridgeEvents(),
    ...options,
  });
  onTestFinished(() => source.close(2_000));
  await source.start((delivery) => taken.push(delivery));
  const publisher = await connectAsync(brokerUrl, { protocolVersion: 4 });
  onTestFinished(() => publisher.endAsync(true));
  let sent = 0;
  return {
    topic,
    taken,
    publish: async (count) => {
      await Promise.all(Array.from({ length: count }, () => publisher.publishAsync(topic, String(sent++), { qos: 1 })));
    },
  };
}

const numbersOf = (deliveries: readonly Delivery[]) => deliveries.map((delivery) => Number(delivery.payload.toString()));
const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);

const BYTES_MAX = 30_000;

/** How many numbers on this topic, each in decimal, reach the limit. */
function mostInBytes(topic: string): number {
  let count = 0;
  for (let bytes = 0; bytes < BYTES_MAX; count++) bytes += topic.length + String(count).length;
  return count;
}

const BROKERS = [
  ['mosquitto with MQTT 5', async () => stack().mosquittoUrl],
  ['mosquitto with MQTT 3.1.1', oldMosquittoUrl],
  ['aedes with MQTT 3.1.1', aedesUrl],
] as const;

describe.each(BROKERS)('%s', (_name, brokerUrl) => {
  it.each([
    ['messages', { maxInFlightMessages: 100 }, () => 100],
    ['bytes', { maxInFlightBytes: BYTES_MAX }, mostInBytes],
  ] as const)('takes as many %s as the limit says, and the rest in order when there is room', async (_what, limit, mostOf) => {
    const { topic, taken, publish } = await taking(await brokerUrl(), limit);
    const most = mostOf(topic);
    await publish(2_000);
    await waitUntil(() => taken.length >= most, 'what the limit lets through');
    // Later messages of the publisher have come through the same broker, and still nothing more is taken.
    await publish(500);
    expect(taken.length).toBe(most);
    let acknowledged = 0;
    await waitUntil(() => {
      for (; acknowledged < taken.length; acknowledged++) taken[acknowledged]!.ack();
      return taken.length === 2_500;
    }, 'the rest');
    expect(numbersOf(taken)).toEqual(numbers(2_500));
  });

  it('keeps the connection while reading is held for longer than the keepalive time allows', async () => {
    const url = await brokerUrl();
    const proxy = await TcpProxy.start(url);
    onTestFinished(() => proxy.close());
    const { taken, publish } = await taking(proxy.urlFor(url), { maxInFlightMessages: 1, keepAliveSeconds: 1 });
    await publish(3);
    const accepted = proxy.accepted;
    // A broker gives up a client that says nothing for one and a half times its keepalive time.
    await sleep(2_500);
    for (let n = 1; n <= 3; n++) {
      await waitUntil(() => taken.length === n, `message ${n}`);
      taken[n - 1]!.ack();
    }
    expect(numbersOf(taken)).toEqual([0, 1, 2]);
    expect(proxy.accepted).toBe(accepted);
  });
});
