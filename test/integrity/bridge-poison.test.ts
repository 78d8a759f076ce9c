import { expect, test } from 'vitest';
import { BridgeScene } from '../support/bridge-scene.ts';
import type { LedgerPublisher } from '../support/ledger-publisher.ts';
import type { MessageLedger } from '../support/message-ledger.ts';
import { sayVerdict } from '../support/message-ledger.ts';
import { POISON_KINDS, poisonMessage, poisonTopics } from '../support/poison.ts';
import { readMetrics } from '../support/role-metrics.ts';
import type { RoleProcess } from '../support/role-process.ts';
import { freshName } from '../support/stack.ts';
import { waitUntil } from '../support/wait-until.ts';

// A tenth of what comes is poison, of every kind. Every message is a reading or a dead letter with the right reason, and the good ones
// hardly come slower.

const isSoak = Number(process.env['INGOT_FAULT_REPEATS'] ?? 1) > 1;
const MESSAGES = 6_000;
const POISON_EVERY = 10;
/** Published in pieces: the payload of 70 KB is one of the kinds. */
const PIECE = 1_000;

/** What publishes to the devices of a scene, and what has to become of it. */
class PoisonedDevices {
  readonly expected = new Map<string, number>();
  readonly publisher: LedgerPublisher;
  readonly #scene: BridgeScene;
  #poisoned = 0;

  constructor(scene: BridgeScene, publisher: LedgerPublisher) {
    this.#scene = scene;
    this.publisher = publisher;
  }

  /** Of the telemetry topic and all others that poison comes on. */
  static topics(devices: readonly string[]): string {
    return devices.flatMap(poisonTopics).join(',');
  }

  /** So many messages, every tenth of them poison or none; resolves when the MQTT broker has them. */
  async publish(messages: number, { poisonEvery }: { readonly poisonEvery: number | null }): Promise<void> {
    for (let sent = 0; sent < messages; sent += PIECE) {
      const poisoned = poisonEvery === null ? 0 : PIECE / poisonEvery;
      for (let n = 0; n < poisoned; n++) this.#publishPoison();
      await this.publisher.burst(PIECE - poisoned);
    }
  }

  /** Without a byte there is no name in it: the device is its name. */
  publishEmpty(device: string): void {
    this.publisher.publish({ id: device, topic: `devices/${device}/telemetry`, payload: '' });
    this.#expect('empty_payload');
  }

  #publishPoison(): void {
    const nth = this.#poisoned++;
    const name = `poison-${nth}`;
    const { reason, topic, payload } = poisonMessage(nth, { device: this.#scene.devices[nth % 10]!, name });
    this.publisher.publish({ id: name, topic, payload });
    this.#expect(reason);
  }

  #expect(reason: string): void {
    this.expected.set(reason, (this.expected.get(reason) ?? 0) + 1);
  }
}

test('a tenth of the messages is poison of every kind: the counts are exact', async () => {
  const scene = await BridgeScene.create({ devices: 10 });
  const silent = freshName('silent');
  const settings = { MQTT_TOPICS: PoisonedDevices.topics([...scene.devices, silent]) };
  // The backlog is drained from a session, so that the bridge is what limits.
  expect(await (await scene.startReady(settings)).stop()).toBe(0);
  const devices = new PoisonedDevices(scene, await scene.publisher());
  devices.publishEmpty(silent);
  await devices.publish(MESSAGES, { poisonEvery: POISON_EVERY });
  const ledger = await scene.ledger();
  const role = await scene.startReady(settings);
  const verdict = await ledger.verdict(devices.publisher);
  sayVerdict(`backlog with poison of ${POISON_KINDS} kinds`, verdict);
  scene.expectKept(verdict, ledger);
  expect(verdict.duplicates).toBe(0);
  expect(Object.fromEntries(ledger.reasons)).toEqual(Object.fromEntries(devices.expected));
  expect(ledger.readings.size).toBe(MESSAGES - MESSAGES / POISON_EVERY);
  expect(devices.expected.size).toBe(16);
  expect(await role.stop()).toBe(0);
});

const TURNS = 4;
/** Of each of the two backlogs of a turn. */
const TURN_MESSAGES = 30_000;

interface Drained {
  readonly messagesPerSecond: number;
  readonly cpuMicrosPerMessage: number;
}

/** What a bridge needs for a backlog that was published while it stood still. */
async function drain(role: RoleProcess, ledger: MessageLedger, publish: () => Promise<void>): Promise<Drained> {
  const cpuSeconds = async () => (await readMetrics(role)).sample('process_cpu_seconds_total');
  const before = ledger.readings.size + ledger.letters.size;
  const startSeconds = await cpuSeconds();
  role.child.kill('SIGSTOP');
  await publish();
  Object.assign(ledger.appended, { firstMs: Number.POSITIVE_INFINITY, lastMs: Number.NEGATIVE_INFINITY });
  role.child.kill('SIGCONT');
  const isDrained = () => ledger.readings.size + ledger.letters.size >= before + TURN_MESSAGES;
  await waitUntil(isDrained, 'the end of a backlog', 120_000);
  const { firstMs, lastMs } = ledger.appended;
  return {
    messagesPerSecond: TURN_MESSAGES / ((lastMs - firstMs) / 1_000),
    cpuMicrosPerMessage: (1e6 * ((await cpuSeconds()) - startSeconds)) / TURN_MESSAGES,
  };
}

test.runIf(isSoak)('a tenth of the messages is poison: the good ones hardly come slower', { timeout: 900_000 }, async () => {
  const scene = await BridgeScene.create({ devices: 10 });
  const role = await scene.startReady({ MQTT_TOPICS: PoisonedDevices.topics(scene.devices) });
  const devices = new PoisonedDevices(scene, await scene.publisher());
  const ledger = await scene.ledger();
  // One process, so that both are drained by the same code, compiled alike; in turns, because the machine has other things to do too. The
  // first turn is there for the compiler.
  const turns: { clean: Drained; poisoned: Drained }[] = [];
  for (let turn = 0; turn <= TURNS; turn++) {
    const clean = await drain(role, ledger, () => devices.publish(TURN_MESSAGES, { poisonEvery: null }));
    const poisoned = await drain(role, ledger, () => devices.publish(TURN_MESSAGES, { poisonEvery: POISON_EVERY }));
    if (turn > 0) turns.push({ clean, poisoned });
  }
  const verdict = await ledger.verdict(devices.publisher);
  sayVerdict(`backlogs without and with poison of ${POISON_KINDS} kinds`, verdict);
  scene.expectKept(verdict, ledger);
  expect(Object.fromEntries(ledger.reasons)).toEqual(Object.fromEntries(devices.expected));
  const percent = (part: number) => `${(100 * part).toFixed(0)} %`;
  const rates = turns.map(({ clean, poisoned }) => poisoned.messagesPerSecond / clean.messagesPerSecond);
  const least = (costs: readonly number[]) => Math.min(...costs);
  const cleanMicros = least(turns.map(({ clean }) => clean.cpuMicrosPerMessage));
  const poisonedMicros = least(turns.map(({ poisoned }) => poisoned.cpuMicrosPerMessage));
  const costs = `CPU per message ${cleanMicros.toFixed(1)} us, with poison ${poisonedMicros.toFixed(1)}`;
  process.stdout.write(`throughput with poison: ${rates.map(percent).join(', ')} of the clean one; ${costs}\n`);
  // The rate is that of the whole machine; what the bridge itself can take follows from its CPU. 70 % are the aim: what is rare stays longest
  // with the slow tiers of the engine, and this is too short for it. Below this something has become much worse.
  expect(cleanMicros / poisonedMicros).toBeGreaterThan(0.4);
  expect(await role.stop()).toBe(0);
});
