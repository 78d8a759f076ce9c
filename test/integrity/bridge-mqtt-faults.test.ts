import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectAsync } from 'mqtt';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type RunningMosquitto, startMosquitto } from '../../src/local-stack/mosquitto.ts';
import { BridgeScene } from '../support/bridge-scene.ts';
import { KAFKA_API, type Verdict } from '../support/kafka-proxy.ts';
import { faultSeed, seededRandom } from '../support/kill-schedule.ts';
import { sayVerdict } from '../support/message-ledger.ts';
import { slowKafka } from '../support/slow-kafka.ts';
import { stack } from '../support/stack.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { waitUntil } from '../support/wait-until.ts';

// The MQTT side breaks: the connection in the middle of a held packet, or the broker is started again, with and without its memory.

const repeats = Number(process.env['INGOT_FAULT_REPEATS'] ?? 1);

test('the connection is cut while reading is held: what was held is not acknowledged, and comes again', async () => {
  const [seed, cuts, limit] = [faultSeed(), 4 * repeats, 50];
  const random = seededRandom(seed);
  const kafka = await slowKafka(20);
  const mqtt = await TcpProxy.start(stack().mosquittoUrl);
  onTestFinished(() => mqtt.close());
  const scene = await BridgeScene.create({
    devices: 10,
    kafkaBrokers: [kafka.address],
    mqttUrl: mqtt.urlFor(stack().mosquittoUrl),
    settings: { BRIDGE_INFLIGHT_MESSAGES_MAX: String(limit) },
  });
  const ledger = await scene.ledger();
  const role = await scene.startReady();
  const watch = scene.watchOf(role);
  const publisher = await scene.publisher({ messagesPerSecond: 2_500 });
  publisher.run();
  for (let cut = 0; cut < cuts; cut++) {
    const { received } = watch.last ?? { received: 0 };
    await waitUntil(() => watch.last !== null && watch.last.received > received && watch.last.inFlight === limit, 'held reading');
    await sleep(random() * 50);
    mqtt.cutAll();
  }
  await publisher.pause();
  const verdict = await ledger.verdict(publisher);
  sayVerdict(`MQTT connection cut while reading is held, seed ${seed}`, verdict, { cuts, 'in flight at most': watch.inFlightMax });
  scene.expectKept(verdict, ledger);
  expect(watch.inFlightMax).toBe(limit);
  expect(verdict.duplicates).toBeLessThanOrEqual(cuts * 2 * limit);
  expect(await role.stop()).toBe(0);
});

describe('the MQTT broker is started again', () => {
  /** MQTT5 3.4.2.1: no matching subscribers. */
  const NOBODY_LISTENS = 16;

  /** Publishes until the broker says that there is a subscription for it: exactly one message is delivered. */
  async function publishedToSomebody(url: string, topic: string, payload: string): Promise<void> {
    const client = await connectAsync(url, { protocolVersion: 5 });
    let reasonCode: number | undefined;
    client.on('packetreceive', (packet) => {
      if (packet.cmd === 'puback') reasonCode = packet.reasonCode ?? 0;
    });
    try {
      const isDelivered = async () => {
        await client.publishAsync(topic, payload, { qos: 1 });
        return reasonCode !== NOBODY_LISTENS;
      };
      await waitUntil(isDelivered, 'the new subscription');
    } finally {
      await client.endAsync();
    }
  }

  async function ownMosquitto(): Promise<{ readonly url: string; restart(how: { keepsSession: boolean }): Promise<void> }> {
    const folder = await mkdtemp(join(tmpdir(), 'ingot-mosquitto-'));
    let running: RunningMosquitto = await startMosquitto({ folder, isDurable: false });
    onTestFinished(async () => {
      await running.stop();
      await rm(folder, { recursive: true, force: true, maxRetries: 3 });
    });
    return {
      url: running.url,
      restart: async ({ keepsSession }) => {
        await running.stop();
        if (!keepsSession) await rm(join(folder, 'mosquitto.db'));
        running = await startMosquitto({ folder, isDurable: false });
      },
    };
  }

  test('with its sessions, under load', async () => {
    const mosquitto = await ownMosquitto();
    const scene = await BridgeScene.create({ devices: 10, realMqttUrl: mosquitto.url });
    const ledger = await scene.ledger();
    const role = await scene.startReady();
    const watch = scene.watchOf(role);
    const publisher = await scene.publisher({ messagesPerSecond: 1_500 });
    publisher.run();
    for (let time = 0; time < 2 * repeats; time++) {
      const before = watch.last?.produced ?? 0;
      await waitUntil(() => (watch.last?.produced ?? 0) > before + 500, 'the load');
      await mosquitto.restart({ keepsSession: true });
    }
    const { produced } = watch.last!;
    await waitUntil(() => watch.last!.produced > produced, 'the load to go on');
    await publisher.pause();
    const verdict = await ledger.verdict(publisher);
    sayVerdict('mosquitto started again with its sessions', verdict, { times: 2 * repeats });
    scene.expectKept(verdict, ledger);
    expect(role.log()).toContain('"isSessionPresent":true');
    expect(await role.stop()).toBe(0);
  });

  test('without its sessions: what the bridge has taken is kept, and what comes new is not acknowledged in its place', async () => {
    const mosquitto = await ownMosquitto();
    const kafka = await slowKafka(0);
    const scene = await BridgeScene.create({
      devices: 5,
      realMqttUrl: mosquitto.url,
      kafkaBrokers: [kafka.address],
      settings: { BRIDGE_BATCH_RECORDS: '50' },
    });
    const ledger = await scene.ledger();
    const first = await scene.startReady();
    const watch = scene.watchOf(first);
    const publisher = await scene.publisher();
    // The batch of the first message waits at the gate, that of the next fifty behind it, and none after these comes through.
    const gate = Promise.withResolvers<Verdict>();
    let requests = 0;
    kafka.onRequest = ({ apiKey }) => {
      if (apiKey !== KAFKA_API.produce) return 'pass';
      return ++requests <= 2 ? gate.promise : 'drop';
    };
    await publisher.burst(1);
    await waitUntil(() => requests === 1, 'the first batch');
    await publisher.burst(50);
    await waitUntil(() => watch.last?.inFlight === 51, 'the messages in flight');
    await mosquitto.restart({ keepsSession: false });
    // Nobody gets what is published before the bridge has subscribed again.
    await publishedToSomebody(mosquitto.url, `devices/${scene.devices[0]}/telemetry`, '#probe#');
    publisher.sent.add('probe');
    publisher.acknowledged.add('probe');
    // Their packet ids are those of the messages in flight.
    await publisher.burst(60);
    await waitUntil(() => watch.last!.received === 112, 'the new messages');
    gate.resolve('pass');
    await waitUntil(() => watch.last!.produced === 51, 'the messages that were in flight');
    await first.kill();
    kafka.onRequest = () => 'pass';
    const second = await scene.startReady();
    const verdict = await ledger.verdict(publisher);
    sayVerdict('mosquitto started again without its sessions', verdict);
    scene.expectKept(verdict, ledger);
    expect(verdict).toMatchObject({ inKafka: 111, deadLettered: 1 });
    expect(ledger.readingRecords).toBe(111);
    expect(await second.stop()).toBe(0);
  });
});
