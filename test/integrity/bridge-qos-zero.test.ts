import { connectAsync } from 'mqtt';
import { expect, onTestFinished, test } from 'vitest';
import { BridgeScene } from '../support/bridge-scene.ts';
import { sayVerdict } from '../support/message-ledger.ts';
import { readMetrics } from '../support/role-metrics.ts';
import { stack } from '../support/stack.ts';

// At QoS 0 a message is nobody's duty: what comes is taken, the ledger balances over it, and says of how many it cannot know the losses.

const EACH = 40;

test('messages at QoS 0: those that come are kept, those that are lost on the way are in no sum, and the ledger says so', async () => {
  const scene = await BridgeScene.create({ devices: 4 });
  const ledger = await scene.ledger();
  const unprotected = await connectAsync(stack().mosquittoUrl);
  onTestFinished(() => unprotected.endAsync());
  let sequence = 0;
  /** Resolves when the broker has seen them: the answer to what is sent behind them has come. */
  const sendUnprotected = async () => {
    for (let n = 0; n < EACH; n++) {
      const payload = JSON.stringify({ ts: Date.now(), seq: 1_000 + sequence++, temperature: 20 });
      unprotected.publish(`devices/${scene.devices[0]}/telemetry`, payload, { qos: 0 });
    }
    await unprotected.publishAsync('nobody/listens', '', { qos: 1 });
  };
  const first = await scene.startReady();
  const publisher = await scene.publisher();
  await publisher.burst(EACH);
  await sendUnprotected();
  await ledger.verdict(publisher);
  await expect.poll(() => ledger.readings.size, { timeout: 60_000 }).toBe(2 * EACH);
  expect((await readMetrics(first)).sum('bridge_messages_unprotected_total')).toBe(EACH);
  expect(await first.stop()).toBe(0);
  expect(first.log()).toMatch(new RegExp(`"received":${2 * EACH},.*"unprotected":${EACH},.*"drained"`));

  // mosquitto queues nothing at QoS 0 for a session that is away.
  await sendUnprotected();
  await publisher.burst(EACH);
  const second = await scene.startReady();
  const verdict = await ledger.verdict(publisher);
  await ledger.readToEnd();
  sayVerdict('QoS 0 beside QoS 1, and a bridge that was away', verdict, { 'lost at QoS 0': 4 * EACH - ledger.readings.size });
  expect(verdict.lost).toEqual([]);
  expect(verdict.duplicates).toBe(0);
  expect(ledger.readings.size).toBe(3 * EACH);
  expect((await readMetrics(second)).sum('bridge_messages_unprotected_total')).toBe(0);
  expect(scene.watches.flatMap(({ unbalanced }) => unbalanced)).toEqual([]);
  expect(await second.stop()).toBe(0);
  expect(second.log()).toMatch(new RegExp(`"received":${EACH},.*"unprotected":0,.*"drained"`));
});
