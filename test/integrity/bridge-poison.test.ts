import { expect, test } from 'vitest';
import { BridgeScene } from '../support/bridge-scene.ts';
import type { MessageLedger } from '../support/message-ledger.ts';
import { sayVerdict } from '../support/message-ledger.ts';
import { POISON_KINDS, poisonMessage, poisonTopics } from '../support/poison.ts';
import { readMetrics } from '../support/role-metrics.ts';
import type { RoleProcess } from '../support/role-process.ts';
import { freshName } from '../support/stack.ts';

// A tenth of what comes is poison, of every kind. Every message is a reading or a dead letter with the right reason, and the good ones
// hardly come slower. The backlog is drained from a session, so that the bridge is what limits.

const isSoak = Number(process.env['INGOT_FAULT_REPEATS'] ?? 1) > 1;
const MESSAGES = isSoak ? 50_000 : 6_000;
const POISON_EVERY = 10;
/** Published in pieces: the payload of 70 KB is one of the kinds. */
const PIECE = 1_000;

interface Drained {
  readonly scene: BridgeScene;
  readonly ledger: MessageLedger;
  readonly expected: ReadonlyMap<string, number>;
  readonly messagesPerSecond: number;
  /** Of the bridge, beyond what a start takes. */
  readonly cpuMicrosPerMessage: number;
}

async function drain({ poisonEvery }: { poisonEvery: number | null }): Promise<Drained> {
  const scene = await BridgeScene.create({ devices: 10 });
  const silent = freshName('silent');
  const topics = [...scene.devices, silent].flatMap(poisonTopics).join(',');
  const start = () => scene.startReady({ MQTT_TOPICS: topics });
  const cpuSeconds = async (role: RoleProcess) => (await readMetrics(role)).sample('process_cpu_seconds_total');
  const empty = await start();
  const startSeconds = await cpuSeconds(empty);
  expect(await empty.stop()).toBe(0);
  const publisher = await scene.publisher();
  const expected = new Map<string, number>();
  const refused = (reason: string) => expected.set(reason, (expected.get(reason) ?? 0) + 1);
  if (poisonEvery !== null) {
    // Without a byte there is no name in it: the device is its name.
    publisher.publish({ id: silent, topic: `devices/${silent}/telemetry`, payload: '' });
    refused('empty_payload');
  }
  for (let sent = 0; sent < MESSAGES; sent += PIECE) {
    const poisoned = poisonEvery === null ? 0 : PIECE / poisonEvery;
    for (let n = 0; n < poisoned; n++) {
      const nth = (sent / PIECE) * poisoned + n;
      const name = `poison-${nth}`;
      const { reason, topic, payload } = poisonMessage(nth, { device: scene.devices[nth % 10]!, name });
      publisher.publish({ id: name, topic, payload });
      refused(reason);
    }
    await publisher.burst(PIECE - poisoned);
  }
  const ledger = await scene.ledger();
  const role = await start();
  const verdict = await ledger.verdict(publisher);
  const { firstMs, lastMs } = ledger.appended;
  const messagesPerSecond = Math.round((verdict.inKafka + verdict.deadLettered) / ((lastMs - firstMs) / 1_000));
  const cpuMicrosPerMessage = (1e6 * ((await cpuSeconds(role)) - startSeconds)) / MESSAGES;
  const what = poisonEvery === null ? 'clean backlog' : `backlog with poison of ${POISON_KINDS} kinds`;
  sayVerdict(what, verdict, { messagesPerSecond, 'CPU us per message': cpuMicrosPerMessage.toFixed(1) });
  scene.expectKept(verdict, ledger);
  expect(verdict.duplicates).toBe(0);
  expect(await role.stop()).toBe(0);
  return { scene, ledger, expected, messagesPerSecond, cpuMicrosPerMessage };
}

test('a tenth of the messages is poison of every kind: the counts are exact', async () => {
  const { ledger, expected } = await drain({ poisonEvery: POISON_EVERY });
  expect(Object.fromEntries(ledger.reasons)).toEqual(Object.fromEntries(expected));
  expect(ledger.readings.size).toBe(MESSAGES - MESSAGES / POISON_EVERY);
  expect(expected.size).toBe(16);
});

test.runIf(isSoak)('a tenth of the messages is poison: the good ones hardly come slower', { timeout: 900_000 }, async () => {
  // In turns, and the best of each: the machine has other things to do too.
  const turns: { clean: Drained; poisoned: Drained }[] = [];
  for (let turn = 0; turn < 3; turn++) {
    turns.push({ clean: await drain({ poisonEvery: null }), poisoned: await drain({ poisonEvery: POISON_EVERY }) });
  }
  const best = (rates: readonly number[]) => Math.max(...rates);
  const rate = best(turns.map(({ poisoned }) => poisoned.messagesPerSecond)) / best(turns.map(({ clean }) => clean.messagesPerSecond));
  const least = (costs: readonly number[]) => Math.min(...costs);
  const capacity =
    least(turns.map(({ clean }) => clean.cpuMicrosPerMessage)) / least(turns.map(({ poisoned }) => poisoned.cpuMicrosPerMessage));
  const percent = (part: number) => `${(100 * part).toFixed(0)} %`;
  process.stdout.write(`throughput with poison: ${percent(rate)} of the clean one; by the CPU that a message takes ${percent(capacity)}\n`);
  // 70 % are the aim, to be read on a quiet machine: the rate is that of the whole machine, and half of a second of compiling is a large part of
  // the CPU of so short a run. Below this something has become much worse.
  expect(capacity).toBeGreaterThan(0.5);
});
