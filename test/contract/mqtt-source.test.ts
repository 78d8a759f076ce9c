import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { Aedes } from 'aedes';
import { connectAsync } from 'mqtt';
import { afterEach, describe, expect, it } from 'vitest';
import type { Delivery } from '../../src/mqtt/delivery-port.ts';
import { MqttSource } from '../../src/mqtt/mqtt-source.ts';
import { noSubscriptionMemory } from '../../src/mqtt/subscription-file.ts';
import { BridgeEvents } from '../../src/ops/bridge-events.ts';
import { configureLog } from '../../src/ops/log.ts';
import { freshName, stack } from '../support/stack.ts';
import { waitUntil } from '../support/wait-until.ts';

// The source against the brokers that it is used with.

configureLog({ level: 'silent', format: 'json' });

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function aedesUrl(): Promise<string> {
  const broker = await Aedes.createBroker();
  const server = createServer(broker.handle);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(async () => {
    await new Promise<void>((resolve) => broker.close(() => resolve()));
    server.close();
  });
  return `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function sourceAt(url: string, clientId: string, topic: string): MqttSource {
  const source = new MqttSource({
    url,
    clientId,
    topics: [topic],
    qos: 1,
    receiveMaximum: 1000,
    maxInFlightMessages: 2000,
    maxInFlightBytes: 32 * 1024 ** 2,
    readRestMs: 10,
    connectDeadlineMs: 10_000,
    subscriptions: noSubscriptionMemory,
    events: new BridgeEvents(),
  });
  cleanups.push(() => source.close(2_000));
  return source;
}

async function publishNumbers(url: string, topic: string, count: number): Promise<void> {
  const publisher = await connectAsync(url, { protocolVersion: 4 });
  await Promise.all(Array.from({ length: count }, (_, i) => publisher.publishAsync(topic, String(i), { qos: 1 })));
  await publisher.endAsync();
}

const numbersOf = (deliveries: readonly Delivery[]) => deliveries.map((delivery) => Number(delivery.payload.toString()));
const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);

describe.each([
  ['mosquitto', async () => stack().mosquittoUrl],
  ['aedes', aedesUrl],
])('with %s', (_name, brokerUrl) => {
  it('keeps what is not acknowledged in the session, and gets no more of what is', async () => {
    const [url, clientId, topic] = [await brokerUrl(), freshName('source'), `devices/${freshName('d')}/telemetry`];
    const taken: Delivery[] = [];
    const first = sourceAt(url, clientId, topic);
    await first.start((delivery) => taken.push(delivery));
    await publishNumbers(url, topic, 300);
    await waitUntil(() => taken.length === 300, 'all messages');
    expect(numbersOf(taken)).toEqual(numbers(300));
    for (const delivery of taken.slice(0, 120)) delivery.ack();
    await first.close(5_000);

    const again: Delivery[] = [];
    const second = sourceAt(url, clientId, topic);
    await second.start((delivery) => again.push(delivery));
    await waitUntil(() => again.length === 180, 'what was not acknowledged');
    expect(numbersOf(again).sort((a, b) => a - b)).toEqual(numbers(300).slice(120));
    for (const delivery of again) delivery.ack();
    await second.close(5_000);

    const third = sourceAt(url, clientId, topic);
    const nothing: Delivery[] = [];
    await third.start((delivery) => nothing.push(delivery));
    await publishNumbers(url, topic, 1);
    await waitUntil(() => nothing.length > 0, 'a new message');
    expect(numbersOf(nothing)).toEqual([0]);
  });

  it('takes messages while it acknowledges late, in order, thousands of them', async () => {
    const [url, topic] = [await brokerUrl(), `devices/${freshName('d')}/telemetry`];
    const received: number[] = [];
    let waiting: Delivery[] = [];
    const source = sourceAt(url, freshName('source'), topic);
    await source.start((delivery) => {
      received.push(Number(delivery.payload.toString()));
      waiting.push(delivery);
    });
    const timer = setInterval(() => {
      for (const delivery of waiting) delivery.ack();
      waiting = [];
    }, 5);
    cleanups.push(async () => clearInterval(timer));
    await publishNumbers(url, topic, 5_000);
    await waitUntil(() => received.length >= 5_000, 'all messages');
    expect(received).toEqual(numbers(5_000));
  });
});

it('gets no retained messages from mosquitto', async () => {
  const [url, device] = [stack().mosquittoUrl, freshName('d')];
  const topic = `devices/${device}/telemetry`;
  const publisher = await connectAsync(url);
  cleanups.push(() => publisher.endAsync());
  await publisher.publishAsync(topic, 'old', { qos: 1, retain: true });
  const taken: Delivery[] = [];
  const source = sourceAt(url, freshName('source'), topic);
  await source.start((delivery) => taken.push(delivery));
  await publisher.publishAsync(topic, 'new', { qos: 1, retain: true });
  await waitUntil(() => taken.length > 0, 'the live message');
  expect(taken.map((delivery) => [delivery.payload.toString(), delivery.retain])).toEqual([['new', false]]);
  await publisher.publishAsync(topic, '', { qos: 1, retain: true });
});
