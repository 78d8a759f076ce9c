import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { BridgeScene } from '../support/bridge-scene.ts';
import { KAFKA_API, KafkaProxy, type Verdict } from '../support/kafka-proxy.ts';
import { sayVerdict } from '../support/message-ledger.ts';
import { stack } from '../support/stack.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { waitUntil } from '../support/wait-until.ts';

// Kafka answers, but the answer gets lost, or late; and Kafka says no. The proxy knows which bytes are which answer.

const repeats = Number(process.env['INGOT_FAULT_REPEATS'] ?? 1);
const isSoak = repeats > 1;
const IN_FLIGHT_MAX = 4_000;
/** So that the bridge's own limit is what holds. */
const UNLIMITED_BY_THE_BROKER = { MQTT_RECEIVE_MAXIMUM: '65535' };

async function kafkaProxy(): Promise<KafkaProxy> {
  const proxy = await KafkaProxy.start({ broker: stack().kafkaBrokers[0]! });
  onTestFinished(() => proxy.close());
  return proxy;
}

/** Does this to the nth produce request from now, or to its acknowledgement, and to no other. */
function loseOne(kafka: KafkaProxy, side: 'onRequest' | 'onResponse', { nth, how }: { nth: number; how: Verdict }): Promise<void> {
  const { promise: lost, resolve } = Promise.withResolvers<void>();
  let seen = 0;
  kafka[side] = ({ apiKey }) => {
    if (apiKey !== KAFKA_API.produce || ++seen !== nth) return 'pass';
    resolve();
    return how;
  };
  return lost;
}

describe('exactly one produce request, or its acknowledgement, is lost', () => {
  /** The library waits 30 s for an answer on a connection that stays. */
  const ways: readonly Verdict[] = isSoak ? ['cut', 'drop'] : ['cut'];
  test.each(ways)('again and again, each time in the middle of the load: %s', async (how) => {
    const kafka = await kafkaProxy();
    const scene = await BridgeScene.create({ devices: 10, kafkaBrokers: [kafka.address] });
    const ledger = await scene.ledger();
    const role = await scene.startReady();
    const publisher = await scene.publisher({ messagesPerSecond: 2_000 });
    publisher.run();
    const times = how === 'cut' ? 6 * repeats : 2;
    for (let time = 0; time < times; time++) {
      // What Kafka never got, and what it got without our being told.
      await loseOne(kafka, time % 2 === 0 ? 'onResponse' : 'onRequest', { nth: 10 + 3 * time, how });
      const { produced } = scene.watchOf(role).last!;
      await waitUntil(() => scene.watchOf(role).last!.produced > produced + 200, 'the load to go on');
    }
    await publisher.pause();
    const verdict = await ledger.verdict(publisher);
    sayVerdict(`one request or acknowledgement of Kafka lost at a time (${how})`, verdict, { times });
    scene.expectKept(verdict, ledger);
    // The records were there, and the broker knows them again by their sequence numbers.
    expect(verdict.duplicates).toBe(0);
    expect(await role.stop()).toBe(0);
  });
});

test('one direction stands still: answers and requests of Kafka, PUBACKs, messages', async () => {
  const stallMs = isSoak ? 40_000 : 1_500;
  const kafka = await kafkaProxy();
  const mqtt = await TcpProxy.start(stack().mosquittoUrl);
  onTestFinished(() => mqtt.close());
  const scene = await BridgeScene.create({
    devices: 10,
    kafkaBrokers: [kafka.address],
    mqttUrl: mqtt.urlFor(stack().mosquittoUrl),
    settings: UNLIMITED_BY_THE_BROKER,
  });
  const ledger = await scene.ledger();
  const role = await scene.startReady();
  const publisher = await scene.publisher({ messagesPerSecond: 1_500 });
  publisher.run();
  const watch = scene.watchOf(role);
  const goesOn = async (): Promise<void> => {
    const { produced } = watch.last!;
    await waitUntil(() => watch.last!.produced > produced + 500, 'the load to go on');
  };
  await waitUntil(() => (watch.last?.produced ?? 0) > 0, 'the load');
  await goesOn();
  for (const side of ['onResponse', 'onRequest'] as const) {
    const over = sleep(stallMs).then((): Verdict => 'pass');
    kafka[side] = () => over;
    await over;
    kafka[side] = () => 'pass';
    await goesOn();
  }
  for (const direction of ['toServer', 'toClient'] as const) {
    mqtt.stall(direction);
    await sleep(stallMs);
    mqtt.flow(direction);
    await goesOn();
  }
  await publisher.pause();
  const verdict = await ledger.verdict(publisher);
  sayVerdict('one-way stalls', verdict, { stallMs, 'in flight at most': watch.inFlightMax });
  scene.expectKept(verdict, ledger);
  expect(watch.inFlightMax).toBeGreaterThan(100);
  expect(watch.inFlightMax).toBeLessThanOrEqual(IN_FLIGHT_MAX);
  expect(await role.stop()).toBe(0);
});

test('readings and dead letters above max.message.bytes: the rest goes on, the large ones are kept as far as they can be', async () => {
  const scene = await BridgeScene.create({ devices: 5, topicConfigs: { 'max.message.bytes': '6000' } });
  const ledger = await scene.ledger();
  const role = await scene.startReady();
  const publisher = await scene.publisher();
  const large = 6;
  // Batches are above the limit too, and are taken apart.
  await publisher.burst(400);
  for (let i = 0; i < large; i++) {
    const device = scene.devices[i % 5]!;
    // Half fit as a dead letter, half only as an excerpt.
    const filler = 'x'.repeat(i % 2 === 0 ? 100 : 8_000);
    const metrics = Object.fromEntries(Array.from({ length: 60 }, (_, n) => [`${n}-${'m'.repeat(i % 2 === 0 ? 85 : 120)}`, n]));
    const payload = JSON.stringify({ note: `#large-${i}#`, filler, metrics });
    publisher.publish({ id: `large-${i}`, topic: `devices/${device}/telemetry`, payload });
    await publisher.burst(20);
  }
  const verdict = await ledger.verdict(publisher);
  sayVerdict('above max.message.bytes', verdict);
  scene.expectKept(verdict, ledger);
  expect(verdict.inKafka).toBe(400 + large * 20);
  expect(verdict.deadLettered).toBe(large);
  expect(verdict.duplicates).toBe(0);
  expect([...ledger.reasons.keys()]).toEqual(['record_too_large']);
  expect(await role.stop()).toBe(0);
});
