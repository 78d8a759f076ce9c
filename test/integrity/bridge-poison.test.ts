import { expect, test } from 'vitest';
import { BridgeScene } from '../support/bridge-scene.ts';
import type { MessageLedger } from '../support/message-ledger.ts';
import { sayVerdict } from '../support/message-ledger.ts';
import { POISON_KINDS, poisonMessage, poisonTopics } from '../support/poison.ts';
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
}

async function drain({ poisonEvery }: { poisonEvery: number | null }): Promise<Drained> {
  const scene = await BridgeScene.create({ devices: 10 });
  const silent = freshName('silent');
  const topics = [...scene.devices, silent].flatMap(poisonTopics).join(',');
  const start = () => scene.startReady({ MQTT_TOPICS: topics });
  expect(await (await start()).stop()).toBe(0);
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
  sayVerdict(poisonEvery === null ? 'clean backlog' : `backlog with poison of ${POISON_KINDS} kinds`, verdict, { messagesPerSecond });
  scene.expectKept(verdict, ledger);
  expect(verdict.duplicates).toBe(0);
  expect(await role.stop()).toBe(0);
  return { scene, ledger, expected, messagesPerSecond };
}

test('a tenth of the messages is poison of every kind: the counts are exact', async () => {
  const { ledger, expected } = await drain({ poisonEvery: POISON_EVERY });
  expect(Object.fromEntries(ledger.reasons)).toEqual(Object.fromEntries(expected));
  expect(ledger.readings.size).toBe(MESSAGES - MESSAGES / POISON_EVERY);
  expect(expected.size).toBe(16);
});

test.runIf(isSoak)('a tenth of the messages is poison: the good ones hardly come slower', async () => {
  // In turns, and the best of each: the machine has other things to do too.
  const best = { clean: 0, poisoned: 0 };
  for (let turn = 0; turn < 3; turn++) {
    best.clean = Math.max(best.clean, (await drain({ poisonEvery: null })).messagesPerSecond);
    best.poisoned = Math.max(best.poisoned, (await drain({ poisonEvery: POISON_EVERY })).messagesPerSecond);
  }
  process.stdout.write(`throughput with poison: ${((100 * best.poisoned) / best.clean).toFixed(0)} % of the clean one\n`);
});
