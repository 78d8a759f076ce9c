import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RunningKafka, startKafka } from '../../src/local-stack/kafka.ts';
import { BridgeScene } from '../support/bridge-scene.ts';
import { sayVerdict } from '../support/message-ledger.ts';
import { waitUntil } from '../support/wait-until.ts';

// A Kafka of its own, killed with -9 while the bridge is at work: started again at once, or left away.

const repeats = Number(process.env['INGOT_FAULT_REPEATS'] ?? 1);
const OUTAGE_MS = repeats > 1 ? 60_000 : 6_000;
const IN_FLIGHT_MAX = 2_000;
/** The heap breathes by more than what is in flight takes. */
const MEMORY_GROWTH_MAX_BYTES = 64 * 1024 ** 2;

let folder: string;
let kafka: RunningKafka;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ingot-bridge-outage-'));
  kafka = await startKafka({ folder, preferredPort: null });
});
afterAll(async () => {
  await kafka?.stop();
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
});

const kafkaAgain = async (): Promise<void> => {
  kafka = await startKafka({ folder, preferredPort: null });
};

test('killed and started again under load', async () => {
  const scene = await BridgeScene.create({ devices: 10, realKafkaBrokers: kafka.brokers });
  const role = await scene.startReady();
  const watch = scene.watchOf(role);
  const publisher = await scene.publisher();
  publisher.run();
  for (let time = 0; time < repeats; time++) {
    const before = watch.last?.produced ?? 0;
    await waitUntil(() => (watch.last?.produced ?? 0) > before + 500, 'the load');
    await kafka.kill();
    await kafkaAgain();
  }
  const { produced } = watch.last!;
  await waitUntil(() => watch.last!.produced > produced, 'the load to go on');
  await publisher.pause();
  const ledger = await scene.ledger();
  const verdict = await ledger.verdict(publisher);
  sayVerdict('Kafka killed and started again', verdict, { times: repeats });
  scene.expectKept(verdict, ledger);
  expect(verdict.inKafka).toBe(verdict.sent);
  expect(verdict.duplicates).toBeLessThanOrEqual(repeats * IN_FLIGHT_MAX);
  expect(await role.stop()).toBe(0);
});

test(`away for ${OUTAGE_MS / 1000} s: what is not acknowledged stays below the limit, memory is flat, then it catches up`, async () => {
  // The MQTT broker may send as much as it likes: the bridge's own limit is what holds.
  const settings = { MQTT_RECEIVE_MAXIMUM: '65535', BRIDGE_INFLIGHT_MESSAGES_MAX: String(IN_FLIGHT_MAX) };
  const scene = await BridgeScene.create({ devices: 10, realKafkaBrokers: kafka.brokers, settings });
  const role = await scene.startReady();
  const watch = scene.watchOf(role);
  const publisher = await scene.publisher({ messagesPerSecond: 2_000 });
  publisher.run();
  await waitUntil(() => (watch.last?.produced ?? 0) > 6_000, 'the load');
  const residentBytesBefore = watch.residentBytesMax;
  await kafka.kill();
  watch.resetMaxima();
  await sleep(OUTAGE_MS);
  const { inFlightMax, residentBytesMax } = watch;
  const sentMeanwhile = publisher.sent.size - watch.last!.produced;
  await kafkaAgain();
  const { produced } = watch.last!;
  await waitUntil(() => watch.last!.produced > produced + IN_FLIGHT_MAX, 'the load to go on');
  await publisher.pause();
  const ledger = await scene.ledger();
  const verdict = await ledger.verdict(publisher);
  const growthMiB = ((residentBytesMax - residentBytesBefore) / 1024 ** 2).toFixed(1);
  sayVerdict(`Kafka away for ${OUTAGE_MS / 1000} s`, verdict, {
    'in flight at most': inFlightMax,
    'memory grew by MiB': growthMiB,
    sentMeanwhile,
  });
  scene.expectKept(verdict, ledger);
  expect(verdict.inKafka).toBe(verdict.sent);
  expect(sentMeanwhile).toBeGreaterThan(2 * IN_FLIGHT_MAX);
  expect(inFlightMax).toBe(IN_FLIGHT_MAX);
  expect(residentBytesMax - residentBytesBefore).toBeLessThan(MEMORY_GROWTH_MAX_BYTES);
  expect(await role.stop()).toBe(0);
});
