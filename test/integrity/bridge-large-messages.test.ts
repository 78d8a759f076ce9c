import { createHash } from 'node:crypto';
import { expect, onTestFinished, test } from 'vitest';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import { BridgeScene } from '../support/bridge-scene.ts';
import { sayVerdict } from '../support/message-ledger.ts';
import { readTopic } from '../support/read-topic.ts';
import { freshName } from '../support/stack.ts';

// A message may have 256 MiB. One that is far too long to be a reading is not collected in memory: it is a dead letter with its beginning and the
// hash of the whole, and the messages around it come through.

const MIB = 1024 ** 2;
const LARGE_BYTES = 100 * MIB;
/** Collected whole it takes two and a half times its own length. */
const MEMORY_GROWTH_MAX_BYTES = 80 * MIB;

test('one of 100 MiB among others', async () => {
  const scene = await BridgeScene.create({ devices: 3 });
  const ledger = await scene.ledger();
  const role = await scene.startReady();
  const watch = scene.watchOf(role);
  const publisher = await scene.publisher();
  await publisher.burst(300);
  await ledger.verdict(publisher);
  const before = watch.residentBytesMax;
  const payload = Buffer.alloc(LARGE_BYTES, 'x');
  payload.write('#large#');
  publisher.publish({ id: 'large', topic: `devices/${scene.devices[0]}/telemetry`, payload });
  await publisher.burst(300);
  const verdict = await ledger.verdict(publisher);
  const grownMiB = Math.round((watch.residentBytesMax - before) / MIB);
  sayVerdict(`one message of ${LARGE_BYTES / MIB} MiB`, verdict, { 'memory grew by MiB': grownMiB });
  scene.expectKept(verdict, ledger);
  expect(verdict).toMatchObject({ inKafka: 600, deadLettered: 1, duplicates: 0 });
  expect(watch.residentBytesMax - before).toBeLessThan(MEMORY_GROWTH_MAX_BYTES);
  expect(await role.stop()).toBe(0);
  const log = createKafkaLog({ brokers: scene.realBrokers, clientId: freshName('test') });
  onTestFinished(() => log.close());
  const [letter] = await readTopic(log, `${scene.prefix}mqtt.dlq`);
  expect(letter!.value).toEqual(payload.subarray(0, 4_096));
  expect(letter!.headers).toMatchObject({
    'failure-reason': 'payload_too_large',
    'failure-detail': `${LARGE_BYTES} bytes, at most 65536 are taken`,
    'payload-bytes': String(LARGE_BYTES),
    'payload-sha256': createHash('sha256').update(payload).digest('hex'),
  });
});
