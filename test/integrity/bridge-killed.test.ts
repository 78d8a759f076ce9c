import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { BridgeScene, telemetryOf } from '../support/bridge-scene.ts';
import { KAFKA_API, KafkaProxy } from '../support/kafka-proxy.ts';
import { faultSeed, killAgainAndAgain, seededRandom } from '../support/kill-schedule.ts';
import { sayVerdict } from '../support/message-ledger.ts';
import { slowKafka } from '../support/slow-kafka.ts';
import { freshName, stack } from '../support/stack.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { waitUntil } from '../support/wait-until.ts';

// The bridge ended in every way: killed whenever it comes, killed exactly between Kafka's word and its own, told to stop. Judged by the
// ledger of who sent the messages, and by what another client finds in Kafka.

const repeats = Number(process.env['INGOT_FAULT_REPEATS'] ?? 1);
const firstSeed = faultSeed();
const KILLS = repeats > 1 ? 20 : 4;
/** What piles up while a bridge starts is there at once when it is connected, and must not become more from kill to kill. */
const MESSAGES_PER_SECOND = 12_000 / KILLS;
const LATEST_KILL_MS = 800;
const PUBACK_BYTES = 4;

describe('kill -9 of the bridge', () => {
  const seeds = Array.from({ length: repeats }, (_, index) => firstSeed + index);
  test.each(seeds)('at random moments under load, seed %i (INGOT_FAULT_SEED repeats it)', { timeout: 900_000 }, async (seed) => {
    // With a Kafka that takes its time, something is in flight at any moment.
    const kafka = await slowKafka(10);
    const scene = await BridgeScene.create({ devices: 10, kafkaBrokers: [kafka.address] });
    const random = seededRandom(seed);
    const ledger = await scene.ledger();
    const first = await scene.startReady();
    const publisher = await scene.publisher({ messagesPerSecond: MESSAGES_PER_SECOND });
    publisher.run();
    const { role, killed } = await killAgainAndAgain({
      first,
      times: KILLS,
      // The backlog comes at once with the connection: most kills shall hit it.
      readyLine: 'connected to the MQTT broker',
      moment: () => sleep(random() ** 3 * LATEST_KILL_MS),
      start: () => scene.start(),
    });
    await publisher.pause();
    const verdict = await ledger.verdict(publisher);
    sayVerdict(`kill -9 at random, seed ${seed}`, verdict, { kills: killed.length });
    expect(killed.map(({ child }) => child.signalCode)).toEqual(Array.from({ length: KILLS }, () => 'SIGKILL'));
    scene.expectKept(verdict, ledger);
    // What was in flight at each kill, and no more: twice the receive maximum at most.
    expect(verdict.duplicates).toBeLessThanOrEqual(KILLS * 4_000);
    expect(await role.stop()).toBe(0);
  });

  test('after Kafka has acknowledged and before the PUBACKs have reached the MQTT broker: all of it comes again', async () => {
    const mqtt = await TcpProxy.start(stack().mosquittoUrl);
    onTestFinished(() => mqtt.close());
    const scene = await BridgeScene.create({ devices: 5, mqttUrl: mqtt.urlFor(stack().mosquittoUrl) });
    const ledger = await scene.ledger();
    const first = await scene.startReady();
    const publisher = await scene.publisher();
    const inFlight = 300;
    mqtt.stall('toServer');
    await publisher.burst(inFlight);
    await waitUntil(() => mqtt.held('toServer').length >= inFlight * PUBACK_BYTES, 'the PUBACKs');
    await first.kill();
    mqtt.cutAll();
    mqtt.flow('toServer');
    const second = await scene.startReady();
    await waitUntil(() => ledger.readingRecords >= 2 * inFlight, 'the messages once more');
    const verdict = await ledger.verdict(publisher);
    sayVerdict('kill -9 between the acknowledgement and the PUBACK', verdict);
    scene.expectKept(verdict, ledger);
    expect(verdict).toMatchObject({ sent: inFlight, inKafka: inFlight, duplicates: inFlight });
    expect(await second.stop()).toBe(0);
  });

  test('while the acknowledgement of Kafka is on its way: what Kafka has comes again', async () => {
    const kafka = await KafkaProxy.start({ broker: stack().kafkaBrokers[0]! });
    onTestFinished(() => kafka.close());
    const scene = await BridgeScene.create({ devices: 5, kafkaBrokers: [kafka.address] });
    const ledger = await scene.ledger();
    const first = await scene.startReady();
    const publisher = await scene.publisher();
    await publisher.burst(100);
    await waitUntil(() => ledger.readingRecords === 100, 'the messages before');
    let appended = 0;
    kafka.onResponse = ({ apiKey }) => {
      if (apiKey !== KAFKA_API.produce) return 'pass';
      appended++;
      return 'drop';
    };
    await publisher.burst(50);
    await waitUntil(() => appended > 0, 'the acknowledgement');
    await first.kill();
    kafka.onResponse = () => 'pass';
    const second = await scene.startReady();
    const hasTakenAll = () => (scene.watchOf(second).last?.produced ?? 0) >= 50;
    await waitUntil(hasTakenAll, 'the messages once more');
    const verdict = await ledger.verdict(publisher);
    sayVerdict('kill -9 before the acknowledgement has arrived', verdict);
    scene.expectKept(verdict, ledger);
    expect(verdict.inKafka).toBe(150);
    // At least the batch that Kafka had.
    expect(verdict.duplicates).toBeGreaterThan(0);
    expect(await second.stop()).toBe(0);
  });
});

test('SIGTERM under load: drained each time, nothing twice', async () => {
  const scene = await BridgeScene.create({ devices: 10 });
  const ledger = await scene.ledger();
  let role = await scene.startReady();
  const publisher = await scene.publisher({ messagesPerSecond: 2_000 });
  publisher.run();
  const stops = 2 * repeats;
  for (let stop = 0; stop < stops; stop++) {
    await waitUntil(() => (scene.watchOf(role).last?.produced ?? 0) > 500, 'the load');
    expect(await role.stop()).toBe(0);
    expect(role.log()).toContain('"drained"');
    role = await scene.startReady();
  }
  await publisher.pause();
  const verdict = await ledger.verdict(publisher);
  sayVerdict('SIGTERM under load', verdict, { stops });
  scene.expectKept(verdict, ledger);
  expect(verdict.duplicates).toBe(0);
  expect(await role.stop()).toBe(0);
  // Without a fault, the bridge's own account is exactly what Kafka holds.
  const drained = scene.watches.map((watch) => drainedLedger(watch.role.log()));
  expect(drained.reduce((sum, { produced }) => sum + produced, 0)).toBe(ledger.readingRecords);
  expect(drained.map(({ inFlight }) => inFlight)).toEqual(drained.map(() => 0));
});

function drainedLedger(log: string): { produced: number; inFlight: number } {
  const line = log.split('\n').find((text) => text.includes('"msg":"drained"'));
  if (line === undefined) throw new Error(`not drained:\n${log}`);
  return JSON.parse(line) as { produced: number; inFlight: number };
}

describe('two bridges, one of them killed', () => {
  test('on filters of their own: the other one goes on', async () => {
    const scene = await BridgeScene.create({ devices: 8 });
    const ledger = await scene.ledger();
    const half = (index: number) => ({
      INSTANCE_ID: String(index),
      MQTT_TOPICS: telemetryOf(scene.devices.slice(index * 4, index * 4 + 4)),
    });
    const [doomed, other] = await Promise.all([scene.startReady(half(0)), scene.startReady(half(1))]);
    const publisher = await scene.publisher();
    publisher.run();
    await waitUntil(() => ledger.readings.size > 400, 'the load');
    await doomed.kill();
    const before = scene.watchOf(other).last!.produced;
    await waitUntil(() => scene.watchOf(other).last!.produced > before + 200, 'the other bridge');
    const again = await scene.startReady(half(0));
    await publisher.pause();
    const verdict = await ledger.verdict(publisher);
    sayVerdict('two bridges on filters of their own, one killed', verdict);
    scene.expectKept(verdict, ledger);
    expect([await again.stop(), await other.stop()]).toEqual([0, 0]);
  });

  test('on a shared subscription: what the dead one holds waits for it', async () => {
    const scene = await BridgeScene.create({ devices: 8 });
    const ledger = await scene.ledger();
    const shared = telemetryOf(scene.devices, `$share/${freshName('group')}/`);
    const member = (index: number) => scene.startReady({ INSTANCE_ID: String(index), MQTT_TOPICS: shared });
    const [doomed, other] = [await member(0), await member(1)];
    const publisher = await scene.publisher();
    publisher.run();
    const tookPart = () => [doomed, other].every((role) => (scene.watchOf(role).last?.produced ?? 0) > 100);
    await waitUntil(tookPart, 'both to take part');
    await doomed.kill();
    const before = scene.watchOf(other).last!.produced;
    await waitUntil(() => scene.watchOf(other).last!.produced > before + 200, 'the other bridge');
    await publisher.pause();
    const again = await member(0);
    const verdict = await ledger.verdict(publisher);
    sayVerdict('two bridges on a shared subscription, one killed', verdict);
    scene.expectKept(verdict, ledger, { ordered: false });
    expect([await again.stop(), await other.stop()]).toEqual([0, 0]);
  });
});
