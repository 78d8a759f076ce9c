import { mkdir } from 'node:fs/promises';
import { expect, onTestFinished, test } from 'vitest';
import { BridgeScene } from '../support/bridge-scene.ts';
import { sayVerdict } from '../support/message-ledger.ts';
import { stack } from '../support/stack.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { waitUntil } from '../support/wait-until.ts';

// The registry is away: while the bridge runs, when it starts and knows its schema from before, and when it starts for the first time.

const isSoak = Number(process.env['INGOT_FAULT_REPEATS'] ?? 1) > 1;

async function sceneBehindProxy(): Promise<{ scene: BridgeScene; registry: TcpProxy; otherFolder: string }> {
  const registry = await TcpProxy.start(stack().registryUrl);
  onTestFinished(() => registry.close());
  const scene = await BridgeScene.create({ devices: 5, registryUrl: registry.urlFor(stack().registryUrl) });
  const otherFolder = `${scene.environment['DATA_FOLDER']}-other`;
  await mkdir(otherFolder);
  return { scene, registry, otherFolder };
}

test('the registry is away in the middle, and at a start that knows the schema from before', async () => {
  const { scene, registry } = await sceneBehindProxy();
  const ledger = await scene.ledger();
  const first = await scene.startReady();
  const publisher = await scene.publisher();
  await publisher.burst(100);
  registry.refuse();
  await publisher.burst(100);
  await waitUntil(() => ledger.readings.size === 200, 'the messages while the registry is away');
  expect(await first.stop()).toBe(0);
  await publisher.burst(100);
  const second = await scene.startReady();
  expect(second.log()).toContain('using the schema id it gave earlier');
  const verdict = await ledger.verdict(publisher);
  sayVerdict('registry away in the middle and at a start', verdict);
  scene.expectKept(verdict, ledger);
  expect(verdict).toMatchObject({ inKafka: 300, duplicates: 0 });
  expect(await second.stop()).toBe(0);
});

test('at a first start without the registry the bridge says so and waits, and takes nothing before it can write it', async () => {
  const { scene, registry, otherFolder } = await sceneBehindProxy();
  const ledger = await scene.ledger();
  // The session exists already; what knew the schema does not.
  expect(await (await scene.startReady()).stop()).toBe(0);
  const publisher = await scene.publisher();
  await publisher.burst(100);
  registry.refuse();
  const told = scene.start({ DATA_FOLDER: otherFolder });
  await told.logged('waiting for the Schema Registry');
  expect(told.log()).toMatch(/does not answer: (socket hang up|[a-z]+ E[A-Z]+)/);
  expect(await told.stop()).toBe(0);
  const waiting = scene.start({ DATA_FOLDER: otherFolder });
  await waiting.logged('waiting for the Schema Registry');
  registry.accept();
  await waiting.logged('taking messages');
  const verdict = await ledger.verdict(publisher);
  sayVerdict('registry away at a first start', verdict);
  scene.expectKept(verdict, ledger);
  expect(verdict).toMatchObject({ inKafka: 100, duplicates: 0 });
  expect(await waiting.stop()).toBe(0);
});

test.runIf(isSoak)('a first start without the registry ends with exit code 3 after a minute', async () => {
  const { scene, registry } = await sceneBehindProxy();
  registry.refuse();
  const role = scene.start();
  expect(await role.ended()).toBe(3);
  expect(role.log()).toContain('The Schema Registry at');
});
